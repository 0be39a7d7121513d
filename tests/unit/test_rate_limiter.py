"""The meter of one platform's rate, by examples."""

from __future__ import annotations

import math

import pytest

from scrapeengine.decide.rate import Booking, RateLimiter
from scrapeengine.model.policy import Rate


def ask(rate_limiter: RateLimiter, now: float) -> bool:
    """Book and use at one instant if the meter is open; return whether it was."""
    if rate_limiter.opens_at(now) > now:
        return False
    assert rate_limiter.use(rate_limiter.book(), now)
    return True


def saturated(rate_limiter: RateLimiter, requests: int, now: float = 0.0) -> list[float]:
    """Make so many requests, each as soon as it may; return their times."""
    times = []
    for _ in range(requests):
        now = max(now, rate_limiter.opens_at(now))
        assert ask(rate_limiter, now)
        times.append(now)
    return times


def booked(rate_limiter: RateLimiter, now: float, *, begun: float | None = None) -> Booking:
    """Book a request, for a task that has begun at some time, if it has."""
    assert rate_limiter.opens_at(now) <= now
    booking = rate_limiter.book()
    if begun is not None:
        rate_limiter.begin(booking, begun)
    return booking


def test_a_new_meter_is_open() -> None:
    """A platform that was never asked can be asked at any time, and has nothing to remember."""
    for rate_limiter in (RateLimiter(Rate(1)), RateLimiter(Rate(1, burst=3)), RateLimiter(None)):
        assert rate_limiter.opens_at(-1e9) == -math.inf
        assert rate_limiter.matters_until() == -math.inf


def test_one_by_one() -> None:
    """Without a burst, requests start one interval after another."""
    assert saturated(RateLimiter(Rate(4)), 5) == [0, 0.25, 0.5, 0.75, 1.0]


def test_the_burst_first_then_one_by_one() -> None:
    """So many start at once, then one an interval."""
    assert saturated(RateLimiter(Rate(2, burst=3)), 6, now=10.0) == [10, 10, 10, 10.5, 11, 11.5]


def test_it_opens_at_its_time_and_not_before() -> None:
    """An instant too early is refused, the instant itself is not."""
    rate_limiter = RateLimiter(Rate.every(10))
    assert ask(rate_limiter, 0.0)
    assert not ask(rate_limiter, 9.999)
    assert ask(rate_limiter, 10.0)


def test_a_pause_earns_the_burst_and_no_more() -> None:
    """However long nothing was asked, no more than the burst starts at once."""
    rate_limiter = RateLimiter(Rate(1, burst=2))
    saturated(rate_limiter, 5)
    assert saturated(rate_limiter, 4, now=1000.0) == [1000, 1000, 1001, 1002]


def test_a_short_pause_earns_its_share() -> None:
    """Half the burst is there again after half the time that the whole takes."""
    rate_limiter = RateLimiter(Rate(1, burst=4))
    saturated(rate_limiter, 4)
    assert saturated(rate_limiter, 4, now=2.0) == [2, 2, 3, 4]


def test_no_rate_is_no_limit() -> None:
    """Without a rate everything starts at once, whatever was booked when, and nothing is kept."""
    rate_limiter = RateLimiter(None)
    booking = booked(rate_limiter, 0.0, begun=0.0)
    for _ in range(100):
        assert ask(rate_limiter, 5.0)
    assert rate_limiter.use(booking, 1000.0)
    assert rate_limiter.opens_at(1000.0) == -math.inf
    assert rate_limiter.matters_until() == -math.inf
    assert len(rate_limiter._open) == 0


def test_a_late_use_puts_the_next_one_off() -> None:
    """What the platform sees are the uses: the next one comes an interval after the late one."""
    rate_limiter = RateLimiter(Rate.every(10))
    booking = booked(rate_limiter, 0.0, begun=0.0)
    assert rate_limiter.use(booking, 4.0)
    assert rate_limiter.opens_at(4.0) == 14.0


def test_what_is_booked_is_counted_until_it_is_used() -> None:
    """No more is booked than could all be used at this instant."""
    rate_limiter = RateLimiter(Rate.every(10))
    booking = booked(rate_limiter, 0.0)
    for now in (0.0, 10.0, 1000.0):
        assert rate_limiter.opens_at(now) > now
    assert rate_limiter.use(booking, 1000.0)
    assert rate_limiter.opens_at(1000.0) == 1010.0
    wide = RateLimiter(Rate(1, per=10, burst=2))
    booked(wide, 0.0)
    other = booked(wide, 0.0)
    assert wide.opens_at(0.0) > 0.0
    assert wide.use(other, 0.0)
    assert wide.opens_at(0.0) == 10.0


def test_of_a_full_meter_it_is_said_when_to_look_again() -> None:
    """A task that has begun decides within an interval of that; one that has not, at some later time."""
    rate_limiter = RateLimiter(Rate.every(10))
    booking = booked(rate_limiter, 0.0)
    assert rate_limiter.opens_at(3.0) == 13.0
    rate_limiter.begin(booking, 4.0)
    assert rate_limiter.opens_at(5.0) == 14.0


def test_a_booking_lapses_an_interval_after_its_task_has_begun() -> None:
    """Until then it is good; from then on it starts nothing, and counts as used when the task began."""
    rate_limiter = RateLimiter(Rate.every(10))
    assert rate_limiter.use(booked(rate_limiter, 0.0, begun=3.0), 12.5)
    assert rate_limiter.opens_at(12.5) == 22.5
    rate_limiter = RateLimiter(Rate.every(10))
    booking = booked(rate_limiter, 0.0, begun=3.0)
    assert rate_limiter.opens_at(12.5) == 13.0
    assert not rate_limiter.use(booking, 13.0)
    assert rate_limiter.opens_at(13.0) == 13.0
    assert rate_limiter.matters_until() == 13.0


def test_tasks_that_make_no_request_are_paced_all_the_same() -> None:
    """Each booking that is never used is worth an interval."""
    rate_limiter, now, starts = RateLimiter(Rate(2, burst=3)), 0.0, []
    for _ in range(6):
        now = max(now, rate_limiter.opens_at(now))
        booked(rate_limiter, now, begun=now)
        starts.append(now)
    assert starts == [0, 0, 0, 0.5, 1.0, 1.5]


def test_a_booking_is_used_once() -> None:
    """There are no more uses than bookings."""
    rate_limiter = RateLimiter(Rate(1, burst=2))
    booking = booked(rate_limiter, 0.0)
    booked(rate_limiter, 0.0)
    assert rate_limiter.use(booking, 0.0)
    assert not rate_limiter.use(booking, 0.0)


def test_bookings_are_used_in_any_order() -> None:
    """Each is its own: to use or to lose one leaves the others as they are."""
    rate_limiter = RateLimiter(Rate(1, per=10, burst=3))
    one, two, three = (
        booked(rate_limiter, 0.0, begun=0.0),
        booked(rate_limiter, 0.0, begun=5.0),
        booked(rate_limiter, 0.0),
    )
    assert rate_limiter.use(two, 6.0)
    assert not rate_limiter.use(one, 11.0)
    assert rate_limiter.use(three, 1000.0)


def test_what_is_kept_of_bookings_is_bounded_by_the_burst() -> None:
    """However many were never used, no more are kept than the burst."""
    rate_limiter, now = RateLimiter(Rate(8, burst=5)), 0.0
    for _ in range(1000):
        now = max(now, rate_limiter.opens_at(now))
        booked(rate_limiter, now, begun=now)
        assert len(rate_limiter._open) <= 5
    rate_limiter.opens_at(now + 100)
    assert len(rate_limiter._open) == 0


def test_it_matters_until_all_that_was_used_has_passed() -> None:
    """From then on it is as good as a new one: the whole burst is there."""
    rate_limiter = RateLimiter(Rate.every(10))
    ask(rate_limiter, 5.0)
    assert rate_limiter.matters_until() == 15.0
    rate_limiter = RateLimiter(Rate(1, burst=3))
    saturated(rate_limiter, 3)
    assert rate_limiter.matters_until() == 3.0
    assert saturated(rate_limiter, 4, now=3.0) == saturated(RateLimiter(Rate(1, burst=3)), 4, now=3.0)


@pytest.mark.parametrize(("seconds", "opens"), [(100.0, 500.0), (0.1, 0.5)])
def test_what_is_owed_is_owed_in_requests(seconds: float, opens: float) -> None:
    """Five requests at once, of a burst of five, take five intervals to be earned back: new ones after a change."""
    rate_limiter = RateLimiter(Rate(1, burst=5))
    saturated(rate_limiter, 5)
    rate_limiter.change((Rate.every(seconds),), 0.0)
    assert rate_limiter.rates == (Rate.every(seconds),)
    assert rate_limiter.opens_at(0.0) == pytest.approx(opens)


def test_a_change_counts_from_now() -> None:
    """Half an interval that has passed is half an interval that is owed no more."""
    rate_limiter = RateLimiter(Rate.every(10))
    ask(rate_limiter, 0.0)
    rate_limiter.change((Rate.every(1),), 5.0)
    assert rate_limiter.opens_at(5.0) == pytest.approx(5.5)
    rate_limiter.change((Rate.every(100),), 5.0)
    assert rate_limiter.opens_at(5.0) == pytest.approx(55.0)


def test_a_change_gives_nothing_on_credit() -> None:
    """A meter that owes nothing is as good as a new one under the new rate, and no better."""
    rate_limiter = RateLimiter(Rate.every(1))
    ask(rate_limiter, 0.0)
    rate_limiter.change((Rate(1, burst=2),), 1000.0)
    assert saturated(rate_limiter, 4, now=1000.0) == [1000, 1000, 1001, 1002]
    fresh = RateLimiter(Rate.every(1))
    fresh.change((Rate.every(5),), 1000.0)
    assert saturated(fresh, 3, now=1000.0) == [1000, 1005, 1010]


def test_a_change_to_a_larger_burst_opens_at_once() -> None:
    """What the new burst allows more may start at the instant of the change."""
    rate_limiter = RateLimiter(Rate(1))
    ask(rate_limiter, 0.0)
    rate_limiter.change((Rate(1, burst=3),), 0.0)
    assert saturated(rate_limiter, 4) == [0, 0, 1, 2]


def test_what_was_booked_under_another_rate_has_lapsed() -> None:
    """It is counted as used at the change, and must be booked anew."""
    rate_limiter = RateLimiter(Rate(100, burst=2))
    booking, other = booked(rate_limiter, 0.0), booked(rate_limiter, 0.0, begun=0.0)
    rate_limiter.change((Rate.every(10),), 0.005)
    assert not rate_limiter.use(booking, 0.005)
    assert not rate_limiter.use(other, 0.005)
    assert rate_limiter.opens_at(0.005) == pytest.approx(20.005)


def test_a_rate_taken_away_and_given_again_owes_nothing() -> None:
    """While there was no rate nothing was counted; the new one begins anew."""
    rate_limiter = RateLimiter(Rate.every(1000))
    ask(rate_limiter, 0.0)
    rate_limiter.change((), 1.0)
    assert all(ask(rate_limiter, 1.0) for _ in range(10))
    assert rate_limiter.opens_at(1.0) == -math.inf
    rate_limiter.change((Rate.every(10),), 2.0)
    assert rate_limiter.rates == (Rate.every(10),)
    assert saturated(rate_limiter, 2, now=2.0) == [2, 12]


def test_what_was_booked_without_a_rate_is_not_used_under_one() -> None:
    """A booking that no meter counted must be made again."""
    rate_limiter = RateLimiter(None)
    booking = booked(rate_limiter, 0.0)
    rate_limiter.change((Rate.every(10),), 0.0)
    assert not rate_limiter.use(booking, 0.0)
    assert rate_limiter.opens_at(0.0) <= 0.0


def test_what_was_booked_under_a_rate_is_free_without_one() -> None:
    """Without a rate everything may start; nothing of it comes back when there is one again."""
    rate_limiter = RateLimiter(Rate.every(10))
    booking = booked(rate_limiter, 0.0)
    rate_limiter.change((), 1.0)
    assert rate_limiter.use(booking, 100.0)
    rate_limiter.change((Rate.every(10),), 200.0)
    assert not rate_limiter.use(booking, 200.0)
    assert rate_limiter.opens_at(200.0) == -math.inf


@pytest.mark.parametrize("seconds", [1000.0, 5.0, -1000.0])
def test_shift_moves_what_is_owed(seconds: float) -> None:
    """On another clock the next request starts at the same instant; what was booked on the old one has lapsed."""
    rate_limiter = RateLimiter(Rate(1, per=10, burst=2))
    assert ask(rate_limiter, 0.0)
    booking = booked(rate_limiter, 0.0, begun=0.0)
    rate_limiter.shift(seconds)
    assert rate_limiter.matters_until() == seconds + 10.0
    assert not rate_limiter.use(booking, seconds)
    assert saturated(rate_limiter, 2, now=seconds) == [seconds, seconds + 10.0]
    new = RateLimiter(Rate.every(10))
    new.shift(seconds)
    assert new.opens_at(seconds) == -math.inf
