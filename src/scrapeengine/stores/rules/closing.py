"""Rules by which programs close platforms and reopen them, pause them and resume them.

How often a platform was reopened is counted. Engines say which opening they have heard of last: what one of them knows
of a penalty that is older than the latest closes nothing (`beside.share`).
"""

from __future__ import annotations

from scrapeengine.stores.rules.leasing import arrive
from scrapeengine.stores.rules.tables import Tables

__all__ = ["close", "pause", "reopen"]


def close(tables: Tables, platform: str, seconds: float) -> None:
    """Close a platform for so long at least."""
    gate, until = tables.sharing.gate(platform), tables.awake + seconds
    if gate.closed_until is None or gate.closed_until < until:
        tables.sharing.set_gate(platform, gate._replace(closed_until=until))
    tables.marks.stirred = True


def reopen(tables: Tables, platform: str) -> None:
    """End the penalty of a platform, and make ready what was given back until its end."""
    gate = tables.sharing.gate(platform)
    tables.sharing.set_gate(platform, gate._replace(closed_until=None, openings=gate.openings + 1))
    for row in tables.jobs.returned(platform):
        arrive(tables, row)
    tables.marks.stirred = True


def pause(tables: Tables, platform: str, *, paused: bool) -> None:
    """Let no task of a platform start, or end that; who waits for the store looks again."""
    tables.sharing.set_gate(platform, tables.sharing.gate(platform)._replace(paused=paused))
    tables.marks.stirred = True
