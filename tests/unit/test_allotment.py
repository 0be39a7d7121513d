"""The part of one engine in a shared rate: it starts at reserved times only, and a stall is followed by no burst."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeAlias

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.allotment import Allotment
from scrapeengine.decide.rate import Booking, RateLimiter
from scrapeengine.decide.share import reserve
from scrapeengine.model.policy import Rate

RATES = st.builds(Rate, st.floats(0.1, 100), per=st.floats(0.1, 10), burst=st.integers(1, 6) | st.just(1))
SOME = st.floats(0, 2.5) | st.sampled_from([0.0, 0.5, 1.0])


class Wait(NamedTuple):
    """Let time pass: so many intervals."""

    intervals: float


class UntilOpen(NamedTuple):
    """Let time pass until one engine's allotment is open, and so many intervals more."""

    engine: int
    intervals: float


class Ask(NamedTuple):
    """Have one engine reserve so many times."""

    engine: int
    times: int


class Book(NamedTuple):
    """Have one engine book as often as it may, at most so many times; the tasks begin at once or not yet."""

    engine: int
    times: int
    begin: bool


class Use(NamedTuple):
    """Have one engine use one of its bookings."""

    engine: int
    index: int


class Excuse(NamedTuple):
    """Have one engine excuse one of its bookings, which is left."""

    engine: int
    index: int


class GiveBack(NamedTuple):
    """Have one engine give one of its bookings back."""

    engine: int
    index: int


Step: TypeAlias = Wait | UntilOpen | Ask | Book | Use | Excuse | GiveBack

ENGINE = st.integers(0, 2)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.builds(Wait, SOME)
    | st.builds(UntilOpen, ENGINE, st.just(0.0) | SOME)
    | st.builds(Ask, ENGINE, st.integers(1, 6))
    | st.builds(Book, ENGINE, st.integers(1, 4), st.booleans())
    | st.builds(Use, ENGINE, st.integers(0, 9))
    | st.builds(Excuse, ENGINE, st.integers(0, 9))
    | st.builds(GiveBack, ENGINE, st.integers(0, 9)),
    max_size=80,
)


@attrs.define(eq=False)
class Engine:
    """One engine, and what the platform sees of it."""

    allotment: Allotment
    reserved: list[float] = attrs.field(factory=list)
    booked: list[Booking] = attrs.field(factory=list)
    uses: list[float] = attrs.field(factory=list)


class Driver:
    """Drives the allotments of three engines on one platform."""

    def __init__(self, rate: Rate, start: float) -> None:
        self.rate = rate
        self.now = start
        self.tats: dict[float, float] = {}
        self.engines = [Engine(Allotment(rate)) for _ in range(3)]

    def run(self, steps: list[Step]) -> None:
        """Take all the steps."""
        for step in steps:
            match step:
                case Wait(intervals):
                    self.now += intervals * self.rate.interval
                case UntilOpen(index, intervals):
                    opens_at = self.engines[index].allotment.opens_at(self.now)
                    if opens_at < math.inf:
                        self.now = max(self.now, opens_at) + intervals * self.rate.interval
                case Ask(index, times):
                    self.ask(self.engines[index], times)
                case Book(index, times, begin):
                    self.book(self.engines[index], times, begin=begin)
                case Use(index, which) if self.engines[index].booked:
                    self.use(self.engines[index], which)
                case Excuse(index, which) if booked := self.engines[index].booked:
                    self.engines[index].allotment.excuse(booked[which % len(booked)])
                case GiveBack(index, which) if booked := self.engines[index].booked:
                    self.engines[index].allotment.give_back(booked.pop(which % len(booked)))
                case _:
                    pass
            self.look()

    def ask(self, engine: Engine, n: int) -> None:
        """Have an engine reserve times, as the ledger has it, and take them in."""
        times, self.tats = reserve(self.tats, self.now, [self.rate], n)
        engine.reserved += times
        engine.allotment.take_in(reversed(times), self.now)

    def book(self, engine: Engine, times: int, *, begin: bool) -> None:
        """Have an engine book at this instant, as long as it may."""
        for _ in range(times):
            if engine.allotment.opens_at(self.now) <= self.now:
                engine.booked.append(engine.allotment.book())
                if begin:
                    engine.allotment.begin(engine.booked[-1], self.now)

    def use(self, engine: Engine, which: int) -> None:
        """Have an engine use a booking."""
        if engine.allotment.use(engine.booked.pop(which % len(engine.booked)), self.now):
            engine.uses.append(self.now)

    def look(self) -> None:
        """Look at what is kept and said: as much as was taken in and has not lapsed, and no more."""
        for engine in self.engines:
            allotment = engine.allotment
            fresh = [time for time in engine.reserved if self.now < time + late(self.rate)]
            opens_at = allotment.opens_at(self.now)
            assert allotment.left(self.now) + len(allotment._booked) <= len(fresh)
            # At fast rates a booking has lapsed after an interval, and its time has not.
            assert len(allotment._booked) <= self.rate.burst - 1 + math.ceil(late(self.rate) / self.rate.interval)
            assert opens_at == math.inf or opens_at >= min(fresh)
            assert opens_at > self.now or allotment.left(self.now) > 0


def late(rate: Rate) -> float:
    """Return for how long a reserved time may be used."""
    return max(rate.interval, 0.02)


def check(uses: list[float], rate: Rate, more: float = 0) -> None:
    """Check that in no window there are more uses than the rate has it, and so many more."""
    for first, begin in enumerate(uses):
        for last, end in enumerate(uses[first:], start=1):
            assert last <= (rate.burst + more + (end - begin) * rate.count / rate.per) * (1 + 1e-6)


def match_up(uses: list[float], reserved: list[float], within: float) -> None:
    """Check that each use has a reserved time of its own which had come and had not lapsed."""
    left = sorted(reserved)
    for use in uses:
        own = next((time for time in left if time <= use < time + within), None)
        assert own is not None, f"a use at {use} that nothing was reserved for"
        left.remove(own)


@given(RATES, STEPS, st.floats(0, 100))
def test_engines_together_keep_to_what_was_reserved(rate: Rate, steps: list[Step], start: float) -> None:
    """Each use has its own reserved time; each engine keeps to the rate, all together to it and what may be late."""
    driver = Driver(rate, start)
    driver.run(steps)
    for engine in driver.engines:
        match_up(engine.uses, engine.reserved, late(rate))
        check(engine.uses, rate)
    check(
        sorted(use for engine in driver.engines for use in engine.uses), rate, more=late(rate) * rate.count / rate.per
    )


@given(RATES, STEPS, STEPS, st.floats(-100, 100))
def test_another_clock_changes_nothing(rate: Rate, first: list[Step], then: list[Step], seconds: float) -> None:
    """With a shift between them, two halves of a run keep to the rate as one."""
    driver = Driver(rate, 0.0)
    driver.run(first)
    driver.now += seconds
    driver.tats = {interval: tat + seconds for interval, tat in driver.tats.items()}
    for engine in driver.engines:
        engine.allotment.shift(seconds)
        engine.booked = []
        engine.uses = [use + seconds for use in engine.uses]
        engine.reserved = [time + seconds for time in engine.reserved]
    driver.run(then)
    for engine in driver.engines:
        check(engine.uses, rate)


@given(RATES, st.integers(1, 30))
def test_no_request_is_later_than_its_time(rate: Rate, requests: int) -> None:
    """Where all is used at once, each request starts at the very time that was reserved for it."""
    allotment, now = Allotment(rate), 5.0
    times, _ = reserve({}, now, [rate], requests)
    allotment.take_in(times, now)
    for number, time in enumerate(times):
        assert allotment.left(now) == requests - number
        now = max(now, allotment.opens_at(now))
        assert now == pytest.approx(time)
        assert allotment.use(allotment.book(), now)
    assert allotment.opens_at(now) == math.inf


@pytest.mark.parametrize("stall", [1.5, 2.0, 10.0])
def test_a_stall_is_followed_by_no_burst(stall: float) -> None:
    """What was reserved for the time of a stall is lost but for one, and that is used no closer to the next."""
    allotment = Allotment(Rate(1))
    allotment.take_in([0.0, 1.0, 2.0, 3.0, 4.0], 0.0)
    assert allotment.use(allotment.book(), 0.0)
    now, uses = stall, []
    while (now := max(now, allotment.opens_at(now))) < math.inf:
        assert allotment.use(allotment.book(), now)
        uses.append(now)
    assert uses == {1.5: [1.5, 2.5, 3.5, 4.5], 2.0: [2.0, 3.0, 4.0], 10.0: []}[stall]


def test_a_time_of_a_fast_rate_lapses_twenty_milliseconds_later() -> None:
    """No loop hits every millisecond."""
    allotment = Allotment(Rate(1000))
    allotment.take_in([1.0, 1.001], 0.0)
    assert allotment.opens_at(1.0195) <= 1.0195
    assert allotment.use(allotment.book(), 1.0195)
    assert allotment.left(1.0205) == 1
    assert allotment.left(1.0211) == 0


def test_a_time_lapses_one_interval_later() -> None:
    """Booked or not: one that is booked just before is of no use after."""
    allotment = Allotment(Rate(1))
    allotment.take_in([1.0, 3.0], 0.0)
    assert allotment.opens_at(0.0) == 1.0
    assert allotment.opens_at(1.9) == 1.0
    booking = allotment.book()
    allotment.begin(booking, 1.9)
    assert not allotment.use(booking, 2.0)
    assert allotment.opens_at(2.0) == 3.0
    assert allotment.left(3.9) == 1
    assert allotment.left(4.0) == 0
    allotment.take_in([2.0, 3.0, 9.0], 4.0)
    assert allotment.opens_at(4.0) == 9.0


def test_what_is_begun_and_not_used_counts_as_used() -> None:
    """As in a meter: a scraper that makes no requests is paced by it."""
    allotment = Allotment(Rate(1))
    allotment.take_in([0.0, 1.0, 2.0], 0.0)
    booking = allotment.book()
    allotment.begin(booking, 0.5)
    assert allotment.opens_at(0.6) == 1.5
    assert allotment.opens_at(1.5) == 1.5
    assert not allotment.use(booking, 1.5)


def test_a_time_outlives_a_booking_that_was_too_slow_for_a_fast_rate() -> None:
    """It is there for who books next, for as long as it holds."""
    allotment = Allotment(Rate(1_000_000))
    allotment.take_in([1.0], 0.0)
    booking = allotment.book()
    allotment.begin(booking, 1.0)
    assert not allotment.use(booking, 1.001)
    assert allotment.opens_at(1.001) <= 1.001
    assert allotment.use(allotment.book(), 1.001)
    assert allotment.left(1.001) == 0


def test_no_more_is_booked_than_can_be_sent_in_time() -> None:
    """Of a thousand that are woken together all would have lapsed before the first one runs."""
    allotment = Allotment(Rate(1_000_000, burst=1000))
    allotment.take_in([1.0] * 300, 0.0)
    booked = []
    while allotment.opens_at(1.0) <= 1.0:
        booked.append(allotment.book())
    assert len(booked) == 64
    assert 1.0 < allotment.opens_at(1.0) <= 1.01
    assert allotment.use(booked[0], 1.0)
    assert allotment.opens_at(1.0) <= 1.0
    assert allotment.left(1.0) == 300 - 64


def test_what_is_given_back_may_be_booked_again() -> None:
    """Once, and until its time lapses."""
    allotment = Allotment(Rate(1))
    allotment.take_in([0.0], 0.0)
    booking = allotment.book()
    assert allotment.left(0.0) == 0
    for _ in range(2):
        allotment.give_back(booking)
        assert allotment.left(0.5) == 1
    booking = allotment.book()
    allotment.give_back(booking)
    assert not allotment.use(booking, 0.6)
    assert allotment.left(1.0) == 0


def test_a_change_drops_all() -> None:
    """What was reserved under another rate is worth nothing; what is booked has lapsed."""
    allotment = Allotment(Rate(1))
    allotment.take_in([0.0, 5.0], 0.0)
    booking = allotment.book()
    allotment.change((Rate(2),), 0.0)
    assert allotment.rates == (Rate(2),)
    assert not allotment.use(booking, 0.0)
    assert allotment.opens_at(0.0) == math.inf
    allotment.take_in([0.5], 0.0)
    assert allotment.opens_at(0.0) == 0.5


def test_without_a_rate_everything_starts_at_once() -> None:
    """As in a meter; nothing need be reserved, and what was is not kept."""
    allotment, rate_limiter = Allotment(None), RateLimiter(None)
    allotment.take_in([7.0], 0.0)
    assert (allotment.opens_at(0.0), allotment.left(0.0)) == (-math.inf, 0)
    booking = allotment.book()
    assert booking is rate_limiter.book()
    allotment.begin(booking, 0.0)
    allotment.excuse(booking)
    assert allotment.use(booking, 0.0)
    allotment.give_back(booking)
    assert allotment.matters_until() == -math.inf
    allotment.change((Rate(1),), 0.0)
    assert not allotment.use(booking, 0.0)


def test_it_matters_until_what_it_has_is_lapsed() -> None:
    """And until what was used is earned again."""
    allotment = Allotment(Rate(1))
    assert allotment.matters_until() == -math.inf
    allotment.take_in([3.0, 8.0], 0.0)
    assert allotment.matters_until() == 9.0
    allotment.shift(10.0)
    assert allotment.matters_until() == 19.0
    assert allotment.opens_at(13.0) == 13.0
    assert allotment.use(allotment.book(), 13.0)
    assert allotment.left(19.0) == 0
    assert allotment.matters_until() == 14.0


def test_a_dear_request_takes_times_that_have_a_moment_in_common() -> None:
    """As many as it costs, the earliest of these; who costs less than was booked leaves the rest."""
    allotment = Allotment(Rate(10, burst=4))
    allotment.take_in([0.0, 0.5, 0.5, 0.5, 0.55], 0.0)
    assert allotment.opens_at(0.0, 2) == 0.5
    assert allotment.opens_at(0.0, 4) == 0.55
    assert allotment.opens_at(0.0, 5) == math.inf
    booking = allotment.book(3)
    assert not allotment.use(booking, 0.4)
    booking = allotment.book(4)
    assert allotment.use(booking, 0.56, 2)
    assert allotment.left(0.56) == 2
    late = allotment.book(2)
    assert not allotment.use(late, 0.62)
    assert allotment.left(0.62) == 1


def test_the_times_of_a_dear_booking_lapse_one_by_one() -> None:
    """What has not lapsed with the first of them is left for who books next."""
    allotment = Allotment(Rate(10, burst=4))
    allotment.take_in([0.5, 0.58], 0.0)
    allotment.book(2)
    assert allotment.left(0.61) == 1


@given(st.lists(RATES, min_size=1, max_size=2), st.lists(st.tuples(st.integers(1, 6), st.floats(0, 2)), max_size=20))
def test_dear_requests_are_used_at_the_very_times_that_were_reserved(
    rates: list[Rate], asked: list[tuple[int, float]]
) -> None:
    """Whatever they cost, where each is asked for and used in its turn."""
    allotment, now, tats = Allotment(rates), 0.0, dict[float, float]()
    for cost, pause in asked:
        now += pause * rates[0].interval
        times, tats = reserve(tats, now, rates, 1, cost=cost)
        allotment.take_in(times, now)
        now = max(now, allotment.opens_at(now, cost))
        assert now == pytest.approx(times[0], abs=1e-6)
        assert allotment.use(allotment.book(cost), now, cost)
