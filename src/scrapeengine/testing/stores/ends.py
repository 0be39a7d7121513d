"""Behaviours: leases begin and end, and jobs are called off, or completed with all that belongs to them."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from scrapeengine.model.job import Delivery, JobStatus, Reply, Ticket
from scrapeengine.model.sink import Position
from scrapeengine.model.store import Store
from scrapeengine.model.validators import Validator
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
    same,
)

__all__ = ["CompletingScenes", "LeasingScenes"]

OK, ALREADY, LOST = Reply
DONE, SKIPPED, FAILED = JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED


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
    async def test_a_job_that_ends_its_process_is_a_suspect(self, store: Store, passes: Passes) -> None:
        """Each such end counts, and is a claim that was; of two suspects one is tried at a time."""
        await store.enqueue([job("a"), job("b")])
        same(await store.release(await claimed(store), died=True), [OK, OK])
        (first,) = await store.claim("p", 9, "me", 500)
        same((first.ticket.id, first.deaths, first.attempts), ("a", 1, 2))
        holds(await store.cancel("p", "b"), "it was pending")
        for deaths in (2, 3, 4):
            same(await store.release([first.ticket], died=True), [OK])
            await passes(70)
            (first,) = await store.claim("p", 9, "me", 500)
            same((first.deaths, first.attempts), (deaths, deaths + 1))

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
        """A job can be cancelled whatever it is, and whoever has it in hand loses it; not once it has ended."""
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
        """Jobs that are due count as ready; platforms without any are left out; the oldest was enqueued first."""
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
    async def test_statistics_count_what_recurs(self, store: Store) -> None:
        """As long as it is pending, whatever becomes of it; what was called off does not recur any more."""
        await store.enqueue([job("a", cadence="c"), job("b", delay=5, cadence="c"), job("c"), job("d", "q")])
        same({name: each.recurring for name, each in (await store.stats()).items()}, {"p": 2, "q": 0})
        a, _ = await claimed(store)
        same((await store.stats())["p"].recurring, 2)
        await store.complete([done(a, again=60)])
        same((await store.stats())["p"].recurring, 2)
        await store.cancel("p", "b")
        await store.enqueue([job("d", "q", cadence="c")])
        same({name: each.recurring for name, each in (await store.stats()).items()}, {"p": 1, "q": 1})

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


class CompletingScenes(StoreScenes):
    """A completion is accepted once, and nothing of it is lost.

    Size: a method for each behaviour.
    """

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

    @behaviour()
    async def test_what_is_set_apart_stays_within_its_bounds(self, store: Store) -> None:
        """Where there is no room behind, it is put forward; where there is none either, jobs share an instant."""
        await store.enqueue([job(each, cadence="c") for each in "abcdef"])
        tickets = await claimed(store)
        await store.enqueue([job(each, cadence="d", interval=30) for each in "ef"])
        await store.complete([done(each, again=60, between=(59.9985, 60.0015)) for each in tickets])
        dues = [((await known(store, "p", each)).due or 0.0) - store.now() for each in "abcdef"]
        same(dues, [60, 60.001, 59.999, 60, 30, 30])
        await store.enqueue([job(each, cadence="d", interval=60) for each in "abcd"])
        dues = [((await known(store, "p", each)).due or 0.0) - store.now() for each in "abcdef"]
        same(dues, [60, 59.998, 59.999, 60, 30, 30])

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

    @behaviour(keep=0, max_kept=0)
    async def test_a_crawl_does_not_forget_what_it_has_seen(self, store: Store) -> None:
        """While anything that was followed is pending, what was followed is not taken again; later it is."""
        await store.enqueue([job("root"), job("other")])
        (root,) = await claimed(store, ids=["root"])
        await store.complete([done(root, follow_ups=(job("a"), job("b")))])
        (a,) = await claimed(store, ids=["a"])
        await store.complete([done(a)])
        same(await store.get("p", "a"), None, "nobody else knows of it")
        (b, other) = await claimed(store, ids=["b", "other"])
        if b.id != "b":
            b, other = other, b
        await store.complete([done(other, follow_ups=(job("a"),))])
        same(await store.get("p", "a"), None, "it was seen")
        await store.complete([done(b, follow_ups=(job("a"), job("c")))])
        same((await store.get("p", "a"), (await known(store, "p", "c")).status), (None, JobStatus.READY))
        (c,) = await claimed(store)
        await store.complete([done(c)])
        (new,) = await store.enqueue([job("root")])
        holds(new.new, "the crawl is over, and nothing of it is kept")
        (root,) = await claimed(store)
        await store.complete([done(root, follow_ups=(job("a"),))])
        same((await known(store, "p", "a")).status, JobStatus.READY, "another crawl begins anew")

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
        """Nothing is known of a URL whose page was processed last and had none; all the rest still is."""
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
        same(await store.undelivered("", 9, 10), [])
        await passes(5)
        (kept,) = await store.undelivered("", 1, 10)
        same((kept.delivery, kept.outcome), (Delivery(*b), "B"))
        (other,) = await store.undelivered("", 9, 10)
        same((other.delivery, other.outcome), (Delivery(*a), "A"))
        same(await store.undelivered("", 9, 10), [])
        await store.acknowledge("", [kept.delivery, kept.delivery])
        await passes(10)
        same(await store.undelivered("", 9, 10), [other])

    @behaviour()
    async def test_each_sink_acknowledges_for_itself(self, store: Store, passes: Passes) -> None:
        """What one has had is still the other's to have, and so is its time; none has what it was not to have."""
        await store.enqueue([job("a"), job("b")])
        a, b = (Delivery(*ticket) for ticket in await claimed(store))
        await store.complete(
            [
                done(Ticket(*a), outcome="A", deliver=5, sinks=("s", "t")),
                done(Ticket(*b), outcome="B", deliver=5, sinks=("t",)),
            ]
        )
        same(await store.acknowledge("s", [a]), OK)
        await store.defer("s", [a, b], 0)
        same([await store.undelivered(each, 9, 10) for each in ("s", "t", "")], [[], [], []])
        await passes(5)
        same(await store.undelivered("s", 9, 10), [])
        same({kept.delivery for kept in await store.undelivered("t", 9, 10)}, {a, b})
        same(await store.acknowledge("s", [b]), LOST)
        same(await store.acknowledge("t", [a, Delivery("p", "x", 1)]), LOST, "of one; the other is forgotten")
        same([await store.acknowledge("t", [a]), await store.acknowledge("t", [b])], [LOST, OK])

    @behaviour()
    async def test_a_position_is_kept_with_what_it_stands_for(self, store: Store) -> None:
        """Both or none: where one of the outcomes is not the sink's any more, nothing changes; the same again is."""
        await store.enqueue([job(each) for each in "abc"])
        a, b, c = (Delivery(*ticket) for ticket in await claimed(store))
        await store.complete([done(Ticket(*each), outcome=each.id, sinks=("s", "t")) for each in (a, b, c)])
        first, second = Position("out", "1"), Position("out", "2")
        same(await store.acknowledge("s", [a], first), OK)
        same(await store.acknowledge("s", [a], first), ALREADY, "the reply to the first call was lost")
        same(await store.acknowledge("s", [a, b], second), LOST, "a is not its own any more")
        same(await store.acknowledge("s", [Delivery("p", "x", 1)], second), LOST)
        same(await store.positions("s"), {"out": "1"})
        same(await store.acknowledge("s", [b], Position("out.2", "7")), OK)
        same(await store.acknowledge("s", [c, c], second), OK)
        same(await store.acknowledge("s", [], Position("out", "3")), OK)
        same((await store.positions("s"), await store.positions("t")), ({"out": "3", "out.2": "7"}, {}))
        same({kept.delivery for kept in await store.undelivered("t", 9, 10)}, {a, b, c})

    @behaviour()
    async def test_who_delivers_keeps_outcomes_or_gives_them_back(self, store: Store, passes: Passes) -> None:
        """They are handed out when it says, whatever was said before; not what was acknowledged, or never was there."""
        await store.enqueue([job("a"), job("b"), job("c")])
        a, b, c = (Delivery(*ticket) for ticket in await claimed(store))
        await store.complete([done(Ticket(*each), outcome=each.id, deliver=5) for each in (a, b, c)])
        await passes(4)
        await store.defer("", [a], 5)
        await store.defer("", [b, Delivery("p", "x", 1)], 0)
        same([kept.delivery for kept in await store.undelivered("", 9, 100)], [b])
        await passes(1)
        same([kept.delivery for kept in await store.undelivered("", 9, 100)], [c])
        await store.acknowledge("", [c])
        await store.defer("", [b, c], 0)
        same([kept.delivery for kept in await store.undelivered("", 9, 100)], [b])
        await passes(4)
        same([kept.delivery for kept in await store.undelivered("", 9, 100)], [a])

    @behaviour(keep=100.0)
    async def test_outcomes_that_nobody_fetches_end_with_keep(self, store: Store, passes: Passes) -> None:
        """Counted from when they could be fetched last; whoever has them in hand, and says so, keeps them."""
        await store.enqueue([job("a"), job("b"), job("c")])
        a, b, c = (Delivery(*ticket) for ticket in await claimed(store))
        await store.complete([done(Ticket(*each), outcome=each.id, deliver=10) for each in (a, b, c)])
        await passes(109)
        same([kept.delivery for kept in await store.undelivered("", 1, 5)], [a])
        await store.defer("", [b], 0)
        await passes(2)
        same([kept.delivery for kept in await store.undelivered("", 9, 5)], [b], "c is over, and a in hand")
        await passes(104)
        await store.defer("", [a, b, c], 0)
        same({kept.delivery for kept in await store.undelivered("", 9, 5)}, {b}, "a was let go 101 seconds ago")
