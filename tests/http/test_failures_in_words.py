"""What errors say, and what they keep to themselves."""

import traceback

import httpx
import pytest

import scrapeengine as se
from scrapeengine.testing import Answer

SECRETS = ("anna", "hunter2", "t0ps3cret", "s3ss10n", "b0dy")
ONCE = se.Retry(attempts=1)


async def telling(task):
    """Send secrets wherever a request has place for them."""
    await task.http.request(
        "PUT",
        "http://anna:hunter2@a.test/path?key=t0ps3cret&bare",
        headers={"Authorization": "Bearer t0ps3cret", "Cookie": "id=s3ss10n"},
        json={"password": "b0dy"},
    )


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (404, se.StatusError),
        ((302, {"location": "ftp://anna:hunter2@b.test/?key=t0ps3cret"}), se.RedirectError),
        ((307, {"location": "http://anna:hunter2@b.test/?key=t0ps3cret#t0ps3cret"}), se.RedirectError),
        ((302, {"location": "http://anna:hunter2@[::1/?key=t0ps3cret"}), se.RedirectError),
        ((302, {"location": "/?key=t0ps3cret"}), se.TooManyRedirects),
        ("never", se.AttemptTimeout),
        (httpx.ConnectError("no route"), se.ConnectFailed),
        (httpx.ReadError(""), se.ConnectionBroken),
        (httpx.RemoteProtocolError("garbage"), se.ProtocolError),
        (LookupError("what is this"), se.TransportError),
    ],
)
async def test_no_error_tells_a_secret(autojump_clock, play, answer, kind):
    """Neither text nor repr nor attributes show credentials, header values, query values or the body."""
    error = (await play(telling, answer, retry=ONCE, headers={"X-Key": "t0ps3cret"})).error
    assert type(error) is kind
    texts = [str(error), repr(error), error.url, repr(error.args), "".join(traceback.format_exception_only(error))]
    assert not [secret for secret in SECRETS for text in texts if secret in text]
    assert "on 'A'" in str(error)
    if kind is not se.TooManyRedirects:
        assert error.url == "http://a.test/path?key=…&…"


@pytest.mark.parametrize(
    "url", ["ftp://anna:hunter2@a.test/?key=t0ps3cret", "http://anna:hunter2@[::1/?t0ps3cret", "anna:hunter2@a.test/x"]
)
async def test_an_invalid_request_tells_no_secret(autojump_clock, play, url):
    """What cannot be sent is not shown whole either; a traceback shows nothing of what lies behind it."""

    async def scrape(task):
        await task.http.get(url, params=params)

    params = {"key": "t0ps3cret"}
    played = await play(scrape, 200, base_url=None)
    assert type(played.error) is se.InvalidRequest
    whole = "".join(traceback.format_exception(played.error))
    assert not [secret for secret in ("hunter2", "t0ps3cret") if secret in whole]


async def test_a_password_with_a_slash_is_not_shown(autojump_clock, play):
    """Who forgets to encode a password does not find it in the log."""

    async def scrape(task):
        await task.http.get("http://anna:hunter2/x@a.test/")

    error = (await play(scrape, 200)).error
    assert type(error) is se.InvalidRequest
    assert "hunter2" not in str(error)


async def test_a_header_that_is_refused_is_not_shown(on_sites):
    """A token read from a file, its line break with it, is refused, and not printed."""

    async def scrape(task):
        await task.http.get("/", headers={"Authorization": "Bearer t0ps3cret\n"})

    error = (await on_sites(scrape)).error
    assert type(error) is se.InvalidRequest
    assert "t0ps3cret" not in str(error)


async def test_no_log_tells_a_secret(on_sites, caplog):
    """A program that logs what is of interest does not log the credentials and the queries of its requests."""

    async def scrape(task):
        url = task.event.data["here"].replace("//", "//anna:hunter2@")
        await task.http.get(url, params={"key": "t0ps3cret"})

    with caplog.at_level("INFO"):
        await on_sites(scrape)
    assert not [secret for secret in SECRETS if secret in caplog.text]


@pytest.mark.parametrize("status", [400, 403, 404, 418, 451, 499, 500, 501, 503, 599])
async def test_a_bad_status_is_an_error(on_sites, status):
    """It has the status, and the answer with its body."""

    async def scrape(task):
        await task.http.get("/a")

    error = (await on_sites(scrape, {"/a": Answer(status, b"why", headers={"X-Why": "because"})})).error
    assert type(error) is se.StatusError
    assert (error.status, error.response.status_code) == (status, status)
    assert (error.response.content, error.response.headers["x-why"]) == (b"why", "because")
    assert str(error).startswith(str(status))


@pytest.mark.parametrize("status", [200, 204, 299, 304, 399])
async def test_another_status_is_an_answer(on_sites, status):
    """Below 400 nothing is raised."""

    async def scrape(task):
        return (await task.http.get("/a")).status_code

    assert (await on_sites(scrape, {"/a": Answer(status)})).value == status


async def test_without_check_a_bad_status_is_an_answer(on_sites):
    """`check=False` returns it, once the retries are used up; `get` and `request` alike."""

    async def scrape(task):
        first = await task.http.get("/a", check=False)
        second = await task.http.request("POST", "/b", check=False)
        return first.status_code, first.content, second.status_code

    answers = {"/a": Answer(500, b"why"), "/b": Answer(404)}
    seen = await on_sites(scrape, answers, retry=se.Retry(attempts=3, max_wait=0))
    assert seen.value == (500, b"why", 404)
    assert [request.path for request in seen.asked] == ["/a", "/a", "/a", "/b"]


async def test_without_check_other_failures_still_are_errors(autojump_clock, play):
    """There is no answer to return."""

    async def scrape(task):
        await task.http.get("/a", check=False)

    assert type((await play(scrape, httpx.ReadError("lost"), retry=ONCE)).error) is se.ConnectionBroken


async def test_an_error_says_which_request_failed_and_when(autojump_clock, play):
    """Platform, method, URL and attempt; the seconds are those of the last attempt."""

    async def scrape(task):
        await task.http.request("delete", "/a?b=1")

    error = (await play(scrape, httpx.ReadError("lost"), latency=3.5, retry=se.Retry(attempts=2))).error
    assert (error.platform, error.method, error.url) == ("A", "DELETE", "http://a.test/a?b=…")
    assert (error.attempt, error.seconds) == (2, 3.5)
    assert str(error) == "lost (DELETE http://a.test/a?b=… on 'A', attempt 2, in head, 3.50 s)"


async def test_an_attempt_that_timed_out_says_its_limit(autojump_clock, play):
    """The message has the limit, and the attempt took as long."""

    async def scrape(task):
        await task.http.get("/a")

    error = (await play(scrape, "never", timeout=se.Timeout(attempt=2.5), retry=ONCE)).error
    assert str(error) == "no whole answer in 2.5 s (GET http://a.test/a on 'A', attempt 1, in head, 2.50 s)"
    assert error.seconds == 2.5


async def test_a_bad_status_says_how_long_it_took(autojump_clock, play):
    """Of the attempt, as for other errors."""

    async def scrape(task):
        await task.http.get("/a")

    assert (await play(scrape, 404, latency=3)).error.seconds == 3


async def test_the_wait_before_an_attempt_is_no_part_of_it(autojump_clock, play):
    """Neither the backoff nor the rate's pace makes an attempt longer than it was."""

    async def scrape(task):
        await task.http.get("/a")

    policy = se.Retry(attempts=2, initial_wait=8)
    assert (await play(scrape, 503, latency=3, retry=policy)).error.seconds == 3


@pytest.mark.parametrize("location", ["ftp://a.test/", "/loop"])
async def test_a_redirect_error_says_how_long_it_took(autojump_clock, play, location):
    """The attempt took at least as long as its last answer."""

    async def scrape(task):
        await task.http.get("/a")

    assert (await play(scrape, (302, {"location": location}), latency=3)).error.seconds >= 3
