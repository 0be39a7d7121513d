"""`Transport` in a plain `httpx.AsyncClient`, on real sockets: what httpx's users rely on, and what servers do."""

import contextlib
import gc
import gzip
import hashlib
import json
import re
import ssl
import warnings
import zlib

import h11
import httpx
import pytest
import trio
import trustme

from scrapeengine.http.transport import uploading
from scrapeengine.http.transport.failures import Blocked, Stale, Untrusted
from scrapeengine.http.transport.transport import Transport
from scrapeengine.testing import Answer, Site
from support.clients import Kept, parts_of
from support.understanding import Understanding
from support.wire import OK, serving


async def talking(talk, use, *, context=None, transport=None, **options):
    """Let a function use a client of a server of bytes. Afterwards no connection is in use."""
    with trio.fail_after(10):
        host = "127.0.0.1" if context is None else "localhost"
        async with serving(talk, tls=context, host=host) as server, transport or Transport() as ours:
            async with httpx.AsyncClient(transport=Kept(ours), base_url=server.url, **options) as client:
                result = await use(client, server)
                assert "0 in use" in repr(ours)
        return result


async def visiting(handler, use, **options):
    """Let a function use a client of a `Site`. Afterwards no connection is in use."""
    with trio.fail_after(10):
        async with Site.open(handler) as site, Transport() as ours:
            async with httpx.AsyncClient(transport=Kept(ours), base_url=site.url, **options) as client:
                result = await use(client, site)
                assert "0 in use" in repr(ours)
        return result


def always(answer):
    """Make a server that answers each request with the same bytes, as long as the client wants."""

    async def talk(peer):
        while await peer.head():
            await peer.send(answer)

    return talk


def once(*parts):
    """Make a server that answers one request, and hangs up."""

    async def talk(peer):
        await peer.head()
        await peer.send(*parts)

    return talk


async def echo(peer):
    """Answer each request with what it was, as an HTTP library that is not ours has understood it."""
    understanding, kept = Understanding(peer), True
    with contextlib.suppress(h11.RemoteProtocolError):
        while kept and (request := await understanding.request()) is not None:
            said = {"method": request.method, "target": request.target, "headers": request.headers}
            kept = await understanding.answer(body=json.dumps(said | {"body": request.body.decode("latin-1")}).encode())


async def echoed(method="GET", url="/", **given):
    """Send a request, and return what the server has understood."""

    async def use(client, server):
        return (await client.request(method, url, **given)).json()

    return await talking(echo, use)


# -- what goes out


async def test_a_request_as_it_goes_out():
    """The head is what httpx made, in its order, and nothing besides."""

    async def talk(peer):
        heads.append(await peer.head())
        await peer.send(OK)

    async def use(client, server):
        response = await client.get("/a b", params={"q": "ä&"}, headers={"X-One": "1", "Accept": "x"})
        return response.text, server.url

    heads = []
    text, url = await talking(talk, use, headers={"User-Agent": "test"})
    host = url.removeprefix("http://")
    lines = heads[0].decode().split("\r\n")
    assert lines[0] == "GET /a%20b?q=%C3%A4%26 HTTP/1.1"
    assert lines[1] == f"Host: {host}"
    assert lines[-2:] == ["", ""]
    names = {line.partition(":")[0] for line in lines[2:-2]}
    assert names == {"Accept", "Accept-Encoding", "Connection", "User-Agent", "X-One"}
    assert {"Accept: x", "User-Agent: test", "X-One: 1"} <= set(lines)
    assert text == "ok"


@pytest.mark.parametrize(
    ("given", "body", "kind"),
    [
        ({"content": b"\0bytes\xff"}, "\0bytes\xff", None),
        ({"content": "täxt"}, "täxt".encode().decode("latin-1"), None),
        ({"json": {"a": [1, None]}}, '{"a":[1,null]}', "application/json"),
        ({"data": {"a": "1", "b": ["2", "3"]}}, "a=1&b=2&b=3", "application/x-www-form-urlencoded"),
        ({}, "", None),
        ({"content": b"x" * 3_000_000}, "x" * 3_000_000, None),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_bodies_of_a_known_length(method, given, body, kind):
    """They arrive whole, with their length."""
    said = await echoed(method, **given)
    assert (said["method"], said["body"]) == (method, body)
    assert said["headers"]["content-length"] == str(len(body))
    assert said["headers"].get("content-type") == kind


async def test_files_are_a_multipart_form():
    """`files=` arrives whole, in the form that httpx gives it."""
    said = await echoed("POST", files={"file": ("a.txt", b"contents" * 50_000, "text/plain")}, data={"field": "value"})
    assert int(said["headers"]["content-length"]) == len(said["body"])
    assert 'name="field"\r\n\r\nvalue\r\n' in said["body"]
    assert f'filename="a.txt"\r\nContent-Type: text/plain\r\n\r\n{"contents" * 50_000}\r\n' in said["body"]


@pytest.mark.parametrize("parts", [[b"one", b"", b"two" * 100_000], [b""], []])
async def test_a_body_that_comes_in_parts_is_chunked(parts):
    """Without a length it goes out in chunks; an empty part does not end it."""
    said = await echoed("POST", content=parts_of(*parts))
    assert said["headers"]["transfer-encoding"] == "chunked"
    assert "content-length" not in said["headers"]
    assert said["body"].encode() == b"".join(parts)


async def test_a_body_that_comes_in_parts_and_has_a_length():
    """With a `Content-Length` of the user's it goes out as it is."""
    said = await echoed("PUT", content=parts_of(b"one", b"two"), headers={"Content-Length": "6"})
    assert "transfer-encoding" not in said["headers"]
    assert said["body"] == "onetwo"


@pytest.mark.parametrize("length", ["5", "7", "x", "-1", "²"])
@pytest.mark.parametrize("content", [b"onetwo", "parts"])
async def test_a_body_that_is_not_as_long_as_said(content, length):
    """It is an error of the program's, and the connection is not used again."""

    async def use(client, server):
        given = parts_of(b"one", b"two") if content == "parts" else content
        headers = {"Content-Length": length.encode()}
        with pytest.raises(httpx.LocalProtocolError, match="Content-Length"):
            await client.post("/", content=given, headers=headers)
        assert "0 at rest" in repr(client._transport.ours)
        return (await client.get("/")).json()["method"]

    assert await talking(echo, use) == "GET"


async def test_no_more_goes_out_than_was_said():
    """What is beyond the `Content-Length` could be taken for the next request."""

    async def talk(peer):
        await peer.head()
        got.append(await peer.until(b"never"))
        ended.set()

    async def use(client, server):
        content = parts_of(b"one", b"GET /two HTTP/1.1\r\n\r\n", b"three")
        with pytest.raises(httpx.LocalProtocolError):
            await client.post("/", content=content, headers={"Content-Length": "6"})
        await ended.wait()

    got, ended = [], trio.Event()
    await talking(talk, use)
    assert got == [b"one"]


async def test_an_error_in_the_body_is_the_programs_own():
    """What the source of an upload raises leaves as it is; the connection is closed."""

    async def body():
        yield b"one"
        raise LookupError("no more")

    async def use(client, server):
        with pytest.raises(LookupError, match="no more"):
            await client.post("/", content=body())
        assert "0 at rest" in repr(client._transport.ours)

    await talking(echo, use)


@pytest.mark.parametrize(
    "given",
    [
        {"headers": {"X-A": "1\r\nX-B: 2"}},
        {"headers": {"X-A": "1\nX-B: 2"}},
        {"headers": {"X-A": "1\0"}},
        {"headers": {"X A": "1"}},
        {"headers": {"X-A\r\nX-B": "1"}},
        {"headers": {"": "1"}},
        {"method": "GET /other HTTP/1.1\r\nX: "},
        {"method": "GET "},
        {"method": ""},
        {"method": "GÉT"},
    ],
)
async def test_what_would_break_http_does_not_go_out(given):
    """Line breaks in headers, and other things that would make it another request, are refused before anything is."""

    async def use(client, server):
        with pytest.raises(httpx.LocalProtocolError):
            await client.request(**({"method": "GET", "url": "/"} | given))
        assert server.connections == 0

    await talking(echo, use)


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "file:///etc/passwd", "ws://127.0.0.1/", "https:///", "//x/", "/x"]
)
async def test_urls_of_another_kind(url):
    """Only http and https are spoken; the rest is httpx's `UnsupportedProtocol`, with nothing connected."""
    with trio.fail_after(10):
        async with httpx.AsyncClient(transport=Transport()) as client:
            with pytest.raises(httpx.UnsupportedProtocol):
                await client.get(url)


# -- what httpx does with it


async def test_base_url_params_and_default_headers():
    """What the client has of its own goes along."""

    async def use(client, server):
        client.base_url = server.url + "/v1/"
        return (await client.get("events", params={"b": 2}, cookies=None)).json()

    said = await talking(echo, use, params={"a": "1"}, headers={"X-Key": "k"})
    assert said["target"] == "/v1/events?a=1&b=2"
    assert said["headers"]["x-key"] == "k"


async def test_cookies_go_back():
    """A cookie that a site sets is sent with the next request."""

    async def handler(request):
        return Answer(headers={"Set-Cookie": "a=1; Path=/"}, body=request.headers.get("cookie", "none").encode())

    async def use(client, site):
        return [(await client.get("/")).text for _ in range(2)]

    assert await visiting(handler, use) == ["none", "a=1"]


async def test_redirects_are_followed():
    """With `follow_redirects`, on kept connections; 303 makes a GET of a POST; too many are too many."""

    async def handler(request):
        if request.path == "/end":
            return Answer(body=request.method.encode())
        if request.path == "/loop":
            return Answer(307, headers={"Location": "/loop"}, body=b"x" * 1000)
        return Answer(303, headers={"Location": "/end"}, body=b"moved")

    async def use(client, site):
        response = await client.post("/start", content=b"body")
        assert [old.status_code for old in response.history] == [303]
        assert (response.text, response.url.path) == ("GET", "/end")
        with pytest.raises(httpx.TooManyRedirects):
            await client.get("/loop")
        assert site.ledger.connections == 1

    await visiting(handler, use, follow_redirects=True, max_redirects=5)


async def test_basic_auth():
    """Given to the client or in the URL, it goes out."""

    async def use(client, server):
        with_url = server.url.replace("//", "//me:secret@")
        return [
            (await client.get("/", auth=("me", "secret"))).json()["headers"]["authorization"],
            (await client.get(with_url)).json()["headers"]["authorization"],
        ]

    assert await talking(echo, use) == ["Basic bWU6c2VjcmV0"] * 2


async def test_digest_auth():
    """The challenge is answered by a second request, on the same connection, and it is the right answer."""

    def md5(*parts):
        return hashlib.md5(":".join(parts).encode()).hexdigest()

    async def handler(request):
        sent = request.headers.get("authorization", "")
        given = dict(re.findall(r'(\w+)="?([^",]+)', sent.removeprefix("Digest ")))
        if not given:
            challenge = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
            return Answer(401, headers={"WWW-Authenticate": challenge}, body=b"who is it?")
        proof = md5("me", "r", "secret"), "n", given["nc"], given["cnonce"], "auth", md5("POST", "/a?b=c")
        return Answer(200 if given["response"] == md5(*proof) else 403, body=request.body)

    async def use(client, site):
        response = await client.post("/a?b=c", content=b"body", auth=httpx.DigestAuth("me", "secret"))
        assert (response.status_code, response.text) == (200, "body")
        assert (site.ledger.requests, site.ledger.connections) == (2, 1)

    await visiting(handler, use)


async def test_an_auth_that_reads_bodies():
    """A flow of the user's sees the request's body and the answer's, and may send as many requests as it likes."""

    class Token(httpx.Auth):
        requires_request_body = True
        requires_response_body = True

        def auth_flow(self, request):
            response = yield httpx.Request("GET", request.url.join("/token"))
            request.headers["X-Token"] = response.text
            request.headers["X-Length"] = str(len(request.content))
            yield request

    async def handler(request):
        if request.path == "/token":
            return Answer(body=b"t0ken")
        return Answer(body=f"{request.headers['x-token']} {request.headers['x-length']}".encode())

    async def use(client, site):
        return (await client.post("/", content=b"12345", auth=Token())).text

    assert await visiting(handler, use) == "t0ken 5"


async def test_event_hooks():
    """They see each request and each answer; one that reads the answer leaves it readable."""
    seen = []

    async def on_request(request):
        seen.append(request.method)

    async def on_response(response):
        await response.aread()
        seen.append(response.status_code)

    async def handler(request):
        return Answer(404, body=b"not here")

    async def use(client, site):
        return (await client.get("/")).text

    text = await visiting(handler, use, event_hooks={"request": [on_request], "response": [on_response]})
    assert (text, seen) == ("not here", ["GET", 404])


@pytest.mark.parametrize("status", [301, 404, 418, 500, 599])
async def test_raise_for_status(status):
    """An answer of 300 and more is httpx's `HTTPStatusError`, with request and response."""

    async def handler(request):
        return Answer(status)

    async def use(client, site):
        response = await client.get("/a")
        with pytest.raises(httpx.HTTPStatusError) as caught:
            response.raise_for_status()
        assert (caught.value.response.status_code, caught.value.request.url.path) == (status, "/a")

    await visiting(handler, use)


async def test_what_a_response_says():
    """Version, reason, headers (several of a name too), elapsed time, and the request."""
    head = b"HTTP/1.1 200 All is well\r\nX-A: 1\r\nX-A:  2 \r\nContent-Length: 2\r\n\r\nok"

    async def use(client, server):
        return await client.get("/a")

    response = await talking(always(head), use)
    assert response.extensions == {"http_version": b"HTTP/1.1", "reason_phrase": b"All is well"}
    assert (response.http_version, response.reason_phrase) == ("HTTP/1.1", "All is well")
    assert response.headers.get_list("x-a") == ["1", "2"]
    assert response.headers.raw[0] == (b"X-A", b"1")
    assert 0 < response.elapsed.total_seconds() < 10
    assert response.request.url.path == "/a"


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", gzip.compress(b"text" * 1000, mtime=0)),
        ("deflate", zlib.compress(b"text" * 1000)),
        ("identity", b"text" * 1000),
    ],
)
async def test_bodies_are_decoded_by_httpx(coding, body):
    """As with its own transport: the text is plain, `aiter_raw` is what came."""

    async def handler(request):
        return Answer(headers={"Content-Encoding": coding}, body=body)

    async def use(client, site):
        assert (await client.get("/")).content == b"text" * 1000
        async with client.stream("GET", "/") as response:
            return b"".join([part async for part in response.aiter_raw()])

    assert await visiting(handler, use) == body


# -- what comes back


@pytest.mark.parametrize("kind", ["length", "chunked", "until the end"])
async def test_streaming_downloads(kind):
    """However a body is framed it comes in parts, as bytes or lines, before it is whole."""
    head = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n",
        "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "until the end": b"HTTP/1.1 200 OK\r\n\r\n",
    }[kind]
    first, rest = (b"6\r\none\ntw\r\n", b"6\r\no\nthre\r\n0\r\n\r\n") if kind == "chunked" else (b"one\ntw", b"o\nthre")

    async def talk(peer):
        while await peer.head():
            await peer.send(head, first)
            await go_on[0].wait()
            await peer.send(rest)
            if kind == "until the end":
                return

    async def use(client, server):
        found = []
        for way in ("aiter_bytes", "aiter_raw", "aiter_text", "aiter_lines"):
            go_on[0] = trio.Event()
            async with client.stream("GET", "/") as response:
                assert not response.is_stream_consumed
                parts = []
                async for part in getattr(response, way)():
                    parts.append(part)
                    go_on[0].set()  # the first part has come: the rest was not waited for
                    if way == "aiter_lines":
                        continue
                found.append(parts)
        return found, server.connections

    go_on = [None]
    found, connections = await talking(talk, use)
    assert found[0] == found[1] == [b"one\ntw", b"o\nthre"]
    assert found[2] == ["one\ntw", "o\nthre"]
    assert found[3] == ["one", "two", "thre"]
    assert connections == (4 if kind == "until the end" else 1)


@pytest.mark.filterwarnings("ignore:Async generator 'httpx:ResourceWarning")  # httpx leaves its own to the collector
async def test_leaving_a_download_early_closes_the_connection():
    """The rest is not read, the server sees the end, and the next request goes on a new connection."""

    async def talk(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\npart")
        await peer.client_gone()
        ended.set()

    async def use(client, server):
        async with client.stream("GET", "/") as response:
            async for part in response.aiter_bytes():
                assert part == b"part"
                break
        await ended.wait()
        assert "0 in use, 0 at rest" in repr(client._transport.ours)
        async with client.stream("GET", "/"):
            pass
        return server.connections

    ended = trio.Event()
    assert await talking(talk, use) == 2


async def test_a_large_body():
    """20 MB come through, in bounded parts."""
    size = 20_000_000

    async def talk(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size, b"x" * size)

    async def use(client, server):
        async with client.stream("GET", "/") as response:
            return [len(part) async for part in response.aiter_raw()]

    sizes = await talking(talk, use)
    assert sum(sizes) == size
    assert max(sizes) <= 65536


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", [200, 204, 304])
async def test_answers_without_a_body(method, status):
    """HEAD, 204 and 304 have none, whatever their heads say, and the connection goes on."""
    length = b"Content-Length: 2\r\n" if status != 204 else b""
    body = b"ok" if (method, status) == ("GET", 200) else b""

    async def use(client, server):
        for _ in range(3):
            response = await client.request(method, "/")
            assert (response.status_code, response.content) == (status, body)
        return server.connections

    assert await talking(always(b"HTTP/1.1 %d X\r\n%b\r\n%b" % (status, length, body)), use) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", httpx.ReadError),
        (b"HTTP/1.1 200 OK\r\nX: ", httpx.ReadError),
        (b"nonsense\r\n\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", httpx.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n", httpx.RemoteProtocolError),
    ],
)
async def test_answers_that_are_none(answer, error):
    """What breaks off or is no HTTP is one of httpx's errors with the request in it, and leaves nothing."""

    async def use(client, server):
        with pytest.raises(error) as caught:
            await client.get("/a")
        assert caught.value.request.url.path == "/a"
        assert "0 in use, 0 at rest" in repr(client._transport.ours)

    await talking(once(answer), use)


# -- time


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("handshake", httpx.ConnectTimeout),
        ("head", httpx.ReadTimeout),
        ("body", httpx.ReadTimeout),
        ("upload", httpx.WriteTimeout),
        ("upload in parts", httpx.WriteTimeout),
    ],
)
async def test_timeouts_are_httpxs(kind, error):
    """Each phase that stalls ends in the time it has, and in httpx's error for it."""

    async def talk(peer):
        if kind == "body":
            await peer.head()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        await trio.sleep_forever()  # and reads nothing

    async def use(client, server):
        content = b"x" * 20_000_000 if kind == "upload" else None
        if kind == "upload in parts":
            content = parts_of(*[b"x" * 65536] * 400)
        url = server.url.replace("http:", "https:") if kind == "handshake" else "/"
        started = trio.current_time()
        with pytest.raises(error):
            await client.request("POST" if content else "GET", url, content=content)
        assert 0.1 <= trio.current_time() - started < 1.0
        assert "0 in use, 0 at rest" in repr(client._transport.ours)

    limits = {"handshake": "connect", "upload": "write", "upload in parts": "write"}
    await talking(talk, use, timeout=httpx.Timeout(30.0, **{limits.get(kind, "read"): 0.1}))


async def test_a_slow_upload_that_goes_on_is_none_that_stalls():
    """As httpx has it, the limit is for each part: an upload may take longer than that if it does not stop."""

    async def slow():
        for _ in range(8):
            await trio.sleep(0.05)
            yield b"part"

    async def use(client, server):
        return (await client.post("/", content=slow())).json()["body"]

    assert await talking(echo, use, timeout=0.2) == "part" * 8


async def test_no_timeout():
    """`timeout=None` sets no limit."""

    async def talk(peer):
        await peer.head()
        await trio.sleep(0.1)
        await peer.send(OK)

    async def use(client, server):
        return (await client.get("/")).text

    assert await talking(talk, use, timeout=None) == "ok"


# -- connections


async def numbered(peer):
    """Answer each request with the number of the connection."""
    while head := await peer.head():
        closing = b"/close " in head
        close = b"Connection: close\r\n" if closing else b""
        await peer.send(b"HTTP/1.1 200 OK\r\n%bContent-Length: 1\r\n\r\n%d" % (close, peer.number + 1))
        if closing:
            return


async def test_connections_are_kept():
    """One after the other, all requests go on one connection, which rests in between."""

    async def use(client, server):
        for _ in range(20):
            await client.get("/")
            assert repr(client._transport.ours) == "<Transport <Connections 0 in use, 1 at rest>>"
        return server.connections

    assert await talking(numbered, use) == 1


async def test_the_connection_used_last_is_used_next():
    """Of two that rest, so that the other may grow old."""

    async def use(client, server):
        async with client.stream("GET", "/") as first, client.stream("GET", "/") as second:
            assert (await first.aread(), await second.aread()) == (b"1", b"2")
        # httpx closes a stream that was read at once: the second came to rest last
        answers = [(await client.get("/")).text for _ in range(3)]
        assert "0 in use, 2 at rest" in repr(client._transport.ours)
        return answers

    assert await talking(numbered, use) == ["2", "2", "2"]


@pytest.mark.parametrize(("path", "headers"), [("/close", {}), ("/", {"Connection": "close"})])
async def test_connection_close(path, headers):
    """Said by either side, the connection is not kept."""

    async def use(client, server):
        answers = [(await client.get(path, headers=headers)).text for _ in range(3)]
        assert "0 at rest" in repr(client._transport.ours)
        return answers

    assert await talking(numbered, use) == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("head", "connections"),
    [
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 3),
        (b"HTTP/1.0 200 OK\r\n\r\nok", 3),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", 1),
        (b"HTTP/1.1 200 OK\r\n\r\nok", 3),
        (OK + b"surplus", 3),
    ],
)
async def test_which_answers_leave_a_connection_usable(head, connections):
    """HTTP/1.0, bodies until the end, and more than was asked for."""

    async def talk(peer):
        while await peer.head():
            await peer.send(head)
            if b"ength" not in head:
                return

    async def use(client, server):
        for _ in range(3):
            assert (await client.get("/")).text == "ok"
        return server.connections

    assert await talking(talk, use) == connections


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_connection_that_was_closed_while_it_rested(method):
    """It is not used: the request goes on a new one, whatever its method."""

    async def talk(peer):
        await peer.until(b"\r\n\r\n")
        await peer.send(OK)
        await peer.stream.aclose()
        closed[peer.number + 1].set()

    async def use(client, server):
        for number in (1, 2, 3):
            assert (await client.request(method, "/")).text == "ok"
            await closed[number].wait()
        return server.connections

    closed = {number: trio.Event() for number in (1, 2, 3)}
    assert await talking(talk, use) == 3


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize(
    ("method", "content", "again"),
    [
        ("GET", None, True),
        ("HEAD", None, True),
        ("PUT", b"body", True),
        ("DELETE", None, True),
        ("POST", b"body", False),
        ("PATCH", None, False),
        ("PUT", "parts", False),
    ],
)
async def test_a_connection_that_is_closed_just_as_it_is_used(method, content, *, again, reset):
    """A request that may be repeated is, once, on a new connection; for others it is httpx's `ReadError`."""

    async def talk(peer):
        first = await peer.head()
        seen.append(first.partition(b" ")[0])
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        if peer.number == 0:
            seen.append((await peer.head()).partition(b" ")[0])
            if reset:
                peer.stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, bytes.fromhex("0100000000000000"))
            await peer.stream.aclose()
        else:
            await peer.client_gone()

    async def use(client, server):
        assert (await client.get("/")).status_code == 200
        given = parts_of(b"one", b"two") if content == "parts" else content
        if again:
            assert (await client.request(method, "/", content=given)).status_code == 200
        else:
            with pytest.raises(Stale):
                await client.request(method, "/", content=given)
            assert "0 in use, 0 at rest" in repr(client._transport.ours)
        return server.connections

    seen = []
    assert issubclass(Stale, httpx.ReadError)
    assert await talking(talk, use) == (2 if again else 1)
    assert seen == [b"GET", method.encode(), *([method.encode()] if again else [])]


async def test_an_answer_that_breaks_off_on_a_kept_connection_is_not_asked_for_again():
    """Once a byte of the answer has come, the server has seen the request."""

    async def talk(peer):
        await peer.head()
        await peer.send(OK)
        await peer.head()
        await peer.send(b"H")

    async def use(client, server):
        await client.get("/")
        with pytest.raises(httpx.ReadError):
            await client.get("/")
        return server.connections

    assert await talking(talk, use) == 1


async def test_a_new_connection_that_is_closed_at_once_is_not_tried_again():
    """Only a kept one can be stale."""

    async def use(client, server):
        with pytest.raises(httpx.ReadError):
            await client.get("/")
        return server.connections

    assert await talking(once(), use) == 1


async def test_the_second_stale_connection_is_not_forgiven():
    """A request is repeated once, and on a new connection, though others rest that may be stale too."""

    async def talk(peer):
        await peer.head()
        await peer.send(OK)
        await peer.head()

    async def use(client, server):
        async with client.stream("GET", "/"), client.stream("GET", "/"):
            pass
        async with client.stream("GET", "/") as first, client.stream("GET", "/") as second:
            await first.aread()
            await second.aread()
        before = server.connections
        assert (await client.get("/")).text == "ok"
        return server.connections - before

    assert await talking(talk, use) == 1


@pytest.mark.parametrize(
    ("options", "seconds", "connections"),
    [
        ({}, 29.0, 1),
        ({}, 30.0, 2),
        ({"idle": 5.0}, 5.0, 2),
        ({"idle": 700.0}, 599.0, 1),
        ({"idle": 700.0}, 600.0, 2),
        ({"lifetime": 5.0}, 5.0, 2),
        ({"most_idle": 0}, 0.0, 2),
        ({"most_idle": 1}, 0.0, 1),
    ],
)
async def test_how_long_a_connection_rests(mock_clock, options, seconds, connections):
    """30 s and 10 minutes unless it is said otherwise; and as many as is said."""
    async with serving(numbered) as server, Transport(**options) as transport:
        async with httpx.AsyncClient(transport=transport, base_url=server.url, timeout=None) as client:
            await client.get("/")
            mock_clock.jump(seconds)
            await client.get("/")
        assert server.connections == connections


def test_arguments_that_make_no_sense():
    """They are refused where they are given, with what to do instead."""
    with pytest.raises(TypeError, match="create_default_context"):
        Transport(verify=True)
    with pytest.raises(ValueError, match="most_idle"):
        Transport(most_idle=-1)
    with pytest.raises(ValueError, match="idle"):
        Transport(idle=-1.0)
    with pytest.raises(ValueError, match="lifetime"):
        Transport(lifetime=float("nan"))


async def test_addresses_that_are_not_public_can_be_blocked():
    """With `block_private` loopback is not connected to, and the error is one of httpx's."""

    async def use(client, server):
        with pytest.raises(Blocked) as caught:
            await client.get("/")
        assert isinstance(caught.value, httpx.ConnectError)
        return server.connections

    assert await talking(numbered, use, transport=Transport(block_private=True)) == 0


# -- `Expect: 100-continue`, and servers that answer early


@pytest.mark.parametrize("content", [b"body", "parts"])
@pytest.mark.parametrize("what", ["100", "417", "nothing"])
async def test_expect_100_continue(what, content, monkeypatch):
    """The body waits for the word; an answer instead of it saves it; without either it goes out after a while."""
    monkeypatch.setattr(uploading, "_PATIENCE_FOR_100", 0.1 if what == "nothing" else 60.0)

    async def talk(peer):
        await peer.head()
        if what == "417":
            await peer.send(b"HTTP/1.1 417 No\r\nContent-Length: 2\r\n\r\nno")
            got.append(await peer.until(b"never"))
            ended.set()
            return
        assert peer.ahead == b""
        if what == "100":
            await peer.send(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
        got.append(await peer.until(b"body" if content == b"body" else b"0\r\n\r\n"))
        await peer.send(OK)
        await peer.client_gone()

    async def use(client, server):
        given = parts_of(b"bo", b"dy") if content == "parts" else content
        response = await client.post("/", content=given, headers={"Expect": "100-continue"})
        resting = "1 at rest" in repr(client._transport.ours)
        if what == "417":
            await ended.wait()
        return response.status_code, response.text, resting, server.connections

    got, ended = [], trio.Event()
    expected = (417, "no", False, 1) if what == "417" else (200, "ok", True, 1)
    assert await talking(talk, use) == expected
    sent = b"body" if content == b"body" else b"2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n"
    assert got == [b""] if what == "417" else [sent]


@pytest.mark.parametrize("content", ["bytes", "parts"])
async def test_a_server_that_answers_early_and_closes(content):
    """A 413 to an upload that the server does not read on is what the client gets, and no broken pipe."""

    async def talk(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 413 Too large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nmuch")

    async def use(client, server):
        given = parts_of(*[b"x" * 65536] * 320) if content == "parts" else b"x" * 20_000_000
        response = await client.post("/", content=given)
        assert "0 in use, 0 at rest" in repr(client._transport.ours)
        return response.status_code, response.text

    assert await talking(talk, use) == (413, "much")


async def test_a_server_that_closes_in_an_upload_and_says_nothing():
    """Then it is httpx's `WriteError`."""

    async def talk(peer):
        await peer.head()

    async def use(client, server):
        with pytest.raises(httpx.WriteError):
            await client.post("/", content=b"x" * 20_000_000)

    await talking(talk, use)


# -- the end


@pytest.mark.parametrize("when", ["upload", "head", "body", "between two parts"])
async def test_closing_while_requests_are_on_their_way(when):
    """Each gets one of httpx's errors at once, wherever it is, and no connection is left."""

    async def talk(peer):
        if when == "upload":
            await close.wait()  # and reads nothing until then
        else:
            await peer.head()
        if when in {"body", "between two parts"}:
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        await peer.client_gone()

    async def request(client):
        with pytest.raises(httpx.TransportError) as caught:
            async with client.stream("POST", "/", content=b"x" * 20_000_000 if when == "upload" else b"") as response:
                parts = aiter(response.stream)
                assert await anext(parts) == b"part"
                if when == "between two parts":
                    await close.wait()
                await anext(parts)
        errors.append(str(caught.value))

    async def use(client, server):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(request, client)
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert "3 in use, 0 at rest" in repr(client._transport.ours)
            await client._transport.ours.aclose()
            close.set()
        with pytest.raises(httpx.ConnectError, match="closed"):
            await client.get("/")
        while server.open:
            await trio.lowlevel.checkpoint()
        assert "0 in use, 0 at rest" in repr(client._transport.ours)

    close, errors = trio.Event(), []
    await talking(talk, use, timeout=None)
    assert errors == ["the connection was closed"] * 3


async def test_closing_while_a_connection_is_made():
    """What is connected after the transport was closed is not used, and not left open."""
    with trio.fail_after(10):
        async with serving(numbered) as server:
            transport = Transport()
            dial = transport._connections._dialer.dial

            async def slowly(*args, **options):
                sock = await dial(*args, **options)
                await transport.aclose()
                return sock

            transport._connections._dialer.dial = slowly
            async with httpx.AsyncClient(transport=transport) as client:
                with pytest.raises(httpx.ConnectError, match="closed"):
                    await client.get(server.url)
                assert "0 in use, 0 at rest" in repr(transport)
                while server.open:
                    await trio.lowlevel.checkpoint()


async def test_a_transport_for_two_clients():
    """They share its connections; what closes it is its own `async with`, or the first client that is closed."""
    with trio.fail_after(10):
        async with serving(numbered) as server:
            async with Transport() as transport:
                for name in ("one", "two"):
                    client = httpx.AsyncClient(transport=transport, headers={"X-Name": name})
                    assert (await client.get(server.url)).text == "1"
                assert repr(transport) == "<Transport <Connections 0 in use, 1 at rest>>"
            assert repr(transport) == "<Transport <Connections 0 in use, 0 at rest>>"
            transport._connections._dialer.dial = None  # nothing is connected any more
            with pytest.raises(httpx.ConnectError, match="closed"):
                await client.get(server.url)
            while server.open:
                await trio.lowlevel.checkpoint()


async def test_a_connection_that_is_left_twice_rests_once():
    """Whoever leaves it again changes nothing."""
    with trio.fail_after(10):
        async with serving(numbered) as server, Transport() as transport:
            response = await transport.handle_async_request(httpx.Request("GET", server.url))
            connection = response.stream._connection
            for _ in range(2):
                transport._connections.leave(connection)
                assert "0 in use, 1 at rest" in repr(transport)
            taken = [transport._connections.at_hand(connection.origin) for _ in range(2)]
            assert taken == [connection, None]


async def test_a_response_that_is_closed_late_touches_nobodys_request():
    """Its connection may serve another one by then: it is left once, when its body was read."""

    async def talk(peer):
        await peer.head()
        await peer.send(OK)
        await peer.head()
        arrived.set()
        await go_on.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
        await peer.client_gone()

    async def second(transport, request):
        response = await transport.handle_async_request(request)
        answers.append([part async for part in response.stream])

    arrived, go_on, answers = trio.Event(), trio.Event(), []
    with trio.fail_after(10):
        async with serving(talk) as server, Transport() as transport:
            request = httpx.Request("GET", server.url)
            response = await transport.handle_async_request(request)
            assert [part async for part in response.stream] == [b"ok"]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(second, transport, request)
                await arrived.wait()
                assert "1 in use" in repr(transport)
                await response.aclose()
                assert [part async for part in response.stream] == []
                assert "1 in use" in repr(transport)
                go_on.set()
    assert answers == [[b"second"]]


async def test_a_body_whose_reading_was_cancelled_is_not_taken_for_whole():
    """Its connection is closed at once, and who reads on is told so."""

    async def talk(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        await peer.client_gone()

    with trio.fail_after(10):
        async with serving(talk) as server, Transport() as transport:
            response = await transport.handle_async_request(httpx.Request("GET", server.url))
            assert await anext(response.stream) == b"part"
            with trio.move_on_after(0.01):
                await anext(response.stream)
            assert "0 in use, 0 at rest" in repr(transport)
            with pytest.raises(httpx.StreamClosed):
                await anext(response.stream)
            while server.open:
                await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "9000000"}])
@pytest.mark.parametrize("how", ["cancelled", "answered"])
async def test_an_upload_that_is_left_half_way_leaves_nothing_to_the_collector(how, headers):
    """What frames a body is closed with its request, not by the garbage collector, which would complain."""

    class Parts(httpx.AsyncByteStream):
        async def __aiter__(self):
            try:
                while True:
                    yield b"x" * 65536
            finally:
                ended.append(how)

    async def talk(peer):
        await peer.head()
        if how == "answered":
            await peer.send(b"HTTP/1.1 413 Too large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        else:
            arrived.set()
            await trio.sleep_forever()

    async def cancelling(scope):
        await arrived.wait()
        scope.cancel()

    ended, arrived = [], trio.Event()
    with warnings.catch_warnings(record=True) as complaints:
        warnings.simplefilter("always")
        with trio.fail_after(10):
            async with serving(talk) as server, Transport() as transport:
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(cancelling, scope)
                        framing = headers or {"Transfer-Encoding": "chunked"}
                        request = httpx.Request("POST", server.url, headers=framing, stream=Parts())
                        await (await transport.handle_async_request(request)).aclose()
                        nursery.cancel_scope.cancel()
                assert ended == [how]
                await trio.lowlevel.checkpoint()
        gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []


# -- TLS


@pytest.fixture(scope="module")
def authority():
    """Return an authority that we trust."""
    return trustme.CA()


@pytest.fixture(scope="module")
def contexts(authority):
    """Return the contexts of a server, whose certificate is for localhost, and of a client that trusts it."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


async def test_tls(contexts):
    """Requests and large bodies go through, on one connection; the server is told by name whom it is asked for."""
    server_context, client_context = contexts

    async def use(client, server):
        for size in (10, 300_000):
            assert (await client.post("/", content=b"x" * size)).json()["body"] == "x" * size
        assert (await client.post("/", content=parts_of(b"one", b"two"))).json()["body"] == "onetwo"
        return server.connections, server.names

    transport = Transport(verify=client_context)
    assert await talking(echo, use, context=server_context, transport=transport) == (1, ["localhost"])


async def test_tls_to_the_wrong_host(contexts):
    """A certificate for another name is `Untrusted`, which is one of httpx's `ConnectError`s."""
    server_context, client_context = contexts

    async def use(client, server):
        with pytest.raises(Untrusted) as caught:
            await client.get(server.url.replace("localhost", "127.0.0.1"))
        assert isinstance(caught.value, httpx.ConnectError)
        assert "0 in use, 0 at rest" in repr(client._transport.ours)

    await talking(echo, use, context=server_context, transport=Transport(verify=client_context))


async def test_tls_is_verified_unless_it_is_said_otherwise(contexts):
    """Without `verify` an authority that nobody knows is refused."""

    async def use(client, server):
        with pytest.raises(Untrusted):
            await client.get("/")

    await talking(echo, use, context=contexts[0])


@pytest.mark.parametrize("together", [True, False])
async def test_what_comes_after_an_answer_through_tls(contexts, together):
    """An answer that nobody asked for is nobody's, also where it was read already and waits to be decrypted."""
    server_context, client_context = contexts

    async def talk(peer):
        number = 0
        while await peer.head():
            await peer.send(b"HTTP/1.1 103 Hints\r\n\r\n")  # and with it what trio has put off
            number += 1
            answer = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%d.%d" % (peer.number + 1, number)
            bogus = answer.replace(b".", b"!")
            if together:
                tls = peer.stream._ssl_object
                tls.write(answer)
                tls.write(bogus)
                await peer.stream.transport_stream.send_all(peer.stream._outgoing.read())
            else:
                await peer.send(answer, bogus)
            sent.set()

    async def use(client, server):
        first = (await client.get("/")).text
        await sent.wait()
        return [first, (await client.get("/")).text]

    sent = trio.Event()
    answers = await talking(talk, use, context=server_context, transport=Transport(verify=client_context))
    assert answers == ["1.1", "2.1"]


@pytest.mark.parametrize("together", [True, False])
async def test_a_tls_server_that_says_goodbye_while_the_connection_rests(contexts, together):
    """A connection that was closed properly is not used again, also for a request that may not be repeated."""
    server_context, client_context = contexts

    async def talk(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 103 Hints\r\n\r\n")  # and with it what trio has put off
        tls = peer.stream._ssl_object
        tls.write(OK)
        if not together:
            await peer.stream.transport_stream.send_all(peer.stream._outgoing.read())
        with pytest.raises(ssl.SSLWantReadError):
            tls.unwrap()
        await peer.stream.transport_stream.send_all(peer.stream._outgoing.read())
        said[peer.number + 1].set()
        await peer.stream.transport_stream.receive_some(65536)  # which waits for the client to hang up

    async def use(client, server):
        for event in said.values():
            assert (await client.post("/")).text == "ok"
            await event.wait()
        return server.connections

    said = {number: trio.Event() for number in (1, 2, 3)}
    assert await talking(talk, use, context=server_context, transport=Transport(verify=client_context)) == 3


async def test_closing_tls_while_requests_are_on_their_way(contexts):
    """They get httpx's errors there too."""
    server_context, client_context = contexts

    async def talk(peer):
        await peer.head()
        arrived.set()
        await peer.client_gone()

    async def request(client):
        with pytest.raises(httpx.ReadError):
            await client.get("/")

    async def use(client, server):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request, client)
            await arrived.wait()
            await client._transport.ours.aclose()

    arrived = trio.Event()
    await talking(talk, use, context=server_context, transport=Transport(verify=client_context))
