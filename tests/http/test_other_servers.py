"""`Transport` and the client of a task against servers that are not ours: nginx, and hypercorn."""

import contextlib
import functools
import gzip
import json
import os
import random
import shutil
import socket
import ssl
import subprocess

import httpx
import hypercorn.config
import hypercorn.trio
import pytest
import trio
import trustme

import scrapeengine as se
from scrapeengine.http.transport.transport import Transport
from support.clients import parts_of
from support.runs import ended

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
BIG = 20_000_000
EVENTS = json.dumps([{"id": number, "name": f"match {number}"} for number in range(500)]).encode()

CONFIG = """
{user}
daemon off;
pid {here}/pid;
error_log stderr;
worker_processes 1;
events {{}}
http {{
    access_log off;
    client_body_temp_path {here}/body;
    proxy_temp_path {here}/proxy;
    fastcgi_temp_path {here}/fastcgi;
    uwsgi_temp_path {here}/uwsgi;
    scgi_temp_path {here}/scgi;
    types {{ application/json json; }}
    default_type application/octet-stream;
    root {here}/www;
    gzip on;
    gzip_types application/json;
    gzip_min_length 100;
    keepalive_requests 5;
    client_max_body_size 1k;
    limit_req_zone $server_addr zone=slow:32k rate=1r/m;
    ssl_certificate {here}/certificate.pem;
    ssl_certificate_key {here}/certificate.pem;
    server {{
        listen 127.0.0.1:{plain};
        listen 127.0.0.1:{secure} ssl;
        location /connection {{ default_type text/plain; return 200 $connection; }}
        location /moved {{ return 301 /events.json; }}
        location /nothing {{ return 204; }}
        location /limited {{ limit_req zone=slow; try_files /events.json =404; }}
    }}
}}
"""


@pytest.fixture(scope="module")
def authority():
    """Return an authority for certificates."""
    return trustme.CA()


@pytest.fixture(scope="module")
def nginx(authority, tmp_path_factory):
    """Start an nginx on sockets that listen already, so that nobody has to wait for it; return its two URLs."""
    if NGINX is None:
        assert "SCRAPEENGINE_CI" not in os.environ, "nginx must be there in CI"
        pytest.skip("nginx is not on this machine")
    here = tmp_path_factory.mktemp("nginx")
    (here / "www").mkdir()
    (here / "www" / "events.json").write_bytes(EVENTS)
    (here / "www" / "big").write_bytes(random.Random(1).randbytes(BIG))
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(here / "certificate.pem")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=100)) for _ in range(2)]
        plain, secure = (sock.getsockname()[1] for sock in sockets)
        user = "user root;" if os.geteuid() == 0 else ""
        (here / "conf").write_text(CONFIG.format(here=here, plain=plain, secure=secure, user=user))
        numbers = [sock.fileno() for sock in sockets]
        running = subprocess.Popen(
            [NGINX, "-p", here, "-c", here / "conf", "-e", "stderr"],
            env={"NGINX": "".join(f"{number};" for number in numbers)},  # how it hands sockets on to a new binary
            pass_fds=numbers,
            stderr=stack.enter_context((here / "log").open("wb")),
        )
    try:
        yield f"http://127.0.0.1:{plain}", f"https://localhost:{secure}"
    finally:
        running.terminate()
        running.wait(10)
        print((here / "log").read_text())


async def using(url, use, **options):
    """Let a function use a client; at the end nothing is in use, and nothing open."""
    with trio.fail_after(20):
        files = len(os.listdir("/proc/self/fd"))
        async with Transport(**options) as transport:
            client = httpx.AsyncClient(transport=transport, base_url=url)
            result = await use(client)
            assert "0 in use" in repr(transport)
        assert len(os.listdir("/proc/self/fd")) == files
        return result


async def scraping(url, scrape, **policy):
    """Run a scraper once; return what it returned."""
    [outcome] = await ended([se.Platform("A", scrape, base_url=url, **policy)], [se.Event("e")])
    assert isinstance(outcome, se.Success), outcome.error
    return outcome.value


# -- nginx


async def test_nginx_files(nginx):
    """Files come whole: plain, by HEAD, in part, and not at all."""

    async def use(client):
        plain = await client.get("/events.json", headers={"Accept-Encoding": "identity"})
        assert (plain.content, plain.headers["content-length"]) == (EVENTS, str(len(EVENTS)))
        head = await client.head("/events.json", headers={"Accept-Encoding": "identity"})
        assert (head.content, head.headers["content-length"]) == (b"", str(len(EVENTS)))
        part = await client.get("/events.json", headers={"Range": "bytes=5-9", "Accept-Encoding": "identity"})
        assert (part.status_code, part.content) == (206, EVENTS[5:10])
        assert (await client.get("/none")).status_code == 404
        assert (await client.get("/nothing")).status_code == 204
        assert (await client.get("/events.json")).json()[7] == {"id": 7, "name": "match 7"}

    await using(nginx[0], use)


async def test_nginx_compresses_in_chunks(nginx):
    """What it compresses has no length, and its HEAD neither: both are read, and the connection goes on."""

    async def use(client):
        for _ in range(2):
            response = await client.get("/events.json", headers={"Accept-Encoding": "gzip"})
            assert (response.headers["content-encoding"], response.headers["transfer-encoding"]) == ("gzip", "chunked")
            assert response.content == EVENTS
            assert response.num_bytes_downloaded < len(EVENTS) / 2
            assert (await client.head("/events.json", headers={"Accept-Encoding": "gzip"})).content == b""

    await using(nginx[0], use)


async def test_nginx_says_that_nothing_has_changed(nginx):
    """A 304 to `If-None-Match` has no body, and the connection goes on."""

    async def use(client):
        etag = (await client.get("/events.json")).headers["etag"]
        for _ in range(3):
            response = await client.get("/events.json", headers={"If-None-Match": etag})
            assert (response.status_code, response.content) == (304, b"")

    await using(nginx[0], use)


async def test_nginx_redirects(nginx):
    """A 301 is followed by httpx, and by the client of a task."""

    async def use(client):
        response = await client.get("/moved", follow_redirects=True)
        assert [old.status_code for old in response.history] == [301]
        return response.content

    async def scrape(task):
        return (await task.http.get("/moved")).content

    assert await using(nginx[0], use) == await scraping(nginx[0], scrape) == EVENTS


async def test_nginx_keeps_connections_for_five_requests(nginx):
    """They are used for as long as it says, and not once longer."""

    async def use(client):
        return [(await client.get("/connection")).text for _ in range(15)]

    numbers = await using(nginx[0], use)
    assert [numbers[at : at + 5] for at in (0, 5, 10)] == [[number] * 5 for number in dict.fromkeys(numbers)]


async def test_nginx_limits_requests(nginx):
    """One request too many is a 503, which the client of a task raises, and which closes nothing."""

    async def use(client):
        assert (await client.get("/limited")).content == EVENTS
        return (await client.get("/limited")).status_code

    async def scrape(task):
        with pytest.raises(se.StatusError) as caught:
            await task.http.get("/limited")
        return caught.value.status, (await task.http.get("/events.json")).content

    assert await using(nginx[0], use) == 503
    assert await scraping(nginx[0], scrape, retry=se.Retry(attempts=1)) == (503, EVENTS)


async def test_nginx_refuses_an_upload(nginx):
    """A body that is too large is answered before it is read: the 413 arrives."""

    async def use(client):
        response = await client.post("/upload", content=b"x" * BIG)
        assert (await client.get("/connection")).status_code == 200
        return response.status_code

    assert await using(nginx[0], use) == 413


async def test_nginx_sends_a_big_file(nginx):
    """20 MB come whole and in bounded parts; the connection is kept."""
    big = random.Random(1).randbytes(BIG)

    async def use(client):
        found = bytearray()
        async with client.stream("GET", "/big") as response:
            async for part in response.aiter_raw():
                found += part
                assert len(part) <= 65536
        return bytes(found) == big

    async def scrape(task):
        return (await task.http.get("/big")).content == big

    assert await using(nginx[0], use)
    assert await scraping(nginx[0], scrape, caps=se.Caps(wire=BIG, body=BIG))


async def test_nginx_through_tls(nginx, authority):
    """The tickets that TLS 1.3 sends beside the answers do not make a connection look as if it were not quiet."""
    context = ssl.create_default_context()
    authority.configure_trust(context)

    async def use(client):
        numbers = [(await client.get("/connection")).text for _ in range(5)]
        assert (await client.get("/events.json")).content == EVENTS
        async with client.stream("GET", "/big") as response:
            size = sum([len(part) async for part in response.aiter_raw()])
        return len(set(numbers)), size

    assert await using(nginx[1], use, verify=context) == (1, BIG)


# -- hypercorn


async def application(scope, receive, send):
    """Be an ASGI application."""
    if scope["type"] == "lifespan":
        for done in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{done}.complete"})
        return

    async def start(status, *headers):
        await send({"type": "http.response.start", "status": status, "headers": headers})

    async def body(part, *, more=False):
        await send({"type": "http.response.body", "body": part, "more_body": more})

    match scope["path"]:
        case "/echo":
            events = [await receive()]
            while events[-1].get("more_body"):
                events.append(await receive())
            await start(200)
            for event in events:
                await body(event.get("body", b""), more=True)
            await body(b"")
        case "/gzip":
            packed = gzip.compress(EVENTS)
            await start(200, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(packed)))
            await body(packed)
        case "/stream":
            await start(200)
            for number in range(20):
                await body(b"%d\n" % number, more=True)
                await trio.lowlevel.checkpoint()
            await body(b"")
        case "/fails":
            await start(200, (b"content-length", b"100"))
            await body(b"part", more=True)
            raise ConnectionAbortedError
        case _:
            await start(404, (b"content-length", b"0"))
            await body(b"")


async def visiting(use):
    """Let a function use a client of a hypercorn that runs beside it; at the end nothing is in use."""
    stop = trio.Event()
    config = hypercorn.config.Config()
    config.bind = ["127.0.0.1:0"]
    config.accesslog = config.errorlog = None
    serve = functools.partial(hypercorn.trio.serve, application, config, shutdown_trigger=stop.wait)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            [url] = await nursery.start(serve)
            async with Transport() as transport:
                result = await use(httpx.AsyncClient(transport=transport, base_url=url))
                assert "0 in use" in repr(transport)
            stop.set()
    return result


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
async def test_hypercorn_echoes_uploads(size):
    """What goes out comes back, in one piece or in parts, with or without waiting for a 100."""
    data = random.Random(size).randbytes(size)

    async def use(client):
        for headers in ({}, {"Expect": "100-continue"}):
            assert (await client.post("/echo", content=data, headers=headers)).content == data
            parts = parts_of(*[data[at : at + 100_000] for at in range(0, size, 100_000)])
            assert (await client.post("/echo", content=parts, headers=headers)).content == data
        assert "1 at rest" in repr(client._transport)

    await visiting(use)


async def test_hypercorn_streams():
    """What is sent in parts is read in parts, and a connection on which all was read is kept."""

    async def use(client):
        for _ in range(3):
            async with client.stream("GET", "/stream") as response:
                assert [int(line) async for line in response.aiter_lines()] == list(range(20))
        assert "1 at rest" in repr(client._transport)

    await visiting(use)


async def test_hypercorn_compresses():
    """What is compressed is decoded; HEAD of it has its length, and no body."""

    async def use(client):
        assert (await client.get("/gzip")).content == EVENTS
        head = await client.head("/gzip")
        assert (head.content, head.headers["content-length"]) == (b"", str(len(gzip.compress(EVENTS))))
        assert (await client.get("/none")).status_code == 404
        assert "1 at rest" in repr(client._transport)

    await visiting(use)


async def test_hypercorn_breaks_off():
    """An answer whose application fails is cut short, and an error of httpx's."""

    async def use(client):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/fails")
        assert "0 at rest" in repr(client._transport)

    await visiting(use)
