"""Cookies in the program's hand: seeded, looked at, saved, restored and cleared, and told to nobody."""

import json
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se

SECRET = "s3cr3t-of-a-session"
WHOLE = {"name": "a", "value": SECRET, "domain": "a.test", "host_only": True, "path": "/", "secure": False}
WHOLE["expires"] = None


class Wire(httpx.AsyncBaseTransport):
    """Answers all, and writes down the cookies that came, by URL."""

    def __init__(self, **headers):
        self.came, self._headers = {}, headers

    async def handle_async_request(self, request):
        """Answer."""
        self.came[str(request.url)] = request.headers.get("cookie")
        return httpx.Response(200, headers=self._headers, request=request)


async def get(task):
    """Ask for the event's data."""
    await task.http.get(task.event.data)


def engine_on(wire, name="A", base_url="http://a.test", **policy):
    """Make an engine with one platform that keeps cookies."""
    policy = {"cookies": True, "transport": wire, "base_url": base_url} | policy
    return se.Engine([se.Platform(name, get, **policy)])


async def asked(engine, *urls):
    """Ask for URLs, one after the other."""
    for number, url in enumerate(urls):
        report = await engine.run([se.Event(number, data=url)])
        assert report.outcomes.succeeded == 1


async def test_a_seeded_cookie_goes_along(autojump_clock):
    """To the platform's own host, and to no other."""
    wire = Wire()
    engine = engine_on(wire)
    engine.cookies("A").set("session", SECRET)
    await asked(engine, "/x", "http://sub.a.test/x", "http://b.test/x")
    assert wire.came == {
        "http://a.test/x": f"session={SECRET}",
        "http://sub.a.test/x": None,
        "http://b.test/x": None,
    }


async def test_where_it_goes_is_the_program_s_to_say(autojump_clock):
    """By domain, by path, over https only; cookies know no port."""
    wire = Wire()
    engine = engine_on(wire, base_url="http://a.test:8080")
    cookies = engine.cookies("A")
    cookies.set("wide", "1", host_only=False)
    cookies.set("deep", "2", path="/deep")
    cookies.set("safe", "3", secure=True)
    cookies.set("away", "4", domain="B.Test:81")
    urls = ["/x", "/deep/x", "https://a.test:8080/x", "http://sub.a.test/x", "http://b.test/x"]
    await asked(engine, *urls)
    assert list(wire.came.values()) == ["wide=1", "deep=2; wide=1", "wide=1; safe=3", "wide=1", "away=4"]


async def test_what_a_site_sets_is_seen(autojump_clock):
    """And a site replaces what was seeded."""
    engine = engine_on(Wire(**{"Set-Cookie": "session=new; Max-Age=60; Path=/"}))
    cookies = engine.cookies("A")
    cookies.set("session", "old")
    assert cookies.get("session") == "old"
    await asked(engine, "/x")
    [cookie] = cookies
    assert (cookie.name, cookie.value, cookie.domain, cookie.host_only) == ("session", "new", "a.test", True)
    assert cookie.expires == pytest.approx(time.time() + 60, abs=30)
    assert cookies.get("session") == "new"
    assert cookies.get("other") is None


async def test_what_was_saved_is_restored(autojump_clock):
    """In another engine it goes along as it did in the first one; what has expired does not."""
    cookies = engine_on(Wire()).cookies("A")
    cookies.set("session", "ä·é", path="/x", secure=True)
    cookies.set("b", "2", domain="b.test", host_only=False, expires=time.time() + 1000)
    cookies.set("gone", "3", expires=time.time() + 0.2)
    saved = cookies.to_json()
    again = json.loads(saved)
    again[2]["expires"] = 1.0
    later = engine_on(Wire()).cookies("A")
    later.from_json(json.dumps(again))
    assert list(later) == list(cookies)[:2]


def test_cleared_are_all_or_some():
    """By name, by domain, by both."""
    cookies = engine_on(Wire()).cookies("A")
    for name in "ab":
        for domain in ("a.test", "b.test"):
            cookies.set(name, name, domain=domain)
    cookies.clear("a", domain="b.test")
    assert [(each.name, each.domain) for each in cookies] == [("a", "a.test"), ("b", "a.test"), ("b", "b.test")]
    cookies.clear(domain="a.test")
    assert [(each.name, each.domain) for each in cookies] == [("b", "b.test")]
    cookies.clear("a")
    assert len(cookies) == 1
    cookies.clear()
    assert len(cookies) == 0


def test_nothing_of_it_is_in_a_repr():
    """Neither names nor values."""
    engine = engine_on(Wire())
    cookies = engine.cookies("A")
    cookies.set("session", SECRET)
    [cookie] = cookies
    assert repr(cookies) == "<Cookies of 'A': 1>"
    assert SECRET not in repr([engine, cookies, cookie, engine._keeping])


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ({"value": f"{SECRET};"}, "';'"),
        ({"value": f"{SECRET}\r\nX-Evil: 1"}, "line break"),
        ({"value": f" {SECRET}"}, "blanks"),
        ({"value": f"{SECRET}\ud800"}, "surrogate"),
        ({"value": SECRET * 1000}, "4096"),
        ({"value": SECRET.encode()}, "must be a str, got bytes"),
        ({"name": ""}, "empty"),
        ({"name": f"{SECRET}=1"}, "'='"),
        ({"domain": "no host"}, "such as 'shop.example'"),
        ({"domain": f"http://u:{SECRET}@a.test/"}, "must be a host"),
        ({"path": "x"}, "begin with a slash"),
        ({"secure": 1}, "must be a bool"),
        ({"expires": "soon"}, "Unix time"),
    ],
)
def test_what_is_no_cookie_is_refused(bad, says):
    """The message says what to write, and quotes no secret."""
    cookies = engine_on(Wire()).cookies("A")
    with pytest.raises((TypeError, ValueError)) as refused:
        cookies.set(**{"name": "a", "value": "b"} | bad)
    assert says in str(refused.value)
    assert SECRET not in str(refused.value)
    assert len(cookies) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[" * 100_000,
        '{"a": 1}',
        f'[{{"name": "a", "value": "{SECRET}"}}]',
        "[1]",
        "null",
        json.dumps([WHOLE | {"value": f"{SECRET};"}]),
        json.dumps([WHOLE, WHOLE | {"domain": 7}]),
        json.dumps([WHOLE | {"more": SECRET}]),
    ],
)
def test_what_was_not_saved_here_is_refused(text):
    """As a whole, and nothing of it is quoted, in the traceback neither."""
    cookies = engine_on(Wire()).cookies("A")
    with pytest.raises(ValueError, match=r"cookies\.to_json") as refused:
        cookies.from_json(text)
    assert refused.value.__context__ is None
    assert len(cookies) == 0


def test_what_has_no_cookies_says_so():
    """A platform that keeps none, one without a host, the default, and one that there is not."""
    engine = se.Engine(
        [se.Platform("none", get), se.Platform("homeless", get, cookies=True)],
        default=se.Platform("*", get, cookies=True),
    )
    with pytest.raises(ValueError, match=r"write Platform\(…, cookies=True\)"):
        engine.cookies("none")
    with pytest.raises(ValueError, match=r"no host of its own; write .*domain="):
        engine.cookies("homeless").set("a", "b")
    with pytest.raises(ValueError, match=r"write engine\.cookies"):
        engine.cookies("*")
    with pytest.raises(se.UnknownPlatform):
        engine_on(Wire()).cookies("B")


async def test_each_host_of_the_default_has_its_own(autojump_clock):
    """However it is written."""
    wire = Wire()
    engine = se.Engine([], default=se.Platform("*", get_event, cookies=True, transport=wire))
    engine.cookies("Shop.Test").set("a", "1")
    await engine.run([se.Event(url="http://shop.test/"), se.Event(url="http://other.test/")])
    assert wire.came == {"http://shop.test/": "a=1", "http://other.test/": None}


async def get_event(task):
    """Ask for the event's URL."""
    await task.http.get(task.event.url)


@given(st.text(), st.text())
def test_what_is_taken_comes_back(name, value):
    """Whatever texts are given: they are refused, or are here as they were given, also once they were saved."""
    cookies = engine_on(Wire()).cookies("A")
    try:
        cookies.set(name, value)
    except ValueError:
        return
    later = engine_on(Wire()).cookies("A")
    later.from_json(cookies.to_json())
    assert [(each.name, each.value) for each in later] == [(name, value)]
