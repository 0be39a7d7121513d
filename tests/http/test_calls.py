"""What goes out, byte by byte, by the fast way and by the slow one; and what an answer can do."""

import asyncio
import datetime as dt
import gzip
import json
import pickle
from types import SimpleNamespace
from urllib.parse import urlsplit

import httpx
import pytest
import trio
from hypothesis import example, given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.http.transport.sending import head_of
from scrapeengine.http.wire import requests
from scrapeengine.http.wire.answers import Response as OurAnswer
from scrapeengine.http.wire.prepared import Prepared
from scrapeengine.testing import Answer

EVENT = se.Event("e")
PLAIN = "abzAZ09-_~!$&'()*+,;=:@"
ODD = '%#[]\\"<>|^`{} é€\x7f\t'


async def get(task):
    """Make one request."""
    return await task.http.get("/a")


def platform(**policy):
    """Make a platform that is never asked."""
    return se.Platform("A", get, **policy)


def slowly(policy, event, url, **given):
    """Make a call with nothing prepared; the error if there is one."""
    try:
        return requests.build(policy, event, "GET", url, name="A", **given)
    except se.InvalidRequest as error:
        return error


def parts(call):
    """List all that makes a call what it is."""
    names = ("method", "origin", "host", "target", "headers", "body", "head", "url")
    return {name: getattr(call, name) for name in names}


# -- the fast way and the slow one

hosts = st.sampled_from(
    ["a.test", "a-b.test", "127.0.0.1", "localhost", "A.test", "a.test.", "[::1]", "ü.test", "1.2.3"]
)
ports = st.sampled_from(["", ":80", ":443", ":8080", ":1", ":0", ":080", ":65535"])
schemes = st.sampled_from(["http", "https", "HTTP"])
userinfo = st.sampled_from(["", "", "", "anna:hunter2@", "@"])
origins = st.builds("{}://{}{}{}".format, schemes, userinfo, hosts, ports)
mostly_plain = st.text(st.sampled_from(PLAIN + "////....??"), max_size=12)
texts = mostly_plain | st.text(st.sampled_from(PLAIN + "/.?" + ODD), max_size=12)
paths = texts.map(lambda text: "/" + text)
bases = st.builds("{}{}".format, origins, st.just("") | paths)


def accepted(base):
    """Say whether a platform takes it as its `base_url`."""
    try:
        platform(base_url=base)
    except ValueError:
        return False
    return True


@given(bases.filter(accepted), paths | texts, st.booleans())
@example("http://a.test/ ", "/", False)
@example("http://a.test/\\", "/", False)
@example(" http://a.test/v1/\n", "/x", False)
def test_below_a_base_url_the_fast_way_sends_what_the_slow_one_would(base, url, guarded):
    """The same origin, target, headers and bytes for any URL that it takes; what it does not take goes the slow way."""
    policy = platform(base_url=base, headers={"X-Key": "k", "Accept": "text/x"}, block_private=guarded)
    try:
        prepared = Prepared(policy)
    except se.InvalidRequest:
        assert isinstance(slowly(policy, EVENT, "/"), se.InvalidRequest)
        return
    fast, slow = prepared.plain(EVENT, url), slowly(policy, EVENT, url)
    if fast is not None:
        assert not isinstance(slow, Exception)
        assert parts(fast) == parts(slow)


@given(st.lists(st.tuples(origins, paths), min_size=1, max_size=6))
def test_for_the_event_s_own_url_the_fast_way_sends_what_the_slow_one_would(found):
    """A platform without `base_url` is asked for its events' URLs: of many origins, and of each more than once."""
    policy = platform(headers={"X-Key": "k"})
    prepared = Prepared(policy)
    for url in [origin + path for origin, path in found] + [origin + "/other" for origin, _ in found]:
        event = se.Event("e", url=url)
        slow = slowly(policy, event, url)
        try:
            fast = prepared.plain(event, url)
        except se.InvalidRequest:
            assert isinstance(slow, se.InvalidRequest)
            continue
        if fast is not None:
            assert not isinstance(slow, Exception)
            assert parts(fast) == parts(slow)


@given(bases.filter(accepted), st.lists(st.tuples(origins, paths), min_size=1, max_size=6))
def test_beside_a_base_url_the_fast_way_sends_what_the_slow_one_would(base, found):
    """To any origin, the base's own among them, whose headers no other gets."""
    policy = platform(base_url=base, headers={"X-Key": "k", "Accept": "text/x"})
    try:
        prepared = Prepared(policy)
    except se.InvalidRequest:
        return
    home = "{0.scheme}://{0.netloc}".format(urlsplit(base))
    for url in [origin + path for origin, path in found] + [home + path for _, path in found]:
        fast, slow = prepared.plain(EVENT, url), slowly(policy, EVENT, url)
        if fast is not None:
            assert not isinstance(slow, Exception)
            assert parts(fast) == parts(slow)


@given(st.lists(st.tuples(st.none() | origins, origins, paths), min_size=1, max_size=8))
def test_for_what_an_event_leads_to_the_fast_way_sends_what_the_slow_one_would(found):
    """Links to the event's own origin, and to others, which get less; whichever was asked for first."""
    policy = platform(headers={"X-Key": "k", "Accept": "text/x"})
    prepared = Prepared(policy)
    for own, origin, path in found:
        event = EVENT if own is None else se.Event("e", url=f"{own}/feed")
        fast, slow = prepared.plain(event, origin + path), slowly(policy, event, origin + path)
        if fast is not None:
            assert not isinstance(slow, Exception)
            assert parts(fast) == parts(slow)


def test_origins_of_one_host_are_told_apart():
    """By scheme and port, in the fast way too."""
    prepared = Prepared(platform())
    urls = ["http://a.test/x", "https://a.test/x", "http://a.test:8080/x", "https://a.test:8080/x", "http://b.test/x"]
    calls = [prepared.plain(se.Event("e", url=url), url) for url in urls * 2]
    assert [call.url for call in calls] == urls * 2
    assert len({call.origin for call in calls}) == 5


def test_what_is_prepared_is_bounded():
    """A crawl of many hosts keeps few of them."""
    prepared = Prepared(platform())
    for number in range(2500):
        url = f"http://h{number}.test/x"
        assert prepared.plain(se.Event("e", url=url), url).url == url
    assert len(prepared._kinds) <= 1000


@pytest.mark.parametrize(
    ("base", "url", "target"),
    [
        ("http://a.test", "/", "/"),
        ("http://a.test/", "/x", "/x"),
        ("http://a.test/v1", "/x?y=1&z=~", "/v1/x?y=1&z=~"),
        ("http://a.test/v1/", "/x/", "/v1/x/"),
        ("https://a.test:8443/v1.2", "/x.json", "/v1.2/x.json"),
        ("http://127.0.0.1:8080", "/.well-known/x", "/.well-known/x"),
    ],
)
def test_plain_urls_go_the_fast_way(base, url, target):
    """Else the laws above would say nothing."""
    call = Prepared(platform(base_url=base)).plain(EVENT, url)
    assert call.target == target.encode()
    event = se.Event("e", url=base.rstrip("/") + url)
    assert Prepared(platform()).plain(event, event.url).url == event.url
    assert Prepared(platform()).plain(event, f"{event.url}/more").url == f"{event.url}/more"
    assert Prepared(platform(base_url=base)).plain(EVENT, "http://b.test/x").url == "http://b.test/x"


@pytest.mark.parametrize(
    "url",
    ["", "x", "//b.test/x", "/../x", "/./x", "/x/..", "/a b", "/%41", "/ä", "/x#f", "/\\", "/\n", "http://b@b.test/x"],
)
def test_what_must_be_parsed_goes_the_slow_way(url):
    """URLs to be joined, normalised or quoted, or with a user."""
    assert Prepared(platform(base_url="http://a.test")).plain(EVENT, url) is None
    assert Prepared(platform()).plain(se.Event("e", url="http://a.test/y"), url) is None


def test_what_is_prepared_for_a_host_is_small():
    """A link may name any host; one that is longer than names are is not kept."""
    prepared = Prepared(platform(base_url="http://a.test"))
    assert prepared.plain(EVENT, f"http://{'b' * 253}/x") is not None
    assert prepared.plain(EVENT, f"http://{'b' * 254}/x") is None


def test_another_origin_than_the_event_s_goes_the_slow_way():
    """It gets less."""
    event = se.Event("e", url="http://a.test/y")
    assert Prepared(platform()).plain(event, "http://b.test/x") is None
    assert Prepared(platform()).plain(event, "http://a.test.b.test/x") is None


@pytest.mark.parametrize("length", [60_000, 65_530, 65_536, 66_000, 70_000])
async def test_a_long_url_is_sent_or_refused_in_our_words(on_sites, length):
    """What httpx has no room for is an `InvalidRequest`, by either way; the site here finds 16 KiB too long."""
    path = "/" + "a" * (length - 1)

    async def scrape(task):
        found = []
        for url in (path, path.replace("a", "%41", 1)):
            try:
                await task.http.get(url)
            except se.ScrapeError as error:
                found.append((type(error), getattr(error, "status", None)))
        return found

    seen = await on_sites(scrape)
    assert isinstance(seen.outcome, se.Success), seen.outcome.error
    fits, refused = [(se.StatusError, 431)] * 2, [(se.InvalidRequest, None)] * 2
    assert seen.value == fits if length < 65_000 else seen.value in (fits, refused)
    assert seen.value == refused or length <= 65_536


@pytest.mark.parametrize(
    "policy",
    [
        {"base_url": "http://a.test", "headers": {"Transfer-Encoding": "chunked"}},
        {"base_url": "http://a.test", "headers": {"X A": "a"}},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_policy_that_cannot_be_sent(autojump_clock, play, policy, method):
    """Each request is an `InvalidRequest` that names the platform and the URL, whether or not it would be prepared."""

    async def scrape(task):
        await task.http.request(method, "/x")

    error = (await play(scrape, 200, **policy)).error
    assert type(error) is se.InvalidRequest
    assert (error.platform, error.method, error.phase) == ("A", method, "build")
    assert error.url


async def test_an_event_s_url_that_cannot_be_sent(autojump_clock, play):
    """As above, for a platform that serves URLs."""

    async def scrape(task):
        await task.http.get(task.event.url)

    for url in (
        "http://a.test:99999/",
        "http://1.2.3.999/",
        "http://xn--a/",
        "http://a.test:x/",
        "x y",
        "//",
        "mailto:a@b",
    ):
        error = (await play(scrape, 200, events=[se.Event("e", url=url, platforms=("A",))], base_url=None)).error
        assert type(error) is se.InvalidRequest
        assert error.platform == "A"


# -- a call in httpx's terms


bodies = st.binary(max_size=20)
names = st.from_regex(r"[Xx]-[A-Za-z0-9\-]{1,8}", fullmatch=True)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=10).map(str.strip)


def port_of(url):
    """Say which port a URL means."""
    return {"http": 80, "https": 443}[url.scheme] if url.port is None else url.port


@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PURGE"]),
    origins,
    paths,
    st.dictionaries(names, values, max_size=3),
    bodies,
)
def test_the_request_of_a_call_is_what_it_was_made_of(method, origin, path, headers, body):
    """Method, URL (but for user, password, fragment and a final dot), headers and body are those that go out."""
    policy = platform()
    try:
        given = {"headers": headers, "content": body or None}
        call = requests.build(policy, EVENT, method, origin + path, name="A", **given)
    except se.InvalidRequest:
        return
    again = call.request
    assert again.method == method
    assert again.url.raw_path == call.target
    assert again.url.raw_host.strip(b"[]").decode() == call.origin.host
    assert again.url.host
    assert (again.url.scheme, again.url.userinfo) == (call.origin.scheme, b"")
    assert port_of(again.url) == call.origin.port
    assert again.content == call.body == body
    assert sorted((name.lower(), value) for name, value in again.headers.raw) == sorted(call.headers)
    assert str(again.url) == call.url


@given(st.dictionaries(names, values, max_size=3), st.dictionaries(names, values, max_size=3), bodies)
def test_also(before, more, body):
    """More headers stand in place of those of the same name, whatever its case; all else is as it was."""
    policy = platform(base_url="http://a.test")
    call = Prepared(policy).call("A", EVENT, "PUT", "/x", headers=before, content=body)
    also = call.also({name.lower().encode(): value.encode() for name, value in more.items()})
    expected = {name.lower(): value for name, value in before.items()} | {k.lower(): v for k, v in more.items()}
    assert {name: also.request.headers[name] for name in expected} == expected
    assert len(also.headers) == len({name for name, _ in also.headers})
    others = {"head", "headers"}
    assert {k: v for k, v in parts(also).items() if k not in others} == {
        k: v for k, v in parts(call).items() if k not in others
    }
    assert also.head == head_of(also.method, also.target, also.headers) + body
    assert (also is call) == (not more)


@given(
    st.dictionaries(
        st.text(st.sampled_from("aX-: \r\n\t\0\x85é"), max_size=5) | names,
        st.text(st.sampled_from("aX-: \r\n\t\0\x85é€"), max_size=8),
        max_size=3,
    )
)
def test_no_header_becomes_two(headers):
    """Whatever is given is refused as `InvalidRequest`, or is one line of the head each."""
    policy = platform(base_url="http://a.test")
    try:
        call = Prepared(policy).call("A", EVENT, "GET", "/x", headers=headers)
    except se.InvalidRequest:
        return
    head, end, rest = call.head.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")[1:]
    assert (end, rest) == (b"\r\n\r\n", b"")
    assert b"\n" not in head.replace(b"\r\n", b"")
    assert b"\r" not in head.replace(b"\r\n", b"")
    assert b"\0" not in head
    assert len(lines) == len(call.headers) == len({name.lower() for name in headers} | {*DEFAULTS})


DEFAULTS = ("host", "accept", "accept-encoding", "user-agent")
"""What goes out unasked."""


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest.mark.parametrize(
    ("headers", "content", "sent"),
    [
        ({"Content-Length": "0"}, None, True),
        ({"Content-Length": "3"}, b"abc", True),
        ({"CONTENT-length": "3"}, b"abc", True),
        ({"Content-Length": "2"}, b"abc", False),
        ({"Content-Length": "9"}, b"abc", False),
        ({"Content-Length": "9"}, None, False),
        ({"Content-Length": "03"}, b"abc", False),
        ({"Content-Length": "3, 3"}, b"abc", False),
        ({"Content-Length": " 3"}, b"abc", False),
        ({"Content-Length": ""}, b"abc", False),
        ({"Transfer-Encoding": "chunked"}, b"abc", False),
        ({"Transfer-Encoding": "identity"}, None, False),
        ({"transfer-encoding": ""}, b"abc", False),
        ({"Content-Length": "3", "Transfer-Encoding": "chunked"}, b"abc", False),
    ],
)
async def test_no_second_request_hides_in_the_body(on_sites, method, headers, content, sent):
    """A frame of the scraper's own goes out only if it is that of the body; nothing of the others arrives."""

    async def scrape(task):
        response = await task.http.request(method, "/a", headers=headers, content=content)
        return response.status_code, (await task.http.get("/b")).status_code

    seen = await on_sites(scrape)
    if sent:
        assert seen.value == (200, 200)
        assert [(request.path, request.body) for request in seen.asked] == [("/a", content or b""), ("/b", b"")]
    else:
        assert type(seen.error) is se.InvalidRequest
        assert not seen.asked


async def test_how_a_body_goes_out_is_not_the_scraper_s_to_say(on_sites):
    """Not even where it would say the same: a body of unknown length goes out in chunks by itself."""

    async def parts():
        yield b"abc"

    async def scrape(task):
        await task.http.post("/a", headers={"Transfer-Encoding": "chunked"}, content=parts())

    seen = await on_sites(scrape)
    assert type(seen.error) is se.InvalidRequest
    assert "it follows from its body" in str(seen.error)
    assert not seen.asked


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_platform_s_headers_hide_none_either(on_sites, method):
    """They are checked as a request's own are."""

    async def scrape(task):
        await task.http.request(method, "/a")

    seen = await on_sites(scrape, headers={"Content-Length": "40"})
    assert type(seen.error) is se.InvalidRequest
    assert not seen.asked


# -- credentials of base_url

ANNA = "Basic YW5uYTpodW50ZXIy"


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("/x", True),
        ("x", True),
        ("", True),
        ("/a b", True),
        ("http://a.test/x", True),
        ("http://a.test:80/x", True),
        ("http://A.TEST/x", True),
        ("http://a.test./x", True),
        ("https://a.test/x", False),
        ("http://a.test:8080/x", False),
        ("http://b.test/x", False),
        ("http://a.test.b.test/x", False),
        ("http://sub.a.test/x", False),
        ("http://a.test@b.test/x", False),
        ("//b.test/x", False),
        ("//a.test/x", True),
        ("\\\\b.test\\x", False),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_user_and_password_of_base_url_go_to_its_origin_alone(autojump_clock, play, url, known, method):
    """To relative and absolute URLs of it, by the fast way and by the slow one; the URL of the answer shows neither."""

    async def scrape(task):
        response = await task.http.request(method, url)
        return str(response.url)

    played = await play(scrape, 200, base_url="http://anna:hunter2@a.test")
    [request] = played.requests
    assert (request.headers.get("authorization") == ANNA) is known
    assert "hunter2" not in played.value


@pytest.mark.parametrize("given", ["bert:s", ":", "bert"])
async def test_user_and_password_of_the_url_stand_before_those_of_base_url(autojump_clock, play, given):
    """What an absolute URL brings along was given for it."""

    async def scrape(task):
        await task.http.get(f"http://{given}@a.test/x")

    [request] = (await play(scrape, 200, base_url="http://anna:hunter2@a.test")).requests
    expected = {"bert:s": "Basic YmVydDpz", "bert": "Basic YmVydDo=", ":": ANNA}[given]
    assert request.headers["authorization"] == expected


# -- head and post


async def test_head(on_sites):
    """It has a head and no body, and the next request on the connection is as ever."""

    async def scrape(task):
        response = await task.http.head("/a", params={"q": 1}, headers={"X-A": "1"})
        return response.content, response.headers["content-length"], (await task.http.get("/b")).content

    seen = await on_sites(scrape, {"/a": Answer(200, b"x" * 100), "/b": Answer(200, b"body")})
    assert seen.value == (b"", "100", b"body")
    assert (seen.asked[0].method, seen.asked[0].target, seen.asked[0].headers["x-a"]) == ("HEAD", "/a?q=1", "1")


@pytest.mark.parametrize("check", [True, False])
async def test_head_of_what_is_not_there(on_sites, check):
    """`check` is as for `get`."""

    async def scrape(task):
        return (await task.http.head("/a", check=check)).status_code

    seen = await on_sites(scrape, {"/a": Answer(404)})
    assert type(seen.outcome) is (se.Failure if check else se.Success)


@pytest.mark.parametrize(
    ("body", "sent"), [({"content": b"abc"}, b"abc"), ({"data": {"a": "b c"}}, b"a=b+c"), ({"json": [1]}, b"[1]")]
)
async def test_post(on_sites, body, sent):
    """It takes params, headers and a body of either kind; it is made once."""

    async def scrape(task):
        response = await task.http.post("/a", params={"q": 1}, headers={"X-A": "1"}, check=False, **body)
        return response.status_code, response.content

    seen = await on_sites(scrape, {"/a": Answer(503, b"busy")}, retry=se.Retry(attempts=3, max_wait=0))
    assert seen.value == (503, b"busy")
    [request] = seen.asked
    assert (request.method, request.target, request.headers["x-a"], request.body) == ("POST", "/a?q=1", "1", sent)


# -- the answer


def answered(status=200, headers=(), body=b"", method="GET", url="/x"):
    """Make an answer of ours as the client makes it."""
    call = Prepared(platform(base_url="http://a.test")).call("A", EVENT, method, url)
    extensions = {"http_version": b"HTTP/1.1", "reason_phrase": b"Fine"}
    came = SimpleNamespace(status=status, headers=list(headers), extensions=extensions, size=len(body))
    return OurAnswer.of(call, came, body)


kinds = st.sampled_from(
    [b"text/html", b"text/html; charset=latin-1", b"text/plain; charset=utf-16", b"application/json", b"x; charset=no"]
)


@given(st.sampled_from([200, 204, 301, 304, 404, 500]), st.none() | kinds, st.binary(max_size=40) | st.just(b"[1]"))
def test_an_answer_reads_as_httpx_s_own(status, kind, body):
    """Text, charset, JSON, links, cookies, iterators: as those of a response of httpx's with the same content."""
    headers = [(b"Link", b'</n>; rel="next"'), (b"Set-Cookie", b"a=1"), (b"Set-Cookie", b"b=2"), (b"X", "é".encode())]
    headers += [] if kind is None else [(b"content-type", kind)]
    ours = answered(status, headers, body)
    theirs = httpx.Response(
        status,
        headers=headers,
        content=body,
        request=httpx.Request("GET", "http://a.test/x"),
        extensions={"http_version": b"HTTP/1.1", "reason_phrase": b"Fine"},
    )
    theirs.headers = httpx.Headers(headers)
    for name in (
        *("status_code", "content", "encoding", "charset_encoding", "url", "links", "headers", "reason_phrase"),
        *("http_version", "is_success", "is_error", "is_redirect", "has_redirect_location", "next_request", "history"),
        *("is_closed", "is_stream_consumed"),
    ):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert dict(ours.cookies) == dict(theirs.cookies) == {"a": "1", "b": "2"}
    assert list(ours.iter_bytes(3)) == list(theirs.iter_bytes(3))
    assert ours.read() == body
    for read in (
        *(lambda it: it.text, lambda it: list(it.iter_text()), lambda it: list(it.iter_lines())),
        *(lambda it: it.json(), lambda it: it.raise_for_status()),
    ):
        assert outcome_of(read, ours) == outcome_of(read, theirs)


def outcome_of(function, *args):
    """Call a function; return what it returns, if that is data, or how it fails."""
    try:
        value = function(*args)
    except (ValueError, httpx.HTTPError) as error:
        return type(error), str(error)
    return "itself" if isinstance(value, httpx.Response) else value


@pytest.mark.parametrize("run", [trio.run, lambda main: asyncio.run(main())])
def test_the_async_readers_after_the_fact(run):
    """They give what was read already, on whichever loop."""
    answer = answered(200, [(b"content-type", b"text/plain")], b"line 1\nline 2")

    async def main():
        parts = [part async for part in answer.aiter_bytes(4)]
        lines = [line async for line in answer.aiter_lines()]
        return parts, lines, await answer.aread()

    assert run(main) == ([b"line", b" 1\nl", b"ine ", b"2"], ["line 1", "line 2"], b"line 1\nline 2")


def test_raise_for_status():
    """It returns the answer itself, or raises httpx's error with answer and request."""
    good, bad = answered(200), answered(404)
    assert good.raise_for_status() is good
    with pytest.raises(httpx.HTTPStatusError) as caught:
        bad.raise_for_status()
    assert caught.value.response is bad
    assert caught.value.request.url == "http://a.test/x"


def test_headers_and_request_are_made_once():
    """Whoever looks twice sees the same objects, and may change them."""
    answer = answered(200, [(b"X-A", b"1"), (b"X-A", b"2"), (b"Content-Type", b"text/plain; charset=latin-1")])
    assert answer.headers is answer.headers
    assert answer.request is answer.request
    assert answer.headers.get_list("x-a") == ["1", "2"]
    assert answer.headers["X-a"] == "1, 2"
    assert answer.request.headers["host"] == "a.test"
    answer.headers = httpx.Headers({"X-B": "3"})
    answer.request = httpx.Request("PUT", "http://b.test/")
    assert (dict(answer.headers), answer.url) == ({"x-b": "3"}, "http://b.test/")


def test_another_encoding():
    """A program that knows better sets it, before it looks at the text."""
    answer = answered(200, [(b"content-type", b"text/html")], "é".encode("latin-1"))
    answer.encoding = "latin-1"
    assert answer.text == "é"


@pytest.mark.parametrize("looked_at", [True, False])
async def test_an_answer_can_be_pickled(on_sites, looked_at):
    """A worker process gets all that is data: status, headers, body, request, time, size."""

    async def scrape(task):
        response = await task.http.get("/a?b=1", headers={"X-A": "1"})
        if looked_at:
            assert response.request.url.path == "/a"
            assert response.headers["x-b"] == "2"
        again = pickle.loads(pickle.dumps(response))
        for each in (response, again):
            assert (each.status_code, each.json(), each.headers["x-b"]) == (203, {"c": "é"}, "2")
            assert each.request.headers["x-a"] == "1"
            assert each.request.url.raw_path == b"/a?b=1"
        assert again.elapsed == response.elapsed
        assert again.num_bytes_downloaded == response.num_bytes_downloaded
        assert list(again.iter_bytes()) == [response.content]
        return repr(again)

    body = json.dumps({"c": "é"}).encode()
    seen = await on_sites(scrape, {"/a": Answer(203, gzip.compress(body), {"X-B": "2", "Content-Encoding": "gzip"})})
    assert "203" in seen.value


async def test_num_bytes_downloaded_counts_what_came(on_sites):
    """Of a compressed body the compressed bytes, as httpx has it; of none, none."""

    async def scrape(task):
        return [(await task.http.get(path)).num_bytes_downloaded for path in ("/zip", "/plain", "/none")]

    packed = gzip.compress(b"x" * 10_000)
    answers = {
        "/zip": Answer(200, packed, {"Content-Encoding": "gzip"}),
        "/plain": Answer(200, b"abc"),
        "/none": Answer(204),
    }
    assert (await on_sites(scrape, answers)).value == [len(packed), 3, 0]


async def test_elapsed_is_the_time_of_the_last_attempt(autojump_clock, play):
    """Redirects are in it; the attempts before, backoffs, and waits for a turn are not."""

    async def scrape(task):
        return (await task.http.get("/a")).elapsed

    moved = (302, {"location": "/b"})
    policy = {"rate": se.Rate.every(100), "retry": se.Retry(initial_wait=50)}
    played = await play(scrape, 500, moved, 200, latency=2, **policy)
    assert played.value == dt.timedelta(seconds=4)
    assert played.times[-1] >= 200
