"""Private networks, by whatever name: with `block_private` no connection is made to them."""

import pytest
import trio

import scrapeengine as se
from scrapeengine.http.transport import dial
from scrapeengine.http.transport.addresses import is_public
from support.runs import ONCE, ended, get_event
from support.wire import OK, answering, serving

LOOPBACK = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "0",
    "0.0.0.0",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1.",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "127。0。0。1",
]
MALFORMED = ["0177.0.0.1", "127.00.0.1", "１２７.0.0.1", "ⓛocalhost", "127.0.0.0x1", "[127.0.0.1]", "[::1%25lo]"]
ELSEWHERE = [
    "169.254.169.254",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.100.100.200",
    "[::1]",
    "[::]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "255.255.255.255",
    "224.0.0.1",
]


async def ask(host, **policy):
    """Have the default platform ask a host, at the port of a site on loopback; return the outcome and the site."""
    with trio.fail_after(5):
        async with serving(answering(OK)) as web:
            anyone = se.Platform("*", get_event, **({"retry": ONCE, "timeout": se.Timeout(attempt=1)} | policy))
            events = [se.Event("e", url=f"http://{host}:{web.port}/")]
            [outcome] = await ended([], events, default=anyone)
        return outcome, web


@pytest.mark.parametrize("host", LOOPBACK)
async def test_loopback_is_reached_unless_that_is_forbidden(host):
    """However it is written; it is the platform's choice."""
    outcome, web = await ask(host)
    assert isinstance(outcome, se.Success), outcome.error
    assert web.connections == 1


@pytest.mark.parametrize("host", LOOPBACK + ELSEWHERE)
@pytest.mark.parametrize("robots", [False, True])
async def test_no_private_address_is_connected_to(host, robots):
    """Neither for the page nor for its robots.txt; the error says so, and is never tried again."""
    policy = {"retry": se.Retry(attempts=3, max_wait=0, errors=(Exception,)), "robots": robots}
    outcome, web = await ask(host, block_private=True, **policy)
    assert isinstance(outcome.error, se.AddressBlocked)
    assert outcome.error.attempt == 1
    assert web.connections == 0


@pytest.mark.parametrize("host", MALFORMED)
async def test_what_others_take_for_an_address_is_none_here_or_blocked(host):
    """Spellings that some systems read as loopback: if they are not refused as URLs, they are as addresses."""
    outcome, web = await ask(host, block_private=True)
    assert isinstance(outcome.error, se.AddressBlocked | se.ConnectFailed | se.InvalidRequest | se.UnknownPlatform)
    assert web.connections == 0


@pytest.mark.parametrize(
    "addresses", [["127.0.0.1"], ["::1"], ["10.0.0.1", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"]]
)
async def test_a_name_is_as_private_as_its_addresses(addresses, names):
    """What counts is where it leads to."""
    names["rebound.test"] = addresses
    outcome, web = await ask("rebound.test", block_private=True)
    assert type(outcome.error) is se.AddressBlocked
    assert web.connections == 0


async def test_a_name_is_looked_up_once_for_a_check_and_a_connection(names, monkeypatch):
    """What a name leads to is checked at the address that is connected to: it cannot change its mind in between."""
    answers = []

    def changing():
        answers.append(["127.0.0.1"] if not answers else ["127.0.0.2"])
        return answers[-1]

    names["rebound.test"] = changing
    monkeypatch.setattr(dial, "is_public", lambda address: address == "127.0.0.1")
    outcome, web = await ask("rebound.test", block_private=True)
    assert isinstance(outcome, se.Success)
    assert (answers, web.connections) == ([["127.0.0.1"]], 1)


async def led(location, **policy):
    """Have a site that counts as public lead to a private one."""
    with trio.fail_after(5):
        async with serving(answering(OK)) as inner:
            where = location.format(port=inner.port).encode()
            answer = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % where
            async with serving(answering(answer, then="keep")) as outer:
                anyone = se.Platform("*", get_event, retry=ONCE, timeout=se.Timeout(attempt=1), **policy)
                events = [se.Event("e", url=f"http://127.0.0.1:{outer.port}/")]
                [outcome] = await ended([], events, default=anyone)
        return outcome, outer, inner


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "http://127.2:{port}/",
        "http://2130706434:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "http://[::ffff:127.0.0.2]:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "//0x7f000002:{port}/",
        "http://0:{port}/",
    ],
)
async def test_a_redirect_into_a_private_network_is_refused(location, monkeypatch, names):
    """Each hop is checked: the site that leads there was asked, the one that it leads to was not connected to."""
    names["localhost"] = ["127.0.0.2", "::1"]
    monkeypatch.setattr(dial, "is_public", lambda address: address == "127.0.0.1" or is_public(address))
    outcome, outer, inner = await led(location, block_private=True)
    assert type(outcome.error) is se.AddressBlocked
    assert (len(outer.requests), inner.connections) == (1, 0)


async def test_a_connection_that_was_made_unchecked_serves_nobody_who_is_guarded():
    """Two platforms, one site: what one of them has kept open is none for the other."""
    with trio.fail_after(5):
        async with serving(answering(OK, then="keep")) as web:
            free = se.Platform("free", get_event, retry=ONCE)
            guarded = se.Platform("guarded", get_event, retry=ONCE, block_private=True)
            url = f"{web.url}/"
            async with se.Engine([free, guarded], event_limit=1).stream(
                [se.Event("1", url=url, platforms=("free",)), se.Event("2", url=url, platforms=("guarded",))]
            ) as run:
                outcomes = {outcome.platform: outcome async for outcome in run}
    assert outcomes["free"].value == b"ok"
    assert type(outcomes["guarded"].error) is se.AddressBlocked
    assert len(web.requests) == 1
