"""Cookies: off unless asked for, for the site that sets them only, and not more than there should be."""

import re

import pytest
import trio

import scrapeengine as se
from support.runs import ONCE, ended
from support.wire import serving

_COOKIE = re.compile(rb"\r\ncookie: ([^\r]*)", re.IGNORECASE)


def setting(*cookies, status=b"200 OK", more=b""):
    """Make an answer that sets cookies."""
    lines = b"".join(b"Set-Cookie: %b\r\n" % cookie for cookie in cookies)
    return b"HTTP/1.1 %b\r\n%b%bContent-Length: 2\r\n\r\nok" % (status, lines, more)


def by_path(answers):
    """Make a site of answers by the target of a request; what is not named sets nothing."""

    async def serve(talk):
        while request := await talk.request():
            await talk.send(answers.get(request.split(b" ", 2)[1].decode(), setting()))

    return serve


@pytest.fixture
def browse(names):
    """Return a function that has one task after the other ask for URLs; it returns what cookies they were asked with.

    Each name below `.test` leads to the one site that there is; `{port}` is its port.
    """

    async def run(urls, answers, runs=1, **policy):
        async def scrape(task):
            await task.http.get(task.event.url, check=False, headers=headers)

        headers = policy.pop("headers_of_request", None)
        policy = {"cookies": True, "retry": ONCE, "limit": 1} | policy

        for name in ("shop.test", "www.shop.test", "other.test", "evilshop.test", "a.co.uk", "b.co.uk"):
            names[name] = ["127.0.0.1"]
        with trio.fail_after(10):
            async with serving(by_path(answers)) as web:
                engine = se.Engine([se.Platform("A", scrape, **policy)], event_limit=1)
                events = [url.format(port=web.port) for url in urls]
                for at in range(runs):
                    made = [se.Event(f"{at}.{number}", url=url, platforms=("A",)) for number, url in enumerate(events)]
                    async with engine.stream(made) as run:
                        assert [type(outcome) async for outcome in run] == [se.Success] * len(urls)
            return [found[1] if (found := _COOKIE.search(each)) else None for each in web.requests]

    return run


SHOP = "http://www.shop.test:{port}"


async def test_they_are_off_unless_asked_for(browse):
    """Nothing that a site sets is sent back."""
    asked = await browse([f"{SHOP}/set", f"{SHOP}/"], {"/set": setting(b"id=1")}, cookies=False)
    assert asked == [None, None]


async def test_they_are_sent_back_by_the_platform_s_other_tasks(browse):
    """And by those of a later run, for as long as the engine lives."""
    asked = await browse([f"{SHOP}/set", f"{SHOP}/"], {"/set": setting(b"id=1; Path=/", b"lang=en; Path=/")}, runs=2)
    assert asked == [None, b"id=1; lang=en", b"id=1; lang=en", b"id=1; lang=en"]


@pytest.mark.parametrize(
    "cookie",
    [
        b"id=1; Domain=other.test",
        b"id=1; Domain=test",
        b"id=1; Domain=.test",
        b"id=1; Domain=hop.test",
        b"id=1; Domain=evilshop.test",
        b"id=1; Domain=login.www.shop.test",
        b"id=1; Domain=www.shop.test.evil.test",
        b"id=1; Secure",
        b"__Host-id=1; Path=/",
        b"__Secure-id=1; Path=/",
        b"id=" + b"x" * 4096,
        b"=",
        b"",
        b";;;",
        b"id=1; Max-Age=0",
        b"id=1; Max-Age=-1",
        b"id=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT",
    ],
)
async def test_what_is_not_the_site_s_to_set_is_not_kept(browse, cookie):
    """For others, for public suffixes, for https only, too large, or over already: no one is sent it."""
    hosts = ("www.shop.test", "shop.test", "other.test", "evilshop.test", "www.shop.test")
    urls = [f"{SHOP}/set", *(f"http://{host}:{{port}}/" for host in hosts)]
    assert await browse(urls, {"/set": setting(cookie)}) == [None] * 6


async def test_a_public_suffix_has_no_cookies(browse):
    """Whoever has a name in it could read them."""
    urls = ["http://a.co.uk:{port}/set", "http://b.co.uk:{port}/", "http://a.co.uk:{port}/"]
    assert await browse(urls, {"/set": setting(b"id=1; Domain=co.uk")}) == [None] * 3


async def test_a_domain_s_cookie_goes_to_all_of_it(browse):
    """And to none that only ends alike."""
    hosts = ("shop.test", "www.shop.test", "evilshop.test", "other.test")
    urls = [f"{SHOP}/set", *(f"http://{host}:{{port}}/" for host in hosts)]
    assert await browse(urls, {"/set": setting(b"id=1; Domain=shop.test")}) == [None, b"id=1", b"id=1", None, None]


async def test_five_thousand_cookies_are_fifty(browse):
    """However many a site sets, 50 are kept of a domain, and 8 KiB sent."""
    answers = {
        f"/{page}": setting(*(b"c%d-%d=%b; Path=/" % (page, number, b"x" * 20) for number in range(200)))
        for page in range(25)
    }
    asked = await browse([f"{SHOP}/{page}" for page in range(25)] + [f"{SHOP}/"], answers)
    assert asked[-1].count(b";") == 49
    assert max(len(each or b"") for each in asked) <= 8192
    large = {"/set": setting(*(b"c%d=%b; Path=/" % (number, b"x" * 1000) for number in range(50)))}
    assert len((await browse([f"{SHOP}/set", f"{SHOP}/"], large))[-1]) <= 8192


async def test_what_a_redirect_sets_is_kept_and_goes_only_where_it_belongs(browse):
    """The hop behind it brings the cookie back if it is at home, and not if it is abroad."""
    at_home = setting(b"id=1; Path=/", status=b"302 Found", more=b"Location: /\r\n")
    assert await browse([f"{SHOP}/set"], {"/set": at_home}) == [None, b"id=1"]
    abroad = setting(b"id=1; Path=/", status=b"302 Found", more=b"Location: //other.test:%d/\r\n")

    async def serve(talk):
        while request := await talk.request():
            await talk.send(abroad % talk.server.port if b" /set " in request else setting())

    async def scrape(task):
        await task.http.get(task.event.url)

    with trio.fail_after(5):
        async with serving(serve) as web:
            platform = se.Platform("A", scrape, cookies=True, retry=ONCE)
            url = f"http://www.shop.test:{web.port}/set"
            [outcome] = await ended([platform], [se.Event("e", url=url, platforms=("A",))])
        requests = web.requests
    assert isinstance(outcome, se.Success)
    assert [_COOKIE.search(each) for each in requests] == [None, None]


async def test_an_error_s_cookies_are_kept_too(browse):
    """Sites set them with whatever they answer."""
    asked = await browse([f"{SHOP}/set", f"{SHOP}/"], {"/set": setting(b"id=1; Path=/", status=b"403 Forbidden")})
    assert asked == [None, b"id=1"]


async def test_a_scraper_s_own_cookie_stands(browse):
    """What it sends by itself is not mixed with what the site has set."""
    asked = await browse(
        [f"{SHOP}/set", f"{SHOP}/"], {"/set": setting(b"id=1; Path=/")}, headers_of_request={"Cookie": "mine=2"}
    )
    assert asked == [b"mine=2", b"mine=2"]


@pytest.mark.parametrize(
    "cookie", [b"id=\xff\xfe\xc3\x28", "id=ключ".encode(), b'id="a b, c"', b"id=a=b=c", b"i d=1", b"id=\t1"]
)
async def test_an_odd_cookie_breaks_nothing(browse, cookie):
    """Kept or not, the next request is a request."""
    assert len(await browse([f"{SHOP}/set", f"{SHOP}/"], {"/set": setting(cookie)})) == 2


async def test_two_platforms_have_two_jars(names):
    """One that asks for the same site as another has none of its cookies."""
    names["www.shop.test"] = ["127.0.0.1"]

    async def scrape(task):
        await task.http.get("/set")
        await task.http.get("/")

    with trio.fail_after(5):
        async with serving(by_path({"/set": setting(b"id=1; Path=/")})) as web:
            url = f"http://www.shop.test:{web.port}"
            platforms = [se.Platform(name, scrape, base_url=url, cookies=name == "A", retry=ONCE) for name in "AB"]
            await ended(platforms, [se.Event("e")], event_limit=1)
        requests = web.requests
    sent = sorted(found[1] if (found := _COOKIE.search(each)) else b"" for each in requests)
    assert sent == [b"", b"", b"", b"id=1"]


async def test_what_was_kept_is_not_sent_once_they_are_off(names):
    """To turn them off is enough: what the platform has in its jar stays there."""
    names["www.shop.test"] = ["127.0.0.1"]

    async def scrape(task):
        await task.http.get("/set")
        await task.http.get("/on")
        engine.tune("A", cookies=False)
        await task.http.get("/off")

    with trio.fail_after(5):
        async with serving(by_path({"/set": setting(b"id=1; Path=/")})) as web:
            url = f"http://www.shop.test:{web.port}"
            engine = se.Engine([se.Platform("A", scrape, base_url=url, cookies=True, retry=ONCE)])
            async with engine.stream([se.Event("e")]) as run:
                assert [type(outcome) async for outcome in run] == [se.Success]
        requests = web.requests
    assert [bool(_COOKIE.search(each)) for each in requests] == [False, True, False]
