"""Where results are kept: a section for each part in `RESULTS.md`, and all promises on top of it and in the README."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.tables import PROMISED, table

__all__ = ["PARTS", "REPEATED", "promises", "update"]

PARTS = ("http", "engine", "workloads", "stopping", "store", "polling", "profile")
"""The parts, in the order of their sections."""
REPEATED = ("http", "engine", "workloads", "stopping")
"""Those that take `--runs`."""
INTRODUCTION = """# What was measured

By `make bench`, which writes this file; `make bench ONLY=http` measures one part anew and leaves the others. Ratios are
between what was measured in turns in one run on one machine: they hold where seconds do not. Each section says when, on
what and against what it was measured. *Promised* is what `make bench` fails without; an *aim* is not yet a promise.
"""
SECTION = "<!-- {} -->\n{}\n<!-- end of {} -->\n"


def update(checkout: Path, part: str, section: str) -> None:
    """Put a part's section in the place of the one before, and all promises into the README."""
    results, readme = checkout / "benchmarks" / "RESULTS.md", checkout / "README.md"
    sections = read_sections(results.read_text(encoding="utf-8") if results.exists() else "")
    sections[part] = section.strip()
    kept = {name: sections[name] for name in PARTS if name in sections}
    rows = [row for text in kept.values() for row in promises(text)]
    summary = table(PROMISED, [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows])
    body = "\n".join(SECTION.format(name, text, name) for name, text in kept.items())
    results.write_text(f"{INTRODUCTION}\n{summary}\n\n{body}", encoding="utf-8")
    before = readme.read_text(encoding="utf-8")
    after = re.sub(
        r"(<!-- promises -->\n).*?(<!-- end of promises -->)",
        lambda found: found[1] + summary + "\n" + found[2],
        before,
        flags=re.DOTALL,
    )
    readme.write_text(after, encoding="utf-8")


def read_sections(text: str) -> dict[str, str]:
    """Read the sections of the file, by the names of their parts."""
    return {
        name: found[1].strip()
        for name in PARTS
        if (found := re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", text, flags=re.DOTALL))
    }


def promises(section: str) -> list[str]:
    """Find the rows of a section's tables of promises."""
    rows, inside = [], False
    for line in section.splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split("|"))
        if cells == PROMISED:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and set(line) - set("|-: "):
            rows.append(line)
    return rows
