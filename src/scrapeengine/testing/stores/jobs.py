"""Behaviours: jobs come in, all of a batch or none, and are claimed in their order."""

from __future__ import annotations

import trio

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import JobStatus, Reply
from scrapeengine.model.store import Store
from scrapeengine.testing.stores.scenes import (
    Passes,
    StoreScenes,
    behaviour,
    claimed,
    done,
    holds,
    job,
    known,
    order,
    refused,
    same,
)

__all__ = ["ArrivingScenes", "ClaimingScenes"]

OK, ALREADY, LOST = Reply
DONE = JobStatus.DONE


class ArrivingScenes(StoreScenes):
    """Jobs come in, all of a batch or none, and are known for as long as they should be."""

    @behaviour()
    async def test_what_is_enqueued_is_there(self, store: Store) -> None:
        """A job is what was enqueued, ready at once or delayed."""
        now, later = await store.enqueue([job("a", payload='{"x": 1}', priority=3), job("b", delay=5, cadence="c")])
        same((now.new, now.job.status, now.job.due, now.job.recurs), (True, JobStatus.READY, None, False))
        same((now.job.payload, now.job.priority, now.job.attempts), ('{"x": 1}', 3, 0))
        same((later.new, later.job.status, later.job.recurs), (True, JobStatus.DELAYED, True))
        same((later.job.due, later.job.enqueued), (store.now() + 5, store.now()))
        same(await store.get("p", "a"), now.job)
        same(await store.get("p", "b"), later.job)
        same(await store.get("q", "a"), None)

    @behaviour()
    async def test_a_pending_job_is_left_as_it_is(self, store: Store) -> None:
        """The same id again, in the same batch or later, changes nothing, whatever else it says."""
        first, second = await store.enqueue([job("a"), job("a", payload="[]", priority=9)])
        same((first.new, second.new), (True, False))
        (third,) = await store.enqueue([job("a", payload="[]", delay=9)])
        same((third.new, third.job), (False, first.job))
        await claimed(store)
        (fourth,) = await store.enqueue([job("a")])
        same((fourth.new, fourth.job.status), (False, JobStatus.LEASED))
        (other,) = await store.enqueue([job("a", "q")])
        holds(other.new, "the same id on another platform is another job")

    @behaviour()
    async def test_a_cadence_replaces_that_of_a_pending_job(self, store: Store) -> None:
        """A job that is pending recurs from then on by the cadence that was given last; none given leaves it."""
        await store.enqueue([job("a")])
        (again,) = await store.enqueue([job("a", cadence="1")])
        same((again.new, again.job.recurs), (False, True))
        await store.enqueue([job("a")])
        (first,) = await store.claim("p", 1, "me", 10)
        same(first.cadence, "1")
        await store.enqueue([job("a", cadence="2")])
        await store.release([first.ticket])
        (second,) = await store.claim("p", 1, "me", 10)
        same(second.cadence, "2")
        same(await store.complete([done(second.ticket, again=5)]), [OK])
        same((await known(store, "p", "a")).status, JobStatus.DELAYED)

    @behaviour(keep=10)
    async def test_an_ended_job_is_known_for_its_time_and_then_new(self, store: Store, passes: Passes) -> None:
        """A job that is done is left as it is until its time is over; then the id is free."""
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        await store.complete([done(a, result="1"), done(b, keep=100)])
        await passes(9.5)
        (again,) = await store.enqueue([job("a", payload="[]")], replace=True)
        same((again.new, again.replaced, again.job.status, again.job.result), (False, False, DONE, "1"))
        same(again.job.payload, "{}")
        await passes(0.5)
        same(await store.get("p", "a"), None)
        (new,) = await store.enqueue([job("a", payload="[]")])
        same((new.new, new.job.status, new.job.payload, new.job.result), (True, JobStatus.READY, "[]", None))
        same((await known(store, "p", "b")).status, DONE)
        await passes(89.5)
        await known(store, "p", "b")
        await passes(0.5)
        same(await store.get("p", "b"), None)
        same((await store.stats())["p"].done, 0)

    @behaviour(max_kept=2)
    async def test_the_oldest_ended_jobs_go_first(self, store: Store, passes: Passes) -> None:
        """More than `max_kept` are kept only if their completions ask for it."""
        await store.enqueue([job(str(number)) for number in range(6)])
        for number, ticket in enumerate(await claimed(store)):
            await store.complete([done(ticket, keep=100 if number == 1 else 0)])
            await passes(1)
        kept = [number for number in range(6) if await store.get("p", str(number)) is not None]
        same(kept, [1, 5])
        same((await store.stats())["p"].done, 2)

    @behaviour(max_pending=3)
    async def test_a_batch_is_taken_whole_or_not_at_all(self, store: Store) -> None:
        """None of a batch is there if there was no room for all of it."""
        await store.enqueue([job("a"), job("b", delay=5)])
        await refused(store.enqueue([job("c"), job("d")]), StoreFull)
        same(await store.get("p", "c"), None)
        same([each.new for each in await store.enqueue([job("a"), job("b"), job("c")])], [False, False, True])
        await refused(store.enqueue([job(str(number)) for number in range(4)]), StoreFull)
        await store.cancel("p", "a")
        same([each.new for each in await store.enqueue([job("d")])], [True])

    @behaviour(max_pending=2, full="wait")
    async def test_enqueueing_may_wait_for_room(self, store: Store) -> None:
        """With full="wait" it goes on once something has ended, and what never has room is refused at once."""
        await store.enqueue([job("a"), job("b")])
        a, _ = await claimed(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.enqueue, [job("c")])
            for _ in range(5):
                await store.stats()
            same(await store.get("p", "c"), None)
            await store.complete([done(a)])
        same((await known(store, "p", "c")).status, JobStatus.READY)
        await refused(store.enqueue([job("x"), job("y"), job("z")]), StoreFull)

    @behaviour()
    async def test_a_cancelled_call_has_happened_whole_or_not_at_all(self, store: Store) -> None:
        """Wherever a call is when it is cancelled, all of its batch is there afterwards or none of it."""
        for turns in range(12):
            batch = [job(f"{turns}-{number}") for number in range(3)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(store.enqueue, batch)
                for _ in range(turns):
                    await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            there = [await store.get("p", each.id) is not None for each in batch]
            holds(len(set(there)) == 1, f"a part of a batch is there: {there}")


class ClaimingScenes(StoreScenes):
    """Jobs are claimed in their order, and stand in it until then."""

    @behaviour()
    async def test_the_most_urgent_are_claimed_first(self, store: Store) -> None:
        """Larger priorities come first, then what became ready first; positions say the same."""
        priorities = [0, 5, -7, 5, 2**63 - 1, -(2**63), 0, 2**40, 2**40 + 1]
        await store.enqueue([job(str(number), priority=each) for number, each in enumerate(priorities)])
        expected = [str(number) for number in sorted(range(len(priorities)), key=lambda n: (-priorities[n], n))]
        same([await store.position("p", each) for each in expected], list(range(len(priorities))))
        same(await order(store), expected)
        first = await claimed(store, 2)
        same([ticket.id for ticket in first], expected[:2])
        same(await store.position("p", expected[0]), None)
        same(await store.position("p", expected[2]), 0)
        same(await store.position("p", "none"), None)

    @behaviour()
    async def test_positions_hold_beyond_a_bucket_of_arrivals(self, store: Store) -> None:
        """A thousand jobs of one priority have the positions in which they came, also once some are gone."""
        await store.enqueue([job(str(number)) for number in range(1000)])
        for number in (0, 1, 254, 255, 256, 257, 511, 512, 999):
            same(await store.position("p", str(number)), number)
        await claimed(store, 300)
        await store.cancel("p", "400")
        same([await store.position("p", str(n)) for n in (299, 300, 399, 400, 401, 999)], [
            None, 0, 99, None, 100, 698,
        ])  # fmt: skip

    @behaviour()
    async def test_what_is_due_stands_behind_what_came_before(self, store: Store, passes: Passes) -> None:
        """Delayed jobs arrive when they are due: in the order of their times, then of their enqueueing."""
        await store.enqueue([job("late", delay=3), job("y", delay=2), job("x", delay=2), job("ready")])
        same(await store.due(), ["p"])
        same(await order(store), ["ready"])
        await passes(2.5)
        await store.enqueue([job("new")])
        same(await order(store), ["ready", "new"], "only `due` makes ready")
        same(await store.due(), ["p"])
        same(await order(store), ["ready", "new", "y", "x"])
        await passes(1)
        await store.due()
        same(await order(store), ["ready", "new", "y", "x", "late"])

    @behaviour()
    async def test_due_leaves_what_is_beyond_its_bound(self, store: Store, passes: Passes) -> None:
        """A job that is delayed beyond `until` stays delayed, though it is due by now."""
        await store.enqueue([job("a", delay=1), job("b", "q", delay=3), job("c", "r", delay=60)])
        start = store.now()
        await passes(5)
        same(await store.due(start + 1), ["p"])
        same((await known(store, "q", "b")).status, JobStatus.DELAYED)
        same(await store.due(start + 100), ["p", "q"])

    @behaviour()
    async def test_only_given_ids_are_claimed(self, store: Store) -> None:
        """With `ids`, nothing else is claimed, and of them only what is ready."""
        await store.enqueue([job("a"), job("b", priority=1), job("c", delay=1), job("d")])
        same([ticket.id for ticket in await claimed(store, ids=["a", "b", "c", "e"])], ["b", "a"])
        same(await claimed(store, ids=[]), [])
        same(await claimed(store, 0), [])
        same([ticket.id for ticket in await claimed(store, 1, ids={"d"})], ["d"])
