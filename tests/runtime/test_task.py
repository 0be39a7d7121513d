"""What a task can do, and what becomes of it at the edges."""

import logging

import pytest
import trio

import scrapeengine as se
from scrapeengine.schedule.clock import Anchor
from scrapeengine.schedule.gates import Gates
from support.world import World, outcomes_of


async def nothing(_):
    """Scrape nothing."""


async def test_task_retry_ends_when_its_attempts_are_used_up(autojump_clock):
    """Three attempts, each of which gives up: the failure says so, and how to allow more."""
    seen = []

    async def scrape(task):
        seen.append(task.attempt)
        task.retry(after=10)

    [outcome], _ = await outcomes_of(se.Engine([se.Platform("A", scrape)]), [se.Event(1)])
    assert seen == [1, 2, 3]
    assert isinstance(outcome.error, se.RetriesExhausted)
    assert "Retry(attempts=" in str(outcome.error)
    assert (outcome.attempts, outcome.parked) == (3, 20)


async def test_task_retry_without_a_time_backs_off(autojump_clock):
    """The wait is the policy's: full jitter of at most the first wait, then of twice that."""
    world = World()

    async def scrape(task):
        if task.attempt < 3:
            task.retry()

    engine = world.engine([se.Platform("A", scrape, retry=se.Retry(initial_wait=8))], random=lambda: 0.5)
    [outcome], _ = await outcomes_of(engine, [se.Event(1)])
    assert outcome.parked == 4 + 8


@pytest.mark.parametrize(("after", "error"), [(-1, ValueError), ("soon", TypeError)])
def test_a_wrong_wait_is_refused_in_the_scraper(after, error):
    """`task.retry` checks what it is given."""

    async def scrape(task):
        with pytest.raises(error, match=r"task\.retry"):
            task.retry(after=after)

    assert isinstance(se.collect([se.Platform("A", scrape)], [se.Event(1)])[0], se.Success)


def test_the_log_names_event_and_platform_and_no_secret(caplog):
    """`task.log` is bound to its task; of a URL it shows no query values."""

    async def scrape(task):
        task.log.warning("seen", count=3)
        assert task.log is task.log

    events = [se.Event("m1"), se.Event(url="https://user:pw@a.test/x?token=abc", platforms=("A",))]
    with caplog.at_level(logging.WARNING, "scrapeengine"):
        se.collect([se.Platform("A", scrape)], events)
    assert "event='seen'" in caplog.text
    assert "id='m1'" in caplog.text
    assert "platform='A'" in caplog.text
    assert "https://a.test/x?token=…" in caplog.text
    assert "abc" not in caplog.text
    assert "pw" not in caplog.text


@pytest.mark.parametrize("how", ["stop", "leave", "cancel"])
async def test_a_task_that_waits_for_its_slot_after_giving_up_ends_with_the_run(autojump_clock, how):
    """A scraper gave up a wait and needs its slot back, and the platform is full: the run ends all the same."""
    give_up = [("give up after", 2), ("request", 0, 500), ("sleep", 1)]
    world = World(scripts={("first", "A"): give_up}, default=[("sleep", 3600)])
    retry = se.Retry(initial_wait=100, max_wait=100)
    engine = world.engine([world.platform("A", limit=1, retry=retry)], random=lambda: 1.0)
    world.ledger.limits.clear()

    begun = trio.current_time()
    with trio.move_on_after(50 if how == "cancel" else 1e9):
        async with engine.stream([se.Event("first"), se.Event("second")]) as run:
            await trio.sleep(10)
            assert run.statistics().parked == 1
            if how == "stop":
                await run.stop(grace=0)
                assert len([outcome async for outcome in run]) == 2
            if how == "cancel":
                await trio.sleep_forever()
    seconds = trio.current_time() - begun
    report = run.report
    assert seconds == (50 if how == "cancel" else 10)
    assert report.outcomes == se.Counts(cancelled=2)


async def test_one_task_can_run_two_waits_and_stop_one(autojump_clock):
    """A request that is given up while another of the same task waits for it takes nothing with it."""
    world = World()
    answers = []

    async def scrape(task):
        async def ask(patience):
            with trio.move_on_after(patience):
                answer = await task.http.get("/e", params={"latency": 5, "status": 200, "hops": 0})
                answers.append((patience, answer.status_code))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, 20)
            nursery.start_soon(ask, 1)

    engine = world.engine([se.Platform("A", scrape, limit=1, base_url="http://a.test", rate=se.Rate.every(3))])
    world.ledger.limits["A"] = 1
    [outcome], _ = await outcomes_of(engine, [se.Event("e")])
    assert isinstance(outcome, se.Success)
    assert answers == [(20, 200)]
    assert not world.ledger.broken


@pytest.mark.parametrize(
    ("platforms", "options", "error", "hint"),
    [
        (["betpawa"], {}, TypeError, "write Platform"),
        ([], {}, ValueError, "at least one platform"),
        ([se.Platform("A", nothing), se.Platform("A", nothing)], {}, ValueError, "two platforms are named 'A'"),
        ([se.Platform("*", nothing)], {"default": se.Platform("*", nothing)}, ValueError, "two platforms"),
        ([se.Platform("A", nothing)], {"event_limit": 0}, ValueError, "tune the limits"),
        ([se.Platform("A", nothing)], {"event_limit": -1}, ValueError, "at least 1"),
        ([se.Platform("A", nothing)], {"buffer": 0}, ValueError, "at least 1"),
        ([se.Platform("A", nothing)], {"lookahead": 2.5}, TypeError, "whole number"),
        ([se.Platform("A", nothing)], {"dedupe": "yes"}, TypeError, "must be True or False"),
    ],
)
def test_a_wrong_engine_is_refused_where_it_is_made(platforms, options, error, hint):
    """Each wrong argument has its own message."""
    with pytest.raises(error, match=hint.replace("(", r"\(")):
        se.Engine(platforms, **options)


async def test_gates_are_forgotten_when_they_matter_no_more(autojump_clock):
    """Kept while their rate or penalty matters; looked at again when they were handed out meanwhile."""
    gates, rate = Gates(), (se.Rate.every(10),)

    gates.attach(Anchor.drop())
    for name in ("a", "b"):
        gate = gates.take(name, rate, 0)
        gate.rate_limiter.use(gate.rate_limiter.book(), 0)
        gates.keep(name, gate, 0)
    assert len(gates) == 2
    again = gates.take("a", rate, 5)
    gates.keep("a", gates.take("c", (), 11), 11)  # "b" has run out, "a" is out on loan, "c" is as good as new
    assert len(gates) == 0
    again.rate_limiter.use(again.rate_limiter.book(), 12)
    gates.keep("a", again, 12)
    assert gates.take("a", (se.Rate.every(1),), 12).opens_at(12) == 13
    busy = gates.take("d", rate, 20)
    busy.rate_limiter.use(busy.rate_limiter.book(), 20)
    gates.keep("d", busy, 20)
    taken = gates.take("d", rate, 25)
    taken.penalty.refused(sent=25, now=25, after=100)
    gates.keep("d", taken, 25)
    gates.keep("e", gates.take("e", (), 40), 40)  # the first look at "d" comes too early
    assert len(gates) == 1
    gates.keep("e", gates.take("e", (), 400), 400)
    assert len(gates) == 0
