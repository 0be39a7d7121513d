"""Processes that work on one store, to be killed: a parent that has imported all, and forks one for each line it reads.

    serve    STORE LOG LEASE       serve until killed; log what was accepted, and what was delivered
    enqueue  STORE LOG FIRST COUNT enqueue jobs in batches; log what was acknowledged
    share    STORE LOG LEASE URL RATE LIMIT [REQUESTS [COST]]
                                   serve platform "A", whose scraper asks URL; log the times that were booked;
                                   a RATE of 0 is none, and "40,60/3/30" is 40 a second and 60 in 3 s with a burst of 30

    ahead    STORE LOG LEASE SECONDS
                                   serve with a wall clock that is so much ahead, and make a round of it; the same log
    grave    STORE LOG LEASE HOW [FORKS]
                                   serve, or make rounds (HOW), with the scrapers of `toil`; log who runs; before that
                                   fork a child that lives on, if FORKS; the sink keeps what its outcomes' ids say
    hold     STORE LOG LEASE SECONDS
                                   claim all that is ready, and the rounds, by such a clock, and do nothing more

It answers each line with the process's id. What is logged is on the disk before anything else happens.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import attrs
import trio

import scrapeengine as se
from scrapeengine.served.rounds import Alone
from scrapeengine.served.trouble import Trouble
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.sqlite.policy import SqlitePolicy
from scrapeengine.stores.sqlite.store import in_file

BATCH = 20


def log(file, *words):
    """Write a line that survives the process."""
    os.write(file, (json.dumps(words) + "\n").encode())


async def work(task):
    """Take some milliseconds."""
    await trio.sleep(0.001 * (1 + int(task.event.id) % 7))
    return {"id": task.event.id, "by": os.getpid()}


class Accepting:
    """Logs what a store has accepted."""

    def __init__(self, file):
        self._file = file

    def job_stored(self, details):
        """Log it."""
        log(self._file, "accepted", details.outcome.event.id, type(details.outcome).__name__)


async def serve(store_url, file, lease):
    """Serve, and log each outcome that the store has accepted, and each that the consumer has had."""
    engine = se.Engine([se.Platform("A", work, limit=8)], event_limit=100)
    accepting = Accepting(file)
    async with se.open_store(store_url) as store:
        async with engine.serve(store, lease=float(lease), instruments=[accepting]) as run:
            async for outcome in run:
                log(file, "delivered", outcome.event.id)


async def enqueue(store_url, file, first, count):
    """Enqueue, and log each batch: it has been acknowledged."""
    engine = se.Engine([se.Platform("A", work)])
    async with se.open_store(store_url) as store:
        for start in range(int(first), int(first) + int(count), BATCH):
            ids = [str(number) for number in range(start, start + BATCH)]
            await engine.enqueue(store, [se.Event(id) for id in ids])
            log(file, "acknowledged", *ids)


async def share(store_url, file, lease, url, rate, limit, requests=1, cost=1):
    """Serve a platform whose rate and limit are all processes'."""

    async def ask(task):
        for _ in range(int(requests)):
            await task.http.get(f"/{task.event.id}", cost=int(cost))

    numbers = [[float(number) for number in each.split("/")] for each in rate.split(",")]
    rates = [se.Rate(count, *per[:1], *map(int, per[1:])) for count, *per in numbers if count]
    platform = se.Platform("A", ask, base_url=url, rate=rates, limit=int(limit))
    engine = se.Engine([platform], event_limit=100)
    async with se.open_store(store_url) as store:
        shared = store.share

        async def booking(owner, share_requests, seconds):
            shares = await shared(owner, share_requests, seconds)
            for each in shares.values():
                log(file, "booked", *each.times)
            return shares

        store.share = booking
        async with engine.serve(store, lease=float(lease)) as run:
            async for outcome in run:
                log(file, "accepted", outcome.event.id, type(outcome).__name__)


async def grave(store_url, file, lease, how, forks=0):
    """Serve, or make rounds, until killed; log which scrapers begin and end, and what the sink is given."""

    async def toil(task):
        log(file, "began", task.event.id, time.monotonic(), os.getpid())
        match task.event.id.partition("-")[0]:
            case "poison":
                os.kill(os.getpid(), signal.SIGKILL)
            case "long":
                await trio.sleep_forever()
            case "short":
                await trio.sleep(0.02)
        log(file, "ended", task.event.id, time.monotonic(), os.getpid())

    async def sink(outcomes):
        for outcome in outcomes:
            log(file, "given", outcome.event.id, time.monotonic(), os.getpid(), type(outcome).__name__)
            if outcome.event.id.startswith("stuck"):
                await trio.sleep_forever()

    engine = se.Engine([se.Platform("A", toil, limit=32), se.Platform("B", toil, limit=1)], event_limit=1000)
    async with se.open_store(store_url) as store:
        if int(forks):
            await store.lock("held", "me", 60)
            if not os.fork():
                time.sleep(20)  # noqa: ASYNC251 - no loop goes on in here
                os._exit(0)
        if how == "rounds":
            async for _ in engine.rounds(store, every=0.2, lease=float(lease)):
                log(file, "round", time.monotonic(), os.getpid())
        async with engine.serve(store, sinks=[sink], lease=float(lease)) as run:
            async for _ in run:
                pass


def with_clock(store_url, ahead):
    """Open a store on a machine whose wall clock is ahead: from here on all others are right, or it is."""
    clock = attrs.evolve(Clock.of_this_run(), wall=lambda: time.time() + float(ahead))
    return in_file(store_url.removeprefix("sqlite:"), SqlitePolicy(), clock)


async def ahead(store_url, file, lease, seconds):
    """Serve by a wrong wall clock, and log when each task runs, by the clock that all processes share."""

    async def work(task):
        begun = time.monotonic()
        await trio.sleep(0.02)
        log(file, "ran", task.event.id, begun, time.monotonic())

    engine = se.Engine([se.Platform("A", work, limit=3)], event_limit=100)
    async with with_clock(store_url, seconds) as store, engine.serve(store, lease=float(lease)) as run:
        async for outcome in run:
            log(file, "accepted", outcome.event.id, type(outcome).__name__)


async def hold(store_url, file, lease, seconds):
    """Hold what can be held, until killed."""
    async with with_clock(store_url, seconds) as store, Alone(store, float(lease), Trouble()):
        claimed = await store.claim("A", 1000, "me", float(lease))
        log(file, "held", time.monotonic(), *(each.ticket.id for each in claimed))
        await trio.sleep_forever()


PROGRAMS = {"serve": serve, "enqueue": enqueue, "share": share, "ahead": ahead, "hold": hold, "grave": grave}


def main():
    """Fork a process for each line."""
    for line in sys.stdin:
        name, store_url, path, *arguments = line.split()
        pid = os.fork()
        if not pid:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            trio.run(
                PROGRAMS[name],
                store_url,
                file,
                *arguments,
            )
            os._exit(0)
        print(pid, flush=True)


if __name__ == "__main__":
    main()
