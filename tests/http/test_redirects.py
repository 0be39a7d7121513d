"""Redirects: where they lead, by which method, with what; and where they are not followed."""

import httpx
import pytest

import scrapeengine as se
from scrapeengine.http.wire.decoding import ACCEPT_ENCODING
from scrapeengine.testing import Answer

MOVED = [301, 302, 303, 307, 308]


def fetch(url="/a", method="GET", **parts):
    """Make a scraper of one request."""

    async def scrape(task):
        response = await task.http.request(method, url, **parts)
        return response.status_code, str(response.url)

    return scrape


def to(location, status=302, **headers):
    """Answer by a redirect."""
    return Answer(status, headers={"Location": location} | headers)


@pytest.mark.parametrize("status", MOVED)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "DELETE"])
async def test_methods_and_bodies(on_sites, status, method):
    """A 303 makes all but HEAD a GET, 301 and 302 a POST only; what is a GET by that loses its body."""
    body = b"{}" if method in {"POST", "PUT"} else b""
    kind = {"Content-Type": "text/x"} if body else {}
    seen = await on_sites(fetch(method=method, content=body or None, headers=kind), {"/a": to("/b", status)})
    first, second = seen.asked
    becomes_get = (status == 303 and method != "HEAD") or (status in {301, 302} and method == "POST")
    expected = "GET" if becomes_get else method
    kept = body if expected == method else b""
    assert (first.method, first.body) == (method, body)
    assert (second.path, second.method, second.body) == ("/b", expected, kept)
    assert second.headers.get("content-type") == ("text/x" if kept else None)
    length = second.headers.get("content-length")
    assert length == (str(len(kept)) if kept or expected in {"POST", "PUT"} else None)


@pytest.mark.parametrize(
    ("location", "target"),
    [("b", "/x/b"), ("../b", "/b"), ("?c=1", "/x/a?c=1"), ("/b?c=1", "/b?c=1"), ("{here}/b", "/b"), ("#f", "/x/a?q=1")],
)
async def test_a_location_is_seen_from_the_request(on_sites, location, target):
    """A relative `Location` is joined to the URL that was asked for; to the whole of it, not to `base_url`."""
    targets = []

    async def answer(request):
        targets.append(request.target)
        return Answer() if targets[1:] else to(location.format(here="http://" + request.headers["host"]))

    async def scrape(task):
        return (await task.http.get("/x/a", params={"q": 1})).status_code

    seen = await on_sites(scrape, dict.fromkeys(["/x/a", "/x/b", "/b"], answer))
    assert seen.value == 200
    assert targets == ["/x/a?q=1", target]


async def test_the_answer_is_the_last_one(on_sites):
    """Its status and URL are those of where the redirects led."""
    seen = await on_sites(fetch(), {"/a": to("/b", 301), "/b": to("{there}/c", 308)})
    assert seen.value[0] == 200
    assert seen.value[1].endswith("/c")
    assert [request.path for request in seen.abroad] == ["/c"]


@pytest.mark.parametrize("status", [200, 201, 300, 304, 305])
async def test_what_is_no_redirect_is_the_answer(on_sites, status):
    """A `Location` alone, or beside another status, leads nowhere."""
    seen = await on_sites(fetch(), {"/a": to("/b", status)})
    assert seen.value[0] == status
    assert len(seen.asked) == 1


@pytest.mark.parametrize("status", MOVED)
async def test_a_redirect_to_nowhere_is_the_answer(on_sites, status):
    """Without a `Location` there is nothing to follow."""
    assert (await on_sites(fetch(), {"/a": Answer(status)})).value[0] == status


async def test_at_home_all_headers_go_along(on_sites):
    """The same origin gets what it was sent before, the platform's headers and the request's."""
    seen = await on_sites(
        fetch(headers={"X-Mine": "1"}), {"/a": to("/b")}, headers={"X-Key": "k", "Authorization": "t"}
    )
    assert seen.asked[1].headers == seen.asked[0].headers


async def test_abroad_only_the_harmless_go_along(on_sites):
    """Another origin gets neither the platform's headers nor the request's own; nor does the way back restore them."""
    headers = {"Authorization": "Bearer t0ps3cret", "Cookie": "a=1", "X-Mine": "1", "User-Agent": "me", "Accept": "b/b"}
    answers = {"/a": to("{there}/b"), "/b": to("{here}/c")}
    seen = await on_sites(fetch(headers=headers), answers, headers={"X-Key": "k"})
    for request in (seen.abroad[0], seen.asked[1]):
        sent = {name: text for name, text in request.headers.items() if name not in {"host", "connection"}}
        assert sent == {"accept": "b/b", "accept-encoding": ACCEPT_ENCODING, "user-agent": "me"}
    assert seen.abroad[0].headers["host"] != seen.asked[0].headers["host"]


async def test_another_scheme_is_another_origin(autojump_clock, play):
    """From https to http, what was meant for https does not go along."""
    headers = {"Authorization": "t", "User-Agent": "me"}
    played = await play(fetch(headers=headers), (302, {"location": "http://a.test/b"}), 200, base_url="https://a.test")
    assert "authorization" not in played.requests[1].headers
    assert played.requests[1].headers["user-agent"] == "me"


async def test_another_spelling_is_the_same_origin(autojump_clock, play):
    """Letters of either case, the scheme's own port and a final dot make no other host."""
    location = {"location": "http://A.TEST.:80/b"}
    played = await play(fetch(headers={"Authorization": "t"}), (302, location), 200, base_url="http://a.test")
    assert played.requests[1].headers["authorization"] == "t"


async def test_user_and_password_of_a_url_stay_at_home(autojump_clock, play):
    """They go along to the same origin, and to no other; the URL of an answer shows them nowhere."""
    played = await play(
        fetch("http://anna:hunter2@a.test/"),
        (302, {"location": "/b"}),
        (302, {"location": "http://b.test/"}),
        200,
    )
    assert [request.headers.get("authorization") for request in played.requests] == [ANNA, ANNA, None]
    assert [request.url.userinfo for request in played.requests] == [b"", b"", b""]


ANNA, BERT = "Basic YW5uYTpodW50ZXIy", "Basic YmVydDpz"
"""anna:hunter2 and bert:s, as RFC 7617 has it."""


@pytest.mark.parametrize("home", ["", "{here}"])
async def test_what_is_made_of_user_and_password_stays_at_home(on_sites, home):
    """They are sent as `Authorization`, which goes along to the same origin, and to no other, nor back from there."""

    async def scrape(task):
        await task.http.get(task.event.data["here"].replace("//", "//anna:hunter2@") + "/a")

    seen = await on_sites(scrape, {"/a": to(home + "/b"), "/b": to("{there}/c"), "/c": to("{here}/d")})
    assert [request.path for request in seen.asked] == ["/a", "/b", "/d"]
    assert [request.headers.get("authorization") for request in seen.asked] == [ANNA, ANNA, None]
    assert [request.headers.get("authorization") for request in seen.abroad] == [None]


@pytest.mark.parametrize("host", ["a.test", "b.test"])
async def test_user_and_password_of_a_location_are_sent_where_it_leads(autojump_clock, play, host):
    """They were given for that URL: there they stand before what went along."""
    location = {"location": f"http://bert:s@{host}/b"}
    played = await play(fetch("http://anna:hunter2@a.test/a"), (302, location), 200)
    assert [request.headers["authorization"] for request in played.requests] == [ANNA, BERT]


async def test_an_authorization_of_the_scraper_s_own_goes_along_before_that_of_the_url(autojump_clock, play):
    """What was sent to an origin is sent to it again, though the URL has a user and a password too."""
    headers = {"Authorization": "Bearer mine"}
    played = await play(fetch(headers=headers), (302, {"location": "/b"}), 200, base_url="http://anna:hunter2@a.test")
    assert [request.headers["authorization"] for request in played.requests] == ["Bearer mine"] * 2


@pytest.mark.parametrize(("status", "method"), [(307, "POST"), (308, "PUT"), (301, "PUT"), (302, "PATCH")])
async def test_no_body_goes_abroad(on_sites, status, method):
    """A redirect that would carry a body to another origin is refused, and says where to."""
    seen = await on_sites(
        fetch(method=method, json={"password": "hunter2"}), {"/a": to("{there}/b?key=t0ps3cret", status)}
    )
    assert type(seen.error) is se.RedirectError
    assert "carry a body" in str(seen.error)
    assert "/b?key=…" in str(seen.error)
    assert "t0ps3cret" not in str(seen.error)
    assert not seen.abroad


@pytest.mark.parametrize(
    ("status", "method", "after"), [(303, "PUT", "GET"), (302, "POST", "GET"), (307, "GET", "GET")]
)
async def test_without_its_body_a_request_goes_abroad(on_sites, status, method, after):
    """What has no body, or loses it by becoming a GET, is followed."""
    content = None if method == "GET" else b"x"
    seen = await on_sites(fetch(method=method, content=content), {"/a": to("{there}/b", status)})
    assert seen.value[0] == 200
    assert (seen.abroad[0].method, seen.abroad[0].body) == (after, b"")


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("ftp://a.test/x", "no http or https URL"),
        ("javascript:alert(1)", "no http or https URL"),
        ("mailto:anna@a.test", "no http or https URL"),
        ("data:,x", "no http or https URL"),
        ("tel:+43", "no http or https URL"),
        ("http://a.test:99999/", "malformed"),
        ("http://[::1", "malformed"),
        ("http://xn--a/", "malformed"),
        ("http://a.test:x/", "malformed"),
        ("http://a b/", "malformed"),
        ("/" + "a" * 70_000, "malformed"),
    ],
)
async def test_where_we_do_not_follow(autojump_clock, play, location, says):
    """A `Location` that is malformed, of another scheme or without a host is a `RedirectError`, not tried again."""
    played = await play(fetch(), (302, {"location": location.encode()}))
    assert type(played.error) is se.RedirectError
    assert says in str(played.error)
    assert (played.error.method, played.error.url, played.error.attempt) == ("GET", "http://a.test/a", 1)
    assert len(played.requests) == 1


@pytest.mark.parametrize(("hops", "followed"), [(10, True), (11, False)])
async def test_ten_redirects_and_no_more(autojump_clock, play, hops, followed):
    """The eleventh is `TooManyRedirects`; a loop ends by it."""
    played = await play(fetch(), *[(302, {"location": "/b"})] * hops, 200)
    assert len(played.requests) == 11
    if followed:
        assert played.value[0] == 200
    else:
        assert type(played.error) is se.TooManyRedirects
        assert "more than 10 redirects" in str(played.error)


async def test_each_hop_takes_its_turn(autojump_clock, play):
    """In a rate of one in ten seconds, two redirects take twenty."""
    moved = (302, {"location": "/b"})
    played = await play(fetch(), moved, moved, 200, rate=se.Rate.every(10))
    assert played.times == [0, 10, 20]


async def test_a_backoff_comes_before_an_attempt_not_before_each_hop(autojump_clock, play):
    """The second attempt waits 4 s, and its redirect no more."""
    moved = (302, {"location": "/b"})
    assert (await play(fetch(), 500, moved, 200, retry=se.Retry(initial_wait=4))).times == [0, 4, 4]


async def test_the_host_is_that_of_the_new_url(autojump_clock, play):
    """A `Host` of the scraper's own was for the first request; the same origin is told its name anew."""
    played = await play(fetch(headers={"Host": "mine.test"}), (302, {"location": "/b"}), 200)
    assert [request.headers["host"] for request in played.requests] == ["mine.test", "a.test"]


async def test_a_hop_may_close_the_platform(autojump_clock, play):
    """A 429 behind a redirect is heeded, and the attempt that follows begins at the first URL again."""
    played = await play(fetch(), (302, {"location": "/b"}), (429, {"retry-after": "60"}), 200)
    assert [request.url.path for request in played.requests] == ["/a", "/b", "/a"]
    assert played.times == [0, 0, 60]


async def test_each_hop_has_a_deadline_of_its_own(autojump_clock, play):
    """Three hops of 6 s each are no more than 10 s each; one that never answers is cut by its own."""
    moved = (302, {"location": "/b"})
    timeout = se.Timeout(attempt=10)
    assert (await play(fetch(), moved, moved, 200, latency=6, timeout=timeout)).value[0] == 200
    played = await play(fetch(), moved, "never", latency=6, timeout=timeout, retry=se.Retry(attempts=1))
    assert type(played.error) is se.AttemptTimeout
    assert played.error.url == "http://a.test/b"
    assert played.outcome.ran == 16


async def test_a_status_behind_a_redirect_names_where_it_came_from(autojump_clock, play):
    """The error of a 404 has the URL that was not found, and the response that URL's request."""
    played = await play(fetch(), (302, {"location": "http://b.test/gone?key=t0ps3cret"}), 404)
    assert type(played.error) is se.StatusError
    assert played.error.url == "http://b.test/gone?key=…"
    assert isinstance(played.error.response, httpx.Response)
    assert played.error.response.request.url.host == "b.test"


async def test_what_loses_its_body_loses_what_was_said_of_it(on_sites):
    """No `Expect`, no `Content-…` of any kind (RFC 9110, section 15.4); the rest stays."""

    async def scrape(task):
        headers = {"Expect": "100-continue", "Content-Language": "de", "Content-MD5": "x", "X-Mine": "stays"}
        return (await task.http.post("/a", content=b"abc", headers=headers)).status_code

    seen = await on_sites(scrape, {"/a": Answer(303, headers={"Location": "/b"})})
    after = {name.lower(): value for name, value in seen.asked[1].headers.items()}
    assert not [name for name in after if name == "expect" or name.startswith("content-")]
    assert after["x-mine"] == "stays"
