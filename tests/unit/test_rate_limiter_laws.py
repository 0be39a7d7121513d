"""The law of the rate: in any window of w seconds at most `burst + w * count / per` requests start.

Of several rates each holds, and a request counts as many times as it costs; the last of a window may cost more than the
burst.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.rate import Booking, RateLimiter
from scrapeengine.model.policy import Rate

RATES = st.builds(Rate, st.floats(0.1, 100), per=st.floats(0.1, 10), burst=st.integers(1, 6) | st.just(1))


class Wait(NamedTuple):
    """Let time pass: so many intervals."""

    intervals: float


class UntilOpen(NamedTuple):
    """Let time pass until the meter is open for a request, and so many intervals more."""

    intervals: float
    cost: int = 1


class Book(NamedTuple):
    """Book requests of one cost as often as the meter is open for them, at most so many times."""

    times: int
    cost: int = 1


class Begin(NamedTuple):
    """Have the task of one of the bookings that are left begin, if it has not begun."""

    index: int


class UseOne(NamedTuple):
    """Use one of the bookings that are left."""

    index: int


class Forget(NamedTuple):
    """Never use one of the bookings that are left; its task has begun."""

    index: int


Use: TypeAlias = tuple[float, int]
"""When a request started, and what it cost."""
Step: TypeAlias = Wait | UntilOpen | Book | Begin | UseOne | Forget

SOME = st.floats(0, 1.5) | st.sampled_from([0.0, 0.5, 1.0])
COSTS = st.just(1) | st.integers(1, 8)
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.builds(Wait, SOME)
    | st.builds(UntilOpen, st.just(0.0) | SOME, COSTS)
    | st.builds(Book, st.integers(1, 4), COSTS)
    | st.builds(Begin, st.integers(0, 9))
    | st.builds(UseOne, st.integers(0, 9))
    | st.builds(Forget, st.integers(0, 9)),
    max_size=80,
)


class Driver:
    """Drives a meter as a lane does, with the delays of an event loop, and writes down what the platform sees."""

    def __init__(self, rate: Rate, start: float = 0.0, *, others: Sequence[Rate] = ()) -> None:
        self.rate_limiter = RateLimiter([rate, *others])
        self.rates = [rate, *others]
        self.interval = min(each.interval for each in self.rates)
        self.now = start
        self.booked: list[Booking] = []
        self.uses: list[Use] = []
        self.most_kept = 0

    def run(self, steps: list[Step]) -> None:
        """Take all the steps."""
        for step in steps:
            match step:
                case Wait(intervals):
                    self.now += intervals * self.interval
                case UntilOpen(intervals, cost):
                    self.now = max(self.now, self.rate_limiter.opens_at(self.now, cost)) + intervals * self.interval
                case Book(times, cost):
                    self.book(times, cost)
                case Begin(index) if self.booked:
                    self.begin(self.booked[index % len(self.booked)])
                case UseOne(index) if self.booked:
                    self.use(self.booked.pop(index % len(self.booked)))
                case Forget(index) if self.booked:
                    self.begin(self.booked.pop(index % len(self.booked)))
                case _:
                    pass

    def book(self, times: int, cost: int = 1) -> None:
        """Book at this instant, as long as the meter is open."""
        for _ in range(times):
            if self.rate_limiter.opens_at(self.now, cost) <= self.now:
                self.booked.append(self.rate_limiter.book(cost))
                self.most_kept = max(self.most_kept, len(self.rate_limiter._open))

    def begin(self, booking: Booking) -> None:
        """Have the task of a booking begin; it does so once."""
        if booking.begun is None:
            self.rate_limiter.begin(booking, self.now)

    def use(self, booking: Booking) -> None:
        """Use a booking; it starts a request at any time until an interval after its task has begun."""
        good = booking.begun is None or self.now < booking.begun + self.interval
        started = self.rate_limiter.use(booking, self.now)
        assert started or not good
        if started:
            self.uses.append((self.now, booking.cost))

    def use_all(self) -> None:
        """Use what is left."""
        for booking in self.booked:
            self.use(booking)
        self.booked = []


def check(uses: list[Use], rates: Iterable[Rate]) -> None:
    """Check the law in every window that begins and ends with a request; all others hold no more."""
    for rate in rates:
        for first, (begin, _) in enumerate(uses):
            total = 0
            for end, cost in uses[first:]:
                total += cost
                allowed = max(rate.burst, cost) + (end - begin) * rate.count / rate.per
                assert total <= allowed * (1 + 1e-6), f"{total} requests in {end - begin} s, where {allowed} may be"


@given(RATES, st.lists(RATES, max_size=2), STEPS, st.floats(0, 100))
def test_no_window_has_more_requests_than_each_rate_allows(
    rate: Rate, others: list[Rate], steps: list[Step], start: float
) -> None:
    """The law holds for uses that come late, in any order or never, on any clock; and none is refused in vain."""
    driver = Driver(rate, start, others=others)
    driver.run(steps)
    driver.use_all()
    check(driver.uses, driver.rates)


@given(RATES, st.lists(RATES, max_size=1), st.lists(st.tuples(st.floats(0, 3), COSTS), min_size=1, max_size=40))
def test_a_saturated_lane_with_a_slow_loop_keeps_to_the_rate(
    rate: Rate, others: list[Rate], delays: list[tuple[float, int]]
) -> None:
    """The same where each booking is made as soon as it may be, and used after a stall, be it a long one."""
    driver = Driver(rate, others=others)
    for delay, cost in delays:
        driver.now = max(driver.now, driver.rate_limiter.opens_at(driver.now, cost))
        driver.book(9, cost)
        driver.now += delay * driver.interval
        driver.use_all()
    assert len(driver.uses) >= len(delays)
    check(driver.uses, driver.rates)


@pytest.mark.parametrize("burst", [1, 2, 5])
def test_the_law_holds_for_a_use_just_one_interval_late(burst: int) -> None:
    """Where a whole burst is used at the instant in which the next one comes, the two are not added up."""
    driver = Driver(Rate(1, burst=burst))
    driver.book(9)
    driver.now = 1.0
    driver.book(9)
    driver.use_all()
    driver.book(9)
    driver.use_all()
    check(driver.uses, driver.rates)


@given(RATES, STEPS)
def test_what_is_kept_of_bookings_is_bounded(rate: Rate, steps: list[Step]) -> None:
    """No more bookings are kept than can be used at once, whatever becomes of them."""
    driver = Driver(rate)
    driver.run(steps)
    assert driver.most_kept <= rate.burst


@given(RATES, STEPS)
def test_it_opens_again_whatever_was_done_before(rate: Rate, steps: list[Step]) -> None:
    """Once each task that was booked for has begun, the whole burst is there after as long as it takes to earn it.

    That is the burst, or what was dearer, and an interval.
    """
    driver = Driver(rate)
    driver.run(steps)
    for booking in driver.booked:
        driver.begin(booking)
    dearest = max([rate.burst, *(cost for _, cost in driver.uses), *(each.cost for each in driver.booked), 8])
    driver.now += (dearest + 1.001) * rate.interval
    for _ in range(rate.burst):
        assert driver.rate_limiter.opens_at(driver.now) <= driver.now
        driver.rate_limiter.book()


@given(RATES, st.integers(1, 40), st.floats(0, 100))
def test_no_request_is_later_than_it_must_be(rate: Rate, requests: int, start: float) -> None:
    """Where all are asked for at once and used at once, the burst starts first, then one each interval."""
    rate_limiter, now = RateLimiter(rate), start
    for number in range(requests):
        now = max(now, rate_limiter.opens_at(now))
        assert rate_limiter.use(rate_limiter.book(), now)
        late = max(0, number - rate.burst + 1) * rate.interval
        assert now == pytest.approx(start + late, rel=1e-9, abs=1e-9)


@given(RATES, st.lists(SOME, max_size=40))
def test_it_is_exactly_the_algorithm(rate: Rate, gaps: list[float]) -> None:
    """With immediate uses a request is let through if, and only if, the textbook's leaky bucket has room for it."""
    rate_limiter, now, level, last = RateLimiter(rate), 0.0, 0.0, 0.0
    for gap in gaps:
        now += gap * rate.interval
        level, last = max(0.0, level - (now - last) / rate.interval), now
        room = rate.burst - 1 - level
        if abs(room) > 1e-6:
            assert (rate_limiter.opens_at(now) <= now) == (room > 0)
        if rate_limiter.opens_at(now) <= now:
            assert rate_limiter.use(rate_limiter.book(), now)
            level += 1


@given(RATES, RATES, STEPS, STEPS)
def test_the_law_holds_from_a_change_on(before: Rate, after: Rate, first: list[Step], then: list[Step]) -> None:
    """Windows that begin at a change or later keep to the new rate, whatever is on its way at the change."""
    driver = Driver(before)
    driver.run(first)
    driver.rate_limiter.change((after,), driver.now)
    driver.rates, driver.interval, driver.uses = [after], after.interval, []
    assert not any(driver.rate_limiter.use(booking, driver.now) for booking in driver.booked)
    driver.booked = []
    driver.run(then)
    driver.use_all()
    check(driver.uses, [after])


@given(RATES, STEPS, STEPS, st.floats(-100, 100))
def test_another_clock_changes_nothing(rate: Rate, first: list[Step], then: list[Step], seconds: float) -> None:
    """With a shift between them, two halves of a run keep to the rate as one."""
    driver = Driver(rate)
    driver.run(first)
    driver.booked = []
    driver.rate_limiter.shift(seconds)
    driver.now += seconds
    driver.uses = [(at + seconds, cost) for at, cost in driver.uses]
    driver.run(then)
    driver.use_all()
    check(driver.uses, [rate])
