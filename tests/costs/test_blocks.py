"""Blocks of memory: what a task leaves to the collector, and what it holds while it runs."""

import gc
import sys

import pytest
import trio

import scrapeengine as se
from costs.counting import a_task, blocks_left, run
from costs.lockstep import Lockstep
from costs.scenes import Scene, asks, by_stream, returns

N = 1200
"""So many that a table which grows once in between, or what Python keeps for reuse, is next to nothing for each."""
NEXT_TO_NONE = 0.1
"""Blocks for each task: 0.04 was measured at most, of tables that grow and of what Python keeps for reuse."""
HELD = {"waiting": 37.1, "asking": 95.0}
"""Blocks for each task that is live, its event included: 36.0 to 37.0, and 83 to 91.8, were measured.

Three of them are the faces of a task: its record, what runs it, and what its scraper is handed.

A connection of its own belongs to the latter, and the site's end of it."""


@pytest.fixture(autouse=True)
def _no_old_deadlines(monkeypatch):
    """Let trio forget the deadlines of what has ended soon; it keeps a thousand of them."""
    monkeypatch.setattr("trio._core._run.DEADLINE_HEAP_MIN_PRUNE_THRESHOLD", 10)


async def asks_conditionally(task):
    """Make a request that is worth remembering."""
    await task.http.get("/x", conditional=True)


async def looks(task):
    """Look at all that is made when somebody looks."""
    response = await task.http.get("/x")
    assert (response.headers["content-length"], response.request.url.path) == ("2", "/x")


async def streams(task):
    """Read an answer as it comes."""
    async with task.http.stream("GET", "/x") as answer:
        assert [part async for part in answer] == [b"ok"]


async def fails(task):
    """End as `Failure`."""
    raise ValueError("as it should")


async def skips(task):
    """End as `Skipped`."""
    task.skip("as it should")


def left(scrape, limit=10):
    """Count the blocks that each task leaves to the collector."""

    def count(n):
        found = {}
        scene = Scene(scrape, limit=limit)
        with Lockstep() as site, blocks_left(found):
            scene.play(n, site)
        return found

    return a_task(count, N)["blocks"]


@pytest.mark.parametrize("scrape", [returns, asks, asks_conditionally, looks, streams])
def test_a_task_leaves_nothing_to_the_collector(scrape):
    """All that it made is freed when it ends, with the collector off."""
    assert abs(left(scrape)) <= NEXT_TO_NONE


def test_a_task_that_fails_leaves_nothing_to_the_collector():
    """Nor does its error."""
    assert abs(left(fails)) <= NEXT_TO_NONE


def test_a_task_that_is_skipped_leaves_nothing_to_the_collector():
    """Nor does what said so."""
    assert abs(left(skips)) <= NEXT_TO_NONE


untraced = pytest.mark.skipif(sys.gettrace() is not None, reason="a tracer has blocks of its own for each frame")


@untraced
def test_a_thousand_tasks_in_flight_hold_so_many_blocks():
    """Each of them, while it waits."""

    def count(n):
        found, there, door = {}, [], trio.Event()

        async def scrape(task):
            there.append(None)
            if len(there) == n:
                found["blocks"] = sys.getallocatedblocks()
                door.set()
            await door.wait()

        engine = se.Engine([se.Platform("p", scrape, limit=n)], event_limit=n, lookahead=n)
        gc.collect()
        run(by_stream, engine, (se.Event(number) for number in range(n)))
        return found

    assert a_task(count, 500)["blocks"] <= HELD["waiting"]


@untraced
def test_a_hundred_requests_in_flight_hold_so_many_blocks():
    """Each of them, while its answer has not come, with a connection of its own."""

    def count(n):
        gc.collect()
        with Lockstep(at_once=n) as site:
            Scene(asks, limit=n).play(n, site)
        assert site.connections == n
        return {"blocks": site.blocks}

    assert a_task(count, 60)["blocks"] <= HELD["asking"]
