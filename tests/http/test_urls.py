"""URLs go where a browser would go, whoever gives them: scrapers, events, `base_url`, redirects; or nowhere."""

import base64
import re

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.model.urls import UrlError, below, joined, parse

SNOW, POO = "xn--n3h.net", "xn--ls8h.la"
"""Hosts for which `idna` knows no letters."""


def fetch(url, **parts):
    """Make a scraper of one request that looks at all that its answer says of where it came from."""

    async def scrape(task):
        response = await task.http.get(url, **parts)
        assert response.url == response.request.url
        assert response.url.host
        assert response.request.headers["host"]
        return str(response.url)

    return scrape


@pytest.mark.parametrize(
    ("reference", "seen_from_a_page", "below_a_base"),
    [
        ("x", "http://a.test/p/x", "http://a.test/v1/x"),
        ("/x", "http://a.test/x", "http://a.test/v1/x"),
        ("", "http://a.test/p/q?r", "http://a.test/v1/"),
        ("?y", "http://a.test/p/q?y", "http://a.test/v1/?y"),
        ("#y", "http://a.test/p/q?r", "http://a.test/v1/"),
        (" \t/x\n", "http://a.test/x", "http://a.test/v1/x"),
        ("/x\r\ny\tz", "http://a.test/xyz", "http://a.test/v1/xyz"),
        ("\\x\\y", "http://a.test/x/y", "http://a.test/v1/x/y"),
        ("/a/b/..", "http://a.test/a/", "http://a.test/v1/a/"),
        ("a/%2e%2E/b", "http://a.test/p/b", "http://a.test/v1/b"),
        ("../x", "http://a.test/x", "http://a.test/x"),
        ("a//b", "http://a.test/p/a//b", "http://a.test/v1/a//b"),
        ("/a//b;c=d;e/f", "http://a.test/a//b;c=d;e/f", "http://a.test/v1/a//b;c=d;e/f"),
        ("resize/http://cdn/x", "http://a.test/p/resize/http://cdn/x", "http://a.test/v1/resize/http://cdn/x"),
        ("./a:b", "http://a.test/p/a:b", "http://a.test/v1/a:b"),
        ("1:b", "http://a.test/p/1:b", "http://a.test/v1/1:b"),
        ('/a b^c"<>`{}', "http://a.test/a%20b%5Ec%22%3C%3E%60%7B%7D", "http://a.test/v1/a%20b%5Ec%22%3C%3E%60%7B%7D"),
        ("/?a='b c^d", "http://a.test/?a=%27b%20c^d", "http://a.test/v1/?a=%27b%20c^d"),
        ("/ä?ö#ü", "http://a.test/%C3%A4?%C3%B6", "http://a.test/v1/%C3%A4?%C3%B6"),
        ("/%zz%", "http://a.test/%zz%", "http://a.test/v1/%zz%"),
        ("/x?", "http://a.test/x?", "http://a.test/v1/x?"),
        ("//b.test/x", "http://b.test/x", "http://b.test/x"),
        ("\\\\b.test\\x", "http://b.test/x", "http://b.test/x"),
        ("///b.test/x", "http://b.test/x", "http://b.test/x"),
        ("http:/x", "http://a.test/x", "http://a.test/x"),
        ("https:/b.test/x", "https://b.test/x", "https://b.test/x"),
        ("HTTP://B.Test:80", "http://b.test/", "http://b.test/"),
        ("http://b.test.:8080/", "http://b.test:8080/", "http://b.test:8080/"),
        ("http://0x7f.1/", "http://127.0.0.1/", "http://127.0.0.1/"),
        ("http://2130706433/x", "http://127.0.0.1/x", "http://127.0.0.1/x"),
        ("http://[::FFFF:1.2.3.4]/", "http://[::ffff:102:304]/", "http://[::ffff:102:304]/"),
        ("http://☃.net/", f"http://{SNOW}/", f"http://{SNOW}/"),
        ("http://💩.la/", f"http://{POO}/", f"http://{POO}/"),
        ("http://bu\u0308cher.example/", "http://xn--bcher-kva.example/", "http://xn--bcher-kva.example/"),
    ],
)
async def test_references(autojump_clock, play, reference, seen_from_a_page, below_a_base):
    """As the WHATWG URL Standard has them, and below a `base_url` where they are paths."""
    assert joined("http://a.test/p/q?r", reference).text == seen_from_a_page
    assert below("http://a.test/v1", reference).text == below("http://a.test/v1/", reference).text == below_a_base
    event = se.Event("e", url="http://a.test/p/q?r", platforms=("A",))
    assert (await play(fetch(reference), 200, events=[event], base_url=None)).value == seen_from_a_page
    assert (await play(fetch(reference), 200, base_url="http://a.test/v1")).value == below_a_base


@pytest.mark.parametrize(
    "reference",
    [
        "mailto:a@b.test",
        "tel:+43",
        "data:,x",
        "javascript:alert(1)",
        " JavaScript:x",
        "about:blank",
        "ftp://b.test/",
        "x:y",
    ],
)
async def test_other_schemes_are_no_paths(autojump_clock, play, reference):
    """Neither below a `base_url` nor seen from a page; the message says how to write a path that looks like one."""
    event = se.Event("e", url="http://a.test/p", platforms=("A",))
    for options in ({"base_url": "http://a.test/v1"}, {"base_url": None, "events": [event]}):
        played = await play(fetch(reference), 200, **options)
        assert type(played.error) is se.InvalidRequest
        assert "written './a:b'" in str(played.error)
        assert not played.requests


@pytest.mark.parametrize("host", [SNOW, POO, "☃.net", "💩.la", "a_b.test", "xn--bcher-kva.example", "[::1]", "127.1"])
@pytest.mark.parametrize("how", ["url", "base_url", "event", "redirect"])
async def test_hosts_that_httpx_has_no_letters_for(autojump_clock, play, host, how):
    """A transport of httpx's gets the request, and the answer says where it came from."""
    url = f"http://{host}/x"
    match how:
        case "url":
            played = await play(fetch(url), 200)
        case "base_url":
            played = await play(fetch("/x"), 200, base_url=f"http://{host}")
        case "event":
            event = se.Event("e", url=url, platforms=("A",))
            played = await play(fetch("/x"), 200, base_url=None, events=[event])
        case _:
            played = await play(fetch("/a"), (302, {"location": url.encode()}), 200)
    assert played.value == parse(url).text
    assert played.requests[-1].url.raw_host.decode() == parse(url).host
    assert played.requests[-1].headers["host"] == parse(url).place


@pytest.mark.parametrize("host", [SNOW, POO])
async def test_errors_of_such_hosts(autojump_clock, play, host):
    """A status and a lost connection say where, in our words."""
    for answer, kind in ((404, se.StatusError), (httpx.ReadError("x"), se.ConnectionBroken)):
        error = (await play(fetch(f"http://{host}/x?key=s3cret"), answer, retry=se.Retry(attempts=1))).error
        assert type(error) is kind
        assert error.url == f"http://{host}/x?key=…"
        if kind is se.StatusError:
            assert error.response.request.url.raw_host.decode() == parse(f"http://{host}").host
            assert str(error.response.url) == f"http://{host}/x?key=s3cret"


@pytest.mark.parametrize(
    ("url", "params", "target"),
    [
        ("/x", {"a": 1}, "/x?a=1"),
        ("/x?", {"a": 1}, "/x?a=1"),
        ("/x?b=%20c+d&b=%zz", {"a": "e f&g"}, "/x?b=%20c+d&b=%zz&a=e+f%26g"),
        ("/x?b=2&", {"a": 1}, "/x?b=2&a=1"),
        ("/x?a=1", {"a": 2}, "/x?a=1&a=2"),
        ("/x?b", [("a", 1), ("a", 2)], "/x?b&a=1&a=2"),
        ("/x", {"a": [1, "2", True, None]}, "/x?a=1&a=2&a=true&a="),
        ("/x?ä", {"ö": "ü"}, "/x?%C3%A4&%C3%B6=%C3%BC"),
        ("/x?b='", {}, "/x?b=%27"),
        ("/x#f", {"a": 1}, "/x?a=1"),
        ("/x", httpx.QueryParams([("a", "1"), ("a", "2")]), "/x?a=1&a=2"),
        ("/x?b", {"a": b"\xff"}, "/x?b&a=%FF"),
    ],
)
async def test_params_are_added(autojump_clock, play, url, params, target):
    """To the query, of which nothing is changed."""
    [request] = (await play(fetch(url, params=params), 200)).requests
    assert request.url.raw_path.decode() == target


async def test_a_url_of_httpx_s_is_a_url(autojump_clock, play):
    """Absolute or relative, user and password included; what it shows of them is its own affair."""
    played = await play(fetch(httpx.URL("http://anna:hunter2@b.test/x?y=1")), 200)
    assert played.value == "http://b.test/x?y=1"
    assert played.requests[0].headers["authorization"] == "Basic YW5uYTpodW50ZXIy"
    assert (await play(fetch(httpx.URL("/x")), 200)).value == "http://a.test/x"


@pytest.mark.parametrize("name", ["Shop.Test", "shop.test", "shop.test.", "shop.test:443"])
def test_a_platform_named_like_a_host_is_that_host(name):
    """It has one name, one rate and one limit, however its URLs are written, and is tuned by any of these names."""
    seen = []

    async def scrape(task):
        seen.append((task.platform, task.event.url))

    urls = ["http://shop.test/1", "http://SHOP.TEST./2", "https://shop.test:443/3"]
    engine = se.Engine([se.Platform(name, scrape)], default=se.Platform("*", scrape))
    engine.tune("SHOP.test", limit=3)
    assert engine._plan.platforms[name].limit == 3
    assert set(engine._plan.platforms) <= {name, "*"}
    outcomes = se.collect([se.Platform(name, scrape)], [se.Event(url=url) for url in urls])
    assert {outcome.platform for outcome in outcomes} == {name}


@pytest.mark.parametrize("host", [SNOW, "a.test"])
async def test_the_url_of_an_answer_can_be_gone_on_from(autojump_clock, play, host):
    """It joins references, and is copied with another path, whatever its host."""

    async def scrape(task):
        url = (await task.http.get(f"http://{host}/a/b?c=d")).url
        return [each.raw_host.decode() + each.raw_path.decode() for each in (url.join("/e"), url.copy_with(path="/f"))]

    assert (await play(scrape, 200)).value[0] == f"{host}/e"
    assert (await play(scrape, 200)).value[1].startswith(f"{host}/f")


async def test_a_password_that_is_not_utf_8_goes_out_as_it_is(autojump_clock, play):
    """Byte by byte, as its percent-encoding says."""
    [request] = (await play(fetch("http://u:p%E9@a.test/x"), 200)).requests
    assert request.headers["authorization"] == f"Basic {base64.b64encode(bytes([117, 58, 112, 0xE9])).decode()}"


async def test_a_host_with_several_final_dots_is_none(autojump_clock, play):
    """No name is that."""
    assert type((await play(fetch("http://shop.test../x"), 200)).error) is se.InvalidRequest


ABSOLUTE = re.compile(r"https?://(\[[0-9a-f:]+\]|[!-~]+?)(:[0-9]+)?/[!-~]*")


@given(
    st.text(st.characters() | st.sampled_from("htps:/\\[]@?#%.^ \t\n"), max_size=30),
    st.sampled_from(["", "http://", "//", "http://a.test/", "/"]),
)
def test_whatever_is_parsed_is_plain_or_refused(text, start):
    """What comes out can be sent as it is, is itself when it is parsed again, and agrees with itself on its host."""
    for read in (parse, lambda it: joined("http://a.test/p/q?r", it), lambda it: below("http://a.test/v1/", it)):
        try:
            url = read(start + text)
        except UrlError:
            continue
        assert ABSOLUTE.fullmatch(url.text)
        assert parse(url.text) == url._replace(username=b"", password=b"")
        assert url.place in {url.host, f"[{url.host}]", f"{url.host}:{url.port}", f"[{url.host}]:{url.port}"}
