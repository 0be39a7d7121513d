"""A process may be killed at any instant: what was acknowledged is done in the end, and each result accepted once.

And delivered, once more at most for each death that it was on its way at.
"""

import os
import random
import signal
import time

import pytest

import scrapeengine as se

LEASE = 0.6
HAD_AT_MOST = 220
"""Outcomes that a consumer may have had and the store has not been told of: what is written together, and its queue."""


def pending(stats):
    """Count what has not ended."""
    return sum(each.ready + each.delayed + each.leased for each in stats.values())


async def stats(store):
    """Count the jobs."""
    return await store.stats()


def states_of(ids):
    """Return a question: the state of each of these jobs."""

    async def ask(store):
        return {id: (await store.get("A", id)) for id in ids}

    return ask


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_kill_9(workers, kills):
    """Enqueueing and serving processes are killed again and again; none of it is lost, and none is accepted twice."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed)
    draw = random.Random(seed)
    serving = [workers.start("serve", LEASE), workers.start("serve", LEASE)]
    first = 0
    for _ in range(kills // 2):
        enqueueing = workers.start("enqueue", first, 200)
        if not first:  # however busy the machine is, some is acknowledged
            workers.wait_until(workers.acknowledged)
        time.sleep(draw.uniform(0.02, 0.25))
        workers.kill(enqueueing)
        first += 200
        workers.kill(serving.pop(draw.randrange(2)))
        serving.append(workers.start("serve", LEASE))
    acknowledged = workers.acknowledged()
    assert acknowledged
    workers.wait_until(lambda: not pending(workers.ask(stats)))
    jobs = workers.ask(states_of(acknowledged))
    assert {id: job for id, job in jobs.items() if job is None or job.status is not se.JobStatus.DONE} == {}
    workers.wait_until(lambda: set(acknowledged) <= workers.delivered().keys())
    assert sum(count - 1 for count in workers.delivered().values()) <= HAD_AT_MOST * (kills // 2)
    accepted = workers.accepted()
    assert {id: count for id, count in accepted.items() if count > 1} == {}
    # A process that was killed between the store's word and its own log may have kept silent about a few.
    assert len(accepted) >= len(acknowledged) - 20 * kills
    assert sum(job.attempts > 1 for job in jobs.values()) > 0 or kills == 10


@pytest.mark.slow
def test_a_process_that_was_stopped_for_longer_than_its_lease(workers):
    """What it had in hand is done by another; when it goes on its results are refused."""
    paused = workers.start("serve", LEASE)
    workers.start("enqueue", 0, 2000)
    workers.wait_until(lambda: len(workers.accepted()) > 100)
    workers.pause(paused)
    time.sleep(2 * LEASE)
    workers.start("serve", LEASE)
    workers.wait_until(lambda: len(workers.acknowledged()) == 2000 and not pending(workers.ask(stats)))
    before = workers.accepted()
    os.kill(paused, signal.SIGCONT)
    workers.start("enqueue", 2000, 200)
    workers.wait_until(lambda: len(workers.acknowledged()) == 2200 and not pending(workers.ask(stats)))
    accepted = workers.accepted()
    assert {id: count for id, count in accepted.items() if count > 1} == {}
    assert all(accepted[id] == count for id, count in before.items())
    jobs = workers.ask(states_of(map(str, range(2200))))
    assert {job.status for job in jobs.values()} == {se.JobStatus.DONE}
    assert any(job.attempts > 1 for job in jobs.values())
