"""Which requests are made again, how often, and how long after; when a platform is left alone."""

import time

import httpx
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import scrapeengine as se
from support.world import virtually

ONCE = se.Retry(attempts=1)


async def get(task):
    """Make one request."""
    return (await task.http.get("/a")).status_code


def by(method, **parts):
    """Make a scraper of one request by a method."""

    async def scrape(task):
        return (await task.http.request(method, "/a", **parts)).status_code

    return scrape


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 410, 429, 500, 501, 502, 503, 504, 599])
async def test_which_statuses_are_tried_again(autojump_clock, play, status):
    """Those that may pass, three times in all; the others stand at once."""
    played = await play(get, status)
    attempts = 3 if status in {408, 429, 500, 502, 503, 504} else 1
    assert len(played.requests) == attempts
    assert (played.error.status, played.error.attempt) == (status, attempts)


async def test_the_policy_names_the_statuses(autojump_clock, play):
    """Another set of statuses is what is tried again, and nothing beside it."""
    assert (await play(get, 404, 418, 503, retry=se.Retry(statuses={404, 418}, attempts=9))).error.attempt == 3


@pytest.mark.parametrize("answer", [503, httpx.ReadError("lost"), "never"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "POST", "PATCH"])
async def test_which_methods_are_tried_again(autojump_clock, play, method, answer):
    """The idempotent ones; a POST or a PATCH may have done its work."""
    attempts = 1 if method in {"POST", "PATCH"} else 3
    played = await play(by(method), answer)
    assert len(played.requests) == attempts
    assert played.error.attempt == attempts


async def test_a_post_is_tried_again_where_that_is_asked_for(autojump_clock, play):
    """`Retry(methods=…)` says so; the body is sent each time, and GET is no longer among them."""
    played = await play(by("post", json={"a": 1}), 503, httpx.ReadError("lost"), 200, retry=se.Retry(methods={"POST"}))
    assert [request.content for request in played.requests] == [b'{"a":1}'] * 3
    assert (await play(get, 503, retry=se.Retry(methods={"POST"}))).error.attempt == 1


@pytest.mark.parametrize(
    ("error", "attempts"),
    [
        (httpx.ConnectError("x"), 3),
        (httpx.ReadError("x"), 3),
        (httpx.WriteError("x"), 3),
        (httpx.CloseError("x"), 3),
        (httpx.RemoteProtocolError("x"), 2),
        (httpx.DecodingError("x"), 2),
        (OSError("x"), 3),
        (httpx.UnsupportedProtocol("x"), 1),
        (httpx.LocalProtocolError("x"), 1),
    ],
)
async def test_which_errors_are_tried_again(autojump_clock, play, error, attempts):
    """What may pass: all but requests that cannot be sent. What a site says wrongly it says again: once is enough."""
    assert (await play(get, error)).error.attempt == attempts


async def test_the_policy_names_the_errors(autojump_clock, play):
    """Here timeouts alone are tried again."""
    policy = se.Retry(errors=(se.AttemptTimeout,))
    assert (await play(get, "never", httpx.ReadError("x"), retry=policy)).error.attempt == 2


async def test_the_first_good_answer_stands(autojump_clock, play):
    """An error and a status later the third attempt succeeds."""
    played = await play(get, httpx.ConnectError("x"), 503, 200, 500)
    assert (played.value, len(played.requests)) == (200, 3)


async def test_a_retry_is_another_request_not_another_run(autojump_clock, play):
    """The scraper runs once, whatever its requests need; each request has its attempts to itself."""
    attempts = []

    async def scrape(task):
        attempts.append(task.attempt)
        return [(await task.http.get("/a")).status_code for _ in range(2)]

    played = await play(scrape, 503, 503, 200, 503, 503, 200)
    assert played.value == [200, 200]
    assert (attempts, played.outcome.attempts) == ([1], 1)


@given(
    draw=st.floats(0, 1),
    initial=st.floats(0, 100),
    most=st.floats(0, 100),
    attempts=st.integers(1, 6),
    answer=st.sampled_from([500, httpx.ReadError("lost")]),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_the_backoff(play, draw, initial, most, attempts, answer):
    """Attempt n + 1 follows attempt n by the draw's part of `min(max_wait, initial_wait * 2 ** (n - 1))`."""
    policy = se.Retry(attempts=attempts, initial_wait=initial, max_wait=most)
    played = virtually(play, get, answer, draw=draw, retry=policy)
    waits = [later - before for before, later in zip(played.times, played.times[1:], strict=False)]
    assert waits == pytest.approx([draw * min(most, initial * 2**n) for n in range(attempts - 1)])
    assert played.outcome.parked == pytest.approx(sum(waits))


async def test_each_attempt_has_a_deadline_of_its_own(autojump_clock, play):
    """A wire that never answers costs three timeouts and two backoffs, and no slot in between."""
    policy = se.Retry(attempts=3, initial_wait=1)
    played = await play(get, "never", timeout=se.Timeout(attempt=5), retry=policy)
    assert played.times == [0, 6, 13]
    assert type(played.error) is se.AttemptTimeout
    assert (played.error.attempt, played.error.seconds) == (3, 5)
    assert (played.outcome.ran, played.outcome.parked) == (15, 3)


async def test_for_ever_is_for_ever(autojump_clock, play):
    """Without a limit an answer may take an hour."""
    unlimited = se.Timeout(attempt=float("inf"), task=float("inf"))
    assert (await play(get, 200, latency=3600, timeout=unlimited)).value == 200


async def test_a_retry_takes_its_turn_in_the_rate(autojump_clock, play):
    """At one in ten seconds, three attempts take twenty, however short the backoff."""
    assert (await play(get, 500, draw=0.0, rate=se.Rate.every(10))).times == [0, 10, 20]


def two(played):
    """Say when the first event's second request, and the second event's requests, were sent."""
    by_event = {}
    for request, sent in zip(played.requests, played.times, strict=True):
        by_event.setdefault(request.url.path, []).append(sent)
    return by_event


async def one_then_the_other(task):
    """Make a request: the first event at once, the second one a second later."""
    if task.event.id == "late":
        await trio.sleep(1)
    return (await task.http.get(f"/{task.event.id}", check=False)).status_code


@pytest.mark.parametrize(
    ("answer", "first", "late"),
    [
        ((429, {"retry-after": "60"}), 60, 60),
        ((503, {"retry-after": "60"}), 60, 60),
        ((429, {}), 4, 2),
        ((429, {"retry-after": "soon"}), 4, 2),
        ((503, {}), 4, 1),
        ((500, {"retry-after": "60"}), 60, 1),
        ((500, {"retry-after": "3"}), 4, 1),
        ((404, {"retry-after": "60"}), None, 1),
    ],
)
async def test_what_closes_the_platform_for_its_siblings(autojump_clock, play, answer, first, late):
    """A 429 does, and a 503 with a `Retry-After`; of a backoff of 4 s and what was asked for, the later one holds.

    Any other answer with a `Retry-After` puts off the request that got it, and no other.
    """
    policy = se.Retry(attempts=2, initial_wait=4)
    played = await play(one_then_the_other, answer, 200, events=["first", "late"], retry=policy)
    assert two(played) == {"/first": [0] if first is None else [0, first], "/late": [late]}


@pytest.mark.parametrize("check", [True, False])
async def test_more_than_the_patience_is_not_waited_for_where_no_platform_is_closed(autojump_clock, play, check):
    """A 500 that asks for ten minutes is the answer."""

    async def scrape(task):
        return (await task.http.get("/a", check=check)).status_code

    played = await play(scrape, (500, {"retry-after": "600"}), 200, retry=se.Retry(patience=60))
    assert played.times == [0]
    if check:
        assert (type(played.error), played.error.status) == (se.StatusError, 500)
    else:
        assert played.value == 500


async def test_a_refusal_closes_the_platform_even_where_it_is_not_tried_again(autojump_clock, play):
    """`Retry(attempts=1)` spares the request, not the platform."""
    played = await play(one_then_the_other, (429, {"retry-after": "60"}), 200, events=["first", "late"], retry=ONCE)
    assert two(played) == {"/first": [0], "/late": [60]}
    assert played.outcomes[0].event.id == "first"
    assert played.outcomes[0].value == 429


async def test_a_date_counts_from_the_date_of_the_answer(autojump_clock, play, http_date):
    """Both are the platform's own clock, so that ours may be wrong by years."""
    headers = {"date": http_date(784111777), "retry-after": http_date(784111777 + 90)}
    assert (await play(get, (503, headers), 200)).times == [0, 90]


async def test_a_date_without_a_date_counts_from_now(autojump_clock, play, http_date):
    """Wall time and the run's clock are held together by the anchor of the run; HTTP dates have whole seconds."""
    later = {"retry-after": http_date(time.time() + 100)}
    played = await play(get, (429, later), 200)
    assert 95 < played.times[1] <= 100


async def test_a_date_that_has_passed_closes_nothing(autojump_clock, play, http_date):
    """Only the backoff is left."""
    headers = {"date": http_date(784111777), "retry-after": http_date(784111777 - 90)}
    assert (await play(get, (503, headers), 200, retry=se.Retry(initial_wait=4))).times == [0, 4]


@pytest.mark.parametrize("check", [True, False])
async def test_more_than_the_patience_is_a_failure_from_the_refusal(autojump_clock, play, check):
    """Whoever would wait for too long hears for how long, and which answer said so."""

    async def scrape(task):
        await task.http.get("/a", check=check)

    played = await play(scrape, (429, {"retry-after": "600"}), retry=se.Retry(patience=60, max_wait=0))
    assert type(played.error) is se.PlatformClosed
    assert played.error.seconds == 600
    assert isinstance(played.error.__cause__, se.StatusError)
    assert len(played.requests) == 1
