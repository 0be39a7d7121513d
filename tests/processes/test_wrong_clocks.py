"""Processes on one store whose wall clocks differ, as those do that began before and after somebody has set it."""

import time

import pytest
import trio

import scrapeengine as se

LEASE, LONG = 0.6, 600
STEPS = [-3600, 3600, *(pytest.param(step, marks=pytest.mark.slow) for step in (30, -2e6, 2.3e9))]


async def nothing(task):
    """Only platforms' names matter to who enqueues."""


def enqueue(workers, count, **options):
    """Enqueue jobs, with the right clock."""

    async def ask(store):
        return await se.Engine([se.Platform("A", nothing)]).enqueue(
            store, [se.Event(n) for n in range(count)], **options
        )

    return workers.ask(ask)


def pending(workers):
    """Count what has not ended."""

    async def ask(store):
        return sum(each.ready + each.delayed + each.leased for each in (await store.stats()).values())

    return workers.ask(ask)


@pytest.mark.parametrize("end", ["stopped", "killed"])
@pytest.mark.parametrize("step", STEPS)
def test_what_a_process_with_a_wrong_clock_has_left(workers, step, end):
    """Its leases, and the round's lock: of one that hangs for their time, neither less nor more; of a dead one none."""
    enqueue(workers, 5)
    lease = LEASE if end == "stopped" else LONG
    pid = workers.start("hold", lease, step)
    workers.wait_until(lambda: workers.logged("held"))
    (workers.kill if end == "killed" else workers.pause)(pid)
    [(held, *ids)] = workers.logged("held")
    assert len(ids) == 5

    async def poll(store):
        ran = []

        async def work(task):
            ran.append(time.monotonic())

        engine = se.Engine([se.Platform("A", work)])
        with trio.fail_after(20):
            while len(ran) < 5:
                try:
                    await engine.poll(store, lease=LEASE)
                except se.EngineBusy:
                    await trio.sleep(0.01)
        return ran

    ran = workers.ask(poll)
    if end == "stopped":
        assert min(ran) >= held + LEASE - 0.1
        assert max(ran) <= held + LEASE + 10
    else:
        assert max(ran) <= held + 20


@pytest.mark.parametrize("step", STEPS)
def test_processes_with_different_clocks_run_no_job_twice_and_keep_one_limit(workers, step):
    """One began before the step and one after, and both go on: each job has one hand, and the limit holds for both."""
    enqueue(workers, 150)
    for ahead in (0, step):
        workers.start("ahead", LEASE, ahead)
    workers.wait_until(lambda: len(workers.logged("accepted")) >= 150)
    ran = workers.logged("ran")
    assert sorted(id for id, _, _ in ran) == sorted(str(number) for number in range(150))
    assert set(workers.accepted().values()) == {1}
    changes = sorted([(begun, 1) for _, begun, _ in ran] + [(ended, -1) for _, _, ended in ran])
    running = most = 0
    for _, change in changes:
        running += change
        most = max(most, running)
    assert most <= 3


@pytest.mark.parametrize("step", STEPS)
def test_a_job_that_was_delayed_with_another_clock_is_ready_in_its_time(workers, step):
    """A process whose clock is behind, or ahead, serves it no sooner and hardly later."""
    begun = time.monotonic()
    enqueue(workers, 2, delay=1.5)
    workers.start("ahead", LEASE, step)
    workers.wait_until(lambda: len(workers.logged("accepted")) == 2)
    assert pending(workers) == 0
    times = [at - begun for _, at, _ in workers.logged("ran")]
    assert min(times) >= 1.5
    assert max(times) <= 10
