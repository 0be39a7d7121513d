"""What a store in a file costs: jobs a second, jobs for each sync of the disk, and single calls on a long queue.

    python benchmarks/store.py [--jobs 6400] [--many 200000] [--directory .]

Beside it stands a bare loop of transactions with one row each, on the same disk. Ends with 1 if a promised bound is
broken.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

import apsw
import trio

import scrapeengine as se
from scrapeengine.model.job import Completion, JobStatus, NewJob
from scrapeengine.model.store import Store
from scrapeengine.stores.opening import open_store

BENEATH = apsw.vfs_names()[0]
TASKS = 32
BATCH = 5000
LEAST_SHARED = 16.0
"""The promised calls for each sync, with `TASKS` tasks that make one call after another."""
MOST_MILLISECONDS = {"claim": 2.0, "position": 2.0, "stats": 5.0}
"""The promised time of a call on a long queue, as a median; the longest is printed beside it."""
PAYLOAD = '{"url": "https://example.org/' + "x" * 200 + '"}'


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


async def by_tasks(what: str, count: int, step: Callable[[int], Awaitable[object]]) -> float:
    """Let all tasks do one step after another, say what it cost, and return the steps for each sync."""

    async def work(first: int) -> None:
        for number in range(first, count, TASKS):
            await step(number)

    syncs, begun = Counted.syncs, time.perf_counter()
    async with trio.open_nursery() as nursery:
        for first in range(TASKS):
            nursery.start_soon(work, first)
    seconds, synced = time.perf_counter() - begun, Counted.syncs - syncs
    print(f"  {what:32} {count / seconds:9,.0f} jobs/s   {count / synced:6.1f} jobs/sync")
    return count / synced


async def together(url: str, count: int) -> float:
    """Measure calls that many tasks make at once; return the fewest for each sync."""

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

        shared = [
            await by_tasks("enqueue", count, enqueue),
            await by_tasks("claim", count, claim),
            await by_tasks("complete", count, complete),
        ]
        await by_tasks("enqueue, claim and complete", count, one_job)
    return min(shared)


async def by_engine(url: str, count: int) -> float:
    """Measure an engine that serves the store with as many tasks; return its jobs for each sync."""

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
    print(f"  {'an engine that serves it':32} {count / seconds:9,.0f} jobs/s   {count / synced:6.1f} jobs/sync")
    return count / synced


async def timed(what: str, calls: int, call: Callable[[], Awaitable[object]]) -> float:
    """Make calls one after another, say how long they took, and return the median in milliseconds."""
    took = []
    for _ in range(calls):
        begun = time.perf_counter()
        await call()
        took.append(1000 * (time.perf_counter() - begun))
    print(f"  {what:32} median {median(took):7.3f} ms   longest {max(took):7.3f} ms")
    return median(took)


async def on_a_long_queue(url: str, many: int) -> dict[str, float]:
    """Measure single calls among many jobs of all priorities."""
    rng = random.Random(1)  # noqa: S311 - the same each time
    async with open_store(url) as store:
        begun = time.perf_counter()
        for first in range(0, many, BATCH):
            batch = range(first, min(many, first + BATCH))
            await store.enqueue([NewJob("p", str(n), PAYLOAD, rng.randrange(-(2**63), 2**63)) for n in batch])
        print(f"  {'enqueue, ' + f'{BATCH:,} at a time':32} {many / (time.perf_counter() - begun):9,.0f} jobs/s")

        async def position() -> None:
            await store.position("p", str(rng.randrange(many)))

        return {
            "claim": await timed("claim", 300, lambda: store.claim("p", 1, "bench", 600)),
            "position": await timed("position", 300, position),
            "stats": await timed("stats", 100, store.stats),
        }


def main() -> int:
    """Measure, print, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description="What a store in a file costs.")
    parser.add_argument("--jobs", type=int, default=6400)
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--directory", default=".", help="where the files go: the disk that is measured")
    options = parser.parse_args()
    counted = Counted()
    broken = []
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        folder = Path(directory)
        print(f"{TASKS} tasks, one call after another each, every commit synced")
        shared = [
            trio.run(together, f"sqlite:{folder}/together.db", options.jobs),
            trio.run(by_engine, f"sqlite:{folder}/engine.db", options.jobs),
        ]
        if min(shared) < LEAST_SHARED:
            broken.append(f"at least {LEAST_SHARED:g} jobs for each sync")
        print(f"  {'bare transactions of one row':32} {bare(folder / 'bare.db', options.jobs):9,.0f} rows/s")
        print(f"{options.many:,} jobs with priorities of all sizes")
        for call, milliseconds in trio.run(on_a_long_queue, f"sqlite:{folder}/long.db", options.many).items():
            if milliseconds > MOST_MILLISECONDS[call]:
                broken.append(f"{call} in {MOST_MILLISECONDS[call]:g} ms")
        print(f"  {'the file':32} {(folder / 'long.db').stat().st_size / 1e6:9,.0f} MB")
    print(
        f"  {'the most memory of the process':32} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3:9,.0f} MB"
    )
    del counted
    for promise in broken:
        print(f"BROKEN: {promise}")
    return bool(broken)


if __name__ == "__main__":
    sys.exit(main())
