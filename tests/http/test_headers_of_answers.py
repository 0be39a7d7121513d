"""What is read of an answer's headers: bytes as they came, one value where there is one, parts as they are."""

import gzip

import pytest
import trio

import scrapeengine as se
from scrapeengine.http.wire.answers import ResponseHeaders, location_of
from support.runs import on
from support.wire import answering, serving


def answer(*headers, status=b"200 OK", body=b"ok"):
    """Write an answer."""
    lines = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %b\r\nContent-Length: %d\r\n%b\r\n%b" % (status, len(body), lines, body)


OTHERS = [b"X: y", b"X: caf\xe9", "X: ключ".encode(), b"X: \xff\xfe\x80"]
"""What stands beside the header that matters, and must not matter to it."""


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"/\xc3\xa9", b"/%C3%A9"),
        (b"/\xe9", b"/%E9"),
        (b"/\xff\xfe?a=\x80", b"/%FF%FE?a=%80"),
        ("/ключ?к=ч#x".encode(), b"/%D0%BA%D0%BB%D1%8E%D1%87?%D0%BA=%D1%87"),
        (b"/a%20b%zz^", b"/a%20b%zz%5E"),
        (b"  /b \t", b"/b"),
        (b"\\b\\..\\c", b"/c"),
        (b"/a//b;c=d/../e", b"/a//e"),
        (b"/resize/http://cdn/x", b"/resize/http://cdn/x"),
        (b"?", b"/a?"),
        (b"/x\x01\x7f", b"/x%01%7F"),
    ],
)
async def test_a_location_goes_back_as_it_came(location, target, other):
    """What is not UTF-8 is percent-encoded byte by byte, whatever the other headers hold."""

    async def serve(talk):
        while request := await talk.request():
            moved = b" /a " in request
            await talk.send(answer(other, b"Location: " + location, status=b"302 Found") if moved else answer())

    seen = await on(serve)
    assert seen.value == b"ok"
    assert seen.server.requests[1].split(b" ")[1] == target


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("value", [b"\xff", b"\xc3\xa9", b"\xc2\x85\xe2\x80\xa8", b"caf\xe9 \x80", b'"\xe4"'])
async def test_a_cookie_goes_back_as_it_came(value, other):
    """Byte by byte, in its name and in its value."""

    async def scrape(task):
        await task.http.get("/a")
        await task.http.get("/b")

    seen = await on(
        answering(answer(other, b"Set-Cookie: n\xe9=" + value + b"; Path=/"), then="keep"), scrape, cookies=True
    )
    assert b"\r\ncookie: n\xe9=" + value + b"\r\n" in seen.server.requests[1]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("etag", [b'"\xc3\xa9"', b'"\xe9\xff"', b"\x80", b'w/"a"', b"unquoted", b'"a", "b"'])
async def test_an_etag_goes_back_as_it_came(etag, other):
    """Byte by byte, and without the quotes that it came without."""

    async def scrape(task):
        return (await task.http.get("/a", conditional=True)).content

    seen = await on(answering(answer(other, b"ETag: " + etag), then="keep"), scrape, events=["e", "f"], limit=1)
    assert b"\r\nif-none-match: " + etag + b"\r\n" in seen.server.requests[1]


SINGLE = ["Location", "ETag", "Last-Modified", "Content-Type", "Age", "Content-Range", "Date", "Expires"]


@pytest.mark.parametrize("name", SINGLE)
def test_of_a_header_with_one_value_the_first_counts(name):
    """Given twice, it is never a joined text; `raw` and `get_list` have both."""
    headers = ResponseHeaders([(name.encode(), b"one"), (b"X", b"1"), (name.upper().encode(), b"two"), (b"x", b"2")])
    assert headers[name] == headers.get(name.lower()) == "one"
    assert headers["x"] == "1, 2"
    assert dict(headers) == dict(headers.items()) == {name.lower(): "one", "x": "1, 2"}
    assert list(headers.values()) == ["one", "1, 2"]
    assert headers.get_list(name) == ["one", "two"]
    assert headers.get_list("x", split_commas=True) == ["1", "2"]
    assert headers.copy()[name] == "one"
    assert len(headers.raw) == len(headers.multi_items()) == 4
    assert name in headers
    assert "y" not in headers
    with pytest.raises(KeyError):
        headers["y"]


def test_each_header_is_read_by_itself():
    """As UTF-8, or as ISO-8859-1 if it is none; the one does not spoil the other."""
    headers = ResponseHeaders([(b"A", "é".encode()), (b"B", b"\xe9"), (b"C", b"\xff")])
    assert dict(headers) == {"a": "é", "b": "é", "c": "ÿ"}


async def test_a_content_type_given_twice():
    """The charset is that of the first, and not of a text that joins them."""
    seen = await on(
        answering(answer(b"Content-Type: text/plain; charset=latin-1", b"Content-Type: text/plain", body=b"\xe9")),
        text,
    )
    assert seen.value == "é"


async def text(task):
    """Return the text of a page."""
    return (await task.http.get("/a")).text


async def test_two_locations():
    """The first leads on."""

    async def serve(talk):
        while request := await talk.request():
            moved = b" /a " in request
            await talk.send(answer(b"Location: /b", b"Location: /c", status=b"301 M") if moved else answer())

    assert (await on(serve)).server.targets == ["/a", "/b"]


@pytest.mark.parametrize("location", [b"", b" ", b"\t \t", b"\x01 \x1f"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_an_empty_location_leads_nowhere(location, status):
    """The answer stands, with its body."""

    async def scrape(task):
        response = await task.http.get("/a")
        return response.status_code, response.content

    redirect = answer(b"Location:" + location, b"Location: /b", status=b"%d X" % status, body=b"stands")
    seen = await on(answering(redirect), scrape)
    assert seen.value == (status, b"stands")
    assert location_of([(b"location", location)]) is None


@pytest.mark.parametrize(("age", "due"), [(b"7200, 0", 0), (b"60,7200", 40), (b"60", 40), (b"x, 60", 100), (b"", 100)])
async def test_an_age_that_is_a_list(age, due):
    """The first of it is the age."""
    seen = await on(answering(answer(b"Cache-Control: max-age=100", b"Age: " + age, b"Age: 1")), fresh)
    assert seen.value == due


async def fresh(task):
    """Say for how long a page is fresh."""
    await task.http.get("/a", conditional=True)
    return task.http.fresh_for


# -- parts


async def test_a_part_is_asked_for_as_it_is():
    """What is encoded cannot be put together from parts; a request that says otherwise has its way."""

    async def scrape(task):
        await task.http.get("/a", headers={"Range": "bytes=0-9"})
        await task.http.get("/b", headers={"range": "bytes=0-9", "Accept-Encoding": "gzip"})
        await task.http.get("/c")

    seen = await on(answering(answer(), then="keep"), scrape, headers={"Accept-Encoding": "br"})
    asked = [request.lower() for request in seen.server.requests]
    assert b"\r\naccept-encoding: identity\r\n" in asked[0]
    assert b"\r\naccept-encoding: gzip\r\n" in asked[1]
    assert b"\r\naccept-encoding: br\r\n" in asked[2]


async def test_a_part_is_asked_for_wherever_the_whole_is():
    """`Range` and `If-Range` survive a redirect to another host, and all else stays at home as ever."""
    with trio.fail_after(10):
        async with serving(answering(answer(status=b"206 Partial"))) as there:
            leads = answer(b"Location: " + there.url.encode() + b"/x", status=b"302 Found")
            async with serving(answering(leads)) as here:
                headers = {"Range": "bytes=5-", "If-Range": '"a"', "X-Key": "k"}

                async def scrape(task):
                    return (await task.http.get("/a", headers=headers)).status_code

                async with se.Engine([se.Platform("A", scrape, base_url=here.url)]).stream([se.Event("e")]) as run:
                    [outcome] = [outcome async for outcome in run]
                request = there.requests[0]
    assert outcome.value == 206
    assert b"\r\nrange: bytes=5-\r\n" in request
    assert b'\r\nif-range: "a"\r\n' in request
    assert b"\r\naccept-encoding: identity\r\n" in request
    assert b"x-key" not in request


@pytest.mark.parametrize("how", ["whole", "streamed"])
@pytest.mark.parametrize("coding", [b"gzip", b"br", b"zstd", b"x-unknown"])
async def test_a_part_is_handed_over_as_it_is(how, coding):
    """A 206 whose server encodes it all the same: a part of what is encoded is no whole to decode."""
    part = gzip.compress(b"x" * 1000)[5:20]

    async def scrape(task):
        headers = {"Range": "bytes=5-19"}
        if how == "whole":
            response = await task.http.get("/a", headers=headers)
            return response.status_code, response.content
        async with task.http.stream("GET", "/a", headers=headers) as response:
            return response.status_code, b"".join([piece async for piece in response])

    seen = await on(answering(answer(b"Content-Encoding: " + coding, status=b"206 Partial", body=part)), scrape)
    assert seen.value == (206, part)
