"""The time of a store: it only goes forward, whatever becomes of the machine's clocks."""

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.stores.clock import Reading
from scrapeengine.stores.moment import BEGINNING, Moment, is_of, later, restarted

SAME = 1e-5
"""Seconds that rounding may make, of times as large as these."""
SPANS = st.floats(0, 1e5) | st.just(0.0)
STEPS = st.sampled_from([30.0, -30.0, 3600.0, -3600.0, 2.3e9, -1.6e9]) | st.floats(-1e6, 1e6)
HAPPENS = st.one_of(
    st.tuples(st.just("pass"), SPANS),
    st.tuples(st.just("step"), STEPS),
    st.tuples(st.just("sleep"), SPANS),
    st.tuples(st.just("reboot"), SPANS),
    st.tuples(st.just("write"), SPANS),
)


@attrs.define
class Truth:
    """How much time has really passed, and what the clocks of the machine show."""

    boot: int = 7
    awake: float = 12.5
    slept: float = 3.25
    wall: float = 1.7e9
    passed: float = 0.0
    stepped: bool = False

    def happen(self, what: str, seconds: float) -> None:
        """Let something happen."""
        if what == "step":
            self.wall += seconds
            self.stepped = True
            return
        self.passed += seconds
        self.wall += seconds
        if what == "sleep":
            self.slept += seconds
        elif what == "reboot":
            self.boot, self.awake, self.slept = self.boot + 1, 0.0, 0.0
        else:
            self.awake += seconds

    def reading(self, boot: int | None = None) -> Reading:
        """Read the clocks."""
        return Reading(self.boot if boot is None else boot, self.awake, self.slept, self.wall)


def moved(moment: Moment, reading: Reading) -> Moment:
    """Move on to what clocks show, as a store does."""
    return later(moment, reading) if is_of(moment, reading) else restarted(moment, reading)


@given(st.lists(HAPPENS, max_size=30))
def test_no_instant_lies_further_ahead_than_its_own_length(happens):
    """Neither by the clock that sleeps nor by the one that runs on; and both only go forward."""
    truth = Truth()
    moment = moved(BEGINNING, truth.reading())
    longest = {"now": {}, "awake": {}}
    for what, seconds in happens:
        truth.happen(what, seconds)
        before, moment = moment, moved(moment, truth.reading())
        assert moment.now >= before.now - SAME
        if what == "reboot":
            # What is left of an instant by `awake` is moved by this much: a penalty, and what a rate has used.
            shift = before.asleep - moment.asleep
            longest["awake"] = {at + shift: length for at, length in longest["awake"].items()}
        else:
            assert moment.awake >= before.awake
        for axis, instants in longest.items():
            for at, length in instants.items():
                assert at - getattr(moment, axis) <= length + SAME
            if what == "write":
                instants[getattr(moment, axis) + seconds] = seconds


@given(st.lists(HAPPENS.filter(lambda each: each[0] != "reboot"), max_size=30))
def test_in_one_boot_steps_of_the_wall_clock_cost_nothing(happens):
    """What has passed is what has passed, to the second that is asked of sleep, and what is shown follows the clock."""
    truth = Truth()
    first = moment = moved(BEGINNING, truth.reading())
    for what, seconds in happens:
        truth.happen(what, seconds)
        moment = moved(moment, truth.reading())
        slept = truth.slept - 3.25
        assert moment.awake - first.awake == pytest.approx(truth.passed - slept, abs=SAME)
        assert truth.passed - 0.5 - SAME <= moment.now - first.now <= truth.passed + SAME
        assert moment.shown(moment.now) == pytest.approx(truth.wall, abs=0.5 + SAME)


@given(st.lists(HAPPENS.filter(lambda each: each[0] != "step"), max_size=30))
def test_with_a_clock_that_is_right_reboots_are_counted(happens):
    """What has passed is what has passed, also while the machine was off."""
    truth = Truth()
    first = moment = moved(BEGINNING, truth.reading())
    for what, seconds in happens:
        truth.happen(what, seconds)
        moment = moved(moment, truth.reading())
    # What was slept last may not be seen yet, half a second of it at most in each boot.
    boots = 1 + sum(what == "reboot" for what, _ in happens)
    assert truth.passed - 0.5 * boots - SAME <= moment.now - first.now <= truth.passed + 0.5 * boots + SAME


@given(st.lists(HAPPENS, max_size=10), st.lists(HAPPENS, max_size=10))
def test_a_clock_that_was_wrong_and_is_right_again_is_forgotten(happens, more):
    """A reboot with a right clock counts the time that has passed since, whatever it showed before, if it was set."""
    truth = Truth()
    moment = moved(BEGINNING, truth.reading())
    for what, seconds in happens:
        truth.happen(what, seconds)
        moment = moved(moment, truth.reading())
    steady = [each for each in more if each[0] != "step"]
    begun, passed = moment.now, truth.passed
    for what, seconds in steady:
        truth.happen(what, seconds)
        moment = moved(moment, truth.reading())
    assert moment.now - begun == pytest.approx(truth.passed - passed, abs=0.5 * (len(steady) + 1) + SAME)


@pytest.mark.parametrize("apart", [0.3, -0.3])
def test_what_an_interruption_between_two_readings_makes_is_no_step(apart):
    """What is shown stays as it is, to the last digit, and no time is taken for slept."""
    before = Moment(1, 5.0, 2.0, 9.0, 1.7e9)
    after = later(before, Reading(1, 1.7e9, 2.0 + apart, 1.7e9 + 16.0 + apart))
    assert after == Moment(1, 5.0, 2.0, 9.0, 1.7e9 + 5.0)


@pytest.mark.parametrize("behind", [1.0, 3600.0, 1.6e9])
def test_a_clock_that_is_behind_after_a_reboot_lets_time_stand_still_but_not_go_back(behind):
    """It goes on from the last moment that was written down; what is shown is the clock's."""
    before = Moment(1, 5.0, 0.0, 0.0, 1.7e9)
    after = restarted(before, Reading(2, 1.0, 0.0, 1.7e9 - behind))
    assert after.now == 1.7e9
    assert after.shown(after.now) == 1.7e9 - behind
    assert restarted(before, Reading(2, 1.0, 0.0, 1.7e9 + behind)).now == 1.7e9 + behind


@pytest.mark.parametrize(
    ("written", "read", "known"),
    [
        ((5, 100.0), (5, 100.0), True),
        ((5, 100.0), (5, 99.0), False),  # a snapshot that was taken back
        ((5, 100.0), (6, 101.0), False),
        ((5, 100.0), (0, 101.0), True),  # one process can't see the boot's number
        ((0, 100.0), (5, 101.0), True),
        ((0, 100.0), (0, 101.0), True),
        ((0, 100.0), (0, 99.0), False),
        ((-5, 100.0), (0, 101.0), False),
        ((0, 100.0), (-5, 101.0), False),
        ((-5, 100.0), (-5, 101.0), True),
        ((-5, 100.0), (-6, 101.0), False),
        ((-1, 0.0), (0, 1.0), False),  # nothing was written down yet
    ],
)
def test_whose_boot_it_is(written, read, known):
    """Another number is another boot, no number is any; and a clock that has gone back is another one."""
    moment = Moment(written[0], 0.0, 0.0, 0.0, written[1])
    assert is_of(moment, Reading(*read, 0.0, 1.7e9)) is known


def test_a_number_that_somebody_can_see_is_kept():
    """Who cannot see it does not take it away from the others."""
    moment = later(Moment(5, 0.0, 0.0, 0.0, 1.0), Reading(0, 2.0, 0.0, 0.0))
    assert moment.clock == 5
    assert later(Moment(0, 0.0, 0.0, 0.0, 1.0), Reading(5, 2.0, 0.0, 0.0)).clock == 5


def test_it_is_read_as_it_was_written_down():
    """Also where SQLite has made a whole number of one that was not; what is missing is as in the beginning."""
    moment = Moment(9, 1.5, 2.0, -3.0, 1.7e9)
    assert Moment.of(dict(zip(Moment._fields, map(int, moment), strict=True))) == Moment(9, 1.0, 2.0, -3.0, 1.7e9)
    assert Moment.of({"pending": 3}) == BEGINNING
    assert Moment.of({"awake": 7, "pending": 3}) == BEGINNING._replace(awake=7.0)
    assert all(math.isfinite(each) for each in BEGINNING)
