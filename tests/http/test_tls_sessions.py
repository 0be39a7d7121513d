"""TLS that goes on from a session: where it does, where it must not, and what TLS says for itself in the middle."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections import defaultdict
from contextlib import asynccontextmanager
from functools import partial

import attrs
import httpx
import pytest
import trio
import trustme
from trio.testing import MockClock

import scrapeengine as se
from scrapeengine.http.transport.connection import Origin
from scrapeengine.http.transport.connections import Connections
from scrapeengine.http.transport.failures import Untrusted
from scrapeengine.http.transport.sessions import LastSession, Sessions
from scrapeengine.http.transport.tls import secure
from support.wire import OK, serving

AUTHORITY = trustme.CA()
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
ANSWER = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"


def trusting(authority=AUTHORITY):
    """Make a client's context."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def server_context(version=None, authority=AUTHORITY):
    """Make a server's context, with sessions of its own."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if version is not None:
        context.minimum_version = context.maximum_version = version
    authority.issue_cert("127.0.0.1", "localhost", "a.test").configure_cert(context)
    return context


@asynccontextmanager
async def noting(context, answer=OK):
    """Serve, and yield the server and a list that says of each connection whether it has gone on from a session."""
    resumed = []

    async def serve(talk):
        resumed.append(talk.stream.session_reused)
        while await talk.request():
            await talk.send(answer)

    async with serving(serve, tls=context) as server:
        yield server, resumed


def connected(port):
    """Connect as a dialer does."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(0)
    return sock


async def asked(connections, origin):
    """Make a connection, and one request on it; close it."""
    connection = await connections.connect(origin)
    await connection.ask("GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", most=100)
    connection.close()
    connections.leave(connection)


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_next_handshake_goes_on_from_the_last_session(version):
    """Of one origin, whichever version; also from one that has gone on itself."""
    async with noting(server_context(version), ANSWER) as (server, resumed), se.Transport(verify=trusting()) as wire:
        async with httpx.AsyncClient(transport=wire) as client:
            for _ in range(3):
                assert (await client.get(server.url)).text == "ok"
    assert resumed == [False, True, True]


async def test_each_origin_has_a_session_of_its_own():
    """Another name, another name in the certificate, and what may only lead to public addresses: all begin anew."""
    async with noting(server_context()) as (server, resumed):
        connections = Connections(context=trusting())
        for host, name in [("127.0.0.1", ""), ("localhost", ""), ("127.0.0.1", "a.test"), ("127.0.0.1", "localhost")]:
            await asked(connections, Origin("https", host, server.port, name=name))
        assert resumed == [False] * 4
        await asked(connections, Origin("https", "localhost", server.port))
    assert resumed == [False] * 4 + [True]


async def test_whoever_took_the_place_of_a_server_proves_who_it_is():
    """What cannot go on from the session has to show its certificate, which is looked at as ever."""
    async with noting(server_context()) as (server, _):
        connections, origin = Connections(context=trusting()), Origin("https", "127.0.0.1", server.port)
        await asked(connections, origin)
        server.tls = server_context(authority=trustme.CA())
        with pytest.raises(Untrusted):
            await connections.connect(origin)


async def test_a_context_that_asks_for_more_than_before_is_heeded():
    """What was let pass unverified then is not let pass now by the session that came of it."""
    context = trusting(trustme.CA())
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with noting(server_context()) as (server, resumed):
        connections, origin = Connections(context=context), Origin("https", "127.0.0.1", server.port)
        await asked(connections, origin)
        await asked(connections, origin)
        assert resumed == [False, True]
        context.verify_mode = ssl.CERT_REQUIRED
        with pytest.raises(Untrusted):
            await connections.connect(origin)


def test_a_certificate_holds_for_an_hour():
    """However long the server goes on with sessions: each that has gone on from another is as old as the first."""

    async def main():
        clock = trio.lowlevel.current_clock()
        async with noting(server_context()) as (server, resumed):
            connections, origin = Connections(context=trusting()), Origin("https", "127.0.0.1", server.port)
            for seconds in (0, 3000, 599, 1, 3599):
                clock.jump(seconds)
                await asked(connections, origin)
        return resumed

    assert trio.run(main, clock=MockClock()) == [False, True, True, False, True]


async def test_a_handshake_that_failed_is_not_tried_again_with_the_session():
    """A server that breaks it off where it should go on is asked as if for the first time."""
    context, last = trusting(), LastSession()

    async def serve(talk):
        await talk.send(OK)

    async with serving(serve, tls=server_context()) as server:
        stream = await secure(connected(server.port), "127.0.0.1", context, last)
        await stream.read()
        stream.close()
        assert last.get(context) is not None
        server.tls = None
        with pytest.raises(httpx.ConnectError):
            await secure(connected(server.port), "127.0.0.1", context, last)
        assert last.get(context) is None


def test_the_sessions_of_so_many_origins_are_kept():
    """Those that were asked for last."""
    sessions = Sessions(most=2)
    a, b, c = (Origin("https", host, 443) for host in "abc")
    of_a, of_b = sessions.of(a), sessions.of(b)
    assert sessions.of(a) is of_a
    sessions.of(c)
    assert sessions.of(a) is of_a
    assert sessions.of(b) is not of_b
    assert repr(sessions) == "<Sessions with 2/2 origins>"


async def test_a_ticket_that_comes_late_leaves_a_kept_connection_as_it_is():
    """What comes while it rests may be for TLS alone."""

    async def serve(talk):  # trio keeps the tickets back until something is sent
        came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = server_context(ssl.TLSVersion.TLSv1_3).wrap_bio(came, going, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await talk.send(going.read())
                came.write(await talk.receive())
        await talk.send(going.read())
        came.write(await talk.receive())
        assert tls.read().startswith(b"GET")
        tls.write(OK)
        await talk.send(going.read())
        await talk.client_gone()

    async with serving(serve) as server:
        connections, origin = Connections(context=trusting()), Origin("https", "127.0.0.1", server.port)
        connection = await connections.connect(origin)
        connections.leave(connection)
        with trio.fail_after(5):
            await trio.lowlevel.wait_readable(connection._stream._socket)
        assert connections.at_hand(origin) is connection
        await connection.ask("GET", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", most=100)
        assert connection.parser.answer.done
        connections.leave(connection)
        connections.close()


@pytest.mark.parametrize("how", ["bytes", "parts"])
async def test_a_body_that_the_kernel_does_not_take_at_once_goes_out_whole(how):
    """In its order, and without holding up the loop."""
    body = bytes(range(256)) * 6_000
    came = []

    async def serve(talk):
        came.append(await talk.request())
        await talk.send(OK)

    async def parts():
        for at in range(0, len(body), 300_000):
            yield body[at : at + 300_000]

    async with serving(serve, tls=server_context()) as server, se.Transport(verify=trusting()) as wire:
        async with httpx.AsyncClient(transport=wire) as client:
            content = body if how == "bytes" else parts()
            answer = await client.post(server.url, content=content, headers={"Content-Length": str(len(body))})
    assert answer.text == "ok"
    assert came[0].partition(b"\r\n\r\n")[2] == body


@attrs.define(eq=False)
class Said:
    """What a program writes, and an event for each text that is waited for."""

    text: bytes = b""
    marks: dict = attrs.field(factory=lambda: defaultdict(trio.Event))

    async def hear(self, stream):
        """Read it as it comes."""
        while data := await stream.receive_some():
            self.text += data
            for mark, event in self.marks.items():
                if mark in self.text:
                    event.set()

    async def until(self, mark):
        """Wait for a text."""
        event = self.marks[mark]
        if mark not in self.text:
            await event.wait()


def free_port():
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs the program openssl")
@pytest.mark.parametrize(
    ("version", "command", "writing"),
    [("-tls1_2", b"R\n", True), ("-tls1_2", b"R\n", False), ("-tls1_3", b"K\n", True)],
)
async def test_new_handshakes_and_new_keys_in_the_middle(version, command, writing, tmp_path):
    """A server may ask for them, also while a body is sent to it: who reads answers, and who writes goes on then."""
    AUTHORITY.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "chain.pem")
    port = free_port()
    server = ["openssl", "s_server", "-accept", f"127.0.0.1:{port}", version, "-naccept", "1"]
    server += ["-cert", tmp_path / "chain.pem", "-key", tmp_path / "chain.pem"]
    wires = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "check": False}
    theirs, ours = Said(), Said()

    async def write():
        while not asked.is_set():
            await stream.write(b"y" * 50_000)
        await stream.write(b"this is all\n")

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            process = await nursery.start(partial(trio.run_process, server, **wires))
            nursery.start_soon(theirs.hear, process.stdout)
            await theirs.until(b"ACCEPT")
            stream = await secure(connected(port), "127.0.0.1", trusting())
            await theirs.until(b"CIPHER is")
            asked = theirs.marks[b"SSL_do_handshake -> 1"]
            nursery.start_soon(ours.hear, Reading(stream))
            if writing:
                nursery.start_soon(write)
                await theirs.until(b"yyyy")
            await process.stdin.send_all(command)
            await theirs.until(b"this is all" if writing else b"SSL_do_handshake -> 1")
            await process.stdin.send_all(b"heard\n")
            await ours.until(b"heard")
            nursery.cancel_scope.cancel()
    stream.close()


@attrs.frozen
class Reading:
    """A stream of ours, read as trio's are."""

    stream: object

    async def receive_some(self):
        """Read."""
        return await self.stream.read()
