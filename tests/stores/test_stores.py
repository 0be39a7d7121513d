"""How jobs come into a store and in which order they are claimed, in memory and in a file alike."""

import pytest
import trio

from scrapeengine.errors import StoreFull
from scrapeengine.model.job import JobStatus, Reply
from stores.harness import DONE, claimed, done, job, order, run

OK, ALREADY, LOST = Reply


# -- enqueueing


def test_what_is_enqueued_is_there(url):
    """A job is what was enqueued, ready at once or delayed."""

    async def scenario(store, clock):
        now, later = await store.enqueue([job("a", payload='{"x": 1}', priority=3), job("b", delay=5, cadence="c")])
        assert (now.new, now.job.status, now.job.due, now.job.recurs) == (True, JobStatus.READY, None, False)
        assert (now.job.payload, now.job.priority, now.job.attempts) == ('{"x": 1}', 3, 0)
        assert (later.new, later.job.status, later.job.recurs) == (True, JobStatus.DELAYED, True)
        assert later.job.due == later.job.enqueued + 5 == store.now() + 5
        assert await store.get("p", "a") == now.job
        assert await store.get("p", "b") == later.job
        assert await store.get("q", "a") is None

    run(url, scenario)


def test_a_pending_job_is_left_as_it_is(url):
    """The same id again, in the same batch or later, changes nothing, whatever else it says."""

    async def scenario(store, clock):
        first, second = await store.enqueue([job("a"), job("a", payload="[]", priority=9)])
        assert (first.new, second.new) == (True, False)
        (third,) = await store.enqueue([job("a", payload="[]", delay=9)])
        assert (third.new, third.job) == (False, first.job)
        await claimed(store)
        (fourth,) = await store.enqueue([job("a")])
        assert (fourth.new, fourth.job.status) == (False, JobStatus.LEASED)
        (other,) = await store.enqueue([job("a", "q")])
        assert other.new

    run(url, scenario)


def test_a_cadence_replaces_that_of_a_pending_job(url):
    """A job that is pending recurs from then on by the cadence that was given last; none given leaves it."""

    async def scenario(store, clock):
        await store.enqueue([job("a")])
        (known,) = await store.enqueue([job("a", cadence="1")])
        assert (known.new, known.job.recurs) == (False, True)
        await store.enqueue([job("a")])
        ((first),) = await store.claim("p", 1, "me", 10)
        assert first.cadence == "1"
        await store.enqueue([job("a", cadence="2")])
        await store.release([first.ticket])
        ((second),) = await store.claim("p", 1, "me", 10)
        assert second.cadence == "2"
        assert await store.complete([done(second.ticket, again=5)]) == [OK]
        assert (await store.get("p", "a")).status is JobStatus.DELAYED

    run(url, scenario)


def test_an_ended_job_is_known_for_its_time_and_then_new(url):
    """What has ended is left as it is, a cadence notwithstanding, until its time is over; then the id is free."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b")])
        a, b = await claimed(store)
        await store.complete([done(a, result="1"), done(b, keep=100)])
        clock.jump(9.5)
        (known,) = await store.enqueue([job("a", payload="[]", cadence="c")])
        assert (known.new, known.job.status, known.job.result, known.job.recurs) == (False, DONE, "1", False)
        clock.jump(0.5)
        assert await store.get("p", "a") is None
        (new,) = await store.enqueue([job("a", payload="[]")])
        assert (new.new, new.job.status, new.job.payload, new.job.result) == (True, JobStatus.READY, "[]", None)
        assert (await store.get("p", "b")).status is DONE
        clock.jump(89.5)
        assert await store.get("p", "b") is not None
        clock.jump(0.5)
        assert await store.get("p", "b") is None
        assert (await store.stats())["p"].done == 0

    run(url, scenario, keep=10)


def test_the_oldest_ended_jobs_go_first(url):
    """More than `max_kept` are kept only if their completions ask for it."""

    async def scenario(store, clock):
        await store.enqueue([job(str(number)) for number in range(6)])
        for number, ticket in enumerate(await claimed(store)):
            await store.complete([done(ticket, keep=100 if number == 1 else 0)])
            clock.jump(1)
        kept = [number for number in range(6) if await store.get("p", str(number)) is not None]
        assert kept == [1, 5]
        assert (await store.stats())["p"].done == 2

    run(url, scenario, max_kept=2)


def test_a_batch_is_taken_whole_or_not_at_all(url):
    """Where there is no room for all of a batch, none of it is there."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b", delay=5)])
        with pytest.raises(StoreFull, match="full='wait'"):
            await store.enqueue([job("c"), job("d")])
        assert await store.get("p", "c") is None
        assert [known.new for known in await store.enqueue([job("a"), job("b"), job("c")])] == [False, False, True]
        with pytest.raises(StoreFull, match="cut it up"):
            await store.enqueue([job(str(number)) for number in range(4)])
        await store.cancel("p", "a")
        assert [known.new for known in await store.enqueue([job("d")])] == [True]

    run(url, scenario, max_pending=3)


def test_enqueueing_may_wait_for_room(url):
    """With full="wait" it goes on once something has ended, and what never has room is refused at once."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b")])
        a, _ = await claimed(store)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.enqueue, [job("c")])
            for _ in range(5):
                await store.stats()
            assert await store.get("p", "c") is None
            await store.complete([done(a)])
        assert (await store.get("p", "c")).status is JobStatus.READY
        with pytest.raises(StoreFull):
            await store.enqueue([job("x"), job("y"), job("z")])

    run(url, scenario, max_pending=2, full="wait")


# -- order


def test_the_most_urgent_are_claimed_first(url):
    """Larger priorities come first, then what became ready first; positions say the same."""

    async def scenario(store, clock):
        priorities = [0, 5, -7, 5, 2**63 - 1, -(2**63), 0, 2**40, 2**40 + 1]
        await store.enqueue([job(str(number), priority=each) for number, each in enumerate(priorities)])
        expected = [str(number) for number in sorted(range(len(priorities)), key=lambda n: (-priorities[n], n))]
        assert [await store.position("p", id) for id in expected] == list(range(len(priorities)))
        assert await order(store) == expected
        first = await claimed(store, 2)
        assert [ticket.id for ticket in first] == expected[:2]
        assert await store.position("p", expected[0]) is None
        assert await store.position("p", expected[2]) == 0
        assert await store.position("p", "none") is None

    run(url, scenario)


def test_positions_hold_beyond_a_bucket_of_arrivals(url):
    """A thousand jobs of one priority have the positions in which they came, also once some are gone."""

    async def scenario(store, clock):
        await store.enqueue([job(str(number)) for number in range(1000)])
        for number in (0, 1, 254, 255, 256, 257, 511, 512, 999):
            assert await store.position("p", str(number)) == number
        await claimed(store, 300)
        await store.cancel("p", "400")
        assert [await store.position("p", str(n)) for n in (299, 300, 399, 400, 401, 999)] == [
            None, 0, 99, None, 100, 698,
        ]  # fmt: skip

    run(url, scenario)


def test_what_is_due_stands_behind_what_came_before(url):
    """Delayed jobs arrive when they are due: in the order of their times, then of their enqueueing."""

    async def scenario(store, clock):
        await store.enqueue([job("late", delay=3), job("y", delay=2), job("x", delay=2), job("ready")])
        assert await store.due() == ["p"]
        assert await order(store) == ["ready"]
        clock.jump(2.5)
        await store.enqueue([job("new")])
        assert await order(store) == ["ready", "new"], "only `due` makes ready"
        assert await store.due() == ["p"]
        assert await order(store) == ["ready", "new", "y", "x"]
        clock.jump(1)
        await store.due()
        assert await order(store) == ["ready", "new", "y", "x", "late"]

    run(url, scenario)


def test_due_leaves_what_is_beyond_its_bound(url):
    """What is delayed beyond `until` stays delayed, though it is due by now."""

    async def scenario(store, clock):
        await store.enqueue([job("a", delay=1), job("b", "q", delay=3), job("c", "r", delay=60)])
        start = store.now()
        clock.jump(5)
        assert await store.due(start + 1) == ["p"]
        assert (await store.get("q", "b")).status is JobStatus.DELAYED
        assert await store.due(start + 100) == ["p", "q"]

    run(url, scenario)


def test_only_given_ids_are_claimed(url):
    """With `ids`, nothing else is claimed, and of them only what is ready."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b", priority=1), job("c", delay=1), job("d")])
        assert [ticket.id for ticket in await claimed(store, ids=["a", "b", "c", "e"])] == ["b", "a"]
        assert await claimed(store, ids=[]) == []
        assert await claimed(store, 0) == []
        assert [ticket.id for ticket in await claimed(store, 1, ids={"d"})] == ["d"]

    run(url, scenario)
