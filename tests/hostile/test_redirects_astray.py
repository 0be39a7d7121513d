"""Redirects that lead in circles, to nowhere, and to others."""

import pytest
import trio

import scrapeengine as se
from support.runs import ended, on
from support.wire import OK, serving

BIG = b"HTTP/1.1 302 Found\r\nLocation: %b\r\nContent-Length: 50000000\r\n\r\n"
KERNELS = 8_000_000


def to(location, status=b"302 Found"):
    """Make an answer that leads elsewhere."""
    return b"HTTP/1.1 %b\r\nLocation: %b\r\nContent-Length: 0\r\n\r\n" % (status, location)


def by_path(answers):
    """Make a site of answers by the target of a request; what is not named is answered with "ok"."""

    async def serve(talk):
        while request := await talk.request():
            await talk.send(answers.get(request.split(b" ", 2)[1], OK))

    return serve


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"])
async def test_a_loop_is_left(status):
    """After ten redirects, though it has no end; not tried again."""
    seen = await on(
        by_path({b"/a": to(b"/b", status), b"/b": to(b"/a", status)}), retry=se.Retry(attempts=3, max_wait=0)
    )
    assert type(seen.error) is se.TooManyRedirects
    assert seen.server.targets == ["/a", "/b"] * 5 + ["/a"]
    assert seen.error.attempt == 1


@pytest.mark.parametrize("most", [1, 4])
async def test_a_chain_is_followed_as_far_as_the_cap_says(most):
    """An endless chain of new places is no loop, and ends all the same."""

    async def serve(talk):
        while request := await talk.request():
            length = len(request.split(b" ", 2)[1])
            await talk.send(to(b"/" + b"x" * length))

    seen = await on(serve, caps=se.Caps(redirects=most))
    assert type(seen.error) is se.TooManyRedirects
    assert len(seen.server.requests) == most + 1


async def test_the_body_of_a_redirect_is_never_read():
    """A site that offers 50 MB with each of them keeps them: its connection is closed, and what left it was in vain."""

    async def serve(talk):
        request = await talk.request()
        if b" /ok " in request:
            await talk.send(OK)
            return
        hop = int(request.split(b" ", 2)[1].rpartition(b"/")[2] or b"0")
        await talk.send(BIG % (b"/ok" if hop == 3 else b"/%d" % (hop + 1)))
        await talk.flood(b"x", pieces=800)

    async def scrape(task):
        return (await task.http.get("/1")).content

    seen = await on(serve, scrape)
    assert seen.value == b"ok"
    assert seen.server.targets == ["/1", "/2", "/3", "/ok"]
    assert seen.server.sent < 3 * KERNELS


async def test_a_redirect_s_own_length_is_no_matter():
    """As its body is not read, it may be of any size, also beyond the caps; and so may that of a stream's."""

    async def serve(talk):
        if b" /ok " in await talk.request():
            await talk.send(OK)
        else:
            await talk.send((BIG % b"/ok").replace(b"50000000", b"10000000"))

    async def scrape(task):
        async with task.http.stream("GET", "/a") as answer:
            return b"".join([part async for part in answer])

    assert (await on(serve)).value == b"ok"
    assert (await on(serve, scrape)).value == b"ok"


NOWHERE = [
    b"file:///etc/passwd",
    b"FILE:///etc/passwd",
    b"ftp://127.0.0.1/x",
    b"gopher://127.0.0.1/x",
    b"javascript:alert(1)",
    b"data:text/html,hello",
    b"mailto:a@b.test",
    b"about:blank",
    b"unix:///run/docker.sock",
    b"ws://127.0.0.1/x",
    b"http://?x",
    b"http://[::1",
    b"http://[::1]x/",
    b"http://[v1.x]/",
    b"http://[fe80::1%25lo]/",
    b"http://a b/",
    b"http://a.test:99999/",
    b"http://a.test:-1/",
    b"http://a.test:x/",
    b"http://127.0.0.1:0x50/",
    b"http://xn--a/",
    b"http://xn--\xff/",
    b"http://a..b/",
    "http://\u2764\ufe0f..test/".encode(),
    "http://ⓐ\u200d.test/".encode(),
    b"http://" + b"a" * 300 + b".test/",
    b"http://" + b"a." * 200 + b"test/",
    b"http://a.test/" + b"x" * 70_000,
    b"/" + b"x" * 70_000,
    b"http://a.test\\@127.0.0.1/",
    b"http://\t/",
    b"https:/\\a.test/",
]


@pytest.mark.parametrize("location", NOWHERE)
async def test_there_is_no_way_to_where_no_web_is(location):
    """Other schemes, no host, malformed and over-long URLs, names that are none: an error of ours, and no request."""
    seen = await on(by_path({b"/a": to(location)}))
    kinds = (se.RedirectError, se.HeadersTooLarge, se.ConnectFailed)
    assert isinstance(seen.error, kinds)
    assert len(seen.server.requests) == 1


@pytest.mark.parametrize("location", [b"file:///etc/passwd", b"ftp://a.test/", b"javascript:alert(1)", b"http://[::1"])
async def test_it_is_called_what_it_is(location):
    """`RedirectError`, never tried again."""
    seen = await on(by_path({b"/a": to(location)}), retry=se.Retry(attempts=3, max_wait=0))
    assert type(seen.error) is se.RedirectError
    assert (len(seen.server.requests), seen.error.attempt) == (1, 1)


SECRETS = {
    "Authorization": "Bearer t0ps3cret",
    "Cookie": "id=t0ps3cret",
    "X-Api-Key": "t0ps3cret",
    "Proxy-Authorization": "Basic t0ps3cret",
    "Referer": "http://t0ps3cret.test/",
    "Origin": "http://t0ps3cret.test",
    "If-None-Match": '"t0ps3cret"',
}


async def led_away(status, method, where, **request):
    """Have one site lead to another one with all that is secret; return the requests of the other, and the outcome."""

    async def scrape(task):
        return (await task.http.request(method, "/a", headers=SECRETS, **request)).content

    with trio.fail_after(10):
        async with serving(by_path({})) as other:
            location = where.format(port=other.port).encode()
            async with serving(by_path({b"/a": to(location, status)})) as home:
                url = home.url.replace("//", "//anna:t0ps3cret@")
                policy = {"headers": {"X-Token": "t0ps3cret"}, "retry": se.Retry(attempts=1)}
                [outcome] = await ended([se.Platform("A", scrape, base_url=url, **policy)], [se.Event("e")])
        return outcome, other.requests


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other", b"307 Temporary", b"308 Permanent"])
@pytest.mark.parametrize("where", ["http://127.0.0.1:{port}/b", "//localhost:{port}/b", "http://127.1:{port}/b"])
async def test_another_origin_gets_nothing_that_is_secret(status, where):
    """Only what tells nothing goes along: another port, and another name of the same machine, are other origins."""
    outcome, [request] = await led_away(status, "GET", where)
    assert outcome.value == b"ok"
    names = {line.partition(b":")[0].lower() for line in request.split(b"\r\n")[1:] if line}
    assert names == {b"host", b"accept", b"accept-encoding", b"user-agent"}
    assert b"t0ps3cret" not in request


@pytest.mark.parametrize("status", [b"307 Temporary", b"308 Permanent"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
async def test_a_body_does_not_leave_its_origin(status, method):
    """Where it would have to be sent again, to others, nothing is sent."""
    outcome, requests = await led_away(status, method, "http://127.0.0.1:{port}/b", content=b"t0ps3cret")
    assert type(outcome.error) is se.RedirectError
    assert not requests


@pytest.mark.parametrize("status", [b"301 Moved", b"302 Found", b"303 See Other"])
async def test_a_post_that_is_led_away_becomes_a_get(status):
    """Without a body, and without what would describe one."""
    outcome, [request] = await led_away(status, "POST", "http://127.0.0.1:{port}/b", json={"key": "t0ps3cret"})
    assert outcome.value == b"ok"
    assert request.startswith(b"GET /b ")
    assert b"t0ps3cret" not in request
    assert b"ontent-" not in request.replace(b"content-type-options", b"")


@pytest.mark.parametrize("location", [b"http:x", b"http:/x", b"?x", b"/b, file:///etc/passwd", b"/b//c;d", b" /b "])
async def test_what_names_no_host_stays_at_home(location):
    """Odd as it is, it is a path on the same site."""
    seen = await on(by_path({b"/a": to(location)}))
    assert seen.value == b"ok"
    assert len(seen.server.requests) == 2


async def test_two_places_are_no_choice():
    """Of two `Location`s none that leads out of the web is followed."""
    answer = b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n"
    assert type((await on(by_path({b"/a": answer}))).error) is se.RedirectError
