"""What sinks cost: one fed alone beside a bare writer of the same, and an engine with it beside one without.

    python -m benchmarks.sinks [--runs 7] [--rows 50000] [--tasks 20000]

A bare writer is the loop that a program would have instead: it makes the same rows of the same outcomes, in batches of
the same size, and has each on the disk before the next one. The engine's tasks make a request each, which is answered
in memory: all of the client but its sockets. Those that do nothing at all are shown beside them. Both are counted by
CPU time, of all threads: an engine that is busy is busy with that. What is compared runs in turns, now the one first
and now the other, in one process. Ends with 3 if a promise is broken.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import trio

import scrapeengine as se
from benchmarks.machine import heading, versions
from benchmarks.tables import BROKEN, Promise, print_promises, print_table, spread
from scrapeengine.model.sink import Position

SIZE = 500
LEAST_ALONE, LEAST_WITH = 0.7, 0.85
"""The promised rows a second of a sink, to those of a bare writer; and tasks of an engine with one, to one without."""

Outcomes = list[se.Success[Any]]


class Kind(NamedTuple):
    """A kind of sink, and what it is measured against."""

    title: str
    bare: Callable[[Path, Outcomes], None]
    """Writes the same rows by hand, into a folder."""
    sink: Callable[[Path], Any]
    """Makes the sink, for a folder."""
    needs: tuple[str, ...] = ()
    """The distributions whose versions belong to its figures."""


class Figures(NamedTuple):
    """What one turn has measured: how many a second."""

    bare: float
    alone: float
    without: float
    beside: float
    idle_without: float
    idle_beside: float


class Alone:
    """The run of a sink that is fed alone. Implements `SinkRun`."""

    keeps = False

    def now(self) -> float:
        """Return the Unix time."""
        return time.time()

    async def positions(self) -> dict[str, str]:
        """Return none: nothing is kept."""
        return {}

    async def move(self, position: Position) -> None:
        """Keep nothing."""


async def acknowledge(position: Position | None = None) -> bool:
    """Take it that what was written counts."""
    del position
    return True


def values(count: int) -> Iterator[dict[str, Any]]:
    """Make up what a scraper of odds returns."""
    for number in range(count):
        yield {
            "event": number,
            "home": 1.5 + number % 7 / 10,
            "draw": 3.25,
            "away": 5.0 + number % 11 / 10,
            "title": f"Real Madrid - Atlético {number}",
            "url": f"https://example.org/football/spain/{number}?market=1x2",
            "live": number % 2 == 0,
        }


def outcomes_of(count: int) -> Outcomes:
    """Make up outcomes."""
    return [
        se.Success(event=se.Event(number), platform="bookmaker", value=value, attempts=1, ran=0.123)
        for number, value in enumerate(values(count))
    ]


def batches(outcomes: Outcomes) -> Iterator[tuple[Outcomes, str]]:
    """Cut outcomes into batches, and say when each is written."""
    for first in range(0, len(outcomes), SIZE):
        yield outcomes[first : first + SIZE], datetime.now(UTC).isoformat(timespec="milliseconds")


def bare_lines(folder: Path, outcomes: Outcomes) -> None:
    """Write JSON lines by hand."""
    with (folder / "bare.jsonl").open("w", encoding="utf-8") as file:
        for batch, written in batches(outcomes):
            for outcome in batch:
                row = {
                    "id": outcome.event.id,
                    "platform": outcome.platform,
                    "kind": "success",
                    "value": outcome.value,
                    "attempts": outcome.attempts,
                    "elapsed": round(outcome.elapsed, 6),
                    "written": written,
                }
                file.write(json.dumps(row) + "\n")
            file.flush()
            os.fsync(file.fileno())


def flat(outcome: se.Success[Any], written: object) -> dict[str, Any]:
    """Make a row with a column for each field."""
    return {
        "id": outcome.event.id,
        "platform": outcome.platform,
        "kind": "success",
        "attempts": outcome.attempts,
        "elapsed": round(outcome.elapsed, 6),
        "written": written,
        "error": None,
        **outcome.value,
    }


def bare_csv(folder: Path, outcomes: Outcomes) -> None:
    """Write CSV by hand."""
    with (folder / "bare.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(flat(outcomes[0], "")))
        writer.writeheader()
        for batch, written in batches(outcomes):
            writer.writerows(flat(outcome, written) for outcome in batch)
            file.flush()
            os.fsync(file.fileno())


def bare_parquet(folder: Path, outcomes: Outcomes) -> None:
    """Write Parquet by hand: a group of rows for each batch, which nobody can read before the file's end."""
    schema = pa.Table.from_pylist([flat(outcomes[0], datetime.now(UTC))]).schema
    with (folder / "bare.parquet").open("wb") as file:
        with pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch, _ in batches(outcomes):
                written = datetime.now(UTC)
                writer.write_table(pa.Table.from_pylist([flat(outcome, written) for outcome in batch], schema))
                file.flush()
                os.fsync(file.fileno())
        file.flush()
        os.fsync(file.fileno())


KINDS = (
    Kind("JSON lines", bare_lines, lambda folder: se.sinks.open(str(folder / "out.jsonl"), size=SIZE)),
    Kind("CSV", bare_csv, lambda folder: se.sinks.open(str(folder / "out.csv"), size=SIZE)),
    Kind("Parquet", bare_parquet, lambda folder: se.sinks.open(str(folder / "out.parquet"), size=SIZE), ("pyarrow",)),
)
"""What is measured. A row more here is all that another sink needs."""


async def alone(sink: Any, outcomes: Outcomes) -> None:
    """Feed a sink alone."""
    try:
        await sink.open(Alone())
        for first in range(0, len(outcomes), SIZE):
            await sink.write(outcomes[first : first + SIZE])
            await sink.flush(acknowledge)
    finally:
        await sink.close()


async def engine(tasks: int, sinks: list[Any], *, asks: bool) -> None:
    """Run an engine whose tasks make a request each, or return at once."""
    found = list(values(1000))

    async def scrape(task: se.Task) -> dict[str, Any]:
        if asks:
            await task.http.get("http://bookmaker.example/")
        return found[int(task.event.id) % 1000]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * 1300, request=request)

    platform = se.Platform("bookmaker", scrape, limit=50, transport=httpx.MockTransport(answer))
    report = await se.Engine([platform]).run((se.Event(number) for number in range(tasks)), sinks=sinks)
    assert report.outcomes.succeeded == tasks


def timed(count: int, clock: Callable[[], float], function: Callable[..., Any], *arguments: Any) -> float:
    """Call, and return how many a second that were, by a clock."""
    begun = clock()
    function(*arguments)
    return count / (clock() - begun)


async def nothing(outcomes: list[Any]) -> None:
    """Take outcomes, and do nothing: an engine without a sink has somebody too who takes them."""


def measure(kind: Kind, run: int, outcomes: Outcomes, tasks: int, where: str | None) -> Figures:
    """Measure each once, in an order that depends on the run."""
    with tempfile.TemporaryDirectory(dir=where) as name:
        folder = Path(name)
        wall, cpu, rows = time.perf_counter, time.process_time, len(outcomes)

        def engines(*, asks: bool, sink: bool) -> Callable[[], float]:
            made = [kind.sink(Path(tempfile.mkdtemp(dir=folder)))] if sink else [nothing]
            return partial(timed, tasks, cpu, trio.run, partial(engine, tasks, made, asks=asks))

        turns = [
            (
                partial(timed, rows, wall, kind.bare, folder, outcomes),
                lambda: timed(rows, wall, trio.run, alone, kind.sink(folder), outcomes),
            ),
            (engines(asks=True, sink=False), engines(asks=True, sink=True)),
            (engines(asks=False, sink=False), engines(asks=False, sink=True)),
        ]
        found: list[float] = []
        for one, other in turns:
            both = [turn() for turn in ((other, one) if run % 2 else (one, other))]
            found += reversed(both) if run % 2 else both
    return Figures(*found)


def promise(what: str, ratios: list[float], least: float) -> Promise:
    """Make a promise of the median of what was measured in turns."""
    return Promise(what, spread(ratios, ".2f"), f"≥ {least}", kept=median(ratios) >= least)


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(description="what sinks cost")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--directory", help="where files are written")
    parser.add_argument("--only", help="the title of one kind")
    options = parser.parse_args()
    kinds = [kind for kind in KINDS if options.only in {None, kind.title}]
    needs = [name for kind in kinds for name in kind.needs]
    print("## Sinks\n")
    print(heading(versions("scrapeengine", "trio", *needs)))
    print(
        f"{options.rows:,} outcomes with seven fields, in batches of {SIZE}, each on the disk before the next one; "
        f"{options.tasks:,} tasks, 50 in flight. {options.runs} runs, in turns.\n"
    )
    outcomes = outcomes_of(options.rows)
    figures = {
        kind: [measure(kind, run, outcomes, options.tasks, options.directory) for run in range(options.runs)]
        for kind in kinds
    }
    promises = []
    for kind, found in figures.items():
        promises += [
            promise(f"{kind.title}: a sink fed alone : a bare writer", [f.alone / f.bare for f in found], LEAST_ALONE),
            promise(
                f"{kind.title}: requests of an engine with it : without",
                [f.beside / f.without for f in found],
                LEAST_WITH,
            ),
        ]
    kept = print_promises(promises)
    print_table(
        (
            "",
            "bare writer, rows/s",
            "sink alone",
            "requests/s of CPU without",
            "with it",
            "tasks/s of CPU without",
            "with it",
        ),
        [(kind.title, *(spread(column) for column in zip(*found, strict=True))) for kind, found in figures.items()],
    )
    return 0 if kept else BROKEN


if __name__ == "__main__":
    sys.exit(main())
