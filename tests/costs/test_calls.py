"""Steps of the scheduler, and calls, for each task.

All are what was measured, as upper bounds. What is ours alone is the same on each machine: some calls more are seen.
What the code of others has a part in has a margin for their versions.
"""

import functools

import attrs
import httpx
import pytest
import trio

from costs.counting import Calls, Steps, a_task
from costs.lockstep import Lockstep
from costs.scenes import Scene, asks, by_run, counted, returns, traced

N = 240

SCENES = {
    "alone": Scene(returns),
    "alone, by run": Scene(returns, by_run),
    "alone, one at a time": Scene(returns, limit=1),
    "alone, on three platforms": Scene(returns, platforms=3),
    "a request": Scene(asks),
    "a request, one at a time": Scene(asks, limit=1),
    "a request, on three platforms": Scene(asks, platforms=3),
}

STEPS = {
    # for each task: one is its own, from the one checkpoint that it has to that of the task which follows it; the rest
    # are the consumer's, who reads what has come in one step, and the intake's
    "alone": 1.109,
    "alone, by run": 1.109,
    "alone, one at a time": 2.0,
    "alone, on three platforms": 1.725,
    "a request": 1.117,
    "a request, one at a time": 2.017,
    "a request, on three platforms": 1.725,
}
SPAWNED = 0
"""Tasks of trio's for each of ours: also where three end in turn and start together, for two of their workers rest."""
CALLS = {
    # for each task on Python 3.11: (calls of ours, of all functions in Python, of functions in C)
    "alone": (83.67, 143.31, 62.53),
    "alone, by run": (82.82, 142.46, 63.53),
    "alone, one at a time": (86.45, 172.40, 77.94),
    "alone, on three platforms": (94.62, 163.73, 66.96),
    "a request": (166.65, 254.54, 112.59),
    "a request, one at a time": (169.55, 283.84, 128.04),
    "a request, on three platforms": (178.74, 275.68, 117.41),
}
"""Of these the two tokens of each task, of `trio.CapacityLimiter`s, are 15 of trio's calls and 10 in C, where a plain
ledger had 11 of ours."""
OF_OTHERS = 1.04
"""The margin for versions: alone, 178.7 and 175.7 calls were measured, and 66.9 and 65.1 in C."""
OF_OURS = 1.01
"""The margin for what is ours: one step of the scheduler in a hundred, or one call."""
BUILT = {httpx.URL: 0, httpx.Request: 0, httpx.Response: 1, httpx.Headers: 1}
"""What is built for a request; its `Headers` are the empty ones of the `Response`, which makes the true ones later."""
CLOCK = {"alone": 4.12, "alone, on three platforms": 4.44, "a request": 9.12}
"""How often a task looks at the clock."""
POOL = {"http/transport/pool.py": 4, "http/transport/connections.py": 2, "http/transport/connection.py": 7}
"""Calls for a request on a kept connection: `take` and `put`, each of which sweeps; `at_hand` and `leave`."""


def steps(name):
    """Count steps for each task of a scene."""

    def count(n):
        counted = Steps()
        assert SCENES[name].play(n, instruments=[counted]).outcomes.succeeded == n
        return counted.found

    return a_task(count, N, warm=60)


@functools.cache
def calls(scene):
    """Count calls for each task of a scene."""

    def count(n):
        counted = Calls()
        with Lockstep() as site, counted.counted():
            report = scene.play(n, site)
        assert report.outcomes.succeeded == n
        return {
            "ours": counted.ours,
            "python": counted.by_code.total(),
            "c": counted.in_c,
            "clock": counted.of(trio.current_time),
            **{kind: counted.of(kind.__init__) for kind in BUILT},
            **{file: counted.in_file(file) for file in POOL},
        }

    return a_task(count, N, warm=60)


@pytest.mark.parametrize("name", SCENES)
def test_a_task_takes_one_step_of_the_scheduler_and_few_beside_it(name):
    """And no new task of trio's: it runs in the one of a task that has ended."""
    found = steps(name)
    assert found["spawned"] <= SPAWNED
    assert found["steps"] <= OF_OURS * STEPS[name]


@pytest.mark.parametrize("name", SCENES)
def test_a_task_makes_so_many_calls(name):
    """Of our own functions so many and no more; of all together within a margin."""
    ours, python, c = CALLS[name]
    found = calls(SCENES[name])
    assert found["ours"] <= OF_OURS * ours
    assert found["python"] <= OF_OTHERS * python
    assert found["c"] <= OF_OTHERS * c


COUNTED = {
    # what a recording adds to each task: calls of ours, of all functions in Python, of functions in C
    "alone": (1.52, 2.1, 4.11),  # that it begins, and its time in the queue
    "a request": (8.63, 10.33, 9.16),  # and that it is sent, its head, its end, and two more times
}


@pytest.mark.parametrize("name", COUNTED)
def test_to_count_a_task_costs_so_many_calls(name):
    """No details object is made, and no hook is called."""
    found, without = calls(attrs.evolve(SCENES[name], how=counted)), calls(SCENES[name])
    for kind, most in zip(("ours", "python", "c"), COUNTED[name], strict=True):
        assert found[kind] - without[kind] <= most * OF_OTHERS


TRACED = {"alone": (7.0, 0.0), "a request": (8.0, 0.0)}
"""What it adds to a task that it is traced, and left out by the sampler: calls of ours, and readings of the clock."""


@pytest.mark.parametrize("name", TRACED)
def test_a_task_that_is_left_out_of_traces_costs_few_calls(name):
    """Of its request nothing is told, and it takes no turn of the loop more than without."""
    scene = attrs.evolve(SCENES[name], how=traced)
    found, without = calls(scene), calls(SCENES[name])
    ours, clock = TRACED[name]
    assert found["ours"] - without["ours"] <= ours * OF_OURS
    assert found["clock"] - without["clock"] <= clock

    def count(n):
        counted = Steps()
        scene.play(n, instruments=[counted])
        return counted.found

    assert a_task(count, N, warm=60)["steps"] <= OF_OURS * STEPS[name]


@pytest.mark.parametrize("name", CLOCK)
def test_a_task_looks_at_the_clock_so_often(name):
    """Each look is cheap, and they add up."""
    assert calls(SCENES[name])["clock"] <= OF_OURS * CLOCK[name]


@pytest.mark.parametrize("name", ["a request", "a request, one at a time"])
def test_no_url_and_no_request_of_httpx_is_built_where_nobody_looks(name):
    """To build them costs more than to send the request. The answer is built, and its headers are not."""
    found = calls(SCENES[name])
    assert {kind: found[kind] for kind in BUILT} == BUILT


@pytest.mark.parametrize("limit", [1, 10, 100])
def test_a_kept_connection_costs_so_many_calls_however_many_there_are(limit):
    """In the pool, in what keeps it, and in the connection itself."""
    found = calls(Scene(asks, limit=limit))
    assert {file: found[file] for file in POOL} == POOL
