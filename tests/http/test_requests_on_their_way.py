"""What a scraper asks for is what arrives: URLs, queries, bodies; and what cannot be sent is said."""

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.http.wire.requests import build

BASES = ["http://a.test", "http://a.test/", "http://a.test/v1", "http://a.test/v1/", "http://u:p@a.test:81/v%201"]
PATHS = ["", "/", "x", "/x", "x//y", "x?y=1", "?y=1", "../x", "./x", "/x/", "/a b", "/ä", "x#f", "http://b.test/x?y=1"]


def fetch(url, method="GET", **parts):
    """Make a scraper of one request."""

    async def scrape(task):
        return str((await task.http.request(method, url, **parts)).url)

    return scrape


@pytest.mark.parametrize("base", BASES)
async def test_urls_are_joined_as_httpx_joins_them(autojump_clock, play, base):
    """Relative ones go below `base_url`, with or without slashes between; absolute ones are left as they are."""

    async def scrape(task):
        for path in PATHS:
            await task.http.get(path)

    played = await play(scrape, 200, base_url=base)
    assert isinstance(played.outcome, se.Success)
    with httpx.Client(base_url=base, verify=False) as client:
        for path, request in zip(PATHS, played.requests, strict=True):
            expected = client.build_request("GET", path).url
            assert request.url == expected.copy_with(fragment=None, username=None, password=None)


@pytest.mark.parametrize(
    ("url", "joined"),
    [
        ("next", "http://a.test/news/next"),
        ("/top?a=1", "http://a.test/top?a=1"),
        ("", "http://a.test/news/today?page=1"),
        ("?page=2", "http://a.test/news/today?page=2"),
        ("//b.test/x", "http://b.test/x"),
        ("https://b.test/x", "https://b.test/x"),
    ],
)
async def test_without_a_base_url_they_are_seen_from_the_event(autojump_clock, play, url, joined):
    """A platform without `base_url` joins relative URLs to that of the event, as a browser does."""
    event = se.Event("e", url="http://a.test/news/today?page=1", platforms=("A",))
    assert (await play(fetch(url), 200, events=[event], base_url=None)).value == joined


async def test_paths_and_bases_arrive_on_the_wire(on_sites):
    """The site is asked for the path below the base."""
    seen = await on_sites(fetch("/events?live=1"), below="/api/v1/")
    assert seen.asked[0].target == "/api/v1/events?live=1"


@pytest.mark.parametrize("url", ["/x", "x", "", "?a=1", "//a.test/x"])
def test_nothing_to_join_to(url):
    """Without `base_url` and without a URL of the event it is refused, and the message says what is missing."""
    [outcome] = se.collect([se.Platform("A", fetch(url))], [se.Event("e")])
    assert type(outcome.error) is se.InvalidRequest
    assert "a relative one needs a base_url" in str(outcome.error)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.test/x",
        "http://a.test:99999/",
        "http://a.test:x/",
        "http://[::1",
        "http://\0/",
        "http://xn--a/",
        "http://" + "a" * 70_000,
        "/\ud800",
        "http://a.test\0/",
        "mailto:a@b.test",
        " TEL:+43",
        "data:text/html,x",
        "java\nscript:alert(1)",
        "about:blank",
        "file:///etc/passwd",
    ],
)
async def test_a_malformed_url_is_refused(autojump_clock, play, url):
    """What is no http or https URL is an `InvalidRequest`; nothing of httpx leaves, and nothing is sent."""
    played = await play(fetch(url, method="get"), 200)
    assert type(played.error) is se.InvalidRequest
    assert (played.error.platform, played.error.method, played.error.attempt) == ("A", "GET", 1)
    assert played.error.__cause__ is None
    assert not played.requests


async def test_a_malformed_url_of_the_event_is_refused(autojump_clock, play):
    """A relative URL that would be joined to a malformed one cannot be sent."""
    event = se.Event("e", url="http://[::1", platforms=("A",))
    assert type((await play(fetch("/x"), 200, events=[event], base_url=None)).error) is se.InvalidRequest


@given(
    st.text(st.characters() | st.sampled_from("htp:/[]@?#%.\\"), max_size=20), st.sampled_from(["", "http://", "//"])
)
def test_whatever_is_asked_for_only_our_errors_leave(url, scheme):
    """Any text is sent, or refused as an `InvalidRequest`."""
    platform = se.Platform("A", fetch(scheme + url), retry=se.Retry(attempts=1), base_url="http://127.0.0.1:1")
    try:
        request = build(platform, se.Event("e"), "get", scheme + url, name="A")
    except se.InvalidRequest as error:
        assert str(error)
    else:
        assert request.origin.host


@pytest.mark.parametrize(
    "headers",
    [{"X-A": "é"}, {"X-A": "a\nX-B: b"}, {"X-A": "a\r\n"}, {"X-A": "\0"}, {"X A": "a"}, {"": "a"}, {"X-é": "a"}],
)
async def test_a_bad_header_is_refused(on_sites, headers):
    """What HTTP has no place for is an `InvalidRequest`, and nothing of it arrives."""
    seen = await on_sites(fetch("/", headers=headers))
    assert type(seen.error) is se.InvalidRequest
    assert (seen.error.platform, seen.error.method, seen.error.attempt) == ("A", "GET", 1)
    assert not seen.asked


async def test_a_bad_method_is_refused(on_sites):
    """A method with a space in it is an `InvalidRequest`, and is not tried again."""
    seen = await on_sites(fetch("/", method="G T"), retry=se.Retry(methods={"G T"}, max_wait=0))
    assert type(seen.error) is se.InvalidRequest
    assert seen.error.attempt == 1


@pytest.mark.parametrize(("given", "sent"), [("get", "GET"), ("Post", "POST"), ("PURGE", "PURGE")])
async def test_methods_are_sent_in_capitals(on_sites, given, sent):
    """However a method is written, the site reads it in capitals."""
    assert (await on_sites(fetch("/", method=given))).asked[0].method == sent


async def test_params_become_the_query(on_sites):
    """They are encoded; a list makes the name come several times."""
    seen = await on_sites(fetch("/a", params={"q": "ä&b", "n": 5, "tag": ["x", "y"]}))
    assert seen.asked[0].target == "/a?q=%C3%A4%26b&n=5&tag=x&tag=y"


@pytest.mark.parametrize(("params", "target"), [({"page": 2}, "/a?live=1&page=2"), ({}, "/a?live=1")])
async def test_params_are_added_to_the_query_of_the_url(on_sites, params, target):
    """What the URL asks for already stays: `params` says "what to add to the URL's query"."""
    assert (await on_sites(fetch("/a?live=1", params=params))).asked[0].target == target


@pytest.mark.parametrize(
    ("parts", "body", "kind"),
    [
        ({"content": b"\0raw"}, b"\0raw", None),
        ({"content": "texté"}, "texté".encode(), None),
        ({"data": {"a": "1 2", "b": "ä"}}, b"a=1+2&b=%C3%A4", "application/x-www-form-urlencoded"),
        ({"json": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"json": False}, b"false", "application/json"),
        ({"json": {}, "headers": {"Content-Type": "text/x"}}, b"{}", "text/x"),
    ],
)
async def test_bodies_arrive(on_sites, parts, body, kind):
    """`content` as it is, `data` as a form, `json` as JSON; a content type of the scraper's own stays."""
    seen = await on_sites(fetch("/", method="post", **parts))
    assert seen.asked[0].body == body
    assert seen.asked[0].headers.get("content-type") == kind
    assert seen.asked[0].headers["content-length"] == str(len(body))


async def test_get_is_a_request_by_get(on_sites):
    """`get` passes on its params and headers."""

    async def scrape(task):
        return (await task.http.get("/a", params={"b": 1}, headers={"X-A": "1"})).status_code

    seen = await on_sites(scrape)
    assert seen.value == 200
    assert (seen.asked[0].method, seen.asked[0].target, seen.asked[0].headers["x-a"]) == ("GET", "/a?b=1", "1")


async def test_a_length_that_is_not_the_body_s_cannot_be_sent(on_sites):
    """A `Content-Length` that lies is the scraper's fault, and no reason to try again."""
    parts = {"content": b"abc", "headers": {"Content-Length": "9"}}
    assert type((await on_sites(fetch("/", method="PUT", **parts))).error) is se.InvalidRequest


def test_an_invalid_request_names_the_platform_as_its_outcome_does():
    """For a host that the default serves, the platform is the host."""
    event = se.Event(url="http://a.test/")
    [outcome] = se.collect([], [event], default=se.Platform("*", fetch("ftp://a.test/")))
    assert (outcome.platform, outcome.error.platform) == ("a.test", "a.test")
