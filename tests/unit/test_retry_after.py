"""What a `Retry-After` asks for: RFC 9110, sections 5.6.7 and 10.2.3."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.retry_after import seconds_of

YEAR = 366 * 86400.0
THEN = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC).timestamp()
FORMS = ["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("1", 1), ("120", 120), ("007", 7), ("86400", 86400), (" 120", 120), ("120\t ", 120)],
)
def test_seconds(text: str, seconds: float) -> None:
    """Digits are seconds; spaces and tabs around them are not part of the value."""
    assert seconds_of(text, None, THEN) == seconds


def test_seconds_do_not_count_from_the_date() -> None:
    """A delay counts from when it came, whatever the response's `Date` says."""
    assert seconds_of("120", FORMS[0], THEN + 50) == 120


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("31622399", YEAR - 1),
        ("31622400", YEAR),
        ("31622401", YEAR),
        ("999999999", YEAR),
        ("1000000000", YEAR),
        ("9" * 20, YEAR),
        ("9" * 5000, YEAR),
    ],
)
def test_more_than_a_year_is_a_year(text: str, seconds: float) -> None:
    """No number of digits overflows a clock, or is ignored."""
    assert seconds_of(text, None, THEN) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "+5",
        "-5",
        "-0",
        "1_000",
        "1.5",
        "1,5",
        "1e3",
        "0x10",
        "5s",
        "5 s",
        "5 5",
        "120, 120",
        "inf",
        "nan",
        "５",
        "٣",
    ],
)
def test_what_is_no_delay_says_nothing(text: str) -> None:
    """Signs, underscores, fractions, units and the digits of other scripts are no delay by the RFC."""
    assert seconds_of(text, None, THEN) is None


def test_spaces_of_other_scripts_are_not_stripped() -> None:
    """Only a space and a tab may stand around a header's value."""
    for space in ("\n", "\r", "\v", "\f", "\x1f", "\x85", "\xa0", "\u2003"):
        assert seconds_of(f"5{space}", None, THEN) is None
        assert seconds_of(f"{space}5", None, THEN) is None


def test_no_header_says_nothing() -> None:
    """Without a `Retry-After` there is nothing to obey, whatever the `Date`."""
    assert seconds_of(None, FORMS[0], THEN) is None


@pytest.mark.parametrize("text", FORMS)
def test_the_three_forms_of_a_date(text: str) -> None:
    """All three mean the same instant, and count from the wall clock where there is no `Date`."""
    assert seconds_of(text, None, THEN - 90) == 90
    assert seconds_of(f" \t{text}\t ", None, THEN - 90) == 90
    assert seconds_of(text, None, THEN - 0.25) == 0.25


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo", "UTC"])
def test_a_date_without_a_zone_is_utc_wherever_we_are(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of `asctime` names no zone, and never means the one of this machine."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        waits = [seconds_of(text, None, THEN - 90) for text in FORMS]
    time.tzset()
    assert waits == [90, 90, 90]


def test_a_date_in_another_zone_is_read_as_it_is_written() -> None:
    """The RFC has only GMT; who writes another zone means that zone."""
    assert seconds_of("Sun, 06 Nov 1994 09:49:37 +0100", None, THEN - 90) == 90
    assert seconds_of("Sun, 06 Nov 1994 08:49:37 -0000", None, THEN - 90) == 90


@pytest.mark.parametrize("text", FORMS)
@pytest.mark.parametrize("date", FORMS)
def test_a_date_counts_from_the_date_of_the_response(text: str, date: str) -> None:
    """Where the platform says what time it is, the wall clock does not matter."""
    assert seconds_of(text, date, THEN - 1000) == 0
    assert seconds_of(text, f" \t{date.replace('08:49', '08:47')} ", THEN - 1000) == 120
    assert seconds_of(text.replace("08:49", "08:59"), date, 0) == 600


@pytest.mark.parametrize("date", ["", " ", "soon", "120", "Sun, 99 Nov 1994 08:49:37 GMT"])
def test_a_date_of_the_response_that_is_none_is_ignored(date: str) -> None:
    """A broken `Date` leaves the wall clock to count from."""
    assert seconds_of(FORMS[0], date, THEN - 90) == 90


def test_a_date_that_has_passed_asks_for_nothing() -> None:
    """A date in the past is obeyed at once; it is no negative wait, and not the same as no header."""
    assert seconds_of(FORMS[0], None, THEN) == 0
    assert seconds_of(FORMS[0], None, THEN + 90) == 0


def test_a_date_beyond_a_year_is_a_year() -> None:
    """A date is bounded as a delay is."""
    assert seconds_of("Fri, 31 Dec 9999 23:59:59 GMT", None, THEN) == YEAR
    assert seconds_of("Mon, 06 Nov 1995 08:49:37 GMT", None, THEN) == 365 * 86400


@pytest.mark.parametrize(
    "text",
    [
        "soon",
        "Sun, 99 Nov 1994 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT",
        "Sun, 06 Nov 99999 08:49:37 GMT",
        "Sun, 06 Nov 1994 25:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +9999",
        "Sun, 06 Nov 1994 1.2.3.4 GMT",
        "Mon, 01 Jan 0001 00:00:00 +2300 (",
        "Fri, 31 Dec 9999 23:59:59 -2300",
        ", , ,",
        "- - - -",
    ],
)
def test_garbage_asks_for_no_wrong_wait(text: str) -> None:
    """A date that does not exist says nothing, or at most a year."""
    seconds = seconds_of(text, None, THEN)
    assert seconds in (None, YEAR)


@pytest.mark.parametrize("text", ["soon", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Foo 1994 08:49:37 GMT"])
def test_a_date_that_does_not_exist_says_nothing(text: str) -> None:
    """A day or a month that is none makes no date."""
    assert seconds_of(text, None, THEN) is None


@given(
    seconds=st.integers(-(10**6), 10**6),
    base=st.datetimes(datetime(1975, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds are naive
)
def test_any_date_is_read_to_the_second(seconds: int, base: datetime) -> None:
    """The wait is the difference between the two dates, in each of the forms, and never negative."""
    base = base.replace(microsecond=0)
    until = base + timedelta(seconds=seconds)
    date = format_datetime(base, usegmt=True)
    for text in (format_datetime(until, usegmt=True), until.strftime("%A, %d-%b-%y %H:%M:%S GMT"), until.ctime()):
        assert seconds_of(text, date, 0.0) == max(0, seconds)
        assert seconds_of(text, None, base.timestamp()) == max(0, seconds)


@given(
    st.text(max_size=60) | st.text("0123456789:+-., JanMoGMTUE\t", max_size=40),
    st.none() | st.text(max_size=40) | st.text("0123456789:+-., JanMoGMT", max_size=40),
)
def test_any_text_is_a_bounded_wait_or_says_nothing(text: str, date: str | None) -> None:
    """Whatever a platform sends, nothing is raised, and what comes back is a wait from 0 to a year."""
    seconds = seconds_of(text, date, THEN)
    assert seconds is None or (0 <= seconds <= YEAR and math.isfinite(seconds))


@pytest.mark.parametrize(("text", "seconds"), [("0000000005", 5), ("0" * 20, 0), ("0" * 19 + "7", 7)])
def test_zeros_in_front_count_for_nothing(text: str, seconds: float) -> None:
    """The RFC's `delay-seconds` is any number of digits, so that zeros in front change nothing."""
    assert seconds_of(text, None, THEN) == seconds
