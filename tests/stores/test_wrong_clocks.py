"""A machine's clock that is wrong, or is set: it costs a store nothing but due dates. In memory and in a file alike.

The clock is set under a store that is open, between two openings, and between two that are open at once.
"""

import time
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from scrapeengine.model.job import JobStatus, Kept, Reply, ShareRequest
from scrapeengine.model.policy import Rate
from scrapeengine.stores import open_store
from stores.harness import claimed, done, job, order
from stores.machines import Machine

OK, ALREADY, LOST = Reply
STEPS = [30.0, -30.0, 3600.0, -3600.0, 5e6, -5e6, 2.3e9, -1.69e9]
"""Half a minute, an hour, two months, to 2096 and to 1970."""


@pytest.fixture(params=STEPS)
def step(request):
    """Give seconds by which a clock is set."""
    return request.param


def play(scenario):
    """Play a scenario on a machine, by a simulated clock that only it moves."""
    clock = MockClock()
    trio.run(scenario, Machine(clock), clock.jump, clock=clock)


def share_request(wanted=9, held=0, limit=4, **values):
    """Make a request for a share."""
    return ShareRequest(**{"limit": limit, "wanted": wanted, "held": held, "rates": (), "requests": 0, **values})


async def left(store, id, platform="p"):
    """Say in how many seconds a job is due, or its lease ends."""
    return pytest.approx((await store.get(platform, id)).due - store.now(), abs=1e-5)


async def slots(store, owner, lease=5):
    """Ask for slots."""
    return (await store.share(owner, {"p": share_request()}, lease))["p"].slots


# -- under a store that is open


def test_under_an_open_store_leases_and_delays_last_as_long_as_they_should(url, step):
    """Not a moment longer, nor shorter."""

    async def scenario(machine, jump):
        async with machine.open(url) as store:
            await store.enqueue([job("a"), job("b", delay=20), job("c", delay=20, cadence="c")])
            (a,) = await claimed(store, lease=10)
            machine.set_clock(step)
            await store.enqueue([job("d")])
            assert await order(store) == ["d"]
            assert await left(store, "a") == 10
            assert await left(store, "b") == 20
            jump(9.5)
            assert await store.due() == ["p"]
            assert await order(store) == ["d"]
            assert await store.renew([a], 10) == [OK]
            machine.set_clock(-2 * step)
            jump(9.5)
            await store.due()
            assert await order(store) == ["d"]
            assert await store.complete([done(a)]) == [OK]
            jump(0.5)
            assert await left(store, "c") == 0.5
            jump(0.5)
            await store.due()
            assert await order(store) == ["d", "b", "c"]

    play(scenario)


def test_under_an_open_store_what_is_shown_follows_the_clock(url, step):
    """Also of what was done before; no age is negative, and what `now` says is the clock's."""

    async def scenario(machine, jump):
        async with machine.open(url) as store:
            await store.enqueue([job("a"), job("b")])
            jump(10)
            ticket, _ = await claimed(store, lease=100)
            await store.complete([done(ticket)])
            await store.enqueue([job("c")])
            jump(10)
            machine.set_clock(step)
            stored = await store.get("p", "a")
            assert stored.enqueued == pytest.approx(1.7e9 + step, abs=1e-5)
            assert stored.finished == pytest.approx(1.7e9 + step + 10, abs=1e-5)
            assert store.now() == pytest.approx(1.7e9 + step + 20, abs=1e-5)
            assert (await store.stats())["p"].oldest == pytest.approx(10)
            (again,) = await store.claim("p", 1, "me", 1)
            assert again.enqueued == pytest.approx(1.7e9 + step + 10, abs=1e-5)

    play(scenario)


def test_under_an_open_store_what_has_ended_is_known_for_as_long_as_it_should(url, step):
    """By the store's `keep` and by the completion's."""

    async def scenario(machine, jump):
        async with machine.open(url, keep=60) as store:
            await store.enqueue([job("a"), job("b")])
            a, b = await claimed(store)
            await store.complete([done(a), done(b, keep=100)])
            machine.set_clock(step)
            jump(59)
            assert [known.new for known in await store.enqueue([job("a"), job("b")])] == [False, False]
            machine.set_clock(-step)
            jump(1)
            assert [known.new for known in await store.enqueue([job("a"), job("b")])] == [True, False]
            jump(40)
            assert [known.new for known in await store.enqueue([job("b")])] == [True]

    play(scenario)


def test_under_an_open_store_locks_slots_and_outcomes_are_in_one_hand(url, step):
    """For as long as they were given, and no longer."""

    async def scenario(machine, jump):
        async with machine.open(url) as store:
            await store.enqueue([job("a")])
            (a,) = await claimed(store)
            await store.complete([done(a, outcome="o", deliver=5)])
            assert await store.lock("l", "me", 5)
            assert await slots(store, "me") == 4
            machine.set_clock(step)
            jump(4.5)
            assert not await store.lock("l", "you", 5)
            assert await slots(store, "you") == 0
            assert await store.undelivered("", 9, 5) == []
            jump(0.5)
            assert await store.lock("l", "you", 5)
            assert await slots(store, "you") == 4
            assert await store.undelivered("", 9, 5) == [Kept(a, "o")]
            machine.set_clock(-step)
            assert await store.undelivered("", 9, 5) == []
            jump(5)
            assert await store.undelivered("", 9, 5) == [Kept(a, "o")]

    play(scenario)


def test_under_an_open_store_penalties_and_start_times_are_kept(url, step):
    """A penalty is told in the time that `now` shows, before a step and after; no start time is given twice."""

    async def scenario(machine, jump):
        async with machine.open(url) as store:

            async def ask(owner, **values):
                share = (await store.share(owner, {"p": share_request(**values)}, 5))["p"]
                times = [at - store.now() for at in share.times]
                return pytest.approx(times, abs=1e-5), share.closed_until and share.closed_until - store.now()

            times, closed = await ask("me", rates=(Rate(10),), requests=5, closed_until=store.now() + 60)
            assert (times, closed) == ([0, 0.1, 0.2, 0.3, 0.4], pytest.approx(60, abs=1e-5))
            machine.set_clock(step)
            times, closed = await ask("you", rates=(Rate(10),), requests=2)
            assert (times, closed) == ([0.5, 0.6], pytest.approx(60, abs=1e-5))
            jump(30)
            # Who has known of it since then tells it in the time of now.
            _, closed = await ask("you", closed_until=store.now() + 30)
            assert closed == pytest.approx(30, abs=1e-5)
            machine.set_clock(-2 * step)
            _, closed = await ask("me")
            assert closed == pytest.approx(30, abs=1e-5)
            jump(30)
            assert (await ask("me"))[1] is None

    play(scenario)


def test_a_round_that_goes_on_while_the_clock_is_set_takes_what_was_due_when_it_began(url, step):
    """`until` is told in the time that `now` shows at the call."""

    async def scenario(machine, jump):
        async with machine.open(url) as store:
            await store.enqueue([job("a", delay=5), job("b", delay=15), job("c", delay=25)])
            jump(10)
            machine.set_clock(step)
            await store.get("p", "a")
            jump(10)
            assert await store.due(store.now() - 10) == ["p"]
            assert await order(store) == ["a"]

    play(scenario)


def test_who_waits_while_the_clock_is_set_wakes_when_something_is_due(step):
    """In memory, where nobody looks in between: at the very instant."""

    async def main():
        machine = Machine(trio.lowlevel.current_clock())
        async with machine.open("memory:") as store, trio.open_nursery() as nursery:
            await store.enqueue([job("a", delay=7), job("b")])
            await claimed(store, lease=5)
            await store.due()

            async def wait():
                for expected in (5, 7):
                    await store.wait(100)
                    assert trio.current_time() == expected
                    await store.due()
                    await claimed(store, lease=50)

            nursery.start_soon(wait)
            await trio.sleep(1)
            machine.set_clock(step)
            await store.lock("l", "me", 1)

    trio.run(main, clock=MockClock(autojump_threshold=0))


# -- between two openings


def test_what_was_opened_with_a_wrong_clock_starts_at_once_when_it_is_right(path, step):
    """What a killed process had leased, or locked, is free after its lease; delays are as long as they were."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        machine.set_clock(step)
        async with machine.open(url, keep=0) as store:
            await store.enqueue([job("a"), job("b", delay=50), job("c", delay=50, cadence="c"), job("d")])
            assert len(await claimed(store, 1, lease=30)) == 1
            (d,) = await claimed(store)
            await store.complete([done(d, outcome="o", deliver=30, keep=50)])
            assert await store.lock("round", "me", 30)
            assert await slots(store, "me") == 4
        machine.set_clock(-step)
        jump(4)
        async with machine.open(url, keep=0) as store:
            await store.enqueue([job("e")])
            assert await order(store) == ["e"]
            assert await left(store, "a") == 26
            assert [await left(store, id) for id in "bc"] == [46, 46]
            assert not await store.lock("round", "you", 30)
            assert not (await store.enqueue([job("d")]))[0].new
            jump(26)
            await store.due()
            assert await order(store) == ["a", "e"]
            assert await store.lock("round", "you", 30)
            assert await slots(store, "you") == 4
            assert len(await store.undelivered("", 9, 5)) == 1
            jump(20)
            await store.due()
            assert await order(store) == ["a", "e", "b", "c"]
            assert (await store.enqueue([job("d")]))[0].new

    play(scenario)


@pytest.mark.parametrize("ahead", STEPS)
def test_what_a_program_opened_with_a_wrong_clock_starts_at_once_too(path, ahead, monkeypatch):
    """By the clocks of this machine, as `open_store` finds them."""
    right = time.time

    async def opened_at(wrong, scenario):
        monkeypatch.setattr(time, "time", lambda: right() + wrong)
        async with open_store(f"sqlite:{path}") as store:
            await scenario(store)

    async def before(store):
        assert store.now() == pytest.approx(right() + ahead, abs=5)
        await store.enqueue([job("a"), job("b", delay=0.3), job("c")])
        await claimed(store, 1, lease=0.3)
        assert await store.lock("round", "me", 0.3)

    async def after(store):
        begun = store.now()
        assert begun == pytest.approx(right(), abs=5)
        await store.enqueue([job("d")])
        assert {"c", "d"} <= {*await order(store)}
        while not await store.lock("round", "you", 5):
            await trio.sleep(0.01)
        while len(await order(store)) < 4:
            await store.wait(1)
            await store.due()
        assert store.now() - begun < 5

    async def main():
        with trio.fail_after(20):
            await opened_at(ahead, before)
            await opened_at(0, after)

    trio.run(main)


# -- between two stores that are open


def test_two_that_opened_before_and_after_a_step_agree(path, step):
    """On whose a job is, on slots, locks, start times, penalties, and on what they show."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        async with machine.open(url) as mine:
            machine.set_clock(step)
            async with machine.open(url) as yours:
                for one, other in ((mine, yours), (yours, mine)):
                    platform = f"p{id(one)}"
                    await one.enqueue([job("a", platform), job("b", platform, delay=8)])
                    assert len(await one.claim(platform, 9, "one", 5)) == 1
                    assert await one.lock(platform, "one", 5)
                    asked = {platform: share_request(rates=(Rate(10),), requests=2, closed_until=one.now() + 20)}
                    first = (await one.share("one", asked, 5))[platform]
                    jump(4)
                    assert platform not in await other.due()
                    assert not await other.lock(platform, "other", 5)
                    second = (await other.share("other", {platform: share_request(rates=(Rate(10),), requests=1)}, 5))[
                        platform
                    ]
                    assert (first.slots, second.slots) == (4, 0)
                    assert second.closed_until - other.now() == pytest.approx(16, abs=1e-5)
                    assert await one.get(platform, "b") == await other.get(platform, "b")
                    jump(1)
                    assert platform in await other.due()
                    assert len(await other.claim(platform, 9, "other", 5)) == 1
                    assert await other.lock(platform, "other", 5)
                    jump(3)
                    assert platform in await other.due()

    play(scenario)


def test_two_that_opened_before_and_after_a_step_give_no_start_time_twice(path, step):
    """What one was given the other is not, at a rate that is slower than both ask."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        async with machine.open(url) as mine:
            machine.set_clock(step)
            async with machine.open(url) as yours:
                given = []
                for number in range(6):
                    store = (mine, yours)[number % 2]
                    asked = {"p": share_request(rates=(Rate(1, per=10),), requests=1)}
                    (at,) = (await store.share(str(number), asked, 500))["p"].times
                    given.append(at - store.now() + trio.current_time())
                    jump(1)
                    machine.set_clock(-step)
                assert given == pytest.approx([0, 10, 20, 30, 40, 50], abs=1e-5)

    play(scenario)


# -- a machine that sleeps


def test_while_the_machine_sleeps_leases_stand_still_and_due_dates_come(url):
    """What processes hold they hold by a clock that sleeps with them; what was due in an hour is due in one."""

    async def scenario(machine, jump):
        async with machine.open(url) as store:
            await store.enqueue([job("a"), job("b", delay=3600, cadence="c"), job("c", delay=3700)])
            (a,) = await claimed(store, lease=10)
            assert await store.lock("l", "me", 10)
            assert await slots(store, "me", 10) == 4
            begun = store.now()
            jump(9)
            machine.sleep(3600)
            assert await store.due() == ["p"]
            assert await order(store) == ["b"]
            assert not await store.lock("l", "you", 10)
            assert await slots(store, "you") == 0
            assert await left(store, "a") == 1
            assert await left(store, "c") == 91
            assert store.now() - begun == pytest.approx(3609)
            assert await store.renew([a], 10) == [OK]
            jump(10)
            await store.due()
            assert await order(store) == ["a", "b"]

    play(scenario)


def test_who_waits_looks_again_when_the_machine_has_slept():
    """What has become due meanwhile is seen at the next change, before its time by the clock that has slept."""

    async def main():
        machine = Machine(trio.lowlevel.current_clock())
        async with machine.open("memory:") as store:
            await store.enqueue([job("a", delay=3600)])
            machine.sleep(3500)
            await store.wait(1e6)
            assert trio.current_time() == pytest.approx(100)
            assert await store.due() == ["p"]

    trio.run(main, clock=MockClock(autojump_threshold=0))


# -- reboots


@pytest.mark.parametrize("off", [0.0, 25.0])
def test_a_reboot_ends_what_processes_had(path, off):
    """Leases, locks, slots and outcomes in hand are free at once; what waits goes on waiting, by the wall clock."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        jump(1000)
        machine.sleep(500)
        async with machine.open(url, keep=60) as store:
            await store.enqueue([job("a"), job("b", delay=50), job("c")])
            _, c = await claimed(store, lease=1e6)
            await store.complete([done(c, outcome="o", deliver=1e6)])
            assert await store.lock("round", "me", 1e6)
            told = share_request(rates=(Rate(1, per=90),), requests=1, closed_until=store.now() + 70)
            await store.share("me", {"p": told}, 1e6)
            shown = await store.get("p", "b")
            seen = store.now()
        machine.reboot(off)
        async with machine.open(url, keep=60) as store:
            assert store.now() == pytest.approx(seen + off)
            assert await store.get("p", "b") == shown
            assert await order(store) == ["a"]
            assert await store.complete([done(c)]) == [ALREADY]
            assert await store.lock("round", "you", 5)
            assert await store.undelivered("", 9, 5) == [Kept(c, "o")]
            share = (await store.share("you", {"p": share_request(rates=(Rate(1, per=90),), requests=1)}, 5))["p"]
            assert share.slots == 4
            assert share.closed_until - store.now() == pytest.approx(70 - off)
            assert [at - store.now() for at in share.times] == [pytest.approx(90 - off)]
            assert await left(store, "b") == 50 - off
            jump(49.5 - off)
            await store.due()
            assert await order(store) == ["a"]
            jump(0.5)
            await store.due()
            assert await order(store) == ["a", "b"]
            assert not (await store.enqueue([job("c")]))[0].new
            jump(10)
            assert (await store.enqueue([job("c")]))[0].new

    play(scenario)


def test_after_a_reboot_with_a_wrong_clock_nothing_waits_for_longer_than_its_length(path, step):
    """With one that is behind all waits for what was left, with one that is ahead it is due; the rest is over."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        async with machine.open(url, keep=60) as store:
            await store.enqueue([job("a"), job("b", delay=50), job("c")])
            _, c = await claimed(store, lease=1e6)
            await store.complete([done(c)])
            assert await store.lock("round", "me", 1e6)
            told = share_request(rates=(Rate(1, per=90),), requests=1, closed_until=store.now() + 70)
            await store.share("me", {"p": told}, 1e6)
            jump(20)
            await store.enqueue([job("d")])
        machine.reboot(off=step)
        async with machine.open(url, keep=60) as store:
            await store.due()
            waits = step < 30
            assert (await store.get("p", "b")).status is (JobStatus.DELAYED if waits else JobStatus.READY)
            if waits:
                assert await left(store, "b") == 30
            assert [each for each in await order(store) if each != "b"] == ["a", "d"]
            assert await store.lock("round", "you", 5)
            share = (await store.share("you", {"p": share_request(rates=(Rate(1, per=90),), requests=1)}, 5))["p"]
            assert (share.closed_until or store.now()) - store.now() == pytest.approx(max(0, 50 - max(0, step)))
            assert [at - store.now() for at in share.times] == [pytest.approx(max(0, 70 - max(0, step)))]
            known = max(0, 40 - max(0, step))
            assert (await store.enqueue([job("c")]))[0].new is (known == 0)
            # It is set right now, and wrong again: nothing comes of it.
            machine.set_clock(-step)
            jump(30)
            await store.due()
            assert (await store.get("p", "b")).status is JobStatus.READY
            jump(known)
            assert (await store.enqueue([job("c")]))[0].new is (known > 0)

    play(scenario)


def test_a_reboot_is_the_same_rule_in_memory():
    """No process lives through one; the rules are the shelf's, whatever it keeps its things on."""

    async def scenario(machine, jump):
        async with machine.open("memory:") as store:
            await store.enqueue([job("a"), job("b")])
            a, _ = await claimed(store, lease=1e6)
            await store.complete([done(a, outcome="o", deliver=1e6)])
            assert await store.lock("l", "me", 1e6)
            await store.share("me", {"p": share_request(closed_until=store.now() + 70)}, 1e6)
            machine.reboot(off=20)
            store._times.clock = machine.clock
            assert await store.undelivered("", 9, 5) == [Kept(a, "o")]
            assert await order(store) == ["b"]
            assert await store.lock("l", "you", 5)
            share = (await store.share("you", {"p": share_request()}, 5))["p"]
            assert (share.slots, share.closed_until - store.now()) == (4, pytest.approx(50))

    play(scenario)


@pytest.mark.parametrize("lower", [True, False])
def test_without_a_number_of_the_boot_a_clock_that_has_gone_back_is_another_boot(path, lower):
    """Where it has not, what is left of a lease passes once more, and no more than that."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        jump(100)
        async with machine.open(url, boot=0) as store:
            await store.enqueue([job("a")])
            await claimed(store, lease=40)
        machine.reboot()
        if not lower:
            jump(110)
        async with machine.open(url, boot=0) as store:
            await store.due()
            if not lower:
                assert await left(store, "a") == 30
                jump(30)
                await store.due()
            assert await order(store) == ["a"]

    play(scenario)


def test_who_cannot_see_the_number_of_the_boot_shares_with_who_can(path):
    """Neither takes from the other what it holds."""
    url = f"sqlite:{path}"

    async def scenario(machine, jump):
        async with machine.open(url) as mine, machine.open(url, boot=0) as yours:
            for one, other in ((mine, yours), (yours, mine)):
                await one.enqueue([job("a")])
                (ticket,) = await claimed(one)
                assert await other.due() == []
                await other.enqueue([job("b")])
                assert await one.complete([done(ticket)]) == [OK]
                assert [await other.cancel("p", id) for id in "ab"] == [False, True]
                jump(1e6)

    play(partial(scenario))


# -- simulated clocks


def test_a_file_goes_from_a_simulated_clock_to_the_machines_and_back(path):
    """What was held by one is free by another; what waited waits for no longer than was left."""

    async def simulated():
        async with open_store(f"sqlite:{path}") as store:
            await store.enqueue([job("a"), job("b", delay=500)])
            assert len(await claimed(store, lease=1e6)) == 1
            assert await store.lock("l", "me", 1e6)
            trio.lowlevel.current_clock().jump(400)
            async with open_store(f"sqlite:{path}") as other:
                assert await left(other, "b") == 100
                await other.enqueue([job("c")])
                assert await order(other) == ["c"]
                assert not await other.lock("l", "you", 5)

    async def real():
        async with open_store(f"sqlite:{path}") as store:
            await store.due()
            assert await order(store) == ["a", "c"]
            stored = await store.get("p", "b")
            assert 95 < stored.due - store.now() <= 100 + 1e-5
            assert await store.lock("l", "you", 1e6)
            assert len(await claimed(store, lease=1e6)) == 2

    async def simulated_again():
        async with open_store(f"sqlite:{path}") as store:
            await store.due()
            assert await order(store) == ["a", "c"]
            assert await store.lock("l", "me", 1e6)
            trio.lowlevel.current_clock().jump(100)
            await store.due()
            assert await order(store) == ["a", "c", "b"]

    trio.run(simulated, clock=MockClock())
    trio.run(real)
    trio.run(simulated_again, clock=MockClock())
