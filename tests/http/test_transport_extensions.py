"""`Transport` and httpx's extensions, as httpx documents them; and requests that two servers could read in two ways."""

import gc
import itertools
import os
import ssl

import httpx
import pytest
import trio
import trustme

from scrapeengine.http.transport.tracing import Tracing
from scrapeengine.http.transport.transport import Transport
from support.clients import Kept
from support.wire import serving

OK = b"HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 2\r\n\r\nok"
AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)


def always(answer=OK):
    """Make a server that answers each head with the same, or by a function of the talk."""

    async def serve(talk):
        while data := await talk.receive():
            if callable(answer):
                await answer(talk)
            elif b"\r\n\r\n" in data:
                await talk.send(answer)

    return serve


def certified(*names):
    """Make the context of a server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert(*names).configure_cert(context)
    return context


async def on(serve, use, *, tls=None):
    """Let a function use a transport and a server. Afterwards no connection is in use."""
    with trio.fail_after(10):
        async with serving(serve, tls=tls) as site, Transport(verify=TRUSTING) as transport:
            result = await use(transport, site)
            assert "0 in use" in repr(transport)
        return result


async def asked(transport, method, url, **given):
    """Send a request, and read its answer."""
    async with httpx.AsyncClient(transport=Kept(transport)) as client:
        return await client.request(method, url, **given)


async def parts(*given):
    """Make a body that comes in parts."""
    for part in given:
        yield part


# -- one request, and no more


MISFRAMED = [
    {"content": b"x", "headers": {"Transfer-Encoding": "chunked"}},
    {"content": b"x", "headers": {"Transfer-Encoding": "gzip"}},
    {"content": b"x", "headers": {"transfer-encoding": "identity"}},
    {"json": {}, "headers": {"Transfer-Encoding": "gzip, chunked"}},
    {"headers": {"Transfer-Encoding": "chunked"}},
    {"headers": {"Transfer-Encoding": ""}},
    {"headers": [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")], "content": "parts"},
    {"headers": {"Transfer-Encoding": "gzip"}, "content": "parts"},
    {"headers": {"Transfer-Encoding": "chunked, chunked"}, "content": "parts"},
    {"headers": {"Transfer-Encoding": "xchunked"}, "content": "parts"},
    {"headers": {"Transfer-Encoding": "chunked", "Content-Length": "6"}, "content": "parts"},
    {"headers": [("Content-Length", "1"), ("Content-Length", "1")], "content": b"x"},
    {"headers": [("Content-Length", "1"), ("content-length", "40")], "content": b"x"},
    {"headers": {"Content-Length": "1, 1"}, "content": b"x"},
    {"headers": {"Content-Length": "+1"}, "content": b"x"},
    {"headers": {"Content-Length": " 1"}, "content": b"x"},
    {"headers": {"Content-Length": "0x1"}, "content": b"x"},
    {"headers": {"Content-Length": ""}, "content": "parts"},
    {"headers": [("Host", "a.test"), ("Host", "b.test")]},
    {"headers": [("Host", "a.test"), ("host", "a.test")]},
    {"headers": {"Host": ""}},
    {"headers": {"Host": "a.test, b.test"}},
    {"headers": {"Host": "a.test b.test"}},
    {"headers": {"Host": "a.test/path"}},
    {"headers": {"Host": "anna@a.test"}},
    {"headers": {"Host": "a.test:80:80"}},
    {"headers": {"Host": "a.test:http"}},
    {"headers": {"Host": "[::1"}},
    {"headers": {"Host": "a.test\\@b.test"}},
    {"headers": {"Host": "a.test?x"}},
    {"headers": {b"Host": b"\xc3\xa4.test"}},
    {"headers": {"X-A": "1\r\n folded"}},
    {"headers": {"X-A": "1\r\n\tfolded"}},
    {"headers": {"X-A": "1\nTransfer-Encoding: chunked"}},
    {"headers": {"Transfer-Encoding ": "chunked"}},
    {"extensions": {"target": b"/a b"}},
    {"extensions": {"target": b"/a\r\nX: y"}},
    {"extensions": {"target": b"/ HTTP/1.1\r\nHost: b.test\r\n\r\nGET /"}},
    {"extensions": {"target": b"/\t"}},
    {"extensions": {"target": b""}},
    {"extensions": {"target": b"/\xc3\xa4"}},
    {"extensions": {"target": "/ä"}},
    {"extensions": {"target": b"/\x7f"}},
]


@pytest.mark.parametrize("given", MISFRAMED)
async def test_what_could_be_another_request_is_refused(given):
    """Before a connection is made, and with httpx's own error for it."""

    async def use(transport, site):
        whole = {"method": "POST"} | given
        if whole.get("content") == "parts":
            whole["content"] = parts(b"one", b"two")
        with pytest.raises(httpx.LocalProtocolError):
            await asked(transport, whole.pop("method"), site.url, **whole)
        assert site.came == []

    await on(always(), use)


FINE = {
    "parts": ({"content": "parts"}, b"transfer-encoding: chunked", b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"),
    "parts, said": (
        {"content": "parts", "headers": {"transfer-encoding": "Chunked"}},
        b"transfer-encoding: chunked",
        b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n",
    ),
    "parts of a length": (
        {"content": "parts", "headers": {"Content-Length": "6"}},
        b"content-length: 6",
        b"\r\n\r\nonetwo",
    ),
    "bytes": ({"content": b"onetwo"}, b"content-length: 6", b"\r\n\r\nonetwo"),
    "bytes, said": (
        {"content": b"onetwo", "headers": {"Content-Length": "6"}},
        b"content-length: 6",
        b"\r\n\r\nonetwo",
    ),
    "nothing": ({}, b"content-length: 0", b"\r\n\r\n"),
    "host": ({"headers": {"Host": "a.test:8080"}}, b"host: a.test:8080", b"\r\n\r\n"),
    "host of six": ({"headers": {"Host": "[fe80::1%25eth0]:80"}}, b"host: [fe80::1%25eth0]:80", b"\r\n\r\n"),
    "host with a dash": ({"headers": {"Host": "a_b-c.test."}}, b"host: a_b-c.test.", b"\r\n\r\n"),
}


@pytest.mark.parametrize("what", FINE)
async def test_what_is_one_request_goes_out(what):
    """What httpx sets, and what a caller says that is the same."""
    given, line, end = FINE[what]

    async def answer(talk):
        if talk.came.endswith(end):
            await talk.send(OK)

    async def use(transport, site):
        whole = dict(given)
        if whole.get("content") == "parts":
            whole["content"] = parts(b"one", b"two")
        assert (await asked(transport, "POST", site.url, **whole)).content == b"ok"
        return site.came[0]

    head = (await on(always(answer), use)).partition(b"\r\n\r\n")[0].lower()
    assert head.split(b"\r\n").count(line) == 1
    assert head.count(b"transfer-encoding") + head.count(b"content-length") == 1
    assert head.count(b"\r\nhost:") == 1


async def test_a_request_that_was_made_without_a_host_gets_one():
    """The stream was given, and httpx adds nothing then; the URL has it, and nothing else of it goes there."""

    class Stream(httpx.AsyncByteStream):
        async def __aiter__(self):
            yield b"x"

    async def use(transport, site):
        url = site.url.replace("//", "//anna:hunter2@")
        for headers in ({"Content-Length": "1"}, {"Transfer-Encoding": "chunked"}):
            request = httpx.Request("POST", url, headers=headers, stream=Stream())
            await (await transport.handle_async_request(request)).aclose()
        bare = httpx.Request("POST", url, stream=Stream())
        with pytest.raises(httpx.LocalProtocolError):  # it has a body, and no header says so
            await transport.handle_async_request(bare)
        return b"".join(site.came), httpx.URL(url).netloc

    come, netloc = await on(always(), use)
    assert come.count(b"\r\nHost: %b\r\n" % netloc) == come.lower().count(b"host:") >= 2
    assert b"hunter2" not in come


# -- target


@pytest.mark.parametrize(
    "target", [b"*", b"/a/../b", b"/path^@test|", b"http://b.test/x?y#z", b"a.test:443", b"/%zz", "/text", b"//x"]
)
async def test_the_target_goes_out_as_it_is(target):
    """Neither joined nor encoded; where it goes to, and its Host, are the URL's."""

    async def use(transport, site):
        answer = await asked(transport, "OPTIONS", f"{site.url}/other?q", extensions={"target": target})
        assert answer.content == b"ok"
        return site.came[0], site.url

    come, url = await on(always(), use)
    text = target if isinstance(target, bytes) else target.encode()
    assert come.startswith(b"OPTIONS %b HTTP/1.1\r\nHost: %b\r\n" % (text, url.partition("//")[2].encode()))


@pytest.mark.parametrize("extension", ["target", "sni_hostname"])
@pytest.mark.parametrize("given", [1, ["a"], ("a", 1), True])
async def test_an_extension_of_another_type_is_said_to_be(extension, given):
    """By its name, and what it should be."""

    async def use(transport, _):
        with pytest.raises(TypeError, match=f"{extension}.*str or bytes"):
            await asked(transport, "GET", "https://127.0.0.1:1/", extensions={extension: given})

    await on(always(), use)


# -- sni_hostname


@pytest.mark.parametrize("name", ["good.test", b"good.test", "GOOD.test", "good.test."])
async def test_the_name_that_tls_asks_for(name):
    """It is asked for, and the certificate must have it, while the connection goes to the URL's address."""

    async def use(transport, site):
        answer = await asked(transport, "GET", site.url, headers={"Host": "h.test"}, extensions={"sni_hostname": name})
        return answer.content, site.came[0], site.names

    content, come, names = await on(always(), use, tls=certified("good.test"))
    assert content == b"ok"
    assert names == ["good.test"]
    assert b"\r\nHost: h.test\r\n" in come


@pytest.mark.parametrize("extensions", [{}, {"sni_hostname": None}, {"sni_hostname": ""}, {"sni_hostname": "bad.test"}])
async def test_without_it_the_url_s_host_must_be_named(extensions):
    """And a name that the certificate does not have is none."""

    async def use(transport, site):
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await asked(transport, "GET", site.url, extensions=extensions)

    await on(always(), use, tls=certified("good.test"))


async def test_of_another_name_no_connection_stands_in():
    """Each name has connections of its own, and none is used for another, or for no name."""

    async def use(transport, site):
        for name in ("a.test", "b.test", None, "a.test", b"A.test", "b.test", None, "127.0.0.1"):
            extensions = {} if name is None else {"sni_hostname": name}
            assert (await asked(transport, "GET", site.url, extensions=extensions)).content == b"ok"
        return [come.count(b"GET ") for come in site.came], site.names

    assert await on(always(), use, tls=certified("a.test", "b.test", "127.0.0.1")) == (
        [3, 2, 3],
        ["a.test", "b.test", None],
    )


async def test_for_plain_http_it_says_nothing():
    """There is no TLS, and one connection for all."""

    async def use(transport, site):
        for name in ("a.test", "b.test"):
            await asked(transport, "GET", site.url, extensions={"sni_hostname": name})
        return len(site.came)

    assert await on(always(), use) == 1


@pytest.mark.parametrize("name", ["bücher.test", "bücher.test".encode(), "a" * 300, "a\0b", ".good.test", " "])
async def test_a_name_that_is_none_is_an_error_of_the_transport(name):
    """And leaves nothing behind."""

    async def use(transport, site):
        with pytest.raises(httpx.TransportError):
            await asked(transport, "GET", site.url, extensions={"sni_hostname": name})

    await on(always(), use, tls=certified("good.test"))


# -- trace


class Told:
    """Takes note of what it is told; may raise, or be cancelled, at the k-th event."""

    def __init__(self, at=0, what=None):
        self.events, self.infos = [], {}
        self.at, self.what = at, what

    async def __call__(self, event, info):
        """Take note."""
        self.events.append(event)
        self.infos[event] = info
        await trio.lowlevel.checkpoint()
        if len(self.events) == self.at:
            if isinstance(self.what, BaseException):
                raise self.what
            self.what()
            await trio.lowlevel.checkpoint()


def of(name):
    """Name both events of a step."""
    return [f"{name}.started", f"{name}.complete"]


CONNECT = of("connection.connect_tcp")
ANSWERED = [
    *of("http11.send_request_headers"),
    *of("http11.send_request_body"),
    *of("http11.receive_response_headers"),
    *of("http11.receive_response_body"),
    *of("http11.response_closed"),
]


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_is_told_is_what_httpcore_tells(tls, method):
    """The same events in the same order, each with what httpcore has in it; a kept connection is not made again."""

    async def use(transport, site):
        seen = []
        async with httpx.AsyncHTTPTransport(verify=TRUSTING) as theirs:
            for each in (transport, theirs):
                for _ in range(2):
                    told = Told()
                    content = {"content": b"body"} if method == "POST" else {}
                    assert (await asked(each, method, site.url, extensions={"trace": told}, **content)).content == b"ok"
                    seen.append(told)
        return seen

    ours, again, theirs, theirs_again = await on(always(), use, tls=certified("127.0.0.1") if tls else None)
    assert ours.events == theirs.events == CONNECT + (of("connection.start_tls") if tls else []) + ANSWERED
    assert again.events == theirs_again.events == ANSWERED
    assert [sorted(info) for info in ours.infos.values()] == [sorted(info) for info in theirs.infos.values()]
    for event in ("connection.connect_tcp.started", "http11.receive_response_headers.complete"):
        assert ours.infos[event] == theirs.infos[event]
    head = ours.infos["http11.receive_response_headers.complete"]["return_value"]
    assert head == (b"HTTP/1.1", 200, b"OK", [(b"X-A", b"b"), (b"Content-Length", b"2")])
    assert ours.infos["http11.send_request_headers.started"]["request"].method == method


async def test_what_there_is_to_know_of_a_connection():
    """By the names that httpcore's network streams have for it."""

    async def use(transport, site):
        seen = {}

        async def trace(event, info):
            if event.endswith("complete") and event.startswith("connection."):
                network = info["return_value"]
                names = ("client_addr", "server_addr", "socket", "ssl_object", "nothing")
                seen[event] = {name: network.get_extra_info(name) for name in names}
                if seen[event]["ssl_object"] is not None:
                    seen["cipher"] = seen[event]["ssl_object"].cipher()

        await asked(transport, "GET", site.url, extensions={"trace": trace})
        return seen, httpx.URL(site.url).port

    seen, port = await on(always(), use, tls=certified("127.0.0.1"))
    connected = seen["connection.connect_tcp.complete"]
    assert connected["server_addr"] == ("127.0.0.1", port)
    assert connected["client_addr"][0] == "127.0.0.1"
    assert (connected["ssl_object"], connected["nothing"]) == (None, None)
    assert seen["cipher"][2] > 0


async def hang_up(talk):
    """Answer nothing."""
    talk.close()


HEAD = "http11.receive_response_headers.failed"
FAILURES = {
    "refused": (None, "connection.connect_tcp.failed", httpx.ConnectError),
    "hung up": (hang_up, HEAD, httpx.TransportError),
    "garbage": (b"garbage\r\n\r\n", HEAD, httpx.RemoteProtocolError),
}


@pytest.mark.parametrize("what", FAILURES)
async def test_what_fails_is_told_with_its_error(what):
    """The one that leaves; and of what had a connection, that it is closed."""
    answer, event, kind = FAILURES[what]

    async def use(transport, site):
        told = Told()
        url = site.url if answer is not None else "http://127.0.0.1:1/"
        with pytest.raises(kind) as caught:
            await asked(transport, "GET", url, extensions={"trace": told})
        assert told.infos[event] == {"exception": caught.value}
        assert "0 at rest" in repr(transport)
        return told.events

    events = await on(always(answer or OK), use)
    closed = [] if what == "refused" else of("http11.response_closed")
    assert events[-1 - len(closed) :] == [event, *closed]


@pytest.mark.parametrize("kind", ["connect", "read"])
async def test_a_timeout_is_told_as_one(kind):
    """And the program's own time is not counted: only what is waited for is."""

    async def never(_):
        await trio.sleep_forever()

    async def use(transport, site):
        events = []

        async def slow(event, info):
            events.append((event, type(info.get("exception"))))
            await trio.sleep(0.15)

        timeout = httpx.Timeout(5, **{kind: 0.1})
        url = site.url.replace("http:", "https:") if kind == "connect" else site.url
        async with httpx.AsyncClient(transport=Kept(transport), timeout=timeout) as client:
            with pytest.raises(httpx.TimeoutException) as caught:
                await client.get(url, extensions={"trace": slow})
        return type(caught.value), [each for each in events if each[0].endswith("failed")]

    caught, failed = await on(never, use)
    event = {"connect": "connection.start_tls", "read": "http11.receive_response_headers"}[kind]
    assert failed == [(f"{event}.failed", caught)]
    assert caught is (httpx.ConnectTimeout if kind == "connect" else httpx.ReadTimeout)


class Trouble(Exception):
    """What a program raises."""


async def at_every_event(context, ask):
    """Ask again and again, in trouble at the first event, then at the second, and so on; return how many there are.

    Nothing is left in use then, and no file descriptor at the end, without the garbage collector.
    """

    async def use(transport, site):
        for at in itertools.count(1):
            count = await ask(transport, site, at)
            assert "0 in use" in repr(transport)
            if count < at:
                return count
        return None

    gc.collect()
    gc.disable()
    before = len(os.listdir("/proc/self/fd"))
    try:
        count = await on(always(), use, tls=context)
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()
    return count


@pytest.mark.parametrize("fresh", [True, False])
@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("kind", [Trouble, httpx.WriteError, httpx.ReadTimeout, KeyboardInterrupt])
async def test_what_the_function_raises_leaves_as_it_is(kind, tls, fresh):
    """At whichever event, on a new connection and on a kept one."""

    async def ask(transport, site, at):
        if not fresh:
            await asked(transport, "GET", site.url)
        trouble = kind("of the program")
        told = Told(at, trouble)
        given = {"headers": {"Connection": "close"} if fresh else {}, "extensions": {"trace": told}}
        try:
            await asked(transport, "POST", site.url, content=b"x", **given)
        except kind as error:
            assert error is trouble
            assert len(told.events) >= at
            return at
        return len(told.events)

    events = len(ANSWERED) + (2 + 2 * tls if fresh else 0)
    assert await at_every_event(certified("127.0.0.1") if tls else None, ask) == events


@pytest.mark.parametrize("tls", [True, False])
async def test_cancelled_while_it_is_told_it_leaves_nothing(tls):
    """At whichever event."""

    async def ask(transport, site, at):
        with trio.CancelScope() as scope:
            told = Told(at, scope.cancel)
            given = {"headers": {"Connection": "close"}, "extensions": {"trace": told}}
            await asked(transport, "POST", site.url, content=b"x", **given)
        return at if scope.cancelled_caught else len(told.events)

    events = len(CONNECT) + 2 * tls + len(ANSWERED)
    assert await at_every_event(certified("127.0.0.1") if tls else None, ask) == events


@pytest.mark.parametrize("trace", [lambda *_: None, print, "log", 1])
async def test_a_function_that_is_not_async_is_said_to_be(trace):
    """As httpx's own transport says it: there is nothing to wait for."""

    async def use(transport, site):
        with pytest.raises(TypeError, match=r"trace.*async function"):
            await asked(transport, "GET", site.url, extensions={"trace": trace})
        assert site.came == []

    await on(always(), use)


async def test_without_it_a_request_has_no_part_in_it(monkeypatch):
    """Nothing is made for it, and the body is the bare one."""

    async def use(transport, site):
        response = await transport.handle_async_request(httpx.Request("GET", site.url, extensions={"trace": None}))
        assert b"".join([part async for part in response.stream]) == b"ok"
        return type(response.stream).__module__

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(Tracing, "__init__", never)
    assert not (await on(always(), use)).endswith("tracing")


async def test_a_body_that_is_left_early_is_told_to_be_closed():
    """Once, however often it is closed; the connection is not kept."""

    async def part(talk):
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")

    async def use(transport, site):
        told = Told()
        response = await transport.handle_async_request(httpx.Request("GET", site.url, extensions={"trace": told}))
        assert await anext(response.stream) == b"part"
        await response.aclose()
        await response.stream.aclose()
        assert "0 in use, 0 at rest" in repr(transport)
        return told.events

    assert (await on(always(part), use))[-3:] == ["http11.receive_response_body.started", *of("http11.response_closed")]


async def test_a_body_that_breaks_off_is_told_with_its_error():
    """And the connection is left before that is told, which may take its time."""

    async def part(talk):
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart")
        talk.close()

    async def use(transport, site):
        told = Told()
        with pytest.raises(httpx.RemoteProtocolError) as caught:
            await asked(transport, "GET", site.url, extensions={"trace": told})
        assert told.infos["http11.receive_response_body.failed"] == {"exception": caught.value}
        return told.events

    assert (await on(always(part), use))[-3:] == ["http11.receive_response_body.failed", *of("http11.response_closed")]


async def test_a_request_that_is_sent_once_more_is_told_so():
    """A kept connection that the server has just closed: the failure, and the connection that takes its place."""

    async def second(talk):
        if talk.came.count(b"GET ") == 2:
            talk.close()
        else:
            await talk.send(OK)

    async def use(transport, site):
        await asked(transport, "GET", site.url)
        told = Told()
        assert (await asked(transport, "GET", site.url, extensions={"trace": told})).content == b"ok"
        return told.events

    events = await on(always(second), use)
    failed = events.index("http11.receive_response_headers.failed")
    assert events[failed + 1 :] == [*of("http11.response_closed"), *CONNECT, *ANSWERED]


@pytest.mark.parametrize("answers", [True, False])
async def test_a_server_that_takes_no_body_is_told_of(answers):
    """The failure to send is told; what the server has said all the same is the answer."""

    async def refuse(talk):
        if answers:
            await talk.send(b"HTTP/1.1 413 Too large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        talk.close()

    async def use(transport, site):
        told, body = Told(), b"x" * 20_000_000
        if answers:
            given = await asked(transport, "POST", site.url, content=body, extensions={"trace": told})
            assert given.status_code == 413
        else:
            with pytest.raises(httpx.WriteError):
                await asked(transport, "POST", site.url, content=body, extensions={"trace": told})
        assert type(told.infos["http11.send_request_body.failed"]["exception"]) is httpx.WriteError
        return told.events

    assert (await on(always(refuse), use))[-2:] == of("http11.response_closed")
