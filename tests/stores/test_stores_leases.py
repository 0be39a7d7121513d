"""How a store leases jobs, calls them off and counts them, in memory and in a file alike."""

import pytest

from scrapeengine.model.job import JobStatus, Reply, Ticket
from stores.harness import claimed, done, job, order, run

OK, ALREADY, LOST = Reply


# -- leases


def test_a_lease_ends_at_its_time(url):
    """At that instant it is lost, whether or not somebody else has the job; then the job is back in its place."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b")])
        (a,) = await claimed(store, 1)
        due = (await store.get("p", "a")).due
        assert due == store.now() + 10
        clock.jump(9.5)
        assert await store.renew([a], 10) == [OK]
        clock.jump(10)
        assert await store.renew([a], 10) == [LOST]
        assert await store.release([a]) == [LOST]
        assert await store.complete([done(a)]) == [LOST]
        assert (await store.get("p", "a")).status is JobStatus.LEASED
        await store.due()
        first, second = await store.claim("p", 9, "you", 10)
        assert (first.ticket.id, first.attempts, second.ticket.id) == ("a", 2, "b")
        assert first.ticket.token != a.token
        assert await store.complete([done(a), done(first.ticket)]) == [LOST, OK]

    run(url, scenario)


def test_what_is_released_was_not_claimed(url):
    """It goes back to its place, or comes later; the claim is not counted, and the ticket is worth nothing."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b"), job("c")])
        a, b = await claimed(store, 2)
        assert await store.release([a]) == [OK]
        assert await store.release([b], 5) == [OK]
        assert await store.release([a, b]) == [LOST, LOST]
        stored = await store.get("p", "b")
        assert (stored.status, stored.due, stored.attempts) == (JobStatus.DELAYED, store.now() + 5, 0)
        assert await order(store) == ["a", "c"]
        clock.jump(5)
        await store.due()
        assert await order(store) == ["a", "c", "b"]
        assert (await store.claim("p", 1, "me", 10))[0].attempts == 1

    run(url, scenario)


def test_no_token_is_ever_used_twice(url):
    """Not even when an id has been forgotten and comes back."""

    async def scenario(store, clock):
        seen = set()
        for _ in range(4):
            await store.enqueue([job("a"), job("b")])
            tickets = await claimed(store)
            assert not seen & {ticket.token for ticket in tickets}
            seen |= {ticket.token for ticket in tickets}
            old = [Ticket("p", "a", token) for token in seen - {tickets[0].token}]
            assert set(await store.complete([done(ticket) for ticket in old])) == {LOST}
            await store.complete([done(ticket) for ticket in tickets])
            clock.jump(2)

    run(url, scenario, keep=1)


# -- calling off, and hastening


def test_what_is_cancelled_has_ended(url):
    """Whatever it was, and whoever had it in hand has lost it; what has ended cannot be cancelled."""

    async def scenario(store, clock):
        await store.enqueue([job("ready"), job("delayed", delay=5, cadence="c"), job("leased", priority=1)])
        (ticket,) = await claimed(store, 1)
        for id in ("ready", "delayed", "leased"):
            assert await store.cancel("p", id)
            stored = await store.get("p", id)
            assert (stored.status, stored.finished, stored.due) == (JobStatus.CANCELLED, store.now(), None)
            assert not await store.cancel("p", id)
        assert not await store.cancel("p", "none")
        assert await store.complete([done(ticket)]) == await store.renew([ticket], 5) == [LOST]
        clock.jump(20)
        assert await store.due() == []
        assert (await store.stats())["p"].cancelled == 3

    run(url, scenario)


def test_only_delayed_jobs_that_recur_are_hastened(url):
    """They are ready now, those that are named or all; a delay without a cadence stays."""

    async def scenario(store, clock):
        jobs = [
            job("a", delay=9, cadence="c"),
            job("b", delay=5, cadence="c"),
            job("c", delay=1),
            job("d", cadence="c"),
        ]
        await store.enqueue([*jobs, job("b", "q", delay=7, cadence="c")])
        assert await store.hasten(["b", "c", "d", "e"]) == 2
        assert await order(store) == ["d", "b"]
        assert await order(store, "q") == ["b"]
        assert await store.hasten() == 1
        assert await order(store) == ["d", "b", "a"]
        assert (await store.get("p", "c")).status is JobStatus.DELAYED

    run(url, scenario)


# -- counting


def test_statistics_count_what_is_true_now(url):
    """What is due counts as ready; platforms with nothing are left out; the oldest is the one enqueued first."""

    async def scenario(store, clock):
        assert await store.stats() == {}
        await store.enqueue([job("a", delay=3), job("b", "q")])
        clock.jump(1)
        await store.enqueue([job("c"), job("d", delay=60)])
        assert len(await claimed(store, lease=1)) == 1
        found = await store.stats()
        assert (found["p"].delayed, found["p"].leased, found["p"].oldest) == (2, 1, None)
        assert (found["q"].ready, found["q"].oldest) == (1, pytest.approx(1, abs=1e-5))
        clock.jump(2)
        found = (await store.stats())["p"]
        assert (found.ready, found.delayed, found.leased) == (2, 1, 0)
        assert found.oldest == pytest.approx(3, abs=1e-5)
        await store.cancel("q", "b")
        clock.jump(11)
        assert set(await store.stats()) == {"p"}

    run(url, scenario, keep=10)
