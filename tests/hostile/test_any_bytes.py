"""Whatever bytes a site sends, a fetch ends in an answer or in an error of ours: never in another, never not at all."""

import gzip

import pytest
import trio
import trio.lowlevel
from hypothesis import event, example, given
from hypothesis import strategies as st

import scrapeengine as se
from support.wire import serving

PACKED = gzip.compress(b"packed" * 100)

status_lines = st.one_of(
    st.sampled_from(
        [b"HTTP/1.1 200 OK", b"HTTP/1.1 200 OK", b"HTTP/1.0 200 OK", b"HTTP/1.1 204 ", b"HTTP/1.1 304 Not"]
    ),
    st.sampled_from([b"HTTP/1.1 301 Moved", b"HTTP/1.1 303 See", b"HTTP/1.1 308 Permanent", b"HTTP/1.1 300 Choice"]),
    st.sampled_from([b"HTTP/1.1 404 No", b"HTTP/1.1 429 Slow", b"HTTP/1.1 503 Down", b"HTTP/1.1 999 What"]),
    st.sampled_from(
        [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK", b"HTTP/1.1 101 Switch", b"HTTP/2 200", b"ICY 200"]
    ),
    st.integers(0, 9999).map(lambda number: b"HTTP/1.1 %d X" % number),
)

odd = st.one_of(st.binary(max_size=20), st.sampled_from([b"\xff\xfe", "ключ".encode(), b"\x80", b"'\"", b"\t", b"%00"]))
numbers = st.one_of(
    st.sampled_from(
        [b"0", b"2", b"-1", b"+2", b"99999999999", b"18446744073709551616", b"1.5", "２".encode(), b"2, 2", b""]
    ),
    odd,
)
places = st.one_of(
    st.sampled_from([b"/b", b"?x", b"#x", b"", b"//127.0.0.1:9/", b"http://127.0.0.1:0/", b"http://127.0.0.1:99999/"]),
    st.sampled_from(
        [b"http://[::1", b"http://xn--a/", b"http://xn--\xff/", b"file:///x", b"javascript:x", b"http:", b"//["]
    ),
    st.sampled_from(
        [b"http://\xe2\x93\x9b.\x00/", b"/\xff\xfe", "/ключ?ключ#ключ".encode(), b"/%zz", b"http://u:p@/x"]
    ),
    st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace")),
    st.text("/:@[]?#.%-x0\\ ", max_size=12).map(lambda text: b"http:" + text.encode()),
)
cookies = st.one_of(
    st.sampled_from([b"a=b", b"a=b; Domain=.", b"=;=;=", b"a=b; Max-Age=99999999999999999999", b"a=b; Expires=x"]),
    st.builds(lambda name, value: name + b"=" + value + b"; Path=/", odd, odd),
)
headers = st.one_of(
    numbers.map(lambda value: b"Content-Length: " + value),
    st.sampled_from([b"chunked", b"Chunked", b"gzip", b"identity", b"chunked, chunked"]).map(
        lambda value: b"Transfer-Encoding: " + value
    ),
    st.sampled_from([b"gzip", b"br", b"zstd", b"deflate", b"GZIP, br", b"x", b",", b"gzip, gzip, gzip, gzip"]).map(
        lambda value: b"Content-Encoding: " + value
    ),
    places.map(lambda value: b"Location: " + value),
    cookies.map(lambda value: b"Set-Cookie: " + value),
    numbers.map(lambda value: b"Retry-After: " + value),
    odd.map(lambda value: b"Date: " + value),
    odd.map(lambda value: b'ETag: "' + value + b'"'),
    odd.map(lambda value: b"Last-Modified: " + value),
    odd.map(lambda value: b"Content-Type: text/html; charset=" + value),
    st.sampled_from([b"Connection: close", b"Connection: keep-alive", b"Upgrade: h2c", b"Content-Length: 2"]),
    st.binary(max_size=30),
)
bodies = st.one_of(
    st.sampled_from(
        [b"", b"ok", PACKED, PACKED[:-5], b"2\r\nok\r\n0\r\n\r\n", b"zz\r\nok", b"%x\r\n" % len(PACKED) + PACKED]
    ),
    st.binary(max_size=100),
)


@st.composite
def nearly(draw):
    """Draw an answer, and break it in some places."""
    lines = [draw(status_lines), *draw(st.lists(headers, max_size=5))]
    data = b"\r\n".join(lines) + b"\r\n\r\n" + draw(bodies)
    for _ in range(draw(st.sampled_from([0, 0, 1, 2, 3]))):
        at, size = draw(st.integers(0, len(data))), draw(st.integers(0, 5))
        data = data[:at] + draw(st.binary(max_size=5)) + data[at + size :]
    return data


lines = st.lists(st.sampled_from([9, *range(32, 127), *range(128, 256)]), max_size=20).map(bytes)
"""What may stand in a header."""


@st.composite
def well_framed(draw):
    """Draw an answer that is HTTP, but odd in what it says."""
    statuses = st.sampled_from([200, 200, 200, 206, 299, 301, 302, 303, 304, 307, 308, 400, 404, 410, 429, 500, 503])
    names = [b"Location", b"Set-Cookie", b"ETag", b"Last-Modified", b"Retry-After", b"Date", b"Content-Type", b"Vary"]
    told = st.one_of(
        st.tuples(st.sampled_from(names), lines),
        places.filter(lambda place: not set(place) & set(range(32))).map(lambda place: (b"Location", place)),
        st.builds(lambda one, two, more: (b"Set-Cookie", one + b"=" + two + b"; " + more), lines, lines, lines),
        lines.map(lambda text: (b"ETag", b'"' + text + b'"')),
    )
    head = b"HTTP/1.1 %d %b\r\n" % (draw(statuses), draw(lines))
    head += b"".join(b"%b: %b\r\n" % each for each in draw(st.lists(told, max_size=5)))
    body = draw(st.sampled_from([b"", b"ok", b"\xff\xfe", PACKED]))
    if body == PACKED:
        head += b"Content-Encoding: gzip\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


async def get(task):
    """Ask for what has changed, and look at all of it."""
    response = await task.http.get("/a", conditional=True, check=False)
    return response.text, str(response.url), response.headers.multi_items(), response.reason_phrase


async def post(task):
    """Send something."""
    await task.http.post("/a", content=b"x")


async def stream(task):
    """Read a body as it comes."""
    async with task.http.stream("GET", "/a") as body:
        async for _ in body:
            pass


async def head(task):
    """Ask for a head."""
    response = await task.http.head("/a")
    return response.headers, response.text, response.url, response.request


def fetched(data, cuts, then, scrape, robots):
    """Have a scraper fetch what a site sends in some parts; what it kept of it goes into a second run."""
    parts = [data[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]

    async def serve(talk):
        while await talk.request():
            for part in parts:
                if part:
                    await talk.send(part)
                    await trio.lowlevel.checkpoint()
            if then == "close":
                return
            if then == "reset":
                talk.reset()
                return
            if then == "wait":
                await talk.client_gone()

    async def main():
        with trio.fail_after(6):
            async with serving(serve) as web:
                policy = {
                    "retry": se.Retry(attempts=2, max_wait=0, patience=0),
                    "timeout": se.Timeout(attempt=0.2),
                    "cookies": True,
                    "robots": robots,
                }
                engine = se.Engine([se.Platform("A", scrape, base_url=web.url, **policy)])
                for _ in range(2):
                    async with engine.stream([se.Event("e")]) as run:
                        [outcome] = [outcome async for outcome in run]
                    if not is_ours(outcome):
                        break
        return outcome

    return trio.run(main)


def is_ours(outcome):
    """Say whether an outcome is one that is promised."""
    return isinstance(outcome, se.Success) or isinstance(outcome.error, se.ScrapeError)


@given(data=well_framed(), scrape=st.deferred(lambda: ways))
def test_what_is_odd(data, scrape):
    """Odd cookies, validators, dates, places: kept or not, followed or not, the request after it can be made."""
    outcome = fetched(data, [], "keep", scrape, robots=False)
    event(type(outcome).__name__ if isinstance(outcome, se.Success) else type(outcome.error).__name__)
    assert is_ours(outcome), outcome.error


ends = st.sampled_from(["close", "close", "close", "close", "keep", "reset", "wait"])
ways = st.sampled_from([get, get, post, stream, head])


@given(
    data=nearly(),
    cuts=st.lists(st.integers(0, 400), max_size=4),
    then=ends,
    scrape=ways,
    robots=st.sampled_from([False, False, False, True]),
)
@example(b"HTTP/1.1 301 Moved\r\nLocation: http://xn--a/\r\n\r\n", [], "close", get, False)
@example(
    b'HTTP/1.1 200 OK\r\nSet-Cookie: \xff=\xfe\r\nETag: "\xff"\r\nContent-Length: 0\r\n\r\n', [], "keep", get, False
)
def test_what_is_nearly_http(data, cuts, then, scrape, robots):
    """Answers with something wrong, in any parts, and any end: one outcome, and the error is one of ours."""
    cuts = sorted(min(cut, len(data)) for cut in cuts)
    outcome = fetched(data, cuts, then, scrape, robots)
    event(type(outcome).__name__ if isinstance(outcome, se.Success) else type(outcome.error).__name__)
    assert is_ours(outcome), outcome.error


@given(data=st.binary(max_size=300), then=ends, scrape=ways)
def test_what_is_not_http_at_all(data, then, scrape):
    """Bytes."""
    outcome = fetched(data, [], then, scrape, robots=False)
    assert is_ours(outcome), outcome.error


@given(body=st.binary(max_size=300), coding=st.sampled_from([b"gzip", b"br", b"zstd", b"deflate", b"br, gzip"]))
def test_what_is_coded_badly(body, coding):
    """Bytes that are said to be coded."""
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (coding, len(body)) + body
    outcome = fetched(data, [], "close", get, robots=False)
    assert is_ours(outcome), outcome.error


@given(body=st.binary(max_size=300))
def test_what_is_no_robots_txt(body):
    """Bytes where rules should be: the task may go on, or it may not."""
    data = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    outcome = fetched(data, [], "keep", get, robots=True)
    assert is_ours(outcome), outcome.error


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_an_answer_in_small_parts_is_the_same(size):
    """However it is cut, what was sent is what is read."""
    data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    data += b"".join(b"%x\r\n%b\r\n" % (1, PACKED[at : at + 1]) for at in range(len(PACKED))) + b"0\r\nX-A: 1\r\n\r\n"

    async def read(task):
        return (await task.http.get("/a")).content

    outcome = fetched(data, list(range(size, len(data), size)), "keep", read, robots=False)
    assert outcome.value == b"packed" * 100
