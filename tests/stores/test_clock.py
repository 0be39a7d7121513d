"""The clocks that a store reads, and how they stand to trio's."""

import gc
import math
import subprocess
import sys
import time

import attrs
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st
from trio.testing import MockClock

from scrapeengine.stores import clock as clocks
from scrapeengine.stores.backend import Notifier, Times
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.moment import BEGINNING, Moment, restarted

TIMES = st.floats(0, 1e9)


def here(**options):
    """Return the clocks of a trio run, and what they and trio's show in it."""

    async def main():
        clock = Clock.of_this_run()
        before = trio.current_time()
        reading = clock.read()
        return clock, before, reading, trio.current_time()

    return trio.run(main, **options)


@given(st.floats(1.5e9, 3e9), TIMES, TIMES)
@example(wall=1500000000.1242034, now=426258177.4085103, span=647483647.0)
def test_who_sleeps_until_a_time_wakes_when_it_has_come(wall, now, span):
    """Not a rounding error before it, nor long after."""
    clock = Clock(-9, lambda: now, float, lambda: wall, 0.0)
    moment = restarted(BEGINNING, clock.read())
    times = Times(clock, moment, Notifier())
    at = moment.awake + span
    deadline = times.deadline(at)
    assert deadline + moment.offset >= at
    assert abs(deadline - (now + span)) < 1e-5
    assert times.deadline(math.inf) == math.inf


def test_trios_own_clock_is_the_machines_monotonic_one():
    """All processes of a boot read the same, and know it by the boot's number."""
    code = "from stores.test_clock import here; clock, _, reading, _ = here(); print(clock.id, *reading)"
    before, first, after = time.monotonic(), here(), time.monotonic()
    command = [sys.executable, "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"]
    said = subprocess.run(command, capture_output=True, check=True)
    number, _, *shown = said.stdout.split()
    awake, slept, wall = map(float, shown)
    clock, by, reading, at = first
    assert clock.id == reading.clock == int(number) >= 0
    assert before <= reading.awake <= after <= awake <= time.monotonic()
    assert abs(reading.slept - slept) < 1
    assert abs((wall - reading.wall) - (awake - reading.awake)) < 1
    assert by - 0.001 <= reading.awake + clock.trio <= at + 0.001
    assert abs(reading.wall - time.time()) < 60


@pytest.mark.skipif(not clocks._BOOT.exists(), reason="this system does not number its boots")
def test_the_number_of_a_boot(tmp_path, monkeypatch):
    """It is another one in each boot, and 0 where there is none, or it makes no sense."""
    numbers = {here()[0].id}
    for text in ("0c5f0d61-99d8-4983-adce-ca9b0b571e05", "5e9e8e14-99d8-4983-adce-ca9b0b571e05\n", "", "what?"):
        file = tmp_path / "boot_id"
        file.write_text(text)
        monkeypatch.setattr(clocks, "_BOOT", file)
        numbers.add(here()[0].id)
    file.unlink()
    assert here()[0].id == 0
    assert len(numbers) == 4, "this boot's, two others', and none's"
    assert max(numbers) < 2**63


def test_a_system_whose_clocks_all_stand_still_in_sleep(monkeypatch):
    """It has slept for nothing."""
    assert here()[2].slept >= -0.001
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC"):
        monkeypatch.delattr(time, name, raising=False)
        assert here()[2].slept == pytest.approx(0, abs=0.01)
    assert here()[2].slept == 0


def test_a_simulated_clock_rules_all():
    """Whoever asks, and whenever: the number, and wall time, which begins with the machine's, are that clock's."""
    clock = MockClock()
    before = time.time()
    first, _, reading, _ = here(clock=clock)
    assert (reading.awake, reading.slept) == (0, 0)
    assert before <= reading.wall <= time.time()
    assert reading.clock < -1
    clock.jump(3600)
    assert first.read() == (reading.clock, 3600, 0, pytest.approx(reading.wall + 3600, abs=1e-5))
    _, _, again, _ = here(clock=clock)
    assert again == first.read()
    assert here(clock=MockClock())[0].id != first.id


def test_simulated_clocks_are_not_kept():
    """Each is forgotten with the run that it was made for."""
    here(clock=MockClock())
    gc.collect()
    before = len(clocks._SIMULATED)
    for _ in range(5):
        here(clock=MockClock())
    gc.collect()
    assert len(clocks._SIMULATED) <= before


class Slotted(trio.abc.Clock):
    """A clock to which no weak reference can be made."""

    __slots__ = ()

    def start_clock(self):
        """Begin."""

    def current_time(self):
        """Stand still."""
        return 5.0

    def deadline_to_sleep_time(self, deadline):
        """Wait for the loop."""
        return deadline - 5


@attrs.define
class Slowed(trio.abc.Clock):
    """A clock of a program's own: a value, as trio's is one."""

    zero: float

    def start_clock(self):
        """Begin."""

    def current_time(self):
        """Go at half the pace."""
        return (time.perf_counter() - self.zero) / 2

    def deadline_to_sleep_time(self, deadline):
        """Sleep for twice as long."""
        return 2 * (deadline - self.current_time())


def test_a_clock_of_the_programs_own_is_a_simulated_one():
    """Trio's own is known by what it is, not by how it behaves."""
    zero = time.perf_counter()
    one, equal = Slowed(zero), Slowed(zero)
    clock, _, reading, _ = here(clock=one)
    assert clock.id == here(clock=one)[0].id < -1
    assert 0 <= reading.awake < 60
    still = Slotted()
    assert here(clock=still)[0].id == here(clock=still)[0].id < -1
    assert here(clock=equal)[0].id not in {clock.id, here()[0].id}


def test_a_store_that_sees_another_clocks_moment_wakes_who_waits():
    """What they wait for was counted by a clock that is gone."""
    notifier = Notifier()
    times = Times(Clock(5, float, float, float, 0.0), Moment(5, 1.0, 0.0, 0.0, 1.0), notifier)
    notifier.alarm = 7.0
    times.adopt(Moment(5, 1.0, 0.0, 9.0, 2.0))
    assert (notifier.count, notifier.alarm) == (0, 7.0)
    times.adopt(Moment(5, 3.0, 0.0, 9.0, 5.0))
    assert (notifier.count, notifier.alarm) == (1, math.inf)
