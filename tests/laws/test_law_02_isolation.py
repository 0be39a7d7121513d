"""Law 2: no exception of a task touches a sibling; what ends the program ends the run; no cancellation is lost."""

import pytest
import trio
import trio._core._run as trio_run
from hypothesis import given

import scrapeengine as se
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.world import Panic, outcomes_of, virtually

STEPS = scripts(sleeps, requests, troubles)


def timeline(case, replace):
    """Run a case with trio's scheduling made deterministic; return when each task started and ended."""
    world, engine = case.build()
    world.scripts = {task: replace(script) for task, script in world.scripts.items()}
    engine._plan.draw = lambda: 0.5
    before, trio_run._ALLOW_DETERMINISTIC_SCHEDULING = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, True
    trio_run._r.seed(0)

    async def main():
        begun = trio.current_time()
        outcomes, _ = await outcomes_of(engine, case.events)
        starts = {task: time - begun for task, time in world.ledger.starts.items()}
        return starts, {task: time - begun for task, time in world.ledger.ends.items()}, outcomes

    try:
        return virtually(main)
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before


@given(cases(steps=STEPS))
def test_who_raises_and_who_returns_makes_no_difference_to_the_others(case):
    """Every task starts and ends at the same time whether its siblings raise or return."""

    def peaceful(script):
        for place, step in enumerate(script):
            if step[0] in {"raise", "skip"}:
                return script[:place]
        return script

    starts, ends, outcomes = timeline(case, list)
    assert (starts, ends) == timeline(case, peaceful)[:2]
    for outcome in outcomes:
        assert not isinstance(outcome, se.Cancelled)


@pytest.mark.parametrize("fatal", [KeyboardInterrupt, SystemExit, GeneratorExit])
@pytest.mark.parametrize("grouped", [False, True])
def test_what_ends_the_program_ends_the_run(fatal, grouped):
    """What ends the program leaves the stream as the same object, in no group, whatever was raised beside it."""
    error = fatal(3)

    async def scrape(task):
        if task.event.id == "3":
            raise BaseExceptionGroup("with others", [ValueError(), Panic(), error]) if grouped else error
        await trio.sleep(100)

    async def main():
        async with se.Engine([se.Platform("A", scrape)]).stream(se.Event(n) for n in range(10)) as run:
            async for _ in run:
                pass

    with pytest.raises(fatal) as caught:
        virtually(main)
    assert caught.value is error
    assert caught.value.args == (3,)


async def test_a_cancelled_scraper_is_not_swallowed(autojump_clock):
    """A cancellation from outside passes through tasks that raise on their way out, and nothing of theirs leaves."""
    seen = []

    async def scrape(task):
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            seen.append(task.event.id)
            raise
        finally:
            if task.event.id == "1":
                raise ValueError("on the way out")

    async def grouped(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(scrape, task)
            nursery.start_soon(trio.sleep_forever)

    engine = se.Engine([se.Platform("A", scrape), se.Platform("B", grouped)], event_limit=3)
    with trio.move_on_after(5) as scope:
        async with engine.stream([se.Event(n) for n in range(9)]) as run:
            async for _ in run:
                pass
    cancelled = scope.cancelled_caught
    report = run.report
    assert cancelled
    assert sorted(seen) == ["0", "0", "1", "1", "2", "2"]
    assert report.tasks == report.outcomes.total == 18
    assert report.outcomes.succeeded == 0


async def test_one_failure_among_many_is_one_failure(autojump_clock):
    """A scraper's own nursery that breaks is one failure, and all others succeed."""

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1)
            if task.event.id == "5":
                raise ValueError(task.event.id)

    outcomes, report = await outcomes_of(se.Engine([se.Platform("A", scrape)]), [se.Event(n) for n in range(20)])
    [failure] = [outcome for outcome in outcomes if isinstance(outcome, se.Failure)]
    assert failure.event.id == "5"
    assert isinstance(failure.error, ExceptionGroup)
    assert report.outcomes == se.Counts(succeeded=19, failed=1)


def test_signals_pass_through_the_scrapers_own_excepts_and_nurseries():
    """`task.skip` leaves through `except Exception` and through a nursery."""

    async def scrape(task):
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever)
                task.skip("nothing there")
        except Exception:  # noqa: BLE001 - what users write
            return "eaten"

    [outcome] = se.collect([se.Platform("A", scrape)], [se.Event("e")])
    assert isinstance(outcome, se.Skipped)
    assert outcome.reason == "nothing there"


def test_a_failure_counts_more_than_a_signal_beside_it():
    """In a group of both, what raised is the failure, and the signal is dropped; nothing leaves the task."""

    async def skip(task):
        task.skip("nothing there")

    async def scrape(task):
        if task.event.id == "e":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(skip, task)
                raise ValueError("something there")

    outcomes = se.collect([se.Platform("A", scrape)], [se.Event("e"), se.Event("f")])
    assert {outcome.event.id: type(outcome) for outcome in outcomes} == {"e": se.Failure, "f": se.Success}
    [failure] = [outcome for outcome in outcomes if isinstance(outcome, se.Failure)]
    assert isinstance(failure.error, ExceptionGroup)


def test_what_ends_the_program_counts_more_than_what_the_body_raises():
    """A scraper's `SystemExit` leaves, though the body raises something of its own at the same time."""

    async def scrape(task):
        raise SystemExit(5)

    async def main():
        async with se.Engine([se.Platform("A", scrape)]).stream([se.Event(1), se.Event(2)]):
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            raise LookupError("mine")

    with pytest.raises(SystemExit) as caught:
        virtually(main)
    assert caught.value.code == 5
