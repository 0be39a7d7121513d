"""The gate of a platform: its rate and its penalty as one."""

from __future__ import annotations

import math

import pytest

from scrapeengine.decide.gate import Gate
from scrapeengine.model.policy import Rate


def test_a_new_gate_is_open() -> None:
    """A platform that was never asked may be asked at once, and there is nothing to remember."""
    for gate in (Gate.of(()), Gate.of((Rate(1),))):
        assert gate.opens_at(-1e9) == -math.inf
        assert not gate.closed(-1e9)
        assert not gate.matters(-1e9)
        assert gate.matters_until() == -math.inf


def test_it_has_the_rate_of_its_platform() -> None:
    """The meter keeps to the rate that the gate was made of."""
    assert Gate.of((Rate(3),)).rate_limiter.rates == (Rate(3),)
    assert Gate.of(()).rate_limiter.rates == ()


def test_it_opens_when_both_rate_and_penalty_let_it() -> None:
    """The later of the two counts; only the penalty makes it closed."""
    gate = Gate.of((Rate.every(10),))
    assert gate.use(gate.rate_limiter.book(), 0.0)
    assert gate.opens_at(0.0) == 10.0
    assert not gate.closed(0.0)
    gate.penalty.refused(sent=0.0, now=0.0, after=5.0)
    assert gate.opens_at(0.0) == 10.0
    gate.penalty.refused(sent=0.0, now=0.0, after=15.0)
    assert gate.opens_at(0.0) == 15.0


def test_it_is_closed_until_the_penalty_ends() -> None:
    """At the very instant of its end the platform is open."""
    gate = Gate.of(())
    gate.penalty.refused(sent=0.0, now=0.0, after=5.0)
    assert gate.closed(0.0)
    assert gate.closed(4.999)
    assert not gate.closed(5.0)


def test_no_booked_request_starts_once_it_has_closed() -> None:
    """A penalty that comes between booking and sending holds the request back, and gives its booking back."""
    gate = Gate.of((Rate.every(10),))
    booking = gate.rate_limiter.book()
    gate.penalty.refused(sent=-1.0, now=0.5, after=2.0)
    assert not gate.use(booking, 1.0)
    assert not gate.use(booking, 2.5)
    assert gate.opens_at(2.5) == 2.5


def test_without_a_rate_only_the_penalty_holds_back() -> None:
    """An unlimited platform is closed by its penalty all the same."""
    gate = Gate.of(())
    assert gate.use(gate.rate_limiter.book(), 1.0)
    gate.penalty.refused(sent=0.0, now=1.0, after=1.0)
    assert not gate.use(gate.rate_limiter.book(), 1.5)
    assert gate.use(gate.rate_limiter.book(), 2.0)


def test_a_lapsed_booking_starts_nothing() -> None:
    """An open gate does not make up for a booking that has lapsed."""
    gate = Gate.of((Rate.every(1),))
    booking = gate.rate_limiter.book()
    gate.rate_limiter.begin(booking, 0.0)
    assert not gate.use(booking, 1.5)


def test_it_matters_as_long_as_rate_or_penalty_do() -> None:
    """It may be forgotten once neither differs from a new one's."""
    gate = Gate.of((Rate.every(10),))
    assert gate.use(gate.rate_limiter.book(), 0.0)
    assert gate.matters_until() == 10.0
    assert gate.matters(9.9)
    assert not gate.matters(10.0)
    gate.penalty.refused(sent=0.0, now=0.0, after=5.0)
    assert gate.matters_until() == 65.0
    assert gate.matters(64.9)
    assert not gate.matters(65.0)


def test_shift_moves_rate_and_penalty() -> None:
    """On another clock all times are as much later."""
    gate = Gate.of((Rate.every(100),))
    assert gate.use(gate.rate_limiter.book(), 0.0)
    gate.penalty.refused(sent=0.0, now=0.0, after=5.0)
    gate.shift(1000.0)
    assert gate.opens_at(1000.0) == 1100.0
    assert gate.penalty.until == 1005.0
    assert gate.matters_until() == 1100.0
    assert gate.closed(1004.0)


def test_gates_share_nothing() -> None:
    """The penalty of one platform closes no other."""
    one, other = Gate.of(()), Gate.of(())
    one.penalty.refused(sent=0.0, now=0.0, after=5.0)
    assert not other.closed(1.0)


@pytest.mark.parametrize("delays", [(2.0, 5.0), (5.0, 2.0)])
def test_of_several_delays_the_slowest_holds(delays) -> None:
    """Two robots.txt on one platform, in any order: neither undoes what the other asks for."""
    gate = Gate.of((Rate(10),))
    for seconds in delays:
        gate.slow_down(seconds, (Rate(10),), 0.0)
    assert gate.use(gate.rate_limiter.book(), 0.0)
    assert gate.opens_at(0.0) == 5.0
