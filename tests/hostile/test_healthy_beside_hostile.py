"""A healthy platform beside hostile ones: it does not feel them."""

import json
import subprocess
import sys
import threading

import pytest
import trio

import scrapeengine as se
from hostile.web import OK, site, within

LATENCY = 0.1
"""What the healthy site takes to answer, in seconds."""
FLOOR = 0.02
"""What the clock, the system and the other processes on this machine may add, in seconds."""
EVENTS = 400


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


def measured(ports, names):
    """Run the healthy platform, beside those that these ports are of; return its latencies, and what the others met."""
    latencies, met = [], {}
    release = threading.Event()

    async def healthy(task):
        begun = trio.current_time()
        assert (await task.http.get("/a")).content == b"ok"
        latencies.append(trio.current_time() - begun)

    async def suffering(task):
        while True:
            try:
                await task.http.get("/a" if task.platform != "names" else f"http://{task.event.id}.test/")
            except se.RequestError as error:
                met.setdefault(task.platform, set()).add(type(error).__name__)

    def slow():
        release.wait(20)
        return []

    async def main():
        async with site(healthy_site) as web:
            platforms = [se.Platform("healthy", healthy, base_url=web.url, limit=40)]
            events = [se.Event(f"h{at}", platforms=("healthy",)) for at in range(EVENTS)]
            policy = {
                "caps": se.Caps(wire=2_000_000, body=8_000_000),
                "timeout": se.Timeout(attempt=0.3),
                "retry": se.Retry(attempts=1),
                "rate": se.Rate(2),
            }
            for name, port in ports.items():
                scheme = "https" if name == "silent" else "http"
                url = f"{scheme}://127.0.0.1:{port}"
                platforms.append(se.Platform(name, suffering, base_url=url, limit=3, **policy))
                events += [se.Event(f"{name}{at}", platforms=(name,), priority=1) for at in range(3)]
            if ports:
                platforms.append(se.Platform("names", suffering, limit=60, **(policy | {"rate": None})))
                events += [se.Event(f"n{at}", platforms=("names",), priority=1) for at in range(60)]
                names.update({f"n{at}.test": slow for at in range(60)})
            try:
                async with se.Engine(platforms, event_limit=1000).stream(events) as run:
                    async for _ in run:
                        if len(latencies) == EVENTS:
                            await run.stop(0)
            finally:
                release.set()

    within(20, main)
    return sorted(latencies), met


EXPECTED = {
    "drip": {"AttemptTimeout"},
    "reset": {"ConnectionBroken"},
    "garbage": {"ProtocolError"},
    "endless": {"BodyTooLarge"},
    "chunks": {"BodyTooLarge", "AttemptTimeout"},  # each byte in a chunk of its own takes its time
    "headers": {"HeadersTooLarge"},
    "silent": {"AttemptTimeout"},
    "names": {"AttemptTimeout"},
    **{key: {"BodyTooLarge"} for key in ("gzip", "deflate", "br", "zstd")},
}


@pytest.mark.slow
def test_no_hostile_platform_slows_down_a_healthy_one(hostile, names):
    """Its slowest answers in a hundred take at most twice what they take alone.

    The best of three rounds each: what else this machine has to do makes rounds longer, and never shorter.
    """
    alone, beside, met = [], [], {}
    for _ in range(3):
        latencies, _ = measured({}, names)
        alone.append(latencies[int(EVENTS * 0.99)])
        latencies, errors = measured(hostile, names)
        beside.append(latencies[int(EVENTS * 0.99)])
        for name, kinds in errors.items():
            met.setdefault(name, set()).update(kinds)
    assert set(met) == set(EXPECTED)
    assert not {name: kinds for name, kinds in met.items() if not EXPECTED[name] & kinds}
    assert min(beside) <= 2 * min(alone) + FLOOR, (alone, beside)
