"""Law 1: every task that a run accepted ends in exactly one outcome, whatever it raises, and when it is stopped."""

from collections import Counter

import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.strategies import abandonments, cases, quarters, requests, scripts, sleeps, troubles
from support.world import Trouble, outcomes_of, virtually

STEPS = scripts(sleeps, requests, troubles, abandonments)


def expected(script):
    """Say how a task with this script ends; None where that depends on more than the script."""
    for step in script:
        match step:
            case ("raise", _):
                return se.Failure
            case ("skip",):
                return se.Skipped
    return se.Success


@given(cases(steps=STEPS))
def test_each_task_ends_once_and_as_its_scraper_did(case):
    """Run to its end, a run gives one outcome for each task, and it is the one that its scraper made."""
    world, engine = case.build()
    outcomes, report = virtually(outcomes_of, engine, case.events)
    assert Counter((outcome.event.id, outcome.platform) for outcome in outcomes) == Counter(case.tasks())
    for outcome in outcomes:
        assert type(outcome) is expected(world.scripts[outcome.event.id, outcome.platform])
        if isinstance(outcome, se.Success):
            assert outcome.value == outcome.event.id
    assert report.tasks == report.outcomes.total == len(outcomes)
    assert sum(counts.total for counts in report.platforms.values()) == len(outcomes)
    assert not world.ledger.broken


@given(cases(steps=STEPS), quarters, quarters)
def test_a_stopped_run_still_accounts_for_each_task(case, when, grace):
    """Stopped at any moment, a run gives one outcome for each task that it has accepted: cancelled at the least."""
    _, engine = case.build()

    async def main():
        outcomes = []
        async with engine.stream(case.events) as run, trio.open_nursery() as nursery:

            @nursery.start_soon
            async def _():
                await trio.sleep(when)
                await run.stop(grace)

            async for outcome in run:
                outcomes.append(outcome)
            nursery.cancel_scope.cancel()
        return outcomes, run.report

    outcomes, report = virtually(main)
    seen = Counter((outcome.event.id, outcome.platform) for outcome in outcomes)
    assert set(seen) <= set(case.tasks())
    assert not seen or max(seen.values()) == 1
    assert report.tasks == report.outcomes.total == len(outcomes)


@given(cases(steps=STEPS), st.integers(0, 8))
def test_a_consumer_that_leaves_is_counted(case, reads):
    """Left early, a run counts one outcome for each task that it has accepted, and those that no one read."""
    _, engine = case.build()

    async def main():
        read = 0
        async with engine.stream(case.events) as run:
            while read < reads:
                try:
                    await anext(run)
                except StopAsyncIteration:
                    break
                read += 1
        return read, run.report

    read, report = virtually(main)
    assert report.tasks == report.outcomes.total == read + report.unread


def test_failures_carry_the_exception_itself():
    """A failure's error is the very exception that the scraper raised, with its frames cleared."""
    error = Trouble("mine")

    async def scrape(task):
        page = "x" * 1000  # noqa: F841 - what must not be kept
        raise error

    [outcome] = se.collect([se.Platform("A", scrape)], [se.Event("e")])
    assert isinstance(outcome, se.Failure)
    assert outcome.error is error
    frame = outcome.error.__traceback__.tb_frame
    assert frame.f_code is scrape.__code__
    assert "page" not in frame.f_locals
