"""What each machine has measured of each commit: a row in `RESULTS.md`, and what may be promised of all of them.

A ratio that holds on one machine may not on the next. So what is promised of a commit is the least that any machine has
measured of it; while there is only one, a tenth less.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from benchmarks.tables import table

__all__ = ["add_row", "commit_of"]

COLUMNS = {
    "of aiohttp, 50": "50 requests at once, of aiohttp",
    "200": "200 requests at once, of aiohttp",
    "on uvloop, 50": "50 requests at once, of aiohttp on uvloop",
    " 200": "200 requests at once, of aiohttp on uvloop",
}
"""The columns, and what each of them is called among the promises of the HTTP section."""
HEAD = ("machine", "commit", *COLUMNS)
ALONE = 0.9
"""The part of what one machine has measured that is promised while there is no other."""
TITLE = "## Machines\n\nHow many times the requests of a peer the engine makes, by the clock."
_MACHINE = re.compile(r"UTC; (?P<system>[^;]+); (?P<processor>[^;]+); (?P<python>[^;]+);")
_RATIO = re.compile(r"[0-9]+\.[0-9]+")


def commit_of(checkout: Path) -> str:
    """Return the commit that a checkout is at, shortened."""
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()  # noqa: S603


def add_row(before: str, section: str, commit: str) -> str:
    """Return the section of machines with a row for what an HTTP section says, in the place of an older one.

    Args:
        before: the section of machines as it is; empty at first.
        section: the HTTP section.
        commit: what was measured.
    """
    found = _MACHINE.search(section)
    machine = "?" if found is None else f"{found['processor']}, {found['python']}"
    row = (machine, commit, *(_measured(section, what) for what in COLUMNS.values()))
    rows = [each for each in _cells(before) if each[:2] != row[:2]] + [row]
    return f"{TITLE}\n\n{table(HEAD, rows)}\n\n{_promised(commit, rows)}"


def _cells(text: str) -> list[tuple[str, ...]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines[2:]]


def _measured(section: str, what: str) -> str:
    """Return the ratio that a section says was measured of something."""
    line = next((line for line in section.splitlines() if line.startswith(f"| {what} ")), "")
    found = _RATIO.search(line.rsplit("|", 3)[-3]) if line else None
    return "-" if found is None else found[0]


def _promised(commit: str, rows: list[tuple[str, ...]]) -> str:
    """Say what may be promised of a commit."""
    mine = [row for row in rows if row[1] == commit]
    part, why = (ALONE, "one machine, less a tenth") if len(mine) == 1 else (1.0, f"{len(mine)} machines, the least")
    said = []
    for place, name in enumerate(COLUMNS.values(), len(HEAD) - len(COLUMNS)):
        known = [float(row[place]) for row in mine if _RATIO.fullmatch(row[place])]
        said.append(f"{name}: {part * min(known):.2f}" if known else f"{name}: not measured")
    return f"What may be promised of {commit} ({why}): {'; '.join(said)}."
