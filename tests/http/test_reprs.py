"""What one sees of the HTTP side when one looks at it: counts and states, and nothing that may be a secret."""

import math

import httpx
import trio

import scrapeengine as se
from scrapeengine.http.transport.parser import Parser
from scrapeengine.http.transport.transport import Transport
from scrapeengine.http.wire.connector import OwnConnector
from scrapeengine.http.wire.prepared import Prepared
from scrapeengine.testing import Answer, Site

SECRET = "/a?token=hunter2"


def test_a_connection_says_where_it_leads_and_what_it_does():
    """And how much has come of its answer; neither URL nor headers."""

    async def answer(_):
        return Answer(body=b"12345")

    async def main():
        async with Site.open(answer) as site:
            async with Transport() as transport:
                await transport.handle_async_request(httpx.Request("GET", f"{site.url}{SECRET}"))
                [connection] = transport._connections._in_use
                place = site.url.removeprefix("http://")
                assert repr(connection) == f"<Connection to {place}, body, 1 requests>"
                assert repr(connection.parser.answer) == "<AnswerSoFar 200, 5 bytes, done>"
                transport._connections.leave(connection)
                assert repr(connection) == f"<Connection to {place}, idle, 1 requests>"
                assert repr(transport._connections) == "<Connections 0 in use, 1 at rest>"
                assert repr(transport._connections._pool) == "<Pool 1/256 at rest, to 1 origins>"
            assert repr(connection) == f"<Connection to {place}, closed, 1 requests>"

    trio.run(main)


def test_an_answer_says_how_far_it_has_come():
    """From nothing to the whole body."""
    parser = Parser()
    parser.begin("GET", math.inf)
    assert repr(parser.answer) == "<AnswerSoFar 0, 0 bytes, head to come>"
    parser.feed(b"HTTP/1.1 200 OK\r\nSet-Cookie: token=hunter2\r\nContent-Length: 3\r\n\r\n1")
    assert repr(parser.answer) == "<AnswerSoFar 200, 1 bytes, body to come>"


def test_what_makes_and_what_carries_requests_count():
    """Origins, and connections."""
    prepared = Prepared(se.Platform("a.test", trio.sleep, base_url="http://a.test"))
    assert repr(prepared) == "<Prepared for 1 origins>"
    prepared.plain(se.Event("e"), "http://b.test/x")
    assert repr(prepared) == "<Prepared for 2 origins>"
    assert repr(OwnConnector(None)) == "<OwnConnector <Connections 0 in use, 0 at rest>>"
