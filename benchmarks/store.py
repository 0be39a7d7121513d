"""What a store in a file costs: jobs a second, jobs for each sync of the disk, and single calls on a long queue.

    python -m benchmarks.store [--jobs 6400] [--many 200000] [--directory DIR]

Beside it stands a bare loop of transactions with one row each, on the same disk. Ends with 3 if a promised bound is
broken.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import apsw
import trio

import scrapeengine as se
from benchmarks.machine import heading, peak_megabytes, versions
from benchmarks.tables import BROKEN, Promise, print_promises, print_table
from scrapeengine.model.job import Completion, JobStatus, NewJob
from scrapeengine.model.store import Store
from scrapeengine.stores import open_store

BENEATH = apsw.vfs_names()[0]
TASKS = 32
BATCH = 5000
LEAST_SHARED = 16.0
"""The promised calls for each sync, with `TASKS` tasks that make one call after another."""
MOST_MILLISECONDS = {"claim": 2.0, "position": 2.0, "stats": 5.0}
"""The promised time of a call on a long queue, as a median; the longest is printed beside it."""
AIMED_RATE = 8000
"""The jobs a second that an engine is to do by a store in a file, which is aimed at."""
PAYLOAD = '{"url": "https://example.org/' + "x" * 200 + '"}'


class Together(NamedTuple):
    """Work that many tasks do at once."""

    what: str
    rate: float
    """Jobs in a second."""
    shared: float
    """Jobs for each sync."""

    @property
    def row(self) -> tuple[str, str, str]:
        """What is printed of it."""
        return self.what, f"{self.rate:,.0f}", f"{self.shared:.1f}"


class Single(NamedTuple):
    """A call that was made again and again."""

    what: str
    median: float
    """Milliseconds."""
    longest: float


class CountedFile(apsw.VFSFile):
    """A file that counts its syncs."""

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        """Count, and sync."""
        Counted.syncs += 1
        super().xSync(flags)


class Counted(apsw.VFS):
    """The file system as it is, but that syncs are counted."""

    syncs = 0

    def __init__(self) -> None:
        super().__init__("counted", BENEATH, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> CountedFile:  # noqa: N802 - SQLite's name
        """Open a file that counts."""
        return CountedFile(BENEATH, name, flags)


def bare(path: Path, rows: int) -> float:
    """Write rows in a transaction each, and return how many a second."""
    db = apsw.Connection(str(path))
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "CREATE TABLE t (id TEXT, payload)"):
        db.execute(statement)
    begun = time.perf_counter()
    for number in range(rows):
        db.execute("INSERT INTO t VALUES (?, ?)", (str(number), PAYLOAD))
    seconds = time.perf_counter() - begun
    db.close()
    return rows / seconds


async def by_tasks(what: str, count: int, step: Callable[[int], Awaitable[object]]) -> Together:
    """Let all tasks do one step after another, and return what it cost."""

    async def work(first: int) -> None:
        for number in range(first, count, TASKS):
            await step(number)

    syncs, begun = Counted.syncs, time.perf_counter()
    async with trio.open_nursery() as nursery:
        for first in range(TASKS):
            nursery.start_soon(work, first)
    seconds, synced = time.perf_counter() - begun, Counted.syncs - syncs
    return Together(what, count / seconds, count / synced)


async def together(url: str, count: int) -> list[Together]:
    """Measure calls that many tasks make at once; the last is of three calls that wait for one another."""

    async def end(store: Store) -> None:
        (claimed,) = await store.claim("p", 1, "bench", 60)
        await store.complete([Completion(ticket=claimed.ticket, status=JobStatus.DONE, result="[]")])

    async with open_store(url) as store:

        async def enqueue(number: int) -> None:
            await store.enqueue([NewJob("p", f"a{number}", PAYLOAD)])

        async def one_job(number: int) -> None:
            await store.enqueue([NewJob("p", f"b{number}", PAYLOAD)])
            await end(store)

        tickets: dict[int, Any] = {}

        async def claim(number: int) -> None:
            tickets[number] = (await store.claim("p", 1, "bench", 600))[0].ticket

        async def complete(number: int) -> None:
            await store.complete([Completion(ticket=tickets[number], status=JobStatus.DONE, result="[]")])

        return [
            await by_tasks("enqueue", count, enqueue),
            await by_tasks("claim", count, claim),
            await by_tasks("complete", count, complete),
            await by_tasks("enqueue, claim and complete, one call after the other", count, one_job),
        ]


async def by_engine(url: str, count: int) -> Together:
    """Measure an engine that serves the store with as many tasks."""

    async def scrape(task: se.Task) -> list[str]:
        await trio.lowlevel.checkpoint()
        return [task.event.id]

    engine = se.Engine([se.Platform("p", scrape, limit=TASKS)], event_limit=TASKS)
    async with open_store(url) as store:
        await engine.enqueue(store, [se.Event(f"e{number}") for number in range(count)])
        syncs, begun = Counted.syncs, time.perf_counter()
        async with engine.serve(store) as run:
            for _ in range(count):
                await anext(run)
            seconds, synced = time.perf_counter() - begun, Counted.syncs - syncs
            await run.stop(0)
    return Together("an engine that serves it", count / seconds, count / synced)


async def timed(what: str, calls: int, call: Callable[[], Awaitable[object]]) -> Single:
    """Make calls one after another, and return how long they took."""
    took = []
    for _ in range(calls):
        begun = time.perf_counter()
        await call()
        took.append(1000 * (time.perf_counter() - begun))
    return Single(what, median(took), max(took))


async def on_a_long_queue(url: str, many: int) -> list[Single]:
    """Measure single calls among many jobs of all priorities."""
    rng = random.Random(1)  # noqa: S311 - the same each time
    async with open_store(url) as store:
        for first in range(0, many, BATCH):
            batch = range(first, min(many, first + BATCH))
            await store.enqueue([NewJob("p", str(n), PAYLOAD, rng.randrange(-(2**63), 2**63)) for n in batch])

        async def position() -> None:
            await store.position("p", str(rng.randrange(many)))

        return [
            await timed("claim", 300, lambda: store.claim("p", 1, "bench", 600)),
            await timed("position", 300, position),
            await timed("stats", 100, store.stats),
        ]


def judge(shared: list[Together], engine: Together, single: list[Single], many: int) -> list[Promise]:
    """Say what is promised, and what was measured of it."""
    most = [
        Promise(
            f"`{one.what}` among {many:,} jobs",
            f"{one.median:.2f} ms, the longest {one.longest:.2f}",
            f"≤ {MOST_MILLISECONDS[one.what]:g} ms",
            kept=one.median <= MOST_MILLISECONDS[one.what],
        )
        for one in single
    ]
    least = min([*shared, engine], key=lambda one: one.shared)
    measured = f"{least.shared:.1f} ({least.what})"
    return [
        Promise(
            f"calls of one kind for each sync, and jobs of an engine that serves, {TASKS} tasks",
            measured,
            f"≥ {LEAST_SHARED:g}",
            kept=least.shared >= LEAST_SHARED,
        ),
        Promise(
            f"jobs a second of an engine that serves, {TASKS} tasks, each commit synced",
            f"{engine.rate:,.0f}",
            aim=f"≥ {AIMED_RATE:,}",
            kept=engine.rate >= AIMED_RATE,
        ),
        *most,
    ]


def main() -> int:
    """Measure, print, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description="What a store in a file costs.")
    parser.add_argument("--jobs", type=int, default=6400)
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--directory", default=sys.prefix, help="where the files go: the disk that is measured")
    options = parser.parse_args()
    counted = Counted()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        folder = Path(directory)
        *shared, chained = trio.run(together, f"sqlite:{folder}/together.db", options.jobs)
        engine = trio.run(by_engine, f"sqlite:{folder}/engine.db", options.jobs)
        rows = bare(folder / "bare.db", options.jobs)
        single = trio.run(on_a_long_queue, f"sqlite:{folder}/long.db", options.many)
        size = (folder / "long.db").stat().st_size / 1e6
    del counted
    print(f"## The store\n\n{heading(versions('scrapeengine', 'trio', 'apsw'))}")
    print(f"A store in a file, every commit synced; {TASKS} tasks. One run, single calls as medians.\n")
    kept = print_promises(judge(shared, engine, single, options.many))
    own = ("a bare loop of transactions of one row", f"{rows:,.0f}", "1.0")
    print_table(("", "jobs/s", "jobs a sync"), [*(one.row for one in (*shared, chained, engine)), own])
    print(
        f"With {options.many:,} jobs of as many priorities the file has {size:,.0f} MB, and the process held "
        f"{peak_megabytes():,.0f} MB at most.\n"
    )
    return 0 if kept else BROKEN


if __name__ == "__main__":
    sys.exit(main())
