"""A healthy platform beside a hostile one: it does not feel it."""

import json
import subprocess
import sys
from statistics import median

import pytest
import trio

import scrapeengine as se
from support.wire import OK, serving

LATENCY = 0.02
"""What the healthy site takes to answer, in seconds."""
FLOOR = 0.005
"""What the clock, the system and the other processes on this machine may add, in seconds."""
EVENTS = 200
ROUNDS = 3


@pytest.fixture(scope="module")
def hostile():
    """Serve hostile sites in another process, so that they take no time of the engine's loop; return their ports."""
    serving = subprocess.Popen(
        [sys.executable, "-m", "hostile.sites"],
        env={"PYTHONPATH": ":".join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with serving:
        yield json.loads(serving.stdout.readline())
        serving.stdin.close()
        serving.wait(10)


async def healthy_site(talk):
    """Answer, after a while."""
    while await talk.request():
        await trio.sleep(LATENCY)
        await talk.send(OK)


async def measured(hostile_one, expected=frozenset()):
    """Run the healthy platform, beside the hostile one if there is one, until that has failed as expected; its p99."""
    latencies, met = [], set()

    async def healthy(task):
        begun = trio.current_time()
        assert (await task.http.get("/a")).content == b"ok"
        latencies.append(trio.current_time() - begun)

    def events():
        for number in range(EVENTS):
            yield se.Event(f"h{number}", platforms=("healthy",))
        for number in range(100_000 * bool(hostile_one)):
            yield se.Event(f"x{number}", platforms=("hostile",))

    with trio.fail_after(30):
        async with serving(healthy_site) as web:
            platforms = [se.Platform("healthy", healthy, base_url=web.url, limit=10)]
            platforms += [hostile_one] * bool(hostile_one)
            engine = se.Engine(platforms, event_limit=100, lookahead=EVENTS + 20)
            async with engine.stream(events()) as run:
                async for outcome in run:
                    if outcome.platform == "hostile":
                        met.add(type(getattr(outcome, "error", None)).__name__)
                    if len(latencies) == EVENTS and (not hostile_one or expected & met):
                        await run.stop(0)
    return sorted(latencies)[int(EVENTS * 0.99)]


async def suffering(task):
    """Ask for what hurts."""
    await task.http.get("/a")


CAPS = se.Caps(wire=2_000_000, body=8_000_000)
SLOW = {"drip", "silent", "chunks"}
"""What only a deadline ends. The others end by what they send, however long a busy machine takes to see it."""
EXPECTED = {
    "drip": {"AttemptTimeout"},
    "reset": {"ConnectionBroken"},
    "garbage": {"ProtocolError"},
    "endless": {"BodyTooLarge"},
    "chunks": {"BodyTooLarge", "AttemptTimeout"},  # each byte in a chunk of its own takes its time
    "headers": {"HeadersTooLarge"},
    "silent": {"AttemptTimeout"},
    **{key: {"BodyTooLarge"} for key in ("gzip", "deflate", "br", "zstd")},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPECTED)
async def test_a_hostile_platform_does_not_slow_down_a_healthy_one(hostile, name):
    """The slowest answer in a hundred takes at most twice what it does alone; medians of three rounds each, in turns.

    The hostile platform has no rate, eight tasks at once, and more of them as fast as they end.
    """
    url = f"{'https' if name == 'silent' else 'http'}://127.0.0.1:{hostile[name]}"
    timeout = se.Timeout(attempt=0.2 if name in SLOW else 20)
    platform = se.Platform("hostile", suffering, base_url=url, caps=CAPS, timeout=timeout, retry=se.Retry(attempts=1))
    alone, beside = [], []
    for _ in range(ROUNDS):
        alone.append(await measured(None))
        beside.append(await measured(platform, EXPECTED[name]))
    assert median(beside) <= 2 * median(alone) + FLOOR, (alone, beside)
