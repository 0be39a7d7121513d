"""Where results are kept: a section for each part in `RESULTS.md`, and all promises on top of it and in the docs."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.rows import add_row, commit_of
from benchmarks.tables import PROMISED, table

__all__ = ["PARTS", "REPEATED", "update"]

PARTS = ("http", "engine", "workloads", "stopping", "store", "sinks", "sinks_sql", "polling", "imports", "profile")
"""The parts, in the order of their sections."""
SECTIONS = ("http", "machines", *PARTS[1:])
"""All sections: those of the parts, and what each machine has measured of each commit, which no part prints."""
REPEATED = ("http", "engine", "workloads", "stopping", "sinks", "sinks_sql", "imports")
"""Those that take `--runs`."""
INTRODUCTION = """# What was measured

By `make bench`, which writes this file; `make bench ONLY=http` measures one part anew and leaves the others. Ratios are
between what was measured in turns in one run on one machine: they hold where seconds do not. Each section says when, on
what and against what it was measured. *Promised* is what `make bench` fails without; an *aim* is not yet a promise.
What fell short is named below the table, with its cause.

How to read *HTTP*: a client that has its core to itself is busy all the time, so requests/s and CPU time say the same.
The engine reads at most 64 events of its source, or for a millisecond, in a turn of the loop. At a full core it so has
fewer requests in flight than it may have, about 100 to 160, which is why its p99 is short at 200 and 1,000. With that
bound lifted, by hand and once, it had all 1,000 in flight, p99 was 194 ms, and it made 4,200 requests/s, not 7,900.
"""
SEEN = """- Seen in the tables of *HTTP*, and not promised: by TLS aiohttp is the faster, since trio's `SSLStream` adds
  30 to 40 µs to a request (to that of the bare loop 28) and asyncio's about 10; and so it is with bodies of 45 kB at 50
  and 200, which are read in two parts or more, and joined."""
"""What falls short of no promise; written by hand, of what was measured on 2026-11-26."""
CAUSES = {
    "of Crawlee without": "Its core is compiled: what a slow interpreter or a cold cache costs us it does not feel.",
    "as many connections": "With a pool as large as the tasks httpx is slower at 50 and faster at 200 than as it makes "
    "its client, which the promise is against.",
    "on uvloop": "Its loop, sockets and parser are compiled, and it has no limits, rates, deadlines, retries and "
    "outcomes. The profile is flat (*Where the time goes*): no single thing is left that would make up for it.",
    "a bare trio": "It has no task for a request, no deadline, no pool and no response. What trio takes for our task "
    "and its wait, beyond the sockets, is more than all that it does (*Where the time goes*).",
    "on loopback": "A loop wakes up to 2 ms late, and a rate without a burst makes up for nothing that is late.",
    "virtual time": "Event slots go round the platforms, where ideal goes in source order; neither knows which task is "
    "long. Over many draws of the latencies the median is the same, and a single one is luck.",
}
"""Why something falls short, by a part of what it is."""
SECTION = "<!-- {} -->\n{}\n<!-- end of {} -->\n"


def update(checkout: Path, part: str, section: str) -> None:
    """Put a part's section in the place of the one before, and all promises into the page that lists them."""
    results, page = checkout / "benchmarks" / "RESULTS.md", checkout / "docs" / "promises.md"
    sections = read_sections(results.read_text(encoding="utf-8") if results.exists() else "")
    sections[part] = section.strip()
    if part == "http":
        sections["machines"] = add_row(sections.get("machines", ""), section, commit_of(checkout))
    kept = {name: sections[name] for name in SECTIONS if name in sections}
    rows = [row for text in kept.values() for row in promises(text)]
    summary = table(PROMISED, [tuple(cell.strip() for cell in row.strip("|").split("|")) for row in rows])
    causes = "\n".join([*(f"- {cause}" for cause in find_causes(rows)), SEEN])
    body = "\n".join(SECTION.format(name, text, name) for name, text in kept.items())
    results.write_text(f"{INTRODUCTION}\n{summary}\n\n{causes}\n\n{body}", encoding="utf-8")
    before = page.read_text(encoding="utf-8")
    after = re.sub(
        r"(<!-- promises -->\n).*?(<!-- end of promises -->)",
        lambda found: found[1] + summary + "\n" + found[2],
        before,
        flags=re.DOTALL,
    )
    page.write_text(after, encoding="utf-8")


def read_sections(text: str) -> dict[str, str]:
    """Read the sections of the file, by the names of their parts."""
    return {
        name: found[1].strip()
        for name in SECTIONS
        if (found := re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", text, flags=re.DOTALL))
    }


def find_causes(rows: list[str]) -> list[str]:
    """Say of each promise that is not kept, and each aim that is not reached, why; what no one knows says so."""
    found: dict[str, list[str]] = {}
    for row in rows:
        what, *_, verdict = (cell.strip() for cell in row.strip("|").split("|"))
        if verdict.endswith("not reached") or verdict in {"BROKEN", "unclear"}:
            why = next((cause for part, cause in CAUSES.items() if part in what), "Nobody knows yet why.")
            found.setdefault(why, []).append(f"{what} ({verdict})")
    return [f"{'; '.join(short)}. {why}" for why, short in found.items()]


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
