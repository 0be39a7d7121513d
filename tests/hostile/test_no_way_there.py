"""Connections that cannot be made: certificates, TLS that stalls, no one there, no such name, slow names."""

import datetime as dt
import functools
import ssl
import threading

import pytest
import trio
import trustme

import scrapeengine as se
from scrapeengine.http.transport import connections
from support.runs import ONCE, ended, get, get_event, on
from support.wire import OK, answering, serving

AUTHORITY, STRANGER = trustme.CA(), trustme.CA()
TRUSTING = ssl.create_default_context()
AUTHORITY.configure_trust(TRUSTING)
EAGER = se.Retry(attempts=3, max_wait=0, errors=(Exception,))
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


def issued(*names, authority=AUTHORITY, **dates):
    """Make the context of a server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*(names or ("127.0.0.1",)), **dates).configure_cert(context)
    return context


@pytest.fixture
def trusting(monkeypatch):
    """Have the engine trust the authority of these tests."""
    monkeypatch.setattr(connections, "default_context", lambda: TRUSTING)


def ways():
    """Return the policies by which TLS goes: our own wire, and our own transport as any other of httpx's."""
    return {"own": dict, "transport": lambda: {"transport": se.Transport(verify=TRUSTING)}}


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("way", ways())
async def test_a_good_certificate_is_trusted(way):
    """So that what follows fails for its certificate, and for nothing else."""

    async def serve(talk):
        while await talk.request():
            await talk.send(OK)

    async def scrape(task):
        return [(await task.http.get("/a")).content for _ in range(3)]

    with trio.fail_after(5):
        async with serving(serve, tls=issued()) as web:
            policy = ways()[way]()
            [outcome] = await ended([se.Platform("A", scrape, base_url=web.url, **policy)], [se.Event("e")])
            if policy:
                await policy["transport"].aclose()
    assert outcome.value == [b"ok"] * 3
    assert web.connections == 1


BAD = {
    "unknown authority": functools.partial(issued, authority=STRANGER),
    "another name": functools.partial(issued, "other.test"),
    "expired": functools.partial(issued, not_before=PAST, not_after=PAST + dt.timedelta(days=1)),
}


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("way", ways())
@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_certificate_is_never_accepted_and_never_tried_again(kind, way):
    """Whatever the policy calls an error to be tried again; no request is sent, and the message says what is wrong."""
    seen = await on(answering(OK), tls=BAD[kind](), retry=EAGER, **ways()[way]())
    assert type(seen.error) is se.CertificateError
    assert "certificate verify failed: " in str(seen.error)
    assert (seen.server.connections, seen.server.requests, seen.error.attempt) == (1, [], 1)


async def test_by_default_no_test_authority_is_trusted():
    """What the system does not know is not trusted."""
    assert type((await on(answering(OK), tls=issued(), retry=EAGER)).error) is se.CertificateError


@pytest.mark.parametrize(
    "garbage", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 100, b"\x15\x03\x01\0\x02\x02\x28", b""]
)
async def test_what_speaks_no_tls_is_no_connection(garbage):
    """Plain HTTP on the port of https, rubbish, an alert, nothing at all."""

    async def serve(talk):
        await talk.stream.receive_some(65536)
        if garbage:
            await talk.send(garbage)

    with trio.fail_after(5):
        async with serving(serve) as web:
            platform = se.Platform("A", get, base_url=web.url.replace("http:", "https:"), retry=ONCE)
            [outcome] = await ended([platform], [se.Event("e")])
    error = (outcome).error
    assert type(error) is se.ConnectFailed
    assert "TLS failed: " in str(error)
    assert error.phase == "connect"


async def stalling(talk):
    """Take the greeting of TLS, and say nothing."""
    await talk.client_gone()


async def dripping(talk):
    """Take the greeting of TLS, and answer with a record that does not end."""
    await talk.stream.receive_some(65536)
    await talk.drip(b"\x16\x03\x03\x3f\xff\x02" + bytes(10_000))


@pytest.mark.parametrize("serve", [stalling, dripping])
async def test_tls_that_stalls_is_given_up(serve):
    """In the time of the attempt, in the phase of connecting."""
    with trio.fail_after(5):
        async with serving(serve) as web:
            url = web.url.replace("http:", "https:")
            platform = se.Platform("A", get, base_url=url, retry=ONCE, timeout=se.Timeout(attempt=0.3))
            [outcome] = await ended([platform], [se.Event("e")])
    error = (outcome).error
    assert type(error) is se.AttemptTimeout
    assert error.phase == "connect"
    assert 0.29 < error.seconds < 0.8


@pytest.mark.usefixtures("trusting")
async def test_tls_that_ends_without_a_farewell():
    """A body that has no length, and a connection that just ends: as complete as it is without TLS."""

    async def serve(talk):
        await talk.request()
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        talk.socket.close()

    assert isinstance((await on(serve, tls=issued())).error, se.TruncatedBody | se.ConnectionBroken)


@pytest.mark.usefixtures("trusting")
async def test_a_secure_site_that_drips_is_given_up():
    """The deadline holds within TLS too."""

    async def serve(talk):
        await talk.request()
        await talk.drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1000)

    seen = await on(serve, tls=issued(), timeout=se.Timeout(attempt=0.4))
    assert type(seen.error) is se.AttemptTimeout
    assert seen.error.phase == "body"


async def ask_name(names, name, addresses, **policy):
    """Ask for a name that has these addresses."""
    names[name] = addresses
    anyone = se.Platform("*", get_event, **({"retry": ONCE, "timeout": se.Timeout(attempt=0.5)} | policy))

    with trio.fail_after(5):
        [outcome] = await ended([], [se.Event("e", url=f"http://{name}:9/")], default=anyone)
    return (outcome).error


async def test_a_name_that_does_not_exist_says_so(names):
    """The message names it, and why."""
    error = await ask_name(names, "nowhere.test", [])
    assert type(error) is se.ConnectFailed
    assert "'nowhere.test' could not be resolved: Name or service not known" in str(error)


async def test_a_refused_connection_says_so(names):
    """With the name, the port, and the reason."""
    error = await ask_name(names, "closed.test", ["127.0.0.1"])
    assert type(error) is se.ConnectFailed
    assert "no connection to 'closed.test', port 9: connection refused" in str(error)


@pytest.mark.parametrize("name", ["a" * 64 + ".test", "-.test", "a_b.test", "a..test", ".a.test", "☃.test"])
async def test_a_name_that_is_none_is_an_error_of_ours(name):
    """Whatever a resolver thinks of it, and whether or not DNS can have it."""
    anyone = se.Platform("*", get_event, retry=ONCE, timeout=se.Timeout(attempt=1))

    with trio.fail_after(5):
        [outcome] = await ended([], [se.Event("e", url=f"http://{name}:9/")], default=anyone)
    assert type((outcome).error) is se.ConnectFailed


async def test_sixty_slow_names_hold_up_nobody_else(names):
    """Neither a platform whose name is known, nor one whose name is not, nor trio's own threads."""
    release = threading.Event()

    def slow():
        release.wait(20)
        return []

    async def other_threads():
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(trio.to_thread.run_sync, int)
        return trio.current_time() - begun

    async def healthy(task):
        return (await task.http.get("/a")).content

    try:
        with trio.fail_after(10):
            async with serving(answering(OK, then="keep")) as web:
                names["quick.test"] = ["127.0.0.1"]
                platforms = [
                    se.Platform("slow", get_event, limit=60, retry=ONCE, timeout=se.Timeout(attempt=1.3)),
                    se.Platform("known", healthy, base_url=web.url),
                    se.Platform("quick", healthy, base_url=f"http://quick.test:{web.port}"),
                ]
                events = [se.Event(str(at), url=f"http://slow{at}.test/", platforms=("slow",)) for at in range(60)]
                events += [se.Event(f"k{at}", platforms=("known",)) for at in range(20)]
                events += [se.Event(f"q{at}", platforms=("quick",)) for at in range(20)]
                for at in range(60):
                    names[f"slow{at}.test"] = slow
                async with se.Engine(platforms, event_limit=100).stream(events) as run:
                    await trio.sleep(0.05)
                    threads = await other_threads()
                    outcomes = [outcome async for outcome in run]
    finally:
        release.set()
    ends = {}
    for outcome in outcomes:
        kind = se.Success if outcome.platform != "slow" else se.Failure
        assert isinstance(outcome, kind), getattr(outcome, "error", outcome)
        ends.setdefault(outcome.platform, []).append(outcome.elapsed)
    assert threads < 0.3
    assert max(ends["known"]) < 0.3
    assert min(ends["slow"]) > 1.2
    assert max(ends["slow"]) < 2
    assert max(ends["quick"]) < 2
