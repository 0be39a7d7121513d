"""TLS: who is trusted, what is said of who is not, and that nothing stays open."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import socket
import ssl

import httpx
import pytest
import trio
import trustme

from scrapeengine.http.transport.failures import Untrusted
from scrapeengine.http.transport.tls import default_context, secure
from support.cancelling import cancelled_at, uncollected
from support.runs import open_files
from support.wire import serving

AUTHORITY = trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)
TRUSTING.set_alpn_protocols(["http/1.1"])
NAMES = ("good.test", "xn--bcher-kva.test", "127.0.0.1", "::1", "fe80::1")


def issued(authority=AUTHORITY, names=NAMES, **dates):
    """Make the context of a server with a certificate."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names, **dates).configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context


GOOD = issued()


async def hello(talk):
    """Say "hello" to those with whom there is TLS, and hang up without a farewell."""
    await talk.send(b"hello")


def connected(port):
    """Connect as a dialer does."""
    sock = socket.create_connection(("127.0.0.1", port))
    sock.settimeout(0)
    return sock


async def shake(server, host, context=TRUSTING):
    """Make TLS with a server; return all that it says and the agreed protocol, or the error; and close the socket."""
    sock = connected(server.port)
    try:
        stream = await secure(sock, host, context)
    except httpx.ConnectError as error:
        assert sock.fileno() == -1
        return error
    greeting = b""
    while part := await stream.read():
        greeting += part
    protocol = stream.tls.selected_alpn_protocol()
    stream.close()
    return greeting, protocol


async def shaken(host, context=TRUSTING, *, serve=hello, tls=GOOD):
    """Do so with a server that is opened for it; one without a context of its own speaks below TLS."""
    with trio.fail_after(10):
        async with serving(serve, tls=tls) as server:
            return await shake(server, host, context)


@pytest.mark.parametrize(
    "host", ["good.test", "good.test.", "GOOD.test", "xn--bcher-kva.test", "127.0.0.1", "127.1", "::1", "fe80::1%lo"]
)
async def test_a_server_that_proves_who_it_is_is_trusted(host):
    """By its name, with or without the last dot, or by its address in any form; HTTP/1.1 is agreed on."""
    assert await shaken(host) == (b"hello", "http/1.1")


@pytest.mark.parametrize(
    ("host", "asked_for"), [("good.test", "good.test"), ("good.test.", "good.test"), ("127.0.0.1", None)]
)
async def test_the_server_is_told_which_name_is_meant(host, asked_for):
    """A name is sent without its last dot, an address is not (RFC 6066, section 3)."""
    async with serving(hello, tls=GOOD) as server:
        await shake(server, host)
    assert server.names == [asked_for]


LONG_AGO = dt.datetime(2001, 1, 1, tzinfo=dt.UTC)
UNTRUSTED = {
    "another host": (GOOD, "other.test", "hostname mismatch, certificate is not valid for 'other.test'"),
    "another address": (GOOD, "127.0.0.2", "IP address mismatch, certificate is not valid for '127.0.0.2'"),
    "unknown authority": (issued(trustme.CA()), "good.test", "unable to get local issuer certificate"),
    "expired": (
        issued(not_before=LONG_AGO, not_after=LONG_AGO + dt.timedelta(days=1)),
        "good.test",
        "certificate has expired",
    ),
}


@pytest.mark.parametrize("case", UNTRUSTED)
async def test_a_server_that_does_not_is_not_trusted(case):
    """The message says why, and the socket is closed."""
    context, host, words = UNTRUSTED[case]
    error = await shaken(host, tls=context)
    assert type(error) is Untrusted
    assert str(error) == f"certificate verify failed: {words}"


async def test_a_self_signed_certificate_is_not_trusted(tmp_path):
    """What an authority says of itself proves nothing."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(tmp_path / "cert.pem")
    authority.private_key_pem.write_to_path(tmp_path / "key.pem")
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    error = await shaken("good.test", tls=context)
    assert type(error) is Untrusted
    assert str(error) == "certificate verify failed: self-signed certificate"


async def test_the_default_context_trusts_no_authority_of_ours():
    """It is one for all, verifies names and certificates, and speaks HTTP/1.1."""
    context = default_context()
    assert context is default_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert type(await shaken("good.test", context)) is Untrusted


async def test_the_default_context_trusts_those_whom_the_environment_names(tmp_path, monkeypatch):
    """`SSL_CERT_FILE` takes the place of certifi's authorities; only HTTP/1.1 is offered."""
    AUTHORITY.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    assert await shaken("good.test", default_context.__wrapped__()) == (b"hello", "http/1.1")


async def test_a_server_that_speaks_plain_http_has_no_tls():
    """The message says so, and what to do; it quotes nothing."""

    async def serve(talk):
        await talk.stream.receive_some(1)
        await talk.send(b"HTTP/1.1 400 Bad Request\r\n\r\nsecret")
        await talk.receive()

    error = await shaken("good.test", serve=serve, tls=None)
    assert type(error) is httpx.ConnectError
    said = "TLS failed: the server does not speak TLS on this port; ask for an http URL if it is plain HTTP"
    assert str(error) in (f"{said} (wrong version number)", f"{said} (record layer failure)")


async def test_a_server_that_hangs_up_has_no_tls():
    """An end in the middle of the handshake is an error of the connection."""

    async def serve(talk):
        await talk.receive()  # what has come must be read, for the system sends a reset otherwise

    error = await shaken("good.test", serve=serve, tls=None)
    assert type(error) is httpx.ConnectError
    assert str(error) == "TLS failed: the server hung up in the handshake"


async def test_a_server_that_resets_has_no_tls():
    """A reset in the middle of the handshake is an error of the connection."""

    async def serve(talk):
        await talk.stream.receive_some(1)

    error = await shaken("good.test", serve=serve, tls=None)
    assert type(error) is httpx.ConnectError
    assert str(error) == "TLS failed: connection reset by peer"


@pytest.mark.parametrize("host", ["", ".good.test", "a" * 300 + ".test", "a\0b"])
async def test_a_host_that_no_certificate_could_name_is_an_error_of_the_connection(host):
    """What TLS refuses to ask for ends in no other error."""
    error = await shaken(host)
    assert type(error) is httpx.ConnectError
    assert str(error) == f"TLS failed: no certificate can be for the host {host!r}"


async def cut_short(after, port, host):
    """Make TLS, and cancel that after some steps, at the latest after a while; return whether it was over before."""
    sock = connected(port)
    with cancelled_at(after, deadline=0.3) as cancelling, contextlib.suppress(Untrusted):
        stream = await secure(sock, host, TRUSTING)
        stream.close()
    assert sock.fileno() == -1
    return not cancelling.struck


@pytest.mark.parametrize("host", ["good.test", "other.test"])
async def test_cancelled_at_any_checkpoint_no_socket_is_open(host):
    """Cancelled after the k-th step, for all k, TLS leaves no file descriptor, without the garbage collector."""

    async def main():
        before = len(open_files())
        for after in itertools.count(1):
            async with serving(hello, tls=GOOD) as server:
                over = await cut_short(after, server.port, host)
            assert len(open_files()) == before
            if over:
                return after
        return None

    with uncollected():
        assert await main() > 2


async def test_a_server_that_stalls_is_given_up():
    """A handshake that is never answered ends with its deadline, and leaves nothing."""

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as listener:
            before = len(open_files())
            for after in itertools.count(1):
                over = await cut_short(after, listener.getsockname()[1], "good.test")
                assert len(open_files()) == before
                if over:
                    return after
        return None

    with uncollected():
        assert await main() > 2
