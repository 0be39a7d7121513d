"""What requests carry: any body that a program has at hand, sent as it is read, and errors that say what to write."""

import gzip
import io
import itertools
import math
import re
import ssl
import tempfile
import threading
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import trio
import trio.testing
import trustme
from hypothesis import given, settings
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.http.transport import connections
from scrapeengine.testing import Answer
from support.runs import AT_ONCE, Seen, ended, on
from support.understanding import Understanding
from support.wire import OK

PUT_AGAIN = {"retry": AT_ONCE}
BIG = bytes(range(256)) * 1024
"""A quarter of a megabyte: more than is read at once."""


@pytest.fixture
def on_h11():
    """Return a function that runs one scraper against a site that reads requests by h11, chunked ones too."""

    async def run(scrape, answers=None, **policy):
        asked = []

        async def serve(talk):
            understanding = Understanding(talk)
            while (request := await understanding.request()) is not None:
                asked.append(request)
                given = (answers or {}).get(request.path, Answer())
                answer = given if isinstance(given, Answer) else await given(request)
                await understanding.answer(answer.status, answer.headers.items(), answer.body)

        return Seen((await on(serve, scrape, **policy)).outcomes, asked)

    return run


def send(make, method="PUT", **parts):
    """Make a scraper that sends a body, which is made when it runs."""

    async def scrape(task):
        response = await task.http.request(method, "/a", content=make(), **parts)
        return response.status_code

    return scrape


class Again:
    """An iterable that can be read more than once."""

    def __iter__(self):
        """Begin anew."""
        return iter([b"ab", b"", b"c"])


class AgainAsync:
    """An async one."""

    async def __aiter__(self):
        """Begin anew."""
        for part in (b"ab", b"", b"c"):
            yield part


def generator():
    """Give parts once."""
    yield b"ab"
    yield bytearray(b"")
    yield memoryview(b"c")


async def async_generator():
    """Give parts once, and wait between them."""
    yield b"ab"
    await trio.lowlevel.checkpoint()
    yield b"c"


def at_two():
    """Make a file that stands behind its first two bytes."""
    file = io.BytesIO(b"__abc")
    file.seek(2)
    return file


class Pipe(io.RawIOBase):
    """A file that cannot seek."""

    def __init__(self):
        self.left = [b"ab", b"c"]

    def readable(self):
        """Say so."""
        return True

    def read(self, size=-1):  # noqa: ARG002 - as files have it
        """Give the next part."""
        return self.left.pop(0) if self.left else b""


KNOWN = {
    "bytes": lambda: b"abc",
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abc"),
    "text": lambda: "abc",
    "file in memory": lambda: io.BytesIO(b"abc"),
    "file that was read from": at_two,
}
UNKNOWN = {
    "list": lambda: [b"ab", b"c"],
    "iterable": Again,
    "async iterable": AgainAsync,
    "generator": generator,
    "async generator": async_generator,
    "pipe": Pipe,
}
ONCE = {"generator", "async generator", "pipe"}


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
async def test_a_body_arrives(on_h11, kind, method):
    """With its length where it is known, in chunks where it is not."""
    seen = await on_h11(send((KNOWN | UNKNOWN)[kind], method))
    [request] = seen.asked
    assert (seen.value, request.method, request.body) == (200, method, b"abc")
    assert request.headers.get("content-length") == ("3" if kind in KNOWN else None)
    assert request.headers.get("transfer-encoding") == (None if kind in KNOWN else "chunked")


@pytest.mark.parametrize("how", ["open", "trio", "temporary"])
async def test_a_file_is_uploaded(on_h11, tmp_path, how):
    """Opened by the program, by trio, or a temporary one: all of it, with its length."""
    (tmp_path / "file").write_bytes(BIG)

    async def scrape(task):
        if how == "open":
            with (tmp_path / "file").open("rb") as file:
                return (await task.http.post("/a", content=file)).status_code
        if how == "trio":
            async with await trio.open_file(tmp_path / "file", "rb") as file:
                return (await task.http.post("/a", content=file)).status_code
        with tempfile.TemporaryFile() as file:
            file.write(BIG)
            file.seek(0)
            return (await task.http.post("/a", content=file)).status_code

    [request] = (await on_h11(scrape)).asked
    assert request.body == BIG
    assert request.headers["content-length"] == str(len(BIG))


async def test_files_are_read_off_the_loop(on_h11):
    """In another thread, 64 KiB at a time; the loop goes on meanwhile."""
    threads, sizes = set(), []

    class File(io.BytesIO):
        def read(self, size=-1):
            threads.add(threading.get_ident())
            sizes.append(size)
            return super().read(size)

    seen = await on_h11(send(lambda: File(BIG)))
    assert seen.asked[0].body == BIG
    assert threading.get_ident() not in threads
    assert max(sizes) <= 64 * 1024


async def test_a_file_that_grows_is_sent_as_it_was(on_h11):
    """What is appended meanwhile is not part of the body whose length was said."""

    class Growing(io.BytesIO):
        def read(self, size=-1):
            found = super().read(size)
            here = self.tell()
            self.seek(0, 2)
            self.write(b"more")
            self.seek(here)
            return found

    assert (await on_h11(send(lambda: Growing(BIG)))).asked[0].body == BIG


async def test_a_file_that_shrinks_is_an_error_of_ours(on_h11):
    """Its length was said, and cannot be kept."""

    class Shrinking(io.BytesIO):
        def read(self, size=-1):
            self.truncate(100)
            return super().read(size)

    error = (await on_h11(send(lambda: Shrinking(BIG)))).error
    assert type(error) is se.InvalidRequest
    assert "length" in str(error)


# -- again


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
async def test_what_can_be_read_anew_is_tried_again(on_h11, kind):
    """From where it stood at first; what cannot is sent once, and the failure stands and says why."""
    answers = iter([Answer(503), Answer(200)])

    async def answer(request):
        return next(answers)

    seen = await on_h11(send((KNOWN | UNKNOWN)[kind]), {"/a": answer}, **PUT_AGAIN)
    bodies = [request.body for request in seen.asked]
    if kind in ONCE:
        assert bodies == [b"abc"]
        assert type(seen.error) is se.StatusError
        assert any("cannot be read anew" in note for note in seen.error.__notes__)
    else:
        assert (seen.value, bodies) == (200, [b"abc", b"abc"])


@pytest.mark.parametrize("kind", [*KNOWN, *UNKNOWN])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_that_asks_for_the_body_once_more(on_h11, kind, status):
    """A 307 or 308 gets it if it can be read anew; else it is an error that says so. What becomes a GET has none."""
    seen = await on_h11(send((KNOWN | UNKNOWN)[kind], "POST"), {"/a": Answer(status, headers={"Location": "/b"})})
    if status in {307, 308} and kind in ONCE:
        assert type(seen.error) is se.RedirectError
        assert "cannot be read anew" in str(seen.error)
        assert len(seen.asked) == 1
    else:
        assert seen.value == 200
        assert seen.asked[1].body == (b"abc" if status in {307, 308} else b"")
        assert "content-type" not in seen.asked[1].headers


async def test_what_was_not_begun_can_still_be_sent():
    """A generator that no attempt has read from is as good as new: none of them found a connection."""
    with trio.fail_after(10):
        with trio.socket.socket() as sock:  # bound, so that nobody else is there, and not listening
            await sock.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{sock.getsockname()[1]}"
            platform = se.Platform("A", send(generator), base_url=url, retry=AT_ONCE)
            [outcome] = await ended([platform], [se.Event("e")])
    assert type(outcome.error) is se.ConnectFailed
    assert outcome.error.attempt == 3


@pytest.mark.parametrize("kind", ["list", "file in memory", "generator", "async generator"])
async def test_a_kept_connection_that_was_closed_costs_what_can_be_read_anew_nothing(kind):
    """It is sent on a fresh one; a body that is gone is not sent half."""

    async def scrape(task):
        await task.http.get("/first")
        content = (KNOWN | UNKNOWN)[kind]()
        return (await task.http.request("PUT", "/a", content=content)).status_code

    async def serve(talk):
        await talk.request()
        await talk.send(OK)
        if talk.number:
            return
        await talk.stream.receive_some(1)
        talk.reset()

    seen = await on(serve, scrape)
    if kind in ONCE:
        assert type(seen.error) is se.ConnectionBroken
    else:
        assert seen.value == 200


# -- an answer that comes before the body was sent


@pytest.mark.parametrize("kind", ["iterable", "async iterable"])
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_who_has_answered_need_not_read_on(monkeypatch, scheme, kind):
    """The site says 429 after the head and reads no more: its answer counts, and nothing waits for the rest."""
    parts = 0

    class Endless:
        def __iter__(self):
            nonlocal parts
            for parts in range(1_000_000):  # noqa: B007 - counted
                yield BIG
            raise AssertionError("read to the end")

        async def __aiter__(self):
            for part in self:
                yield part

    class Iterable:
        def __iter__(self):
            return iter(Endless())

    content = Iterable() if kind == "iterable" else Endless()

    async def scrape(task):
        response = await task.http.post("/a", content=content, check=False)
        return response.status_code, response.headers["retry-after"]

    async def serve(talk):
        await talk.stream.receive_some(65536)
        await talk.send(b"HTTP/1.1 429 Slow Down\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(serving)
    monkeypatch.setattr(connections, "default_context", lambda: trusting)
    seen = await on(serve, scrape, tls=serving if scheme == "https" else None)
    assert seen.value == (429, "1")
    assert parts < 1000


async def test_a_site_that_breaks_off_ends_the_sending():
    """Its end is heard while the program takes its time over the next part."""

    async def slow():
        yield b"ab"
        await trio.sleep_forever()

    async def scrape(task):
        return (await task.http.request("PUT", "/a", content=slow())).status_code

    async def serve(talk):
        await talk.stream.receive_some(65536)

    assert isinstance((await on(serve, scrape)).error, se.ConnectionBroken)


async def test_a_body_that_waits_in_a_nursery_of_its_own_is_ended_by_the_answer():
    """What it was doing is cancelled, in whatever group that leaves, and no sibling is touched."""

    async def parts():
        yield b"a"
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            nursery.start_soon(trio.sleep_forever)
            await trio.sleep_forever()

    async def scrape(task):
        return (await task.http.post("/a", content=parts(), check=False)).status_code

    async def serve(talk):
        await talk.stream.receive_some(65536)
        await talk.send(b"HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    assert (await on(serve, scrape, timeout=se.Timeout(task=5))).value == 429


async def test_what_was_heard_as_the_last_part_went_out_is_not_forgotten():
    """A malformed answer that came meanwhile, on a connection that stays open: nothing waits for another."""
    answered = trio.Event()

    async def parts():
        yield b"a"
        with trio.CancelScope(shield=True):  # so that it ends as if it had never been told to
            await answered.wait()
            await trio.testing.wait_all_tasks_blocked(0.01)

    async def scrape(task):
        await task.http.post("/a", headers={"Content-Length": "1"}, content=parts())

    async def serve(talk):
        await talk.stream.receive_some(65536)
        await talk.send(b"HTTP/1.1 2x0 OK\r\n\r\n")
        answered.set()
        await trio.sleep_forever()

    assert type((await on(serve, scrape, timeout=se.Timeout(task=5))).error) is se.ProtocolError


# -- what goes wrong in the caller's own code


class Mine(Exception):
    """An error of the caller's."""


def raising(error, after=1):
    """Make bodies that raise when a part was given."""

    def plain():
        yield from [b"x"] * after
        raise error

    async def in_async():
        for part in [b"x"] * after:
            yield part
        raise error

    class File(io.RawIOBase):
        def __init__(self):
            self.reads = 0

        def read(self, size=-1):  # noqa: ARG002 - as files have it
            self.reads += 1
            if self.reads > after:
                raise error
            return b"x"

    return [plain, in_async, File]


@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize(
    ("which", "error"),
    [
        *itertools.product([0, 1, 2], [Mine("x"), OSError(5, "disk"), httpx.ReadError("x"), ValueError("x")]),
        (2, StopAsyncIteration()),  # a generator makes a RuntimeError of it by itself
    ],
)
async def test_what_the_caller_s_own_code_raises_leaves_as_it_is(which, after, error):
    """The same object, without a cause of ours; no retry, and the connection is closed."""
    caught = []

    async def scrape(task):
        try:
            await task.http.request("PUT", "/a", content=raising(error, after)[which]())
        except Exception as left:  # noqa: BLE001 - whatever it is
            caught.append((left, left.__cause__, left.__context__))
        return (await task.http.get("/b")).content

    async def serve(talk):
        while request := await talk.request():
            await (talk.send(OK) if b" /b " in request else talk.client_gone())

    seen = await on(serve, scrape, retry=AT_ONCE)
    assert seen.value == b"ok"
    assert [target for target in seen.server.targets if target == "/a"] in ([], ["/a"])
    [(left, cause, context)] = caught
    assert left is error
    assert (cause, context) == (None, None)


@pytest.mark.parametrize("part", ["text", 1, None, [b"x"]])
@pytest.mark.parametrize("kind", ["plain", "async", "file"])
async def test_what_gives_something_else_than_bytes(on_h11, part, kind):
    """Is a `TypeError` that says what to write."""

    async def in_async():
        yield part

    class File:
        def read(self, size):  # noqa: ARG002 - as files have it
            return part

    if kind == "file" and part is None:
        part = 0.5
    made = {"plain": lambda: iter([part]), "async": in_async, "file": File}[kind]
    error = (await on_h11(send(made))).error
    assert type(error) is TypeError
    assert "must give bytes" in str(error)


async def test_a_body_that_hangs_is_in_the_time_of_the_attempt():
    """A generator that waits for ever is ended, and is closed."""
    closed = trio.Event()

    async def endless():
        try:
            yield b"x"
            await trio.sleep_forever()
        finally:
            closed.set()

    async def serve(talk):
        await talk.client_gone()

    seen = await on(serve, send(endless), timeout=se.Timeout(attempt=0.2))
    assert type(seen.error) is se.AttemptTimeout
    assert closed.is_set()


async def test_an_answer_that_comes_before_the_body_was_sent(on_h11):
    """A server that has read enough says so; the rest of the body stays unread."""
    given = []

    async def endless():
        for number in itertools.count():
            given.append(number)
            yield BIG

    async def serve(talk):
        await talk.stream.receive_some(1000)
        await talk.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        talk.reset()

    seen = await on(serve, send(endless))
    assert type(seen.error) in {se.StatusError, se.ConnectionBroken}
    assert len(given) < 200


# -- forms and files


@pytest.mark.parametrize(
    ("data", "body"),
    [
        ({"a": "b c", "d": 1}, b"a=b+c&d=1"),
        ({"a": ["b", "c"]}, b"a=b&a=c"),
        ([("a", "1"), ("b", "2"), ("a", "3")], b"a=1&b=2&a=3"),
        ((("a", True), ("b", None)), b"a=true&b="),
        ({"ä": "ö"}, b"%C3%A4=%C3%B6"),
        ({"a": b"\xff"}, b"a=%FF"),
        ({"a": Decimal("1.50")}, b"a=1.50"),
        ({}, b""),
        ([], b""),
    ],
)
async def test_forms(on_h11, data, body):
    """A mapping or pairs, a list for several values."""

    async def scrape(task):
        await task.http.post("/a", data=data)

    [request] = (await on_h11(scrape)).asked
    assert request.body == body
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "files",
    [
        lambda: {"f": io.BytesIO(BIG)},
        lambda: {"f": ("name.bin", io.BytesIO(BIG), "x/y")},
        lambda: [("f", ("name.bin", BIG))],
        lambda: {"f": BIG},
    ],
)
@pytest.mark.parametrize("data", [None, {"a": "b"}, [("a", "b"), ("a", "c")]])
async def test_files_are_uploaded(on_h11, files, data):
    """As a form with parts, its fields before; and again, if it is tried again."""
    answers = iter([Answer(503), Answer(200)])

    async def answer(request):
        return next(answers)

    async def scrape(task):
        response = await task.http.request("PUT", "/a", files=files(), data=data)
        return response.status_code

    seen = await on_h11(scrape, {"/a": answer}, **PUT_AGAIN)
    assert seen.value == 200
    for request in seen.asked:
        boundary = re.fullmatch("multipart/form-data; boundary=(.+)", request.headers["content-type"])[1]
        parts = request.body.split(b"--" + boundary.encode())
        assert request.headers["content-length"] == str(len(request.body))
        assert BIG in parts[-2]
        assert len(parts) == 3 + (0 if data is None else len(data))


async def test_a_stream_takes_a_body_too(on_h11):
    """`stream` sends what `request` does."""

    async def scrape(task):
        async with task.http.stream("POST", "/a", content=generator()) as answer:
            return b"".join([part async for part in answer])

    seen = await on_h11(scrape, {"/a": Answer(200, b"read")})
    assert (seen.value, seen.asked[0].body) == (b"read", b"abc")


def test_a_body_goes_to_a_transport_of_httpx_s(play):
    """It reads the upload as it sends it; the answer's request cannot be read any more, and says so."""
    bodies = []

    class Reading(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            bodies.append((await request.aread(), request.headers.get("content-length")))
            return httpx.Response(200)

    async def scrape(task):
        for content in (io.BytesIO(b"abc"), generator(), async_generator()):
            response = await task.http.post("/a", content=content)
            with pytest.raises(httpx.RequestNotRead):
                _ = response.request.content
        return "sent"

    [outcome] = se.collect([se.Platform("A", scrape, base_url="http://a.test", transport=Reading())], [se.Event("e")])
    assert outcome.value == "sent"
    assert bodies == [(b"abc", "3"), (b"abc", None), (b"abc", None)]


@pytest.mark.parametrize("kind", ["ours", "httpx"])
async def test_a_caller_s_generator_is_closed_when_the_call_ends(kind):
    """Whoever sends it: what it holds is let go of at once, and not by the garbage collector."""
    closed = []

    async def parts():
        try:
            while True:
                yield b"part"
        finally:
            closed.append(trio.lowlevel.current_task().name)

    async def scrape(task):
        await task.http.post("/a", content=parts(), check=False)
        return len(closed)

    class Reader(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request):
            await anext(aiter(request.stream))
            return httpx.Response(200)

    async def serve(talk):
        await talk.stream.receive_some(65536)
        await talk.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        await trio.sleep_forever()

    if kind == "ours":
        assert (await on(serve, scrape)).value == 1
        return
    platform = se.Platform("A", scrape, base_url="http://a.test", transport=Reader())
    [outcome] = await ended([platform], [se.Event("e")])
    assert outcome.value == 1


async def test_what_a_caller_s_iterable_raises_as_it_begins_is_the_caller_s(on_h11):
    """As what it raises later: the same object, and no failure of the connection."""
    mine = Mine("as it begins")

    class Broken:
        def __aiter__(self):
            raise mine

    assert (await on_h11(send(Broken))).error is mine


async def test_files_that_are_closed_say_so(on_h11):
    """Before anything is sent."""

    def closed():
        file = io.BytesIO(b"abc")
        file.close()
        return file

    async def scrape(task):
        await task.http.post("/a", files={"f": closed()})

    seen = await on_h11(scrape)
    assert "closed" in str(seen.error)
    assert not seen.asked


async def test_a_packed_file_is_sent_as_it_is_unpacked(on_h11, tmp_path):
    """To find its end it would have to be read twice: it goes out in chunks."""
    with gzip.open(tmp_path / "file.gz", "wb") as file:
        file.write(BIG)

    async def scrape(task):
        with gzip.open(tmp_path / "file.gz") as file:
            return (await task.http.request("PUT", "/a", content=file)).status_code

    [request] = (await on_h11(scrape)).asked
    assert request.body == BIG
    assert request.headers["transfer-encoding"] == "chunked"


async def test_no_files_are_none(on_h11):
    """As a form without them."""

    async def scrape(task):
        await task.http.post("/a", data={"a": "b"}, files={})
        await task.http.post("/b", json=1, files=[])

    assert [request.body for request in (await on_h11(scrape)).asked] == [b"a=b", b"1"]


async def test_bytes_of_any_kind_in_a_query(on_h11):
    """What is bytes is one value, not a row of numbers."""

    async def scrape(task):
        await task.http.get("/a", params={"a": bytearray(b"\xe9"), "b": memoryview(b"x")})

    assert (await on_h11(scrape)).asked[0].target == "/a?a=%E9&b=x"


# -- wrong arguments


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"content": {"a": 1}}, "write json="),
        ({"content": 5}, "content=… takes bytes"),
        ({"content": io.StringIO("x")}, "open(path, 'rb')"),
        ({"content": Path("/etc/hosts")}, "content=… takes bytes"),
        ({"data": "a=b"}, "content="),
        ({"data": b"a=b"}, "content="),
        ({"data": 5}, "data=… takes a mapping or pairs"),
        ({"data": ["ab"]}, "pairs"),
        ({"data": {"a": {"b": 1}}}, "json="),
        ({"json": {1, 2}}, "json=…"),
        ({"json": {"a": object()}}, "json=…"),
        ({"json": {(1, 2): 3}}, "json=…"),
        ({"files": {"f": io.StringIO("x")}}, "files=…"),
        ({"files": "x"}, "files=…"),
        ({"files": {"f": 5}}, "files=…"),
        ({"files": {"f": ("a", b"", "c", {}, 5)}}, "files=…"),
        ({"content": b"", "json": {}}, "one body"),
        ({"content": b"x", "data": {}}, "one body"),
        ({"json": 1, "files": {"f": b"x"}}, "one body"),
        ({"params": "a=1"}, "params=… takes"),
        ({"params": 5}, "params=… takes"),
        ({"params": ["a"]}, "pairs"),
        ({"headers": "X: y"}, "headers=…"),
        ({"headers": ["X: y"]}, "headers=…"),
        ({"headers": {"X": 1}}, "write str("),
        ({"headers": {1: "x"}}, "write str("),
        ({"headers": {"X": None}}, "write str("),
        ({"headers": {"": None}}, "in headers=…"),
    ],
)
async def test_wrong_types_say_what_to_write(on_h11, given, says):
    """A `TypeError`, before anything is sent."""

    async def scrape(task):
        await task.http.request("POST", "/a", **given)

    seen = await on_h11(scrape)
    assert type(seen.error) is TypeError
    assert says in str(seen.error)
    assert not seen.asked


@pytest.mark.parametrize(
    ("method", "url"), [(5, "/a"), (None, "/a"), (b"GET", "/a"), ("GET", 5), ("GET", b"/a"), ("GET", None)]
)
async def test_methods_and_urls_are_texts(on_h11, method, url):
    """The message says what is one."""

    async def scrape(task):
        await task.http.request(method, url)

    assert "a str" in str((await on_h11(scrape)).error)
    assert type((await on_h11(scrape)).error) is TypeError


async def test_a_method_and_a_url_in_the_wrong_places_tell_no_secret(on_h11):
    """The error says what is wrong, and shows no part of what stands where the method should."""

    async def scrape(task):
        await task.http.request("http://u:hunter2@a.test/?key=s3cret", "GET")

    error = (await on_h11(scrape)).error
    assert type(error) is se.InvalidRequest
    assert "malformed method" in str(error)
    assert "hunter2" not in repr(error) + str(error)


ITSELF = []
ITSELF.append(ITSELF)
DEEP = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    "given",
    [
        {"json": math.nan},
        {"json": ITSELF},
        {"json": DEEP},
        {"json": "\ud800"},
        {"content": "\ud800"},
        {"data": {"a": "\ud800"}},
        {"params": {"\ud800": "a"}},
        {"headers": {"X": "é"}},
        {"headers": {"X": "a\nb"}},
        {"headers": {"X\r\nY": "a"}},
        {"headers": {"": "a"}},
        {"headers": [("Host", "a.test"), ("host", "b.test")]},
        {"headers": {"Host": "a.test b.test"}},
        {"headers": {"Host": "a.test, b.test"}},
        {"headers": [("Content-Length", "1"), ("Content-Length", "1")], "content": b"x"},
        {"headers": {"Content-Length": "x"}, "content": b"x"},
        {"headers": {"Content-Length": "9" * 5000}, "content": [b"x"]},
        {"params": {"a": 10**5000}},
        {"data": {"a": 10**5000}},
        {"headers": {"Content-Length": "5"}, "content": io.BytesIO(b"x")},
        {"headers": {"Transfer-Encoding": "chunked"}, "content": [b"x"]},
    ],
)
async def test_what_cannot_be_sent_is_said(on_h11, given):
    """Of the right type, and still no request: an `InvalidRequest`, before anything is sent."""

    async def scrape(task):
        await task.http.request("POST", "/a?key=s3cret", **given)

    seen = await on_h11(scrape)
    assert type(seen.error) is se.InvalidRequest
    assert seen.error.url.endswith("/a?key=…")
    assert not seen.asked


async def test_headers_in_pairs(on_h11):
    """A name that stands twice goes out twice, and in place of the platform's; values may be bytes."""

    async def scrape(task):
        pairs = [("X-A", "1"), ("x-a", b"\xe9"), (b"X-B", "2")]
        await task.http.get("/a", headers=pairs)
        await task.http.get("/b", headers=httpx.Headers(pairs[:1] * 2))

    seen = await on_h11(scrape, headers={"X-A": "0", "X-C": "3"})
    assert seen.value is None
    assert seen.asked[0].headers["x-b"] == "2"
    assert seen.asked[0].headers["x-c"] == "3"


async def test_a_length_of_the_caller_s_own(on_h11):
    """Of a body whose length is not known it is believed, and then it must be kept."""

    async def scrape(task):
        return (await task.http.post("/a", headers={"Content-Length": "3"}, content=generator())).status_code

    assert (await on_h11(scrape)).asked[0].headers["content-length"] == "3"

    async def too_long(task):
        await task.http.post("/a", headers={"Content-Length": "2"}, content=iter([b"abc"]))

    assert type((await on_h11(too_long)).error) is se.InvalidRequest


# -- a property: no other exception leaves a call

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.just(object()),
    st.builds(io.BytesIO, st.binary(max_size=5)),
    st.builds(io.StringIO),
    st.builds(generator),
    st.builds(Again),
    st.builds(AgainAsync),
    st.builds(Pipe),
    st.just(Path("x")),
    st.builds(httpx.URL, st.just("/x")),
    st.builds(httpx.Headers, st.just({"a": "b"})),
    st.builds(httpx.QueryParams, st.just("a=b")),
    st.just(int),
)
nested = st.recursive(
    anything,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=3) | st.integers() | st.binary(max_size=2), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "G T", ""]) | anything,
    url=st.sampled_from(["/a", "http://b.test/"]) | st.text(max_size=8) | anything,
    event_url=st.none() | st.sampled_from(["no url", "http://a.test/", "http://[", "\ud800"]),
    given_parts=st.dictionaries(
        st.sampled_from(["params", "headers", "content", "data", "files", "json"]), nested, max_size=2
    ),
)
def test_no_other_exception_leaves_a_call(method, url, event_url, given_parts):
    """Whatever the arguments are: an error of ours, or a `TypeError` that says what to write."""
    caught = []

    async def scrape(task):
        try:
            await task.http.request(method, url, **given_parts)
        except (se.ScrapeError, TypeError) as error:
            caught.append(error)
            assert str(error)
        return "fine"

    async def read(request):
        await request.aread()
        return httpx.Response(200)

    platform = se.Platform(
        "A", scrape, base_url=None if event_url else "http://a.test", transport=httpx.MockTransport(read), retry=AT_ONCE
    )
    [outcome] = se.collect([platform], [se.Event("e", url=event_url, platforms=("A",))])
    assert isinstance(outcome, se.Success), repr(outcome.error)
    for error in caught:
        assert type(error).__module__ == "scrapeengine.errors" or "=…" in str(error) or "of a request" in str(error), (
            error
        )
