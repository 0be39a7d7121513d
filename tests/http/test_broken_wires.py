"""What comes from a network that fails: on real sockets, translated at the border, and nothing left open."""

import gc
import gzip
import socket
import warnings

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer
from support.runs import ONCE, get, on, open_files
from support.wire import answering


def causes(error):
    """List what a traceback shows before an error: what it was raised from, or what was being handled."""
    found = []
    while error := error.__cause__ or (None if error.__suppress_context__ else error.__context__):
        found.append(error)
    return found


def test_a_refused_connection():
    """Where no one listens, it is `ConnectFailed`, from httpx's own error."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: no one else gets the port meanwhile
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        [outcome] = se.collect([se.Platform("A", get, base_url=url, retry=ONCE)], [se.Event("e")])
    assert type(outcome.error) is se.ConnectFailed
    assert isinstance(outcome.error.__cause__, httpx.ConnectError)
    assert (outcome.error.method, outcome.error.url) == ("GET", url + "/a")


@pytest.mark.parametrize(
    ("kind", "parts"),
    [
        (se.ConnectionBroken, ()),
        (se.ConnectionBroken, (b"HTTP/1.1 200 OK\r\nContent-Le",)),
        (se.TruncatedBody, (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", b"a part")),
        (se.TruncatedBody, (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",)),
    ],
)
async def test_a_server_that_hangs_up(kind, parts):
    """Before the answer or in its head: `ConnectionBroken`; in its body: `TruncatedBody`."""
    seen = await on(answering(*parts))
    assert type(seen.error) is kind
    assert seen.error.phase == ("head" if kind is se.ConnectionBroken else "body")


@pytest.mark.parametrize("asked", [b"Retry-After: 1000\r\n", b"Retry-After: 1000\r\nRetry-After: 1\r\n"])
@pytest.mark.parametrize("status", [b"429", b"503"])
async def test_a_refusal_counts_though_its_answer_is_bad(status, asked):
    """The head says how long to wait, whatever follows it in the same packet; said twice, the longer one holds."""
    bad = b"HTTP/1.1 %b X\r\nTransfer-Encoding: chunked\r\n%b\r\nzz\r\n" % (status, asked)
    seen = await on(answering(bad), retry=se.Retry(attempts=3, max_wait=0))
    assert isinstance(seen.error, se.PlatformClosed)
    assert 990 < seen.error.seconds <= 1000
    assert seen.server.connections == 1


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part"])
async def test_a_connection_that_is_reset(before):
    """A reset is `ConnectionBroken` too, from the error of the read."""

    async def serve(talk):
        await talk.request()
        await talk.send(before)
        talk.reset()

    seen = await on(serve)
    assert type(seen.error) is se.ConnectionBroken
    assert isinstance(seen.error.__cause__, httpx.HTTPError)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (b"220 mail.test ESMTP\r\n\r\n", "the answer is not HTTP: its first line is no status line of HTTP/1"),
        (
            b"\x15\x03\x01\x00\x02\x02\x50\r\n\r\n",
            "the answer is not HTTP: its first line is no status line of HTTP/1",
        ),
        (b"HTTP/1.1 abc OK\r\n\r\n", "the answer is not HTTP: its first line is no status line of HTTP/1"),
        (b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "the answer is not HTTP: a line of its head is no header"),
        (b"HTTP/1.1 200 OK\r\n folded\r\n\r\n", "the answer is not HTTP: its first header continues none"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n", "the answer has a Content-Length that is no number"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "the answer has two Content-Lengths that differ",
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            "the body of the answer is not in chunks, as its head says",
        ),
    ],
)
async def test_what_is_not_http(text, rule):
    """Garbage instead of an answer, or within it, is `ProtocolError`, which names the rule that is broken.

    What quotes the garbage is neither told nor shown.
    """
    seen = await on(answering(text))
    assert type(seen.error) is se.ProtocolError
    assert seen.error.args == (rule,)
    assert not causes(seen.error)


BADLY_PACKED = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nnope"


async def test_what_cannot_be_unpacked():
    """A body that is not in the encoding that its header says is `ProtocolError`."""
    seen = await on(answering(BADLY_PACKED))
    assert type(seen.error) is se.ProtocolError
    assert seen.error.args == ("the body cannot be decoded",)
    assert not causes(seen.error)


async def test_what_cannot_be_unpacked_leaves_nothing_to_the_collector():
    """All that read the body was closed when the error comes; trio warns of what was not."""
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        await on(answering(BADLY_PACKED))
        gc.collect()
    assert not [str(each.message) for each in warned if issubclass(each.category, ResourceWarning)]


async def test_a_server_that_echoes_betrays_nothing():
    """What comes back of the request, credentials and query with it, is not in the text of the error."""

    async def scrape(task):
        await task.http.get("/a", params={"key": "t0ps3cret"})

    seen = await on(answering(b"GET /a?key=t0ps3cret HTTP/1.1\r\n\r\n"), scrape)
    assert type(seen.error) is se.ProtocolError
    assert "t0ps3cret" not in str(seen.error)


async def test_garbage_that_speaks_of_disconnection_is_garbage():
    """A server's own words do not choose the error."""
    seen = await on(answering(b"421 disconnected\r\n\r\n"))
    assert type(seen.error) is se.ProtocolError


async def test_a_broken_connection_is_made_anew():
    """Each attempt that lost its connection opens another one; the last error stands."""
    seen = await on(answering(), retry=se.Retry(attempts=3, max_wait=0))
    assert (type(seen.error), seen.error.attempt, seen.server.connections) == (se.ConnectionBroken, 3, 3)


async def test_what_the_wire_raises_is_translated_whatever_it_is(autojump_clock, play):
    """Of what is not known nothing but the type is named; what says nothing is put into words."""
    odd = (await play(get, LookupError("what is this"), retry=ONCE)).error
    assert type(odd) is se.TransportError
    assert odd.args == ("the wire failed with LookupError",)
    assert not causes(odd)
    mute = (await play(get, httpx.ReadError(""), retry=ONCE)).error
    assert mute.args == ("the connection broke",)
    assert [type(each) for each in causes(mute)] == [httpx.ReadError]
    assert type((await play(get, httpx.UnsupportedProtocol("x"), retry=ONCE)).error) is se.InvalidRequest


async def test_an_answer_is_read_whole_and_decoded(on_sites):
    """Its body is there, unpacked."""
    body = gzip.compress(b"packed" * 1000)
    assert (await on_sites(get, {"/a": Answer(200, body, {"Content-Encoding": "gzip"})})).value == b"packed" * 1000


async def test_an_answer_is_what_the_wire_has_brought():
    """With the server's own reason, version and headers, none of them added; though there is nothing to unpack."""

    async def scrape(task):
        first = await task.http.get("/a")
        second = await task.http.request("HEAD", "/a")
        told = [(each.status_code, each.reason_phrase, each.http_version, each.content) for each in (first, second)]
        return told, first.headers.multi_items(), second.headers["content-encoding"], first.num_bytes_downloaded

    async def serve(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nX-A: 1\r\nX-A: 2\r\n\r\n")
        await talk.send(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
        await talk.request()
        await talk.send(b"HTTP/1.1 299 Empty\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n")

    seen = await on(serve, scrape)
    told, headers, encoding, downloaded = seen.value
    assert told == [(200, "Fine", "HTTP/1.1", b"abc"), (299, "Empty", "HTTP/1.1", b"")]
    assert headers == [("transfer-encoding", "chunked"), ("x-a", "1"), ("x-a", "2")]
    assert (encoding, downloaded, seen.server.connections) == ("gzip", 3, 1)


async def test_a_timeout_on_the_wire_closes_the_connection(on_sites):
    """An answer that does not come in time is given up; the site sees its client gone, and the next attempt stands."""
    gone = trio.Event()
    tries = []

    async def slow(_):
        tries.append(1)
        if len(tries) == 2:
            await gone.wait()
            return Answer(body=b"late")
        try:
            await trio.sleep_forever()
        finally:
            gone.set()

    policy = {"timeout": se.Timeout(attempt=1), "retry": se.Retry(attempts=2, max_wait=0)}
    assert (await on_sites(get, {"/a": slow}, **policy)).value == b"late"


@pytest.mark.parametrize("part", ["head", "body"])
async def test_cancelled_in_the_middle_it_hangs_up(part):
    """A scope of the scraper's own ends a request: the connection is closed, and the task goes on."""
    hung_up = trio.Event()

    async def serve(talk):
        await talk.request()
        if part == "body":
            await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\na part")
        begun.set()
        assert await talk.receive() == b""
        hung_up.set()

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.http.get, "/a")
            await begun.wait()
            nursery.cancel_scope.cancel()
        await hung_up.wait()
        return "went on"

    begun = trio.Event()
    seen = await on(serve, scrape)
    assert seen.value == "went on"


async def test_cancelled_requests_are_no_longer_in_flight(on_sites):
    """The site sees each of three clients hang up, and no file is left of them."""
    files = len(open_files())

    async def never(_):
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            hung_up.set()

    async def scrape(task):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.http.get, "/a")
            await begun.wait()
            nursery.cancel_scope.cancel()
        await hung_up.wait()

    for _ in range(3):
        begun, hung_up = trio.Event(), trio.Event()
        assert isinstance((await on_sites(scrape, {"/a": never})).outcome, se.Success)
    assert len(open_files()) <= files


async def test_a_refusal_is_heeded_though_its_body_breaks():
    """A 429 that says when to come back has said so, whatever becomes of the rest of the answer."""
    refusal = b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 60\r\nContent-Length: 100\r\n\r\na part"
    seen = await on(answering(refusal), retry=se.Retry(attempts=3, max_wait=0, patience=1))
    assert type(seen.error) is se.PlatformClosed
    assert seen.server.connections == 1
