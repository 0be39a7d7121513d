"""Which redirects are followed, which are handed over, and what is known of the way."""

import pytest

import scrapeengine as se
from scrapeengine.testing import Answer

MOVED = [301, 302, 303, 307, 308]


def to(location, status=302, body=b""):
    """Answer by a redirect."""
    return Answer(status, body, {"Location": location})


def fetch(how="get", **parts):
    """Make a scraper of one request, which returns status, body, and the statuses of the way."""

    async def scrape(task):
        if how == "stream":
            async with task.http.stream("GET", "/a", **parts) as answer:
                body = b"".join([part async for part in answer])
        elif how == "request":
            answer = await task.http.request("PUT", "/a", content=b"x", **parts)
            body = answer.content
        else:
            answer = await getattr(task.http, how)("/a", **parts)
            body = answer.content
        assert answer.headers["content-length"]
        return answer.status_code, body, [(each.status_code, str(each.url.path)) for each in answer.history]

    return scrape


@pytest.mark.parametrize("status", MOVED)
@pytest.mark.parametrize("how", ["get", "post", "request", "stream"])
@pytest.mark.parametrize("by", ["call", "caps"])
async def test_a_redirect_is_handed_over(on_sites, status, how, by):
    """Because the call says so, or the platform's caps: with its body, and with no request behind it."""
    parts, policy = ({"follow_redirects": False}, {}) if by == "call" else ({}, {"caps": se.Caps(redirects=0)})
    seen = await on_sites(fetch(how, **parts), {"/a": to("/b", status, b"moved")}, **policy)
    assert seen.value == (status, b"moved", [])
    assert len(seen.asked) == 1


@pytest.mark.parametrize("location", ["http://[", "mailto:a@b.test", "ftp://a.test/"])
async def test_where_it_leads_does_not_matter_then(on_sites, location):
    """It is the program's to read."""
    assert (await on_sites(fetch(follow_redirects=False), {"/a": to(location)})).value[0] == 302


async def test_head_is_handed_over(on_sites):
    """It has no body, and says where it leads."""

    async def scrape(task):
        answer = await task.http.head("/a", follow_redirects=False)
        return answer.status_code, answer.headers["location"], answer.has_redirect_location

    assert (await on_sites(scrape, {"/a": to("/b")})).value == (302, "/b", True)


async def test_caps_can_be_tuned(on_sites):
    """The next request follows, or does not."""

    async def scrape(task):
        return [
            (await task.http.get("/a")).status_code,
            (await task.http.get("/a", follow_redirects=False)).status_code,
        ]

    assert (await on_sites(scrape, {"/a": to("/b")}, caps=se.Caps(redirects=1))).value == [200, 302]


@pytest.mark.parametrize("how", ["get", "stream"])
async def test_the_way_is_known(on_sites, how):
    """Each redirect that was followed is in the history, in its order, with its own URL, headers and no body."""
    answers = {"/a": to("/b", 301, b"x" * 100), "/b": to("{there}/c", 307), "/c": Answer(200, b"there")}
    assert (await on_sites(fetch(how), answers)).value == (200, b"there", [(301, "/a"), (307, "/b")])


async def test_no_redirect_no_history(on_sites):
    """It is empty, and each answer has its own."""

    async def scrape(task):
        first, second = await task.http.get("/x"), await task.http.get("/a")
        third = await task.http.get("/x")
        return [len(each.history) for each in (first, second, third)]

    assert (await on_sites(scrape, {"/a": to("/b")})).value == [0, 1, 0]


async def test_the_history_of_an_error(on_sites):
    """The answer of a `StatusError` knows its way too; that of a retry is its own."""
    seen = await on_sites(fetch(), {"/a": to("/b"), "/b": Answer(503)}, retry=se.Retry(attempts=2, max_wait=0))
    assert [each.status_code for each in seen.error.response.history] == [302]
    assert len(seen.asked) == 4


async def test_a_way_that_is_too_long_says_so(on_sites):
    """One redirect may be followed, and there are two."""
    seen = await on_sites(fetch(), {"/a": to("/b"), "/b": to("/c")}, caps=se.Caps(redirects=1))
    assert type(seen.error) is se.TooManyRedirects
    assert len(seen.asked) == 2
