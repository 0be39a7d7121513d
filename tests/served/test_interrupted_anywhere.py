"""Ctrl-C comes at any line of ours, in a program that runs trio by itself: nothing stays in hand."""

import os
import random
import signal
import sys
import threading

import pytest
import trio

import scrapeengine as se

OURS = os.path.dirname(se.__file__)  # noqa: PTH120 - compared with file names of code
JOBS = 24


class InterruptAt:
    """Sends SIGINT at so many lines of ours, in this thread: where one begins, Python looks for signals or might."""

    def __init__(self, count):
        self.left = count
        self.passed = 0
        self._before = None

    def __enter__(self):
        """Begin to count."""
        self._before = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        """Count no more."""
        sys.settrace(self._before)

    def _enter(self, frame, *_):
        return self._pass if frame.f_code.co_filename.startswith(OURS) else None

    def _pass(self, _, event, __):
        if event == "line":
            self.passed += 1
            self.left -= 1
            if not self.left:
                signal.raise_signal(signal.SIGINT)
        return self._pass


async def scrape(task):
    """Take a turn of the loop."""
    await trio.lowlevel.checkpoint()
    return task.event.id


async def enqueue(url):
    """Put the jobs there."""
    async with se.open_store(url) as store:
        await se.Engine([se.Platform("a", scrape)]).enqueue(store, map(se.Event, range(JOBS)))


async def serve(url, had):
    """Serve them, and keep what is had."""
    async with se.open_store(url) as store:
        async with se.Engine([se.Platform("a", scrape, limit=8)]).serve(store, until="idle") as run:
            async for outcome in run:
                had.add(outcome.event.id)


async def poll(url, had):
    """Make a round, and keep what the sink is given."""

    async def sink(outcomes):
        had.update(outcome.event.id for outcome in outcomes)

    async with se.open_store(url) as store:
        await se.Engine([se.Platform("a", scrape, limit=8)]).poll(store, sinks=[sink])


async def look(url):
    """Say what is in hand, what is done, and whose outcomes are kept for others."""
    async with se.open_store(url) as store:
        counted = (await store.stats())["a"]
        kept = await store.undelivered("", 2 * JOBS, 0.001) + await store.undelivered("sink", 2 * JOBS, 0.001)
        return counted.leased, counted.ready + counted.done, {each.delivery.id for each in kept}, counted.done


def interrupted(program, url, count):
    """Interrupt a program there; say how far it came, and check what it has left."""
    trio.run(enqueue, url)
    had = set()
    watch = InterruptAt(count)
    try:
        with watch:
            trio.run(program, url, had)
    except KeyboardInterrupt:
        pass
    for thread in [each for each in threading.enumerate() if "apsw" in each.name]:
        thread.join(5)
        assert not thread.is_alive()
    leased, pending, kept, done = trio.run(look, url)
    assert (leased, pending) == (0, JOBS)
    assert len(had | kept) >= done  # what was done was had, or is kept
    trio.run(poll, url, had)  # at once: nobody else makes a round
    assert trio.run(look, url)[-1] == JOBS
    return watch.passed


@pytest.mark.parametrize("program", [serve, poll])
@pytest.mark.parametrize("times", [12, pytest.param(150, marks=pytest.mark.slow)])
def test_nothing_stays_in_hand(tmp_path, program, times):
    """Jobs are done or ready again, and each outcome was had or is kept, wherever the program was."""
    most = interrupted(program, f"sqlite:{tmp_path}/0.db", 10**9)
    assert most > 1000
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    draw = random.Random(seed)
    for number in range(1, times + 1):
        count = draw.randrange(1, most)
        print("at", count)
        interrupted(program, f"sqlite:{tmp_path}/{number}.db", count)
