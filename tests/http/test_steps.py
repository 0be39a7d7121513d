"""How much is parsed at once: bodies that have a length at one go, all else in steps of 16 KiB."""

import math

import pytest
import trio

from scrapeengine.http.transport.connection import Connection, Origin
from scrapeengine.http.transport.failures import CutShort

STEP = 16 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class Stream:
    """A connection on which all that is to come has come already, in these parts."""

    def __init__(self, *parts):
        self.parts = list(parts)

    def write_now(self, data):
        """Take all."""
        return len(data)

    async def read(self):
        """Give the next part."""
        await trio.lowlevel.checkpoint()
        return self.parts.pop(0) if self.parts else b""

    def quiet(self):
        """Say that nothing comes."""
        return True

    def close(self):
        """Do nothing."""


async def ask(*parts):
    """Make a request; return the connection, its body, and how many bytes of content each step brought."""
    connection, steps = Connection(Origin("http", "a.test", 80), Stream(*parts), 0.0), []
    await connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n", most=math.inf)
    body = connection.parser.answer.take()
    steps.append(sum(map(len, body)))
    while not connection.parser.answer.done:
        await connection.more()
        body += connection.parser.answer.take()
        steps.append(sum(map(len, body)) - sum(steps))
    return connection, b"".join(body), steps


async def test_a_body_with_a_length_is_taken_at_one_go():
    """It needs no parsing."""
    content = bytes(range(256)) * 200
    connection, body, steps = await ask(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(content) + content)
    assert (body, steps) == (content, [len(content)])
    assert connection.reusable
    assert connection._ahead.obj == b"", "it keeps a page that it has given away"


async def test_chunks_are_taken_in_steps():
    """64 KiB of chunks of one byte take as many steps as have 16 KiB."""
    sent = CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"
    connection, body, steps = await ask(sent)
    assert body == b"x" * 10_000
    assert len(steps) == math.ceil(len(sent) / STEP)
    assert max(steps) <= STEP / 6 + 1
    assert connection.reusable


@pytest.mark.parametrize("more", [1, 100, STEP, 3 * STEP])
@pytest.mark.parametrize("length", [1, STEP, 2 * STEP])
@pytest.mark.parametrize("head", [b"Content-Length: %d\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n%x\r\n"])
async def test_what_comes_behind_an_answer_is_no_one_s(head, length, more):
    """However far behind: the connection carries no other request."""
    end = b"\r\n0\r\n\r\n" if b"chunked" in head else b""
    answer = b"HTTP/1.1 200 OK\r\n" + head % length + b"a" * length + end
    connection, body, _ = await ask(answer + (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 2000)[:more])
    assert body == b"a" * length
    assert not connection.reusable


async def test_a_connection_that_was_closed_gives_nothing_more():
    """Its deadline has passed, whatever was read before."""
    connection = Connection(Origin("http", "a.test", 80), Stream(CHUNKED + b"1\r\nx\r\n" * 10_000), 0.0)
    await connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n", most=math.inf)
    connection.close()
    with pytest.raises(CutShort):
        await connection.more()


async def test_who_is_cancelled_between_two_steps_loses_nothing():
    """The next call goes on there."""
    sent = CHUNKED + b"1\r\nx\r\n" * 10_000 + b"0\r\n\r\n"

    connection = Connection(Origin("http", "a.test", 80), Stream(sent), 0.0)
    await connection.ask("GET", b"GET / HTTP/1.1\r\n\r\n", most=math.inf)
    with trio.CancelScope() as scope:
        scope.cancel()
        await connection.more()
    assert scope.cancelled_caught
    while not connection.parser.answer.done:
        await connection.more()
    assert b"".join(connection.parser.answer.take()) == b"x" * 10_000


async def test_what_comes_behind_an_answer_that_fills_a_step_is_no_one_s():
    """It is not parsed, and is seen all the same."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nX: "
    answer = head + b"x" * (STEP - len(head) - 5) + b"\r\n\r\na"
    assert len(answer) == STEP
    assert (await ask(answer))[0].reusable
    assert not (await ask(answer + b"b"))[0].reusable
