"""What sites write into `Retry-After`: obeyed where it is one, and our own backoff where it is none."""

import email.utils
import time
from datetime import UTC, datetime

import httpx
import pytest
import trio

import scrapeengine as se

FOREVER = se.Retry(attempts=2, initial_wait=0, max_wait=0, patience=float("inf"))
OUR_OWN = 2.0
"""The seconds for which a platform is closed that has refused without saying for how long."""


async def asked_twice(status, headers, retry=FOREVER):
    """Refuse the first request, in virtual time; return the seconds to the second one, or the error without one."""
    times = []

    def answer(_):
        times.append(trio.current_time())
        given = [(name, value.encode()) for name, value in headers.items()]
        return httpx.Response(status, headers=given) if len(times) == 1 else httpx.Response(200)

    async def scrape(task):
        await task.http.get("/a")

    policy = {"retry": retry, "transport": httpx.MockTransport(answer)}
    engine = se.Engine([se.Platform("A", scrape, base_url="http://a.test", **policy)])
    async with engine.stream([se.Event("e")]) as run:
        [outcome] = [outcome async for outcome in run]
    if isinstance(outcome, se.Failure):
        return outcome.error
    first, second = times
    return second - first


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("text", ["0", "7", "007", " 30 ", "3600"])
async def test_seconds_are_obeyed(autojump_clock, status, text):
    """Digits, with what may stand around them."""
    assert await asked_twice(status, {"Retry-After": text}) == pytest.approx(float(text), abs=0.01)


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    "text",
    ["-5", "-99999999999", "+5", "1.5", "1,5", "1e3", "1_000", "0x10", "5s", "５", "٣", "²", "inf", "nan", "", "soon"],
)
async def test_what_is_no_delay_is_none(autojump_clock, status, text):
    """Signs, fractions, other digits than ASCII's, words: the platform is closed for as long as we think fit."""
    assert await asked_twice(status, {"Retry-After": text}) == pytest.approx(OUR_OWN, abs=0.01)


@pytest.mark.parametrize(
    "text", ["Tue, 99 Foo 2026 99:99:99 GMT", "Sun, 06 Nov 999999999999 08:49:37 GMT", "0" * 40_000 + "x"]
)
async def test_what_is_no_date_is_none(autojump_clock, text):
    """Nor is it an error."""
    assert await asked_twice(429, {"Retry-After": text}) == pytest.approx(OUR_OWN, abs=0.01)


FORMS = [
    lambda moment: email.utils.format_datetime(moment, usegmt=True),
    lambda moment: moment.strftime("%A, %d-%b-%y %H:%M:%S GMT"),
    lambda moment: moment.strftime("%a %b %e %H:%M:%S %Y"),
]


@pytest.mark.parametrize("form", FORMS)
async def test_the_three_forms_of_a_date_are_one(autojump_clock, form):
    """They count from the answer's own `Date`, so that it is no matter whose clock is wrong."""
    then = datetime(2031, 5, 4, 3, 2, 1, tzinfo=UTC)
    date = email.utils.format_datetime(then.replace(second=0), usegmt=True)
    later = then.replace(minute=30)
    assert await asked_twice(429, {"Retry-After": form(later), "Date": date}) == pytest.approx(28 * 60 + 1, abs=0.01)


@pytest.mark.parametrize("form", FORMS)
async def test_a_date_of_long_ago_closes_nothing(autojump_clock, form):
    """Nor does it open what is closed."""
    assert await asked_twice(429, {"Retry-After": form(datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC))}) == 0


async def test_without_a_date_of_the_answer_s_it_counts_from_now(autojump_clock):
    """By our own clock."""
    later = email.utils.formatdate(time.time() + 600, usegmt=True)
    assert await asked_twice(429, {"Retry-After": later}) == pytest.approx(600, abs=3)


@pytest.mark.parametrize("text", ["301", "99999999999999999999", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT"])
async def test_what_asks_for_more_than_our_patience_is_an_end(autojump_clock, text):
    """It is not waited for, and not shortened either: the task fails at once, and says for how long it is closed."""
    retry = se.Retry(attempts=2, patience=300)
    error = await asked_twice(429, {"Retry-After": text}, retry)
    assert type(error) is se.PlatformClosed
    assert 301 <= error.seconds <= 366 * 86400
