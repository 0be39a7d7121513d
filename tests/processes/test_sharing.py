"""Engines in several processes share a platform: its limit, its rate and its penalties are one."""

import os
import random
import signal
from bisect import bisect_right
from collections import Counter

import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.ledger import rate_broken

RATE = 40
LIMIT = 6
LATENCY = 0.05


def most_in_a_second(times):
    """Count the most times in any one second, its beginning and its end included."""
    times = sorted(times)
    return max(bisect_right(times, begin + 1.0) - index for index, begin in enumerate(times))


async def at_work(workers, handler, *, processes, rate, limit, seconds, jobs=2000, **more):
    """Have processes serve a store with jobs that ask a site; return the site's ledger after some seconds of work."""
    async with Site.open(handler) as site:
        engine = se.Engine([se.Platform("A", nothing)])
        async with se.open_store(workers.url) as store:
            await engine.enqueue(store, [se.Event(number) for number in range(jobs)])
        for _ in range(processes):
            workers.start("share", 5, site.url, rate, limit, *more.values())
        with trio.fail_after(60):
            while not site.ledger.requests:
                await trio.sleep(0.01)
        await trio.sleep(seconds)
        for pid in list(workers.pids):
            workers.kill(pid)
    return site.ledger


async def nothing(task):
    """Only platforms' names matter to who enqueues."""


async def test_four_processes_keep_one_rate_and_one_limit(workers):
    """Of 40/s in all: at most 41 requests booked in any second, 43 arrived, and most of what is allowed is used."""

    async def answer(_):
        await trio.sleep(LATENCY)
        return Answer(200)

    seconds = 6
    ledger = await at_work(workers, answer, processes=4, rate=RATE, limit=LIMIT, seconds=seconds)
    booked = [when for times in workers.logged("booked") for when in times]
    assert len(booked) >= ledger.requests
    assert most_in_a_second(booked) <= RATE + 1
    assert most_in_a_second(ledger.arrivals) <= RATE + 3
    assert ledger.most_in_flight <= LIMIT
    assert ledger.requests >= 0.7 * RATE * seconds


@pytest.mark.slow
@pytest.mark.parametrize("cost", [1, 3])
async def test_three_processes_keep_several_rates_and_count_costs(workers, cost):
    """Of 40/s and 60 in 3 s with a burst of 30: in any window what was booked, and nearly all of it is used."""

    async def answer(_):
        await trio.sleep(LATENCY)
        return Answer(200)

    rates, seconds = [se.Rate(40), se.Rate(60, per=3, burst=30)], 6
    ledger = await at_work(
        workers, answer, processes=3, rate="40,60/3/30", limit=LIMIT, seconds=seconds, requests=1, cost=cost
    )
    # The first of each process are asked for before it is known what its requests cost.
    booked = sorted(Counter(when for times in workers.logged("booked") for when in times).items())
    assert len(booked) >= ledger.requests
    for rate in rates:
        assert not rate_broken([when for when, _ in booked], rate, slack=1e-3, costs=[each for _, each in booked])
        # What was booked may be used 25 ms later, and is some milliseconds on its way.
        late = 0.04 * rate.count / rate.per
        assert not rate_broken(sorted(ledger.arrivals), rate, slack=late, costs=[cost] * len(ledger.arrivals))
    assert ledger.requests * cost >= 0.8 * 20 * seconds


@pytest.mark.slow
async def test_four_processes_keep_one_limit(workers):
    """Where the limit binds and not the rate: never more than that at once, and most of it is used."""

    async def answer(_):
        await trio.sleep(0.4)
        return Answer(200)

    ledger = await at_work(workers, answer, processes=4, rate=1000, limit=LIMIT, seconds=6)
    assert ledger.most_in_flight == LIMIT
    assert ledger.requests >= 0.6 * LIMIT * 6 / 0.4


@pytest.mark.parametrize("stops", [3, pytest.param(50, marks=pytest.mark.slow)])
async def test_processes_that_are_stopped_and_continued_keep_one_limit(workers, stops):
    """For longer than their leases, or not: never more than four requests at once, and the others take over."""
    lease, most = 0.6, 4
    draw = random.Random(stops)

    async def answer(_):
        await trio.sleep(LATENCY)
        return Answer(200)

    async with Site.open(answer) as site:
        engine = se.Engine([se.Platform("A", nothing)])
        async with se.open_store(workers.url) as store:
            await engine.enqueue(store, [se.Event(number) for number in range(50 * stops)])
        pids = [workers.start("share", lease, site.url, 0, most, 20) for _ in range(2)]
        with trio.fail_after(60):
            while site.ledger.requests < 50:
                await trio.sleep(0.01)
        for stop in range(stops):
            before = site.ledger.requests
            await trio.to_thread.run_sync(workers.pause, pids[stop % 2])
            await trio.sleep(lease * draw.choice([0.5, 1.2, 1.2, 2.0]))
            os.kill(pids[stop % 2], signal.SIGCONT)
            await trio.sleep(draw.choice([0.1, 0.5]))
            assert site.ledger.most_in_flight <= most, f"after {stop + 1} stops"
            assert site.ledger.requests > before
    assert site.ledger.most_in_flight == most


@pytest.mark.slow
async def test_a_limit_of_one_goes_round(workers):
    """Three processes, one task at a time in all; each has its turn."""
    seen = []

    async def answer(request):
        seen.append(request.path)
        await trio.sleep(LATENCY)
        return Answer(200)

    ledger = await at_work(workers, answer, processes=3, rate=1000, limit=1, seconds=6)
    assert ledger.most_in_flight == 1
    assert len(seen) == len(set(seen))
    assert len(seen) >= 20


@pytest.mark.slow
async def test_what_one_process_is_told_all_obey(workers):
    """A 429 with `Retry-After: 3` closes the platform in all processes, within half a second."""
    told = []

    async def answer(_):
        if not told:
            told.append(trio.current_time())
            return Answer(429, headers={"Retry-After": "3"})
        return Answer(200)

    ledger = await at_work(workers, answer, processes=3, rate=RATE, limit=LIMIT, seconds=5)
    after = [when - told[0] for when in ledger.arrivals]
    assert not [when for when in after if 0.75 < when < 3]
    assert [when for when in after if when >= 3]


@pytest.mark.parametrize("rate", [0, RATE])
async def test_a_process_that_dies_leaves_its_part_to_others(workers, rate):
    """Its slots are free at once: the other one has two requests in flight by itself, and never more."""
    in_flight, killed, both = [], [], trio.Event()

    async def answer(_):
        begun = trio.current_time()
        in_flight.append(begun)
        if killed and sum(each > killed[0] for each in in_flight) == 2:
            both.set()
        await trio.sleep(0.2)
        in_flight.remove(begun)
        return Answer(200)

    async with Site.open(answer) as site:
        engine = se.Engine([se.Platform("A", nothing)])
        async with se.open_store(workers.url) as store:
            await engine.enqueue(store, [se.Event(number) for number in range(2000)])
        pids = [workers.start("share", 60, site.url, rate, 2) for _ in range(2)]
        with trio.fail_after(60):
            while site.ledger.requests < 20:
                await trio.sleep(0.01)
            workers.kill(pids[0])
            killed.append(trio.current_time())
            await both.wait()
        assert trio.current_time() <= killed[0] + 5
        assert site.ledger.most_in_flight <= 2
