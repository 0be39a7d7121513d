"""Bombs: a body of a kilobyte that is a gigabyte once decoded. It is left at the cap, and holds up nobody."""

import gzip
import json
import subprocess
import sys
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
import trio

import scrapeengine as se
from hostile.bombs import answer, bombs
from support.runs import AT_ONCE, ONCE, ended, gaps, get, on
from support.wire import OK, answering, serving

CODINGS = ("gzip", "deflate", "br", "zstd")
WIRE = 2_000_000
"""More than any of them has on the wire."""


def test_they_are_small():
    """The point of them: a kilobyte of brotli."""
    sizes = {coding: len(bomb) for coding, bomb in bombs().items()}
    assert sizes["br"] < 1000
    assert max(sizes.values()) < WIRE


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("way", ["get", "stream", "status"])
async def test_a_bomb_is_left_at_the_cap(coding, way):
    """Read whole, streamed, or as the body of an error; it is not tried again."""

    async def scrape(task):
        if way != "stream":
            await task.http.get("/a")
        async with task.http.stream("GET", "/a") as body:
            async for part in body:
                assert len(part) <= 2**16
                sizes.append(len(part))

    sizes = []
    bomb = answer(coding, bombs()[coding])
    if way == "status":
        bomb = bomb.replace(b"200 OK", b"500 No", 1)
    policy = {"caps": se.Caps(wire=WIRE, body=5_000_000), "timeout": se.Timeout(attempt=5)}
    seen = await on(answering(bomb), scrape, retry=AT_ONCE, **policy)
    assert type(seen.error) is se.BodyTooLarge
    assert (seen.error.phase, seen.error.attempt, seen.server.connections) == ("decode", 1, 1)
    assert sum(sizes) <= 5_000_000
    assert seen.took < 2


async def test_a_bomb_in_a_bomb():
    """One within the other, the outer one is decoded no further than the inner one is."""
    twice = gzip.compress(bombs()["gzip"])
    seen = await on(answering(answer("gzip, gzip", twice)), caps=se.Caps(body=5_000_000), timeout=se.Timeout(attempt=5))
    assert type(seen.error) is se.BodyTooLarge


async def test_more_codings_than_anyone_uses():
    """Ten layers are no answer."""
    body = b"ok"
    for _ in range(10):
        body = gzip.compress(body)
    assert type((await on(answering(answer(", ".join(["gzip"] * 10), body)))).error) is se.ProtocolError


@pytest.mark.parametrize(
    "nothing", [gzip.compress(b"") * 200_000, b"\x50\x2a\x4d\x18\0\0\0\0" * 500_000], ids=["gzip", "zstd"]
)
async def test_work_for_nothing(nothing):
    """Empty members and frames without end cost time and count as nothing: they are given up."""
    coding = "gzip" if nothing.startswith(b"\x1f") else "zstd"
    seen = await on(answering(answer(coding, nothing)), timeout=se.Timeout(attempt=5))
    assert type(seen.error) is se.ProtocolError
    assert seen.took < 1.5


async def test_the_deadline_ends_a_decoding_too():
    """What takes long to decode is under the deadline of its attempt, though all of it has come."""
    policy = {"caps": se.Caps(body=float("inf")), "timeout": se.Timeout(attempt=0.3)}

    async def scrape(task):
        async with task.http.stream("GET", "/a", cap=float("inf")) as body:
            async for _ in body:
                pass

    error = (await on(answering(answer("zstd", bombs()["zstd"]), then="wait"), **policy)).error
    assert type(error) is se.AttemptTimeout
    assert error.phase == "decode"
    assert error.seconds < 1
    assert (
        type((await on(answering(answer("br", bombs()["br"])), scrape, timeout=se.Timeout(task=0.5))).error)
        is se.TaskTimeout
    )


async def test_bombs_do_not_stall_the_loop():
    """While one of each kind is decoded, others come to their turn: the loop is never held up for long."""

    async def serve(talk):
        while await talk.request():
            await trio.sleep(0.005)
            await talk.send(OK)

    async def many(task):
        for _ in range(20):
            await task.http.get("/a")
        return "all"

    bombs()
    with trio.fail_after(20):
        async with serving(serve) as healthy, _all_bombs() as urls, gaps() as longest:
            policy = {"timeout": se.Timeout(attempt=5), "retry": ONCE}
            platforms = [se.Platform("healthy", many, base_url=healthy.url)]
            platforms += [se.Platform(coding, get, base_url=url, **policy) for coding, url in urls.items()]
            outcomes = {each.platform: each for each in await ended(platforms, [se.Event("e")])}
        longest = longest[0]
    assert outcomes.pop("healthy").value == "all"
    assert {type(each.error) for each in outcomes.values()} == {se.BodyTooLarge}
    assert longest < 0.25


@asynccontextmanager
async def _all_bombs():
    """Open a site for each."""
    async with AsyncExitStack() as stack:
        sites = {coding: serving(answering(answer(coding, bomb))) for coding, bomb in bombs().items()}
        yield {coding: (await stack.enter_async_context(site)).url for coding, site in sites.items()}


PROGRAM = """
import json, resource, sys
import trio
import scrapeengine as se
from hostile.bombs import answer, bombs
from support.runs import get, on
from support.wire import answering

def status(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

async def main():
    answers = {coding: answering(answer(coding, bomb)) for coding, bomb in bombs().items()}
    assert (await on(answering(answer("gzip", b"")), get)).value == b""
    most = status("VmSize") + 300 * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    before = status("VmRSS")
    told = {}
    for coding, serve in answers.items():
        seen = await on(serve, caps=se.Caps(body=float(sys.argv[1])), timeout=se.Timeout(attempt=8))
        told[coding] = type(seen.error).__name__
    print(json.dumps([told, status("VmHWM") - before]))

trio.run(main)
"""


@pytest.mark.parametrize(("cap", "most"), [(2**20, 40 * 2**20), (64 * 2**20, 120 * 2**20)])
def test_memory_is_bounded(cap, most):
    """In a process that may have little more: with a small cap little is used, with the usual one not twice the cap."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(cap)],
        env={"PYTHONPATH": ":".join(sys.path), "MALLOC_ARENA_MAX": "1"},
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()
    told, used = json.loads(done.stdout)
    assert told == dict.fromkeys(CODINGS, "BodyTooLarge")
    assert used < most
