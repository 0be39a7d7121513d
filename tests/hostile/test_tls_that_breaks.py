"""TLS that ends in whatever way: in the handshake, before the head, in the body, on a kept connection."""

import re
import ssl
from contextlib import nullcontext, suppress

import httpx
import pytest
import trio
import trustme

import scrapeengine as se
from scrapeengine.http.transport import connections
from support.runs import ONCE, ended, get
from support.wire import OK, serving

AUTHORITY = trustme.CA()
CLASS_NAME = re.compile(r"\b(ssl\w*error|\w+error)\b", re.IGNORECASE)


def trusting(**settings):
    """Make a client's context that trusts the authority of these tests."""
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


def server_context(**settings):
    """Make a server's context."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    AUTHORITY.configure_trust(context)
    for name, value in settings.items():
        setattr(context, name, value)
    return context


@pytest.fixture(autouse=True)
def trusted(monkeypatch):
    """Have the engine trust the authority of these tests."""
    context = trusting()
    monkeypatch.setattr(connections, "default_context", lambda: context)


WIRES = {
    "own": lambda: None,
    "our transport": lambda: se.Transport(verify=trusting()),
    "httpx's": lambda: httpx.AsyncHTTPTransport(verify=trusting()),
}


async def asked(serve, transport=None, scrape=get, *, tls=None, **policy):
    """Run a scraper against a site by https; return the outcome and the number of connections. All is closed then."""
    with trio.fail_after(10):
        async with serving(serve, tls=tls) as web, transport or nullcontext():
            url = web.url.replace("http:", "https:")
            platform = se.Platform("A", scrape, base_url=url, **({"retry": ONCE, "transport": transport} | policy))
            [outcome] = await ended([platform], [se.Event("e")])
        return outcome, web.connections


async def raw(talk, data):
    """Send bytes below TLS."""
    await trio.SocketStream(talk.socket).send_all(data)
    await trio.SocketStream(talk.socket).receive_some(1)  # until the client has hung up


async def hang_up(talk):
    """End the connection with no farewell."""
    talk.socket.close()


async def say_goodbye(talk):
    """End TLS as it should be ended."""
    await talk.stream.unwrap()


async def reset(talk):
    """Break the connection."""
    talk.reset()


async def speak_http(talk):
    """Go on without TLS."""
    await raw(talk, b"HTTP/1.1 200 OK\r\n\r\n")


async def garble(talk):
    """Send a record of TLS that nobody can decrypt."""
    await raw(talk, b"\x17\x03\x03\0\x1e" + b"x" * 30)


ENDS = {
    "hung up": (hang_up, "closed the connection|ended"),
    "goodbye": (say_goodbye, "closed the connection|ended"),
    "reset": (reset, "[Cc]onnection reset by peer"),
    "plain": (speak_http, "TLS failed: what came was damaged on its way, or is no TLS"),
    "garbled": (garble, "TLS failed: what came was damaged on its way, or is no TLS"),
}
BEFORE = {
    "nothing": (b"", "head"),
    "a part of the head": (b"HTTP/1.1 200 OK\r\nContent-Le", "head"),
    "a part of the body": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart", "body"),
    "a part of a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart", "body"),
}


@pytest.mark.parametrize("wire", ["own", "our transport"])
@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("before", BEFORE)
async def test_an_answer_that_tls_ends_is_no_answer(before, how, wire):
    """Wherever it ends, the error says what happened, in words that name no class; tried again, it may come whole."""
    (part, phase), (end, words) = BEFORE[before], ENDS[how]

    async def serve(talk):
        while await talk.request():
            if talk.number == 0:
                if part:
                    await talk.send(part)
                return await end(talk)
            await talk.send(OK)
        return None

    outcome, _ = await asked(serve, WIRES[wire](), tls=server_context())
    error = outcome.error
    assert isinstance(error, se.ConnectionBroken | se.TruncatedBody)
    assert error.phase == phase
    assert re.search(words, str(error))
    assert not CLASS_NAME.search(str(error))
    again, _ = await asked(serve, WIRES[wire](), tls=server_context(), retry=se.Retry(attempts=2, max_wait=0))
    assert again.value == b"ok"


@pytest.mark.parametrize("how", ENDS)
async def test_a_kept_connection_whose_tls_ends_costs_no_attempt(how):
    """It is found out before, or the request goes out once more on a fresh connection."""
    end, _ = ENDS[how]

    async def serve(talk):
        while request := await talk.request():
            if b" /2 " in request and talk.number == 0:
                return await end(talk)
            await talk.send(OK)
        return None

    async def scrape(task):
        await task.http.get("/1")
        return (await task.http.get("/2")).content

    outcome, connections = await asked(serve, scrape=scrape, tls=server_context())
    assert (outcome.value, connections) == (b"ok", 2)


def by(context):
    """Make a server with this context, which tells the client by an alert why there is no TLS; trio's does not."""

    async def serve(talk):
        came, going = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(came, going, server_side=True)
        shaken = False
        while data := await talk.stream.receive_some(65536):
            came.write(data)
            with suppress(ssl.SSLError):
                if not shaken:
                    tls.do_handshake()
                    shaken = True
                tls.read(65536)
            if going.pending:
                await talk.send(going.read())

    return serve


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_server_that_wants_a_client_certificate_is_said_to(version):
    """Before the handshake is over, or right after it, where TLS 1.3 says so; and what to do stands there."""
    outcome, _ = await asked(by(server_context(maximum_version=version, verify_mode=ssl.CERT_REQUIRED)))
    assert isinstance(outcome.error, se.ConnectFailed | se.ConnectionBroken)
    assert "wants a client certificate" in str(outcome.error)


async def test_a_server_of_another_version_is_said_to_be_one():
    """There is no TLS, and the text says what is not in common, and where it is set."""
    transport = se.Transport(verify=trusting(minimum_version=ssl.TLSVersion.TLSv1_3))
    outcome, _ = await asked(by(server_context(maximum_version=ssl.TLSVersion.TLSv1_2)), transport)
    assert type(outcome.error) is se.ConnectFailed
    assert "no version of TLS in common; see minimum_version" in str(outcome.error)


async def test_ciphers_of_which_none_is_in_common():
    """The server says no more than that it has failed; what that means stands there."""
    client, server = trusting(maximum_version=ssl.TLSVersion.TLSv1_2), server_context()
    client.set_ciphers("ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES256-GCM-SHA384")
    server.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256")
    outcome, _ = await asked(by(server), se.Transport(verify=client))
    assert "no cipher in common" in str(outcome.error)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize(
    "greeting", ["HTTP/1.1 400 No\r\n\r\n", "SSH-2.0-x\r\n", "220 mail\r\n", "<p>t0ps3cret", "\0" * 9]
)
async def test_a_port_that_speaks_something_else(greeting, wire):
    """The text says so, asks whether it is an http URL, and quotes nothing."""

    async def serve(talk):
        await talk.stream.receive_some(65536)
        await talk.send(greeting.encode())
        await talk.client_gone()

    error = (await asked(serve, WIRES[wire]()))[0].error
    assert type(error) is se.ConnectFailed
    assert "does not speak TLS on this port; ask for an http URL" in str(error)
    assert "t0ps3cret" not in str(error)


ALERTS = [0, 10, 20, 22, 30, *range(40, 52), 60, 70, 71, 80, 86, 90, 100, *range(109, 117), 120, 255]


@pytest.mark.parametrize("wire", WIRES)
async def test_every_alert_has_words(wire):
    """Those that Python has a name for, those that OpenSSL knows, and those that nobody knows."""

    async def serve(talk):
        await talk.stream.receive_some(65536)
        await talk.send(bytes([21, 3, 3, 0, 2, 2, ALERTS[talk.number]]))
        await talk.client_gone()

    async def scrape(task):
        errors = []
        for _ in ALERTS:
            with pytest.raises(se.ConnectFailed) as caught:
                await task.http.get("/a")
            errors.append(caught.value.args[0])
        return errors

    for said in (await asked(serve, WIRES[wire](), scrape))[0].value:
        assert re.match(r"TLS failed: (the server|OpenSSL does not say why)", said)
        assert not re.search(r"\b(ssl\w*|tlsv\w*|alert)\b", said)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("how", ["hangs up", "resets"])
async def test_a_server_that_ends_the_handshake(how, wire):
    """The text says so, whatever class this Python has for it, and whoever has made the connection."""

    async def serve(talk):
        await talk.stream.receive_some(65536)
        if how == "resets":
            talk.reset()

    error = (await asked(serve, WIRES[wire]()))[0].error
    assert type(error) is se.ConnectFailed
    assert ("the server hung up in the handshake" if how == "hangs up" else "connection reset by peer") in str(
        error
    ).lower()


async def test_a_certificate_that_another_s_transport_refuses_is_never_tried_again():
    """The one of httpx has no words for it, and no class; what is behind its error has both."""

    async def serve(talk):
        await talk.client_gone()

    retry = se.Retry(attempts=3, max_wait=0, errors=(Exception,))
    outcome, connections = await asked(serve, httpx.AsyncHTTPTransport(), tls=server_context(), retry=retry)
    assert type(outcome.error) is se.CertificateError
    assert re.search("certificate verify failed: (unable to get local issuer|self-signed)", str(outcome.error))
    assert connections == 1
