"""After kill -9 all that the dead process held is free within a second, however long its lease; who hangs keeps it."""

import os
import random
import signal
import time
from pathlib import Path

import pytest
import trio

import scrapeengine as se

LEASE = 600
SOON = 1.0
"""The seconds within which all goes on."""


async def nothing(task):
    """Only platforms' names matter to who enqueues."""


def enqueue(workers, *ids, platform="A"):
    """Enqueue jobs."""

    async def ask(store):
        engine = se.Engine([se.Platform(platform, nothing)])
        await engine.enqueue(store, [se.Event(id) for id in ids])

    workers.ask(ask)


def began(workers, pid):
    """Return when each job's scraper began in a process."""
    return {id: at for id, at, by in workers.logged("began") if by == pid}


def statuses(workers):
    """Return the status of each job."""

    async def ask(store):
        return {job.id: job.status for job in await store.jobs(limit=1000)}

    return workers.ask(ask)


def left(workers):
    """List the files of openings."""
    return sorted(file.name for file in Path(f"{workers.folder}/jobs.db-live").glob("*"))


@pytest.mark.parametrize("forks", [0, 1])
def test_who_serves_takes_over_from_the_dead(workers, forks):
    """Another that serves already runs its job, on its slot, in a second; also where a child of the dead lives on."""
    enqueue(workers, "long-1", platform="B")
    first = workers.start("grave", LEASE, "serve", forks)
    workers.wait_until(lambda: "long-1" in began(workers, first))
    second = workers.start("grave", LEASE, "serve")
    enqueue(workers, "short-2", platform="B")  # which is claimed, and waits for the only slot
    time.sleep(0.6)
    assert began(workers, second) == {}
    workers.kill(first)
    killed = time.monotonic()
    workers.wait_until(lambda: began(workers, second))
    assert time.monotonic() - killed <= SOON
    workers.wait_until(lambda: len(left(workers)) == 2)  # those of the one that lives


@pytest.mark.parametrize("how", ["serve", "rounds"])
def test_a_restart_goes_on_at_once(workers, how):
    """What is started after the death runs what was in hand, and the rounds, within a second from the death."""
    ids = [f"long-{number}" for number in range(3)]
    enqueue(workers, *ids)
    first = workers.start("grave", LEASE, how)
    workers.wait_until(lambda: len(began(workers, first)) == len(ids))
    workers.kill(first)
    killed = time.monotonic()
    second = workers.start("grave", LEASE, how)
    workers.wait_until(lambda: began(workers, second))
    assert time.monotonic() - killed <= SOON
    if how == "serve":
        return

    async def poll(store):
        engine = se.Engine([se.Platform("A", nothing), se.Platform("B", nothing)])
        with pytest.raises(se.EngineBusy):
            await engine.poll(store, lease=LEASE)  # the second one makes a round, and lives
        workers.kill(second)
        with trio.fail_after(SOON):
            while True:
                try:
                    report = await engine.poll(store, lease=LEASE)
                except se.EngineBusy:
                    await trio.sleep(0.05)
                else:
                    return report.outcomes.succeeded

    assert workers.ask(poll) == len(ids)


def test_outcomes_on_their_way_to_the_dead_ones_sinks(workers):
    """Another's sinks have them within a second."""
    enqueue(workers, "stuck-1", "short-2", "short-3")
    first = workers.start("grave", LEASE, "serve")
    workers.wait_until(lambda: len(statuses_of(workers, se.JobStatus.DONE)) == 3)
    workers.wait_until(lambda: workers.logged("given"))
    second = workers.start("grave", LEASE, "serve")
    time.sleep(0.6)
    assert {by for _, _, by, _ in workers.logged("given")} == {first}
    workers.kill(first)
    killed = time.monotonic()
    workers.wait_until(lambda: any(by == second for _, _, by, _ in workers.logged("given")))
    assert time.monotonic() - killed <= SOON


def statuses_of(workers, status):
    """List the jobs with a status."""
    return [id for id, each in statuses(workers).items() if each is status]


def test_who_hangs_keeps_what_it_has(workers):
    """For its lease, and no longer: a process that is stopped is not dead."""
    lease = 2.0
    enqueue(workers, "long-1", platform="B")
    first = workers.start("grave", lease, "serve")
    workers.wait_until(lambda: began(workers, first))
    second = workers.start("grave", lease, "serve")
    workers.pause(first)
    paused = time.monotonic()
    workers.wait_until(lambda: began(workers, second))
    assert began(workers, second)["long-1"] - paused >= lease / 2
    os.kill(first, signal.SIGCONT)


@pytest.mark.slow
def test_a_job_that_kills_its_process_is_set_aside_while_the_others_run(workers):
    """Four processes die of each; all others are done, some while suspects were tried; `retry` has it run again."""
    others = [f"short-{number}" for number in range(60)]
    enqueue(workers, *others[:30], "poison-1", "poison-2", *others[30:])
    pids = []
    for _ in range(12):
        pids.append(workers.start("grave", LEASE, "serve"))
        workers.wait_until(lambda: has_ended(pids[-1]) or not pending(workers))
        if not has_ended(pids[-1]):
            break
    found = statuses(workers)
    assert {id for id, status in found.items() if status is se.JobStatus.FAILED} == {"poison-1", "poison-2"}
    assert {id for id, status in found.items() if status is se.JobStatus.DONE} == set(others)
    deaths = sorted(id for id, _, _ in workers.logged("began") if id.startswith("poison"))
    assert 7 <= len(deaths) <= 8  # both may have begun before the first death
    given = {(id, kind) for id, _, _, kind in workers.logged("given") if id.startswith("poison")}
    assert given == {("poison-1", "Failure"), ("poison-2", "Failure")}

    async def look(store):
        jobs = await store.jobs(status=se.JobStatus.FAILED)
        return [job.error for job in jobs], await store.retry(ids=["poison-1"])

    errors, again = workers.ask(look)
    assert all(error.startswith("PoisonousJob: 4 processes have died") for error in errors)
    assert again == 1
    workers.wait_until(lambda: has_ended(pids[-1]))


def has_ended(pid):
    """Say whether a process has died, its parent not having looked at it yet."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def pending(workers):
    """Count what has not ended."""

    async def ask(store):
        return sum(each.ready + each.delayed + each.leased for each in (await store.stats()).values())

    return workers.ask(ask)


@pytest.mark.parametrize("jobs", [pytest.param("short", marks=pytest.mark.slow), "long"])
def test_ten_kills_at_random_fail_no_job(workers, jobs):
    """With 32 running, whether or not any of them ends between two kills; in the end all are done that can be."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    draw = random.Random(seed)
    enqueue(workers, *(f"{jobs}-{number}" for number in range(32 if jobs == "long" else 3000)))
    for kill in range(10):
        pid = workers.start("grave", LEASE, "serve")
        workers.wait_until(lambda pid=pid, kill=kill: len(began(workers, pid)) >= (1 if kill else 32))
        time.sleep(draw.uniform(0, 0.2))
        workers.kill(pid)
    if jobs == "short":
        workers.start("grave", LEASE, "serve")
        workers.wait_until(lambda: not pending(workers))
    found = workers.ask(lambda store: store.stats())["A"]
    assert (found.failed, found.done) == (0, 3000 if jobs == "short" else 0)
