"""What sites state of their limits: any form of it is read, nothing breaks it, and what remains is spread."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.allotment import Allotment
from scrapeengine.decide.gate import Gate
from scrapeengine.decide.heed import StatedLimit, pace, said_of
from scrapeengine.decide.rate import RateLimiter
from scrapeengine.model.policy import Rate

NOW = 1_700_000_000.0
DATE = "Tue, 14 Nov 2023 22:13:20 GMT"


def read(*lines: str, wall: float = NOW) -> StatedLimit | None:
    """Read headers as a program writes them down."""
    pairs = (line.partition(": ") for line in lines)
    return said_of([(name.encode(), value.encode()) for name, _, value in pairs], wall)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['RateLimit: "default";r=50;t=5'], StatedLimit(50, 5, rounded=True)),
        (
            ['RateLimit: "a,b;r=1";r=50;t=5;pk=:QUJD:', 'RateLimit-Policy: "a,b;r=1";q=100;w=10'],
            StatedLimit(50, 5, rounded=True),
        ),
        (['RateLimit: "default";r=50;t=5;limit=100;burst=7'], StatedLimit(50, 5, rounded=True)),
        (['ratelimit: "hour";r=900;t=1800, "second";r=0;t=1'], StatedLimit(0, 1, rounded=True)),
        (['ratelimit: "hour";r=9;t=1800', 'RATELIMIT: "second";r=9;t=1'], StatedLimit(9, 1800, rounded=True)),
        (["RateLimit: limit=100, remaining=50, reset=5"], StatedLimit(50, 5, rounded=True)),
        (["RateLimit: default;limit=100;remaining=50;reset=5"], StatedLimit(50, 5, rounded=True)),
        (
            ["RateLimit-Limit: 100, 100;w=10", "RateLimit-Remaining: 50", "RateLimit-Reset: 5"],
            StatedLimit(50, 5, rounded=True),
        ),
        (["X-RateLimit-Remaining: 50", "X-RateLimit-Reset: 5.25"], StatedLimit(50, 5.25, rounded=False)),
        (["x-rate-limit-remaining: 50", "x-rate-limit-reset: 1700000005"], StatedLimit(50, 5, rounded=True)),
        (["X-RateLimit-Remaining: 50", "X-RateLimit-Reset: 1700000005250"], StatedLimit(50, 5.25, rounded=True)),
        (
            ["X-RateLimit-Remaining: 50", "X-RateLimit-Reset: Tue, 14 Nov 2023 22:13:25 GMT"],
            StatedLimit(50, 5, rounded=True),
        ),
        (["X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: 2023-11-14T22:13:25Z"], StatedLimit(50, 5, rounded=True)),
        (["X-Rate-Limit-Remaining: 50", "X-Rate-Limit-Reset: 2023-11-14T22:13:25"], StatedLimit(50, 5, rounded=True)),
        (["X-RateLimit-Remaining: 50", "X-RateLimit-Reset-After: 0.5"], StatedLimit(50, 0.5, rounded=False)),
        (["X-RateLimit-Remaining: 99.0, 3", "X-RateLimit-Reset: 5"], StatedLimit(3, 5, rounded=True)),
        (["X-RateLimit-Remaining: 3, 9", "X-RateLimit-Reset: 1, 3600"], StatedLimit(9, 3600, rounded=True)),
        (
            [
                "X-RateLimit-Remaining: 0",
                "X-RateLimit-Reset: 1",
                "X-RateLimit-Remaining: 999",
                "X-RateLimit-Reset: 3600",
            ],
            StatedLimit(0, 1, rounded=True),
        ),
        (
            [
                "RateLimit-Remaining: 0",
                "X-Rate-Limit-Reset: 3600",
                "RateLimit-Reset: 1",
                "X-Rate-Limit-Remaining: 4999",
            ],
            StatedLimit(0, 1, rounded=True),
        ),
        (
            ["X-RateLimit-Remaining: 1, 9", "X-RateLimit-Reset: 1, 9", "X-RateLimit-Reset-After: 0.5, 8.5"],
            StatedLimit(9, 9, rounded=True),
        ),
        (["X-RateLimit-Remaining: 9", "X-RateLimit-Reset: 1, 9"], StatedLimit(9, 9, rounded=True)),
        (["RateLimit-Remaining: 5", "X-RateLimit-Reset: 5"], None),
        (["X-RateLimit-Remaining: 5", "X-RateLimit-Reset: 1699999000"], None),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1600000000"], None),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: Tue, 14 Nov 2023 22:13:19 GMT"], None),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 1700000000"], StatedLimit(0, 0, rounded=True)),
        (["X-RateLimit-Limit: 0", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 60"], None),
        (["RateLimit: limit=0, remaining=0, reset=60"], None),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 9999999999"], None),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 99999999"], None),
        (["Age: 3", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 60"], None),
        (["X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 60", "age: 1"], None),
        (["Age: 0", "X-RateLimit-Remaining: 0", "X-RateLimit-Reset: 60"], StatedLimit(0, 60, rounded=True)),
        (["X-RateLimit-Remaining: 5"], None),
        (["X-RateLimit-Reset: 5"], None),
        (["X-RateLimit-Remaining: many", "X-RateLimit-Reset: 5"], None),
        (["X-RateLimit-Remaining: 5", "X-RateLimit-Reset: soon"], None),
        (["X-RateLimit-Remaining: -1", "X-RateLimit-Reset: 5"], None),
        (['RateLimit: "default";r=50', "RateLimit-Limit: 100"], None),
        (["X-Limit: 3", "Content-Type: text/html"], None),
    ],
)
def test_all_common_forms_are_read(lines: list[str], said: StatedLimit | None) -> None:
    """Seconds, Unix times, dates; each with its own reset, and of several the one that lets the least through."""
    assert read(*lines) == said


def test_dates_count_from_the_answers_own_date() -> None:
    """A clock of ours that is an hour ahead changes nothing; a date that is none is left out."""
    reset = ["X-RateLimit-Remaining: 50", "X-RateLimit-Reset: 1700000005"]
    assert read(f"Date: {DATE}", *reset, wall=NOW + 3600) == StatedLimit(50, 5, rounded=True)
    assert read("Date: today", *reset) == StatedLimit(50, 5, rounded=True)


NAMES = st.sampled_from(
    [b"RateLimit", b"ratelimit-remaining", b"RateLimit-Reset", b"X-RateLimit-Remaining", b"X-Rate-Limit-Reset", b"date"]
)
VALUES = st.binary(max_size=40) | st.from_regex(
    rb'"?[a-z]*"?(;?(r|t|remaining|reset)=[0-9.]{0,30},?){0,4}', fullmatch=True
)
NUMBERS = st.from_regex(rb"[0-9]{0,25}\.?[0-9]{0,25}(, )?[0-9]{0,3}", fullmatch=True)


@given(st.lists(st.tuples(NAMES | st.binary(max_size=30), VALUES | NUMBERS), max_size=8), st.floats(0, 4e9))
def test_nothing_that_a_site_sends_breaks_it(headers: list[tuple[bytes, bytes]], wall: float) -> None:
    """Whatever the bytes: no exception, and finite numbers that a clock can bear."""
    said = said_of(headers, wall)
    if said is not None:
        assert 0 <= said.remaining < math.inf
        assert 0 <= said.reset <= 366 * 86400


SAIDS = st.builds(StatedLimit, st.integers(0, 10_000).map(float), st.floats(0, 1e7), rounded=st.booleans())


@given(SAIDS, st.integers(0, 100), st.floats(0, 1e4))
def test_no_wait_is_longer_than_patience(said: StatedLimit, started: int, patience: float) -> None:
    """Neither to the next request, nor for the platform to open."""
    shut, interval = pace(said, started, patience)
    assert 0 <= shut <= patience
    assert 0 <= interval <= max(patience, 1e-6)
    assert (shut > 0 or patience == 0 or said.reset == 0) or said.remaining > 0
    assert (interval > 0) == (said.remaining > 0)


@pytest.mark.parametrize(
    ("said", "started", "found"),
    [
        (StatedLimit(99, 10.0, rounded=False), 0, (0.0, 0.1)),
        (StatedLimit(99, 10.0, rounded=True), 0, (0.0, 0.095)),
        (StatedLimit(99, 10.0, rounded=False), 50, (0.0, 0.2)),
        (StatedLimit(9, 10.0, rounded=False), 50, (0.0, 10.0)),
        (StatedLimit(0, 10.0, rounded=False), 0, (10.0, 0.0)),
        (StatedLimit(0, 10.0, rounded=True), 0, (11.0, 0.0)),
        (StatedLimit(1, 0.0, rounded=True), 0, (0.0, 0.25)),
        (StatedLimit(1, 1e9, rounded=True), 0, (0.0, 300.0)),
        (StatedLimit(999, 3600.0, rounded=False), 0, (0.0, 3.6)),
        (StatedLimit(0, 1e9, rounded=True), 0, (300.0, 0.0)),
    ],
)
def test_what_remains_is_spread_over_the_time_to_the_reset(
    said: StatedLimit, started: int, found: tuple[float, float]
) -> None:
    """Less what has started since; where nothing remains the platform is closed until there is more."""
    assert pace(said, started, 300.0) == pytest.approx(found)


@pytest.mark.parametrize("shared", [False, True])
def test_a_gate_keeps_to_the_pace_and_never_goes_faster_than_its_rate(*, shared: bool) -> None:
    """The slower of both; as it was once what was heard is stale."""
    gate = (Gate.sharing if shared else Gate.of)((Rate(2),))
    if isinstance(gate.rate_limiter, Allotment):
        gate.rate_limiter.take_in([0.0], 0.0)
    assert gate.use(gate.rate_limiter.book(), 0.0)
    gate.hear(StatedLimit(9, 20.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    if isinstance(gate.rate_limiter, Allotment):
        assert gate.opens_at(0.0) == 1.5  # what is reserved now would have lapsed by 2.0
        gate.rate_limiter.take_in([1.75], 1.5)
    assert gate.opens_at(1.5) == 2.0
    assert gate.opens_at(2.0) == 2.0
    assert gate.use(gate.rate_limiter.book(), 2.0)
    gate.hear(StatedLimit(1000, 10.0, rounded=False), sent=2.0, now=2.1, patience=300.0)
    if isinstance(gate.rate_limiter, Allotment):
        assert gate.opens_at(2.1) == math.inf  # nothing that is reserved lasts until the rate lets it go
        gate.rate_limiter.take_in([2.5, 50.0], 2.1)
    assert gate.opens_at(2.1) == 2.5
    assert gate.glance(50.0) == gate.opens_at(50.0) <= 50.0
    assert gate.heard is None


def test_a_gate_without_a_rate_counts_what_is_booked() -> None:
    """Two requests never start in one turn of the pace; what was booked before it was heard of is booked anew."""
    gate = Gate.of(())
    before = gate.rate_limiter.book()
    gate.hear(StatedLimit(9, 10.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    assert not gate.use(before, 0.5)
    assert gate.opens_at(1.0) == 1.0
    booked = gate.rate_limiter.book()
    gate.rate_limiter.begin(booked, 1.0)
    assert gate.opens_at(1.0) == 2.0
    assert gate.use(booked, 1.1, 1)
    assert gate.opens_at(1.1) == pytest.approx(2.1)
    gate.forget(1.1)
    gate.forget(1.1)
    assert gate.opens_at(1.1) == -math.inf


def test_a_tuned_rate_leaves_the_pace_as_it_is() -> None:
    """They are two things."""
    gate = Gate.of((Rate(10),))
    gate.hear(StatedLimit(9, 10.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    gate.keep_to((Rate(20),), 0.0)
    assert gate.opens_at(0.0) == 1.0
    gate.keep_to((), 0.0)
    assert gate.opens_at(0.0) == 1.0


def test_requests_that_the_site_cannot_have_counted_are_left_out() -> None:
    """Those that have started after the one that is answered, by their cost."""
    gate = Gate.of(())
    gate.hear(StatedLimit(1000, 1.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    for number in range(1, 6):
        assert gate.use(gate.rate_limiter.book(2), float(number), 2)
    gate.hear(StatedLimit(13, 10.0, rounded=False), sent=2.0, now=6.0, patience=300.0)
    assert gate.opens_at(6.0) - 6.0 <= 10 / 8
    assert gate.use(gate.rate_limiter.book(), 10.0)
    assert gate.opens_at(10.0) == pytest.approx(10 + 10 / 8)


def test_a_gate_remembers_what_it_heard_over_a_change_of_clocks() -> None:
    """And counts as different from a new one until that is stale."""
    gate = Gate.of(())
    gate.hear(StatedLimit(9, 10.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    assert gate.use(gate.rate_limiter.book(), 1.0)
    assert gate.matters(19.0)
    gate.shift(100.0)
    assert gate.opens_at(101.0) == 102.0
    assert gate.heard is not None
    assert gate.heard.started_since(100.5) == 1
    assert not gate.matters(130.0)


def test_nothing_left_is_waited_for_as_a_rate_is_and_no_longer_than_patience() -> None:
    """No penalty: the platform has refused nothing. What was booked before does not go out either."""
    gate = Gate.of(())
    booked = gate.rate_limiter.book()
    gate.hear(StatedLimit(0, 1e7, rounded=True), sent=0.0, now=0.0, patience=60.0)
    assert not gate.use(booked, 0.5)
    gate.hear(StatedLimit(5, 1.0, rounded=True), sent=0.0, now=1.0, patience=60.0)  # sent before the other, and late
    assert not gate.closed(0.0)
    assert gate.exhausted(59.0)
    assert gate.opens_at(59.0) == gate.glance(59.0) == 60.0
    gate.shift(100.0)
    assert gate.exhausted(159.0)
    assert not gate.exhausted(160.0)
    assert gate.opens_at(160.0) <= 160.0


def test_no_patience_leaves_the_rates_as_they_are() -> None:
    """Nothing left, and no wait for it: the platform's own rate holds as before, whatever is heard."""
    gate = Gate.of((Rate(1),))
    assert gate.use(gate.rate_limiter.book(), 0.0)
    for _ in range(3):
        gate.hear(StatedLimit(9, 5.0, rounded=True), sent=0.0, now=0.0, patience=0.0)
        gate.hear(StatedLimit(0, 5.0, rounded=True), sent=0.0, now=0.0, patience=0.0)
    assert not gate.exhausted(0.0)
    assert gate.opens_at(0.5) == 1.0
    limiter = RateLimiter((Rate(1),))
    limiter.pace(0.0, 0.0)
    limiter.pace(0.0, 0.0)
    limiter.pace(None, 0.0)
    assert limiter.use(limiter.book(), 0.0)
    assert limiter.opens_at(0.0) == 1.0


def test_a_site_that_always_states_nothing_for_no_time_has_no_limit() -> None:
    """After another number it is the last second before a reset, rounded down."""
    nothing = StatedLimit(0, 0.0, rounded=True)
    gate = Gate.of(())
    gate.hear(nothing, sent=0.0, now=0.0, patience=60.0)
    assert gate.heard is None
    gate.hear(StatedLimit(1, 1.0, rounded=True), sent=0.0, now=0.0, patience=60.0)
    gate.hear(nothing, sent=0.5, now=0.5, patience=60.0)
    assert gate.opens_at(0.5) == 1.5


def test_a_gate_at_a_pace_can_be_looked_at() -> None:
    """What is booked lapses in the copy as it does here, where a pace is all that there is; also of a shared rate."""
    gate = Gate.of(())
    gate.hear(StatedLimit(9, 50.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    gate.rate_limiter.begin(gate.rate_limiter.book(), 5.0)
    assert gate.glance(7.0) == gate.opens_at(7.0) == 10.0
    assert gate.glance(11.0) == gate.opens_at(11.0) <= 11.0
    shared = Gate.sharing((Rate(2),))
    shared.hear(StatedLimit(9, 50.0, rounded=False), sent=0.0, now=0.0, patience=300.0)
    assert shared.glance(1.0) == shared.opens_at(1.0) == 4.5
    shared.hear(StatedLimit(0, 50.0, rounded=False), sent=1.0, now=4.0, patience=300.0)
    assert shared.glance(5.0) == shared.opens_at(5.0) == 54.0  # nothing is reserved before
