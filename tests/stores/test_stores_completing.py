"""How a store ends jobs, with all that belongs to it, in memory and in a file alike."""

import pytest

from scrapeengine.model.job import Delivery, JobStatus, Reply, Ticket
from scrapeengine.model.validators import Validator
from stores.harness import DONE, FAILED, SKIPPED, claimed, done, job, run

OK, ALREADY, LOST = Reply


@pytest.mark.parametrize("status", [DONE, SKIPPED, FAILED])
@pytest.mark.parametrize("result", ["[1]", b"\0\xff", None])
def test_a_completion_is_stored_and_accepted_once(url, status, result):
    """All that it says is there, and the same again is told that it was; another says that it is lost."""

    async def scenario(store, clock):
        await store.enqueue([job("a")])
        (a,) = await claimed(store)
        clock.jump(1)
        completion = done(a, status, result=result, error="why")
        assert await store.complete([completion, completion]) == [OK, ALREADY]
        assert await store.complete([completion]) == [ALREADY]
        assert await store.complete([done(Ticket("p", "a", a.token + 1)), done(Ticket("p", "x", 1))]) == [LOST, LOST]
        stored = await store.get("p", "a")
        assert (stored.status, stored.result, stored.error) == (status, result, "why")
        assert (stored.finished, stored.due, stored.attempts) == (store.now(), None, 1)

    run(url, scenario)


def test_what_recurs_waits_for_its_next_time(url):
    """It has a result and is delayed, hands out its history, and counts its attempts anew."""

    async def scenario(store, clock):
        await store.enqueue([job("a", cadence="c"), job("b")])
        a, b = await claimed(store)
        replies = await store.complete([done(a, result="1", history="h", again=60), done(b, again=60)])
        assert replies == [OK, OK]
        assert (await store.get("p", "b")).status is DONE, "it has no cadence"
        stored = await store.get("p", "a")
        assert (stored.status, stored.result, stored.due) == (JobStatus.DELAYED, "1", store.now() + 60)
        assert stored.finished == store.now()
        assert await store.complete([done(a, again=60)]) == [ALREADY]
        clock.jump(60)
        await store.due()
        (again,) = await store.claim("p", 1, "me", 10)
        assert (again.history, again.attempts, again.cadence) == ("h", 1, "c")
        assert await store.complete([done(a, again=60)]) == [ALREADY]
        assert await store.complete([done(again.ticket)]) == [OK]
        assert await store.complete([done(a, again=60)]) == [LOST]
        # Who completed it did not know that it recurs: it is looked at again at once.
        assert await store.due() == ["p"]
        assert (await store.get("p", "a")).recurs

    run(url, scenario)


def test_what_recurs_at_one_time_is_set_apart(url):
    """No two recurring jobs of a platform get the same time; those of other platforms do not count."""

    async def scenario(store, clock):
        await store.enqueue([job(id, cadence="c") for id in "abc"] + [job("a", "q", cadence="c"), job("d", delay=60)])
        tickets = await claimed(store) + await claimed(store, platform="q")
        await store.complete([done(ticket, again=60) for ticket in tickets])
        dues = [(await store.get(ticket.platform, ticket.id)).due - store.now() for ticket in tickets]
        assert dues == pytest.approx([60.001, 60.002, 60.003, 60], abs=1e-5)
        assert len(set(dues)) == 4

    run(url, scenario)


def test_follow_ups_come_with_their_completion(url):
    """They are enqueued with it, beyond `max_pending` too; those that are known are left; a lost one brings none."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        found = (job("b", cadence="c"), job("a"), *(job(str(number), "q") for number in range(5)))
        assert await store.complete([done(a, follow_ups=found)]) == [OK]
        assert (await store.get("p", "a")).status is DONE
        assert not (await store.get("p", "b")).recurs
        assert (await store.stats())["q"].ready == 5
        clock.jump(10)
        assert await store.complete([done(b, follow_ups=(job("x"),))]) == [LOST]
        assert await store.get("p", "x") is None

    run(url, scenario, max_pending=2)


def test_validators_come_with_their_completion(url):
    """They are there by platform and URL, the latest of each; too long URLs are forgotten."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        one, two = Validator('"1"'), Validator(last_modified="yesterday")
        await store.complete([done(a, validators={"u": one, "v": one, "x" * 4097: one, "x" * 4096: one})])
        await store.complete([done(a, validators={"u": two}), done(b, validators={"v": two})])
        assert [await store.recall("p", url) for url in ("u", "v", "w")] == [one, two, None]
        assert await store.recall("q", "u") is None
        assert [await store.recall("p", "x" * length) for length in (4096, 4097)] == [one, None]

    run(url, scenario)


def test_validators_are_forgotten_with_a_completion(url):
    """What was processed last has none: then nothing is known of its URL, and all the rest still is."""

    async def scenario(store, clock):
        await store.enqueue([job(each) for each in "abc"])
        a, b, c = await claimed(store)
        one = Validator('"1"', vary="cookie 0123")
        await store.complete([done(a, validators={"u": one, "v": one})])
        assert await store.recall("p", "u") == one
        await store.complete([done(b, validators={"u": None, "w": None})])
        assert [await store.recall("p", known) for known in "uvw"] == [None, one, None]
        await store.complete([done(c, validators={"u": one})])
        assert await store.recall("p", "u") == one

    run(url, scenario)


def test_the_oldest_validators_go_first(url, monkeypatch):
    """Only so many URLs are kept; what was written again is not old."""
    monkeypatch.setattr("scrapeengine.stores.rules.beside._MOST_PAGES", 3)

    async def scenario(store, clock):
        await store.enqueue([job(str(number)) for number in range(6)])
        one = Validator('"1"')
        for ticket, found in zip(await claimed(store), "abcade", strict=True):
            await store.complete([done(ticket, validators={found: one})])
        assert [found for found in "abcde" if await store.recall("p", found)] == ["a", "d", "e"]

    run(url, scenario)


def test_outcomes_are_kept_until_they_are_acknowledged(url):
    """One that is not acknowledged in time is handed out, to one at a time."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b"), job("c")])
        a, b, c = await claimed(store)
        await store.complete([done(a, outcome="A", deliver=5), done(b, outcome="B", deliver=2), done(c)])
        assert await store.undelivered(9, 10) == []
        clock.jump(5)
        (kept,) = await store.undelivered(1, 10)
        assert (kept.delivery, kept.outcome) == (Delivery(*b), "B")
        (other,) = await store.undelivered(9, 10)
        assert (other.delivery, other.outcome) == (Delivery(*a), "A")
        assert await store.undelivered(9, 10) == []
        await store.acknowledge([kept.delivery, kept.delivery])
        clock.jump(10)
        assert await store.undelivered(9, 10) == [other]

    run(url, scenario)
