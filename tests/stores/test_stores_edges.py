"""How a store is opened and left, and what it refuses, in memory and in a file alike."""

import math
from functools import partial

import pytest
import trio

from scrapeengine.errors import StoreClosed
from scrapeengine.model.job import JobStatus, Reply, Ticket
from scrapeengine.stores import open_store
from stores.harness import done, job, run

OK, ALREADY, LOST = Reply


def test_a_store_that_was_left_says_so(url):
    """Every call raises `StoreClosed` afterwards, and what waits when it is left ends."""

    async def main():
        ended = []

        async def wait(call, *args):
            try:
                await call(*args)
            except StoreClosed:
                ended.append(call.__name__)

        async with trio.open_nursery() as nursery:
            async with open_store(url, max_pending=1, full="wait") as store:
                await store.enqueue([job("a")])
                await store.due()
                nursery.start_soon(wait, store.wait, math.inf)
                nursery.start_soon(wait, store.enqueue, [job("b")])
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert sorted(ended) == ["enqueue", "wait"]
        calls = [
            partial(store.enqueue, []), partial(store.get, "p", "a"), partial(store.cancel, "p", "a"),
            partial(store.position, "p", "a"), store.stats, store.due, partial(store.claim, "p", 1, "me", 1),
            partial(store.renew, [], 1), partial(store.complete, []), partial(store.release, []),
            partial(store.undelivered, 1, 1), partial(store.acknowledge, []), partial(store.recall, "p", "u"),
            store.hasten, partial(store.lock, "x", "me", 1), partial(store.unlock, "x", "me"),
            partial(store.share, "me", {}, 1), partial(store.wait, 1),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StoreClosed, match="async with"):
                await call()

    trio.run(main)


def test_what_the_body_raises_leaves_as_it_is(url):
    """Not in a group, and the store is closed."""

    async def main():
        with pytest.raises(KeyError):
            async with open_store(url):
                raise KeyError
        with trio.move_on_after(0.01) as scope:
            async with open_store(url) as store:
                await trio.sleep_forever()
        assert scope.cancelled_caught
        with pytest.raises(StoreClosed):
            await store.stats()

    trio.run(main)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda store: store.enqueue(job("a")), TypeError, "list"),
        (lambda store: store.enqueue([{"id": 1}]), TypeError, "NewJob"),
        (lambda store: store.enqueue([job("a", payload={"a": 1})]), TypeError, "JSON"),
        (lambda store: store.enqueue([job(1)]), TypeError, "id"),
        (lambda store: store.enqueue([job("\ud800")]), ValueError, "surrogate"),
        (lambda store: store.enqueue([job("a", delay=-1)]), ValueError, "delay"),
        (lambda store: store.enqueue([job("a", delay=math.inf)]), ValueError, "finite"),
        (lambda store: store.enqueue([job("a", priority=2**63)]), ValueError, "priority"),
        (lambda store: store.enqueue([job("a", priority=0.5)]), TypeError, "whole"),
        (lambda store: store.claim("p", 1, "me", 0), ValueError, "lease"),
        (lambda store: store.claim("p", -1, "me", 1), ValueError, "n must"),
        (lambda store: store.claim("p", 1, "me", 1, ids="abc"), TypeError, "list"),
        (lambda store: store.complete([done(Ticket("p", "a", 1), result={"a": 1})]), TypeError, "json.dumps"),
        (lambda store: store.complete([done(Ticket("p", "a", 1), JobStatus.READY)]), ValueError, "DONE"),
        (lambda store: store.complete([done(Ticket("p", "a", 1), again=-1)]), ValueError, "again"),
        (lambda store: store.complete([done(("p", "a", 1))]), TypeError, "Ticket"),
        (lambda store: store.complete([done(Ticket("p", "a", 1), validators={"u": 1})]), TypeError, "Validator"),
        (lambda store: store.release([("p", "a", 1)]), TypeError, "Ticket"),
        (lambda store: store.share("me", {"p": 1}, 1), TypeError, "ShareRequest"),
        (lambda store: store.wait(-1), ValueError, "at_most"),
    ],
)
def test_bad_arguments_are_refused(url, call, error, text):
    """Each refusal says what to write, and the store goes on."""

    async def scenario(store, clock):
        with pytest.raises(error, match=text):
            await call(store)
        assert await store.stats() == {}

    run(url, scenario)


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"url": "redis://x"}, ValueError, "sqlite:jobs.db"),
        ({"url": "sqlite:"}, ValueError, "path"),
        ({"url": "memory:x"}, ValueError, "memory:"),
        ({"url": 5}, TypeError, "str"),
        ({"url": "memory:", "keep": -1}, ValueError, "keep"),
        ({"url": "memory:", "max_pending": 0}, ValueError, "max_pending"),
        ({"url": "memory:", "full": "block"}, ValueError, "'wait' or 'raise'"),
        ({"url": "sqlite:x", "durability": "none"}, ValueError, "'full' or 'normal'"),
        ({"url": "memory:", "busy_timeout": 1}, TypeError, "no option busy_timeout; it has keep"),
    ],
)
def test_bad_ways_to_open_a_store_are_refused(options, error, text):
    """At once, with what to write instead."""
    with pytest.raises(error, match=text):
        open_store(**options)


def test_a_missing_library_is_named(monkeypatch, tmp_path):
    """Without apsw, a store in a file says which extra has it; one in memory works."""
    monkeypatch.setattr("scrapeengine.stores.sqlite.driver.apsw", None)
    with pytest.raises(ImportError, match=r"pip install 'scrapeengine\[sqlite\]'"):
        open_store(f"sqlite:{tmp_path}/jobs.db")
    assert open_store("memory:")
