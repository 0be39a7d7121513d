"""Behaviours: how jobs come in, in which order they are claimed, and how leases begin and end."""

from __future__ import annotations

import trio

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import JobStatus, Reply, Ticket
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

__all__ = ["ArrivingScenes", "LeasingScenes"]

OK, ALREADY, LOST = Reply
DONE = JobStatus.DONE


class ArrivingScenes(StoreScenes):
    """Jobs come in, all of a batch or none, and are claimed in their order."""

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
        """What has ended is left as it is, a cadence notwithstanding, until its time is over; then the id is free."""
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        await store.complete([done(a, result="1"), done(b, keep=100)])
        await passes(9.5)
        (again,) = await store.enqueue([job("a", payload="[]", cadence="c")])
        same((again.new, again.job.status, again.job.result, again.job.recurs), (False, DONE, "1", False))
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
        """Where there is no room for all of a batch, none of it is there."""
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
        """What is delayed beyond `until` stays delayed, though it is due by now."""
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


class LeasingScenes(StoreScenes):
    """A job is in one hand at a time, and only for as long as its lease."""

    @behaviour()
    async def test_a_lease_ends_at_its_time(self, store: Store, passes: Passes) -> None:
        """At that instant it is lost, whether or not somebody else has the job; then the job is back in its place."""
        await store.enqueue([job("a"), job("b")])
        (a,) = await claimed(store, 1)
        due = (await known(store, "p", "a")).due
        same(due, store.now() + 10)
        await passes(9.5)
        same(await store.renew([a], 10), [OK])
        await passes(10)
        same(await store.renew([a], 10), [LOST])
        same(await store.release([a]), [LOST])
        same(await store.complete([done(a)]), [LOST])
        same((await known(store, "p", "a")).status, JobStatus.LEASED)
        await store.due()
        first, second = await store.claim("p", 9, "you", 10)
        same((first.ticket.id, first.attempts, second.ticket.id), ("a", 2, "b"))
        holds(first.ticket.token != a.token, "a new lease has a new token")
        same(await store.complete([done(a), done(first.ticket)]), [LOST, OK])

    @behaviour()
    async def test_what_is_released_was_not_claimed(self, store: Store, passes: Passes) -> None:
        """It goes back to its place, or comes later; the claim is not counted, and the ticket is worth nothing."""
        await store.enqueue([job("a"), job("b"), job("c")])
        a, b = await claimed(store, 2)
        same(await store.release([a]), [OK])
        same(await store.release([b], 5), [OK])
        same(await store.release([a, b]), [LOST, LOST])
        stored = await known(store, "p", "b")
        same((stored.status, stored.due, stored.attempts), (JobStatus.DELAYED, store.now() + 5, 0))
        same(await order(store), ["a", "c"])
        await passes(5)
        await store.due()
        same(await order(store), ["a", "c", "b"])
        same((await store.claim("p", 1, "me", 10))[0].attempts, 1)

    @behaviour(keep=1)
    async def test_no_token_is_ever_used_twice(self, store: Store, passes: Passes) -> None:
        """Not even when an id has been forgotten and comes back."""
        seen: set[int] = set()
        for _ in range(4):
            await store.enqueue([job("a"), job("b")])
            tickets = await claimed(store)
            holds(not seen & {ticket.token for ticket in tickets}, "a token was used before")
            seen |= {ticket.token for ticket in tickets}
            old = [Ticket("p", "a", token) for token in seen - {tickets[0].token}]
            same(set(await store.complete([done(ticket) for ticket in old])), {LOST})
            await store.complete([done(ticket) for ticket in tickets])
            await passes(2)

    @behaviour()
    async def test_what_is_cancelled_has_ended(self, store: Store, passes: Passes) -> None:
        """Whatever it was, and whoever had it in hand has lost it; what has ended cannot be cancelled."""
        await store.enqueue([job("ready"), job("delayed", delay=5, cadence="c"), job("leased", priority=1)])
        (ticket,) = await claimed(store, 1)
        for name in ("ready", "delayed", "leased"):
            holds(await store.cancel("p", name), "a pending job can be called off")
            stored = await known(store, "p", name)
            same((stored.status, stored.finished, stored.due), (JobStatus.CANCELLED, store.now(), None))
            holds(not await store.cancel("p", name), "it was called off before")
        holds(not await store.cancel("p", "none"), "nobody knows it")
        same(await store.complete([done(ticket)]), [LOST])
        same(await store.renew([ticket], 5), [LOST])
        await passes(20)
        same(await store.due(), [])
        same((await store.stats())["p"].cancelled, 3)

    @behaviour()
    async def test_only_delayed_jobs_that_recur_are_hastened(self, store: Store) -> None:
        """They are ready now, those that are named or all; a delay without a cadence stays."""
        jobs = [
            job("a", delay=9, cadence="c"),
            job("b", delay=5, cadence="c"),
            job("c", delay=1),
            job("d", cadence="c"),
        ]
        await store.enqueue([*jobs, job("b", "q", delay=7, cadence="c")])
        same(await store.hasten(["b", "c", "d", "e"]), 2)
        same(await order(store), ["d", "b"])
        same(await order(store, "q"), ["b"])
        same(await store.hasten(), 1)
        same(await order(store), ["d", "b", "a"])
        same((await known(store, "p", "c")).status, JobStatus.DELAYED)

    @behaviour(keep=10)
    async def test_statistics_count_what_is_true_now(self, store: Store, passes: Passes) -> None:
        """What is due counts as ready; platforms with nothing are left out; the oldest is the one enqueued first."""
        same(await store.stats(), {})
        await store.enqueue([job("a", delay=3), job("b", "q")])
        await passes(1)
        await store.enqueue([job("c"), job("d", delay=60)])
        same(len(await claimed(store, lease=1)), 1)
        found = await store.stats()
        same((found["p"].delayed, found["p"].leased, found["p"].oldest), (2, 1, None))
        same((found["q"].ready, found["q"].oldest), (1, 1.0))
        await passes(2)
        later = (await store.stats())["p"]
        same((later.ready, later.delayed, later.leased), (2, 1, 0))
        same(later.oldest, 3.0)
        await store.cancel("q", "b")
        await passes(11)
        same(set(await store.stats()), {"p"})

    @behaviour()
    async def test_no_two_claims_get_the_same_job(self, store: Store) -> None:
        """Many claim at once: each job is in one hand, and all are in some."""
        await store.enqueue([job(str(number)) for number in range(20)])
        had: list[str] = []

        async def take(owner: str) -> None:
            while got := await store.claim("p", 2, owner, 10.0):
                had.extend(each.ticket.id for each in got)

        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(take, f"owner {number}")
        same(sorted(had, key=int), [str(number) for number in range(20)], "each job once")
