"""Behaviours: how engines share a store, how waiting ends, how a store is left, and which arguments it refuses."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import pytest
import trio

from scrapeengine.errors import StoreClosed
from scrapeengine.model.job import JobStatus, ShareRequest, Ticket
from scrapeengine.model.policy import Rate, rates_of
from scrapeengine.model.sink import Position
from scrapeengine.model.store import Store
from scrapeengine.testing.stores.scenes import (
    Passes,
    StoreScenes,
    behaviour,
    claimed,
    done,
    holds,
    job,
    refused,
    same,
    within,
)

__all__ = ["OpenScenes", "SharingScenes"]


# Wrong arguments, which no type checker would let through.
_JOB: Any = job
_DONE: Any = done
_POSITION: Any = Position
_REFUSED: list[tuple[Callable[[Any], Awaitable[object]], type[Exception], str]] = [
    (lambda store: store.enqueue(_JOB("a")), TypeError, "list"),
    (lambda store: store.enqueue([{"id": 1}]), TypeError, "NewJob"),
    (lambda store: store.enqueue([_JOB("a", payload={"a": 1})]), TypeError, "JSON"),
    (lambda store: store.enqueue([_JOB(1)]), TypeError, "id"),
    (lambda store: store.enqueue([_JOB("\ud800")]), ValueError, "surrogate"),
    (lambda store: store.enqueue([_JOB("a", delay=-1)]), ValueError, "delay"),
    (lambda store: store.enqueue([_JOB("a", delay=math.inf)]), ValueError, "finite"),
    (lambda store: store.enqueue([_JOB("a", priority=2**63)]), ValueError, "priority"),
    (lambda store: store.enqueue([_JOB("a", priority=0.5)]), TypeError, "whole"),
    (lambda store: store.enqueue([_JOB("a", interval=-1)]), ValueError, "interval"),
    (lambda store: store.enqueue([], replace=1), TypeError, "True or False"),
    (lambda store: store.enqueue([_JOB("a", delay=2**64)]), ValueError, "2**63"),
    (lambda store: store.enqueue([_JOB("a", interval=2**64)]), ValueError, "2**63"),
    (lambda store: store.claim("p", 2**63, "me", 1), ValueError, "2**63"),
    (lambda store: store.renew([Ticket("p", "a", 2**63)], 1), ValueError, "2**63"),
    (lambda store: store.undelivered("", 2**63, 1), ValueError, "2**63"),
    (lambda store: store.undelivered(1, 1, 1), TypeError, "sink"),
    (lambda store: store.acknowledge("", [], "1024"), TypeError, "Position('out.jsonl'"),
    (lambda store: store.acknowledge("", [], _POSITION("out.jsonl", 1024)), TypeError, "value"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), sinks="save")]), TypeError, "sinks"),
    (lambda store: store.share("me", {"p": _share_request(2**63)}, 1), ValueError, "2**63"),
    (lambda store: store.claim("p", 1, "me", 0), ValueError, "lease"),
    (lambda store: store.claim("p", -1, "me", 1), ValueError, "n must"),
    (lambda store: store.claim("p", 1, "me", 1, ids="abc"), TypeError, "list"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), result={"a": 1})]), TypeError, "json.dumps"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), JobStatus.READY)]), ValueError, "DONE"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), again=-1)]), ValueError, "again"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), between=(0, -1))]), ValueError, "between"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), between=5)]), TypeError, "two numbers of seconds"),
    (lambda store: store.complete([_DONE(("p", "a", 1))]), TypeError, "Ticket"),
    (lambda store: store.complete([_DONE(Ticket("p", "a", 1), validators={"u": 1})]), TypeError, "Validator"),
    (lambda store: store.release([("p", "a", 1)]), TypeError, "Ticket"),
    (lambda store: store.defer("", [("p", "a", 1)], 1), TypeError, "Delivery"),
    (lambda store: store.defer("", [], -1), ValueError, "seconds"),
    (lambda store: store.share("me", {"p": 1}, 1), TypeError, "ShareRequest"),
    (lambda store: store.wait(-1), ValueError, "at_most"),
    (lambda store: store.jobs(limit=0), ValueError, "limit"),
    (lambda store: store.jobs(limit=1001), ValueError, "after=page[-1].key"),
    (lambda store: store.jobs(status="failed"), TypeError, "status"),
    (lambda store: store.jobs(after="a"), TypeError, "key"),
    (lambda store: store.retry(ids="abc"), TypeError, "list"),
    (lambda store: store.retry(ids=["a"], events=[]), TypeError, "call it twice"),
    (lambda store: store.forget(events=["a"]), TypeError, "Event"),
    (lambda store: store.close("p", 0), ValueError, "seconds"),
    (lambda store: store.reopen(None), TypeError, "platform"),
    (lambda store: store.pause(None), TypeError, "platform"),
    (lambda store: store.resume(7), TypeError, "platform"),
]


class SharingScenes(StoreScenes):
    """Locks have one owner; slots, start times and penalties are everybody's."""

    @behaviour()
    async def test_a_lock_has_one_owner_at_a_time(self, store: Store, passes: Passes) -> None:
        """It is its owner's until it is given back or its lease is over, and nobody else can give it back."""
        holds(await store.lock("x", "me", 5), "the lock was free, or its own")
        holds(not await store.lock("x", "you", 5), "the lock was another's")
        holds(await store.lock("y", "you", 5), "the lock was free, or its own")
        await passes(4)
        holds(await store.lock("x", "me", 5), "the lock was free, or its own")
        await passes(4)
        await store.unlock("x", "you")
        holds(not await store.lock("x", "you", 5), "the lock was another's")
        await passes(1)
        holds(await store.lock("x", "you", 5), "the lock was free, or its own")
        await store.unlock("x", "you")
        holds(await store.lock("x", "me", 5), "the lock was free, or its own")

    @behaviour()
    async def test_slots_are_shared(self, store: Store, passes: Passes) -> None:
        """Two that want all get half each once what is too much has ended; what lapses, or is given back, is free."""

        async def slots(owner: str, *args: int) -> tuple[int, bool]:
            share = (await store.share(owner, {"p": _share_request(*args)}, 5))["p"]
            return share.slots, share.contended

        same(await slots("a", 9), (4, False))
        same(await slots("b", 9), (0, True))
        same(await slots("a", 9, 4), (2, True))
        same(await slots("b", 9), (0, True))
        same(await slots("a", 9, 2), (2, True))
        same(await slots("b", 9), (2, True))
        same(await slots("b", 0, 0), (0, False))
        same(await slots("a", 9, 2), (4, False))
        await passes(5)
        same(await slots("b", 9), (4, False))

    @behaviour()
    async def test_an_engine_that_asks_within_its_turn_keeps_what_its_turn_has_left_it(self, store: Store) -> None:
        """Not what it ran when its turn began: that is the others' as its tasks end."""

        async def slots(owner: str, wanted: int, held: int, *, keep: bool) -> int:
            share_request = _share_request(wanted, held, keep=keep)
            return (await store.share(owner, {"p": share_request}, 5))["p"].slots

        same(await slots("a", 9, 0, keep=False), 4)
        same(await slots("b", 9, 0, keep=False), 0)
        same(await slots("a", 9, 4, keep=False), 2)
        same(await slots("a", 9, 4, keep=True), 2, "two were left to it, and the four that it ran are not its own")
        same(await slots("b", 9, 0, keep=True), 0, "until those end nobody else has them")
        same(await slots("a", 9, 3, keep=True), 2)
        same(await slots("b", 9, 0, keep=True), 1)
        same(await slots("a", 9, 2, keep=True), 2)
        same(await slots("b", 9, 1, keep=False), 2)
        same(await slots("a", 9, 2, keep=False), 2)

    @behaviour()
    async def test_start_times_are_shared(self, store: Store, passes: Passes) -> None:
        """The times that all are given keep to the rate together, half a second of it at once."""

        async def times(owner: str, rate: Rate | None, requests: int) -> list[float]:
            found = (await store.share(owner, {"p": _share_request(5, rates=rates_of(rate), requests=requests)}, 5))[
                "p"
            ].times
            return [at - store.now() for at in found]

        same(await times("a", Rate(10), 99), [0.0, 0.1, 0.2, 0.3, 0.4])
        same(await times("b", Rate(10), 2), [0.5, 0.6])
        same(await times("a", Rate(10), 0), [])
        same(await times("a", None, 9), [])
        await passes(2)
        same(await times("a", Rate(1, per=60), 9), [0.0])
        same(await times("b", Rate(1, per=60), 9), [60.0])

    @behaviour()
    async def test_another_rate_takes_effect_at_once(self, store: Store, passes: Passes) -> None:
        """What was used is owed in requests, what is given back is free, what others have reserved stays there."""

        async def times(owner: str, rate: Rate, requests: int, *, anew: bool = False) -> list[float]:
            share_request = _share_request(5, rates=rates_of(rate), requests=requests, anew=anew)
            found = (await store.share(owner, {"p": share_request}, 100))["p"].times
            return [at - store.now() for at in found]

        slow, fast = Rate(1, per=16), Rate(8)
        same(await times("a", slow, 1), [0.0])
        same(await times("a", slow, 1), [16.0])
        same(await times("b", slow, 1), [32.0])
        await passes(8)
        # Half a request is owed. The one of b in twenty-four seconds is where it was, and that of a is nobody's.
        same(await times("a", fast, 4, anew=True), [0.0625, 0.1875, 0.3125, 0.4375])
        same(await times("b", fast, 2, anew=True), [0.5625, 0.6875])
        await passes(0.5)
        same(await times("a", slow, 1, anew=True), [40.0], "half a request, and the two of b, are owed")
        same(await times("b", slow, 1, anew=True), [8.0])

    @behaviour()
    async def test_start_times_that_are_given_back_are_free_wherever_they_lay(self, store: Store) -> None:
        """Those of others stay, and all together keep to the rate."""

        async def times(owner: str, requests: int, *, anew: bool = False) -> list[float]:
            share_request = _share_request(5, rates=(Rate(4),), requests=requests, anew=anew)
            found = (await store.share(owner, {"p": share_request}, 5))["p"].times
            return [at - store.now() for at in found]

        same([await times(owner, 2) for owner in "abc"], [[0.0, 0.25], [0.5, 0.75], [1.0, 1.25]])
        same(await times("b", 0, anew=True), [])
        same(await times("c", 1), [0.5])
        same(await times("a", 2), [0.75, 1.5])

    @behaviour()
    async def test_all_learn_that_a_platform_is_closed(self, store: Store, passes: Passes) -> None:
        """The latest of what all know holds, until it is over."""

        async def closed(owner: str, until: float | None) -> float | None:
            return (await store.share(owner, {"p": _share_request(1, closed_until=until)}, 5))["p"].closed_until

        start = store.now()
        same(await closed("a", None), None)
        same(await closed("a", start + 3), start + 3)
        same(await closed("b", None), start + 3)
        same(await closed("b", start + 2), start + 3)
        await passes(3)
        same(await closed("b", None), None)


class OpenScenes(StoreScenes):
    """A store wakes who waits, refuses bad arguments, and says so once it was left."""

    @pytest.mark.parametrize("change", ["enqueue", "release", "hasten", "follow"])
    @behaviour()
    async def test_waiting_ends_when_a_call_makes_something_ready(self, store: Store, change: Any) -> None:
        """Whoever waits is woken by what is enqueued, released, hastened or found, and by nothing else."""
        await store.enqueue([job("a"), job("b", delay=100, cadence="c")])
        (a,) = await claimed(store, lease=100)
        woken = trio.Event()

        async def wait() -> None:
            await store.due()
            await store.wait(math.inf)
            woken.set()

        changes: dict[str, Callable[[], Awaitable[object]]] = {
            "enqueue": partial(store.enqueue, [job("x")]),
            "release": partial(store.release, [a]),
            "hasten": store.hasten,
            "follow": partial(store.complete, [done(a, follow_ups=(job("y"),))]),
        }
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            for _ in range(5):
                await store.renew([a], 100)
                await store.enqueue([job("c", delay=200)])
            holds(not woken.is_set(), "nothing was ready yet")
            await changes[change]()
            await woken.wait()

    @pytest.mark.parametrize(
        ("call", "error", "text"),
        _REFUSED,
    )
    @behaviour()
    async def test_bad_arguments_are_refused(self, store: Store, call: Any, error: Any, text: Any) -> None:
        """Each refusal says what to write, and the store goes on."""
        await refused(call(store), error, text)
        same(await store.stats(), {})

    @behaviour()
    async def test_waiting_ends_when_something_is_due(self, store: Store, passes: Passes) -> None:
        """At a due time, at the end of a lease, or after as long as was said; not long before."""
        await store.enqueue([job("a", delay=7), job("b")])
        await store.due()
        await claimed(store, lease=2)
        for wait, seconds in ((math.inf, 2.0), (3.0, 3.0), (math.inf, 2.0)):
            woken = trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_wait, store, wait, woken)
                await _look(store)
                await passes(seconds - 0.5)
                await _look(store)
                holds(not woken.is_set(), f"nothing is ready yet, {seconds - 0.5:g} s after the wait began")
                await passes(0.5)
                await woken.wait()
            await store.due()
            await claimed(store, lease=1000)

    def test_a_store_that_was_left_says_so(self) -> None:
        """Every call raises `StoreClosed` afterwards, and what waits when it is left ends."""

        async def main() -> None:
            ended: list[str] = []
            calls: dict[str, Callable[[], Awaitable[object]]] = {}

            async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
                try:
                    await call()
                except StoreClosed:
                    ended.append(name)

            async with trio.open_nursery() as nursery, self.open(max_pending=1, full="wait") as store:
                calls = _every_call(store)
                await store.enqueue([job("a")])
                await store.due()
                nursery.start_soon(wait, "wait", partial(store.wait, math.inf))
                nursery.start_soon(wait, "enqueue", partial(store.enqueue, [job("b")]))
                await trio.testing.wait_all_tasks_blocked(0.01)
            same(sorted(ended), ["enqueue", "wait"], "both calls waited, and should have raised StoreClosed")
            for name, call in calls.items():
                try:
                    await call()
                except StoreClosed:
                    continue
                raise AssertionError(f"{name} should raise StoreClosed on a store that was left")

        trio.run(within, self.hangs_after, main)

    def test_what_the_body_raises_leaves_as_it_is(self) -> None:
        """The error that ends an `async with` leaves in no group, and the store is closed."""
        left: list[Store] = []

        async def main() -> None:
            await refused(_raise_in(self.open()), KeyError)
            with trio.move_on_after(0.01) as scope:
                async with self.open() as store:
                    left.append(store)
                    await trio.sleep_forever()
            holds(scope.cancelled_caught, "a cancellation passes")
            await refused(left[0].stats(), StoreClosed)

        trio.run(within, self.hangs_after, main)


async def _raise_in(opening: AbstractAsyncContextManager[Store]) -> None:
    async with opening:
        raise KeyError


async def _look(store: Store) -> None:
    """Let whatever goes on beside it come to where it waits."""
    for _ in range(5):
        await store.get("p", "a")


async def _wait(store: Store, at_most: float, woken: trio.Event) -> None:
    await store.wait(at_most)
    woken.set()


def _share_request(wanted: int, held: int = 0, limit: int = 4, **values: Any) -> ShareRequest:
    return ShareRequest(**{"limit": limit, "wanted": wanted, "held": held, "rates": (), "requests": 0, **values})


def _every_call(store: Store) -> dict[str, Callable[[], Awaitable[object]]]:
    return {
        "enqueue": partial(store.enqueue, []),
        "get": partial(store.get, "p", "a"),
        "cancel": partial(store.cancel, "p", "a"),
        "position": partial(store.position, "p", "a"),
        "stats": store.stats,
        "jobs": store.jobs,
        "retry": store.retry,
        "forget": partial(store.forget, ids=["a"]),
        "close": partial(store.close, "p", 1),
        "reopen": partial(store.reopen, "p"),
        "pause": partial(store.pause, "p"),
        "resume": partial(store.resume, "p"),
        "due": store.due,
        "claim": partial(store.claim, "p", 1, "me", 1),
        "renew": partial(store.renew, [], 1),
        "complete": partial(store.complete, []),
        "release": partial(store.release, []),
        "undelivered": partial(store.undelivered, "", 1, 1),
        "defer": partial(store.defer, "", [], 1),
        "acknowledge": partial(store.acknowledge, "", []),
        "positions": partial(store.positions, "s"),
        "recall": partial(store.recall, "p", "u"),
        "hasten": store.hasten,
        "lock": partial(store.lock, "x", "me", 1),
        "unlock": partial(store.unlock, "x", "me"),
        "share": partial(store.share, "me", {}, 1),
        "wait": partial(store.wait, 1),
    }
