"""The models that makespans of workloads are measured against: the ideal one is never idle, no way beats the bounds."""

import importlib.util
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.greedy import Site, idle_tasks


def load_benchmarks():
    """Import the package of the benchmarks: it is not installed, and beside the tests only."""
    home = Path(__file__).parents[1] / "benchmarks"
    spec = importlib.util.spec_from_file_location(
        "benchmarks", home / "__init__.py", submodule_search_locations=[str(home)]
    )
    sys.modules["benchmarks"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["benchmarks"])


load_benchmarks()
models, workloads, slots, ways = (
    importlib.import_module(f"benchmarks.workloads.{name}") for name in ("ideal", "loads", "slots", "ways")
)

WAYS = (models.ideal, ways.sequential, ways.batches, slots.by_slots)

quarters = st.integers(1, 12).map(lambda n: n / 4)
paces = st.builds(workloads.Pace, st.sampled_from([0.1, 0.25, 1.0, 2.0]), st.integers(1, 4))


@st.composite
def loads(draw):
    """Draw a small workload without follow-ups; times are quarters of a second, so that instants coincide."""
    names = "ABC"[: draw(st.integers(1, 3))]
    platforms = {
        name: workloads.Platform(draw(st.integers(1, 4)), draw(st.none() | paces), timeout=2.5) for name in names
    }
    events = []
    for number in range(draw(st.integers(1, 25))):
        mine = sorted(draw(st.sets(st.sampled_from(names), min_size=1)))
        events.append(workloads.Event(f"e{number}", tuple(workloads.Task(name, draw(quarters)) for name in mine)))
    return workloads.Load("generated", platforms, events, draw(st.integers(1, 6)))


def bounds(load):
    """Say how long each platform needs at least, whatever the schedule."""
    for name, platform in load.platforms.items():
        durations = [platform.takes(task) for event in load.events for task in event.tasks if task.platform == name]
        if durations:
            yield max(durations)
            yield sum(durations) / platform.limit
        if durations and platform.pace is not None:
            yield (len(durations) - platform.pace.burst) * platform.pace.interval + min(durations)


def events_at_once(schedule):
    """Count the events that are in progress, at most: each from its first start to its last end."""
    spans = {}
    for (event, _), (start, end) in schedule.items():
        first, last = spans.get(event, (start, end))
        spans[event] = min(first, start), max(last, end)
    return max(sum(start <= time < end for start, end in spans.values()) for time, _ in spans.values())


@given(loads())
def test_the_ideal_model_lets_no_task_wait_for_nothing(load):
    """It is greedy by another model of the same laws, and keeps to the event limit."""
    schedule = models.ideal(load)
    tasks = [(event.id, task.platform) for event in load.events for task in event.tasks]
    assert sorted(schedule) == sorted(tasks)
    sites = {name: Site(platform.limit, platform.pace) for name, platform in load.platforms.items()}
    starts = {task: span.start for task, span in schedule.items()}
    ends = {task: span.end for task, span in schedule.items()}
    assert not idle_tasks(sites, load.event_limit, tasks, starts, ends)
    assert events_at_once(schedule) <= load.event_limit


@pytest.mark.parametrize("way", WAYS)
@given(load=loads())
def test_no_way_is_faster_than_limits_and_rates_let(way, load):
    """No makespan is below what a platform needs by itself, and no more of its tasks run at once than its limit."""
    schedule = way(load)
    assert len(schedule) == sum(len(event.tasks) for event in load.events)
    assert models.makespan(schedule) >= max(bounds(load)) - 1e-9
    for name, platform in load.platforms.items():
        spans = [span for (_, where), span in schedule.items() if where == name]
        assert all(sum(each.start <= span.start < each.end for each in spans) <= platform.limit for span in spans)


@pytest.mark.parametrize("way", WAYS)
def test_what_is_followed_starts_once_it_is_known(way):
    """An event that a task leads to starts when that task has ended, and not before."""
    child = workloads.Event("child", (workloads.Task("A", 1.0),))
    parent = workloads.Event("parent", (workloads.Task("A", 2.0, (child,)),))
    other = workloads.Event("other", (workloads.Task("A", 0.5),))
    schedule = way(workloads.Load("a feed", {"A": workloads.Platform(limit=5)}, [parent, other], event_limit=5))
    known = 2.5 if way is ways.sequential else 2.0
    assert schedule["child", "A"] == (known, known + 1)
    assert models.makespan(schedule) == known + 1
