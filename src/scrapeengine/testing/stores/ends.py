"""Behaviours: how jobs are completed, each with all that belongs to it, and how outcomes are delivered."""

from __future__ import annotations

from typing import Any

import pytest

from scrapeengine.model.job import Delivery, JobStatus, Reply, Ticket
from scrapeengine.model.store import Store
from scrapeengine.model.validators import Validator
from scrapeengine.testing.stores.scenes import Passes, StoreScenes, behaviour, claimed, done, holds, job, known, same

__all__ = ["CompletingScenes"]

OK, ALREADY, LOST = Reply
DONE, SKIPPED, FAILED = JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED


class CompletingScenes(StoreScenes):
    """A completion is accepted once, and nothing of it is lost."""

    @pytest.mark.parametrize("status", [DONE, SKIPPED, FAILED])
    @pytest.mark.parametrize("result", ["[1]", b"\0\xff", None])
    @behaviour()
    async def test_a_completion_is_stored_and_accepted_once(
        self, store: Store, passes: Passes, status: Any, result: Any
    ) -> None:
        """All that it says is there, and the same again is told that it was; another says that it is lost."""
        await store.enqueue([job("a")])
        (a,) = await claimed(store)
        await passes(1)
        completion = done(a, status, result=result, error="why")
        same(await store.complete([completion, completion]), [OK, ALREADY])
        same(await store.complete([completion]), [ALREADY])
        same(await store.complete([done(Ticket("p", "a", a.token + 1)), done(Ticket("p", "x", 1))]), [LOST, LOST])
        stored = await known(store, "p", "a")
        same((stored.status, stored.result, stored.error), (status, result, "why"))
        same((stored.finished, stored.due, stored.attempts), (store.now(), None, 1))

    @behaviour()
    async def test_what_recurs_waits_for_its_next_time(self, store: Store, passes: Passes) -> None:
        """It has a result and is delayed, hands out its history, and counts its attempts anew."""
        await store.enqueue([job("a", cadence="c"), job("b")])
        a, b = await claimed(store)
        replies = await store.complete([done(a, result="1", history="h", again=60), done(b, again=60)])
        same(replies, [OK, OK])
        same((await known(store, "p", "b")).status, DONE, "it has no cadence")
        stored = await known(store, "p", "a")
        same((stored.status, stored.result, stored.due), (JobStatus.DELAYED, "1", store.now() + 60))
        same(stored.finished, store.now())
        same(await store.complete([done(a, again=60)]), [ALREADY])
        await passes(60)
        await store.due()
        (again,) = await store.claim("p", 1, "me", 10)
        same((again.history, again.attempts, again.cadence), ("h", 1, "c"))
        same(await store.complete([done(a, again=60)]), [ALREADY])
        same(await store.complete([done(again.ticket)]), [OK])
        same(await store.complete([done(a, again=60)]), [LOST])
        # Who completed it did not know that it recurs: it is looked at again at once.
        same(await store.due(), ["p"])
        holds((await known(store, "p", "a")).recurs, "it still recurs")

    @behaviour()
    async def test_what_recurs_at_one_time_is_set_apart(self, store: Store) -> None:
        """No two recurring jobs of a platform get the same time; those of other platforms do not count."""
        await store.enqueue(
            [job(each, cadence="c") for each in "abc"] + [job("a", "q", cadence="c"), job("d", delay=60)]
        )
        tickets = await claimed(store) + await claimed(store, platform="q")
        await store.complete([done(ticket, again=60) for ticket in tickets])
        dues = [((await known(store, *ticket[:2])).due or 0.0) - store.now() for ticket in tickets]
        same(dues, [60.001, 60.002, 60.003, 60.0])
        same(len(set(dues)), 4)

    @behaviour(max_pending=2)
    async def test_follow_ups_come_with_their_completion(self, store: Store, passes: Passes) -> None:
        """They come with it, beyond `max_pending` too; those that are known are left; a lost one brings none."""
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        found = (job("b", cadence="c"), job("a"), *(job(str(number), "q") for number in range(5)))
        same(await store.complete([done(a, follow_ups=found)]), [OK])
        same((await known(store, "p", "a")).status, DONE)
        holds(not (await known(store, "p", "b")).recurs, "a follow-up that is known is left as it is")
        same((await store.stats())["q"].ready, 5)
        await passes(10)
        same(await store.complete([done(b, follow_ups=(job("x"),))]), [LOST])
        same(await store.get("p", "x"), None)

    @behaviour()
    async def test_validators_come_with_their_completion(self, store: Store) -> None:
        """They are there by platform and URL, the latest of each."""
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        one, two = Validator('"1"'), Validator(last_modified="yesterday")
        await store.complete([done(a, validators={"u": one, "v": one})])
        await store.complete([done(a, validators={"u": two}), done(b, validators={"v": two})])
        same([await store.recall("p", url) for url in ("u", "v", "w")], [one, two, None])
        same(await store.recall("q", "u"), None)

    @behaviour()
    async def test_validators_are_forgotten_with_a_completion(self, store: Store) -> None:
        """What was processed last has none: then nothing is known of its URL, and all the rest still is."""
        await store.enqueue([job(each) for each in "abc"])
        a, b, c = await claimed(store)
        one = Validator('"1"', vary="cookie 0123")
        await store.complete([done(a, validators={"u": one, "v": one})])
        same(await store.recall("p", "u"), one)
        await store.complete([done(b, validators={"u": None, "w": None})])
        same([await store.recall("p", each) for each in "uvw"], [None, one, None])
        await store.complete([done(c, validators={"u": one})])
        same(await store.recall("p", "u"), one)

    @behaviour()
    async def test_outcomes_are_kept_until_they_are_acknowledged(self, store: Store, passes: Passes) -> None:
        """One that is not acknowledged in time is handed out, to one at a time."""
        await store.enqueue([job("a"), job("b"), job("c")])
        a, b, c = await claimed(store)
        await store.complete([done(a, outcome="A", deliver=5), done(b, outcome="B", deliver=2), done(c)])
        same(await store.undelivered(9, 10), [])
        await passes(5)
        (kept,) = await store.undelivered(1, 10)
        same((kept.delivery, kept.outcome), (Delivery(*b), "B"))
        (other,) = await store.undelivered(9, 10)
        same((other.delivery, other.outcome), (Delivery(*a), "A"))
        same(await store.undelivered(9, 10), [])
        await store.acknowledge([kept.delivery, kept.delivery])
        await passes(10)
        same(await store.undelivered(9, 10), [other])
