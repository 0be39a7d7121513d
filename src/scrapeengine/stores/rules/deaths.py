"""Rules by which what the dead held is free: jobs, locks, slots, start times, and outcomes on their way to sinks.

Each opening of a store has a number, and what is taken through it stands under that number. Who is dead is known to the
room that keeps the tables: an opening whose process is gone. All that it held is free then as if its lease had ended at
this instant; those that live and hang keep it for its time. In memory nobody outlives an opening.
"""

from __future__ import annotations

from collections.abc import Sequence

from scrapeengine.decide.poison import after_death
from scrapeengine.stores.rules import beside, leasing
from scrapeengine.stores.rules.tables import Death, Tables

__all__ = ["bury"]


def bury(tables: Tables, deaths: Sequence[Death]) -> None:
    """Free what openings held that have died, and count their deaths against the jobs whose scrapers ran."""
    for death in deaths:
        if not tables.strike(death.opening):
            continue  # somebody has buried it before
        rows = tables.jobs.held(death.opening)
        ran = [row for row in rows if row.token in death.running]
        for row, count in zip(ran, after_death([row.deaths for row in ran]), strict=True):
            tables.jobs.change(row, deaths=count, died=tables.awake)
        for row in rows:
            leasing.lapse(tables, row)
        tables.outbox.free(death.opening, tables.awake)
        beside.free(tables, death.opening)
