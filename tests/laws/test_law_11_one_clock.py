"""Law 11: time is read from one injected clock, and everything runs in virtual time."""

import ast
import pathlib
import time
from datetime import UTC, datetime

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import scrapeengine as se
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.world import World, outcomes_of, virtually

SOURCE = pathlib.Path(se.__file__).parent
READINGS = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today"}


def test_no_module_but_the_clocks_reads_another_clock():
    """Only the clocks of runs and of stores read wall and monotonic time; an engine is given which wall time that is."""
    reading = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if "time" in names or (isinstance(node, ast.ImportFrom) and node.module == "time"):
                reading.add(path.relative_to(SOURCE).as_posix())
            if isinstance(node, ast.Attribute) and ast.unparse(node) in READINGS:
                reading.add(path.relative_to(SOURCE).as_posix())
    assert reading == {"model/options.py", "schedule/clock.py", "stores/clock.py"}


@given(cases(steps=scripts(sleeps, requests, troubles)))
def test_the_times_of_an_outcome_are_of_that_clock_and_add_up(case):
    """Queued, parked and ran are never negative, and sum to what has passed on the clock of the run."""
    world, engine = case.build()

    async def main():
        begun = trio.current_time()
        outcomes = []
        async with engine.stream(case.events) as run:
            async for outcome in run:
                outcomes.append((outcome, trio.current_time() - begun))
        return outcomes, run.report, trio.current_time() - begun

    outcomes, report, seconds = virtually(main)
    for outcome, by_then in outcomes:
        assert min(outcome.queued, outcome.parked, outcome.ran) >= 0
        assert outcome.elapsed == pytest.approx(outcome.queued + outcome.parked + outcome.ran)
        assert outcome.elapsed <= by_then + 1e-6
        if case.options["lookahead"] == 1000:
            start = world.ledger.starts[outcome.event.id, outcome.platform]
            assert outcome.queued == pytest.approx(start)
            assert outcome.elapsed == pytest.approx(by_then)
    assert report.elapsed == pytest.approx(seconds)


async def test_a_day_passes_in_no_time(autojump_clock):
    """A day of work, an event a minute on a platform with a rate, takes a second or two."""
    world = World(default=[("request", 5, 200)])
    engine = world.engine([world.platform("A", rate=se.Rate.every(60))])
    begun = time.monotonic()
    _, report = await outcomes_of(engine, [se.Event(n) for n in range(1435)])
    assert report.elapsed == 1434 * 60 + 5
    assert time.monotonic() - begun < 30


async def test_what_is_shown_is_wall_time(autojump_clock):
    """A report's beginning is a moment of the calendar, whatever the clock of the run shows."""
    before = datetime.now(UTC)
    _, report = await outcomes_of(World().engine([World().platform("A")]), [])
    assert before <= report.started <= datetime.now(UTC)


@given(st.floats(0, 1e6), st.floats(0, 1e6))
def test_rates_mean_the_same_in_another_trio_run(first, second):
    """Each trio run has a clock of its own; what a rate has used in one is kept in the next, to the moment."""
    world = World(default=[("request", 0, 200)])
    engine = world.engine([world.platform("A", rate=se.Rate.every(3600))])

    def run(clock_shows):
        async def main():
            begun = trio.current_time()
            await outcomes_of(engine, [se.Event(1)])
            return trio.current_time() - begun

        clock = MockClock(autojump_threshold=0)
        clock.jump(clock_shows)
        return trio.run(main, clock=clock)

    assert run(first) == pytest.approx(0, abs=1e-6)
    assert run(second) == pytest.approx(3600, abs=60)
