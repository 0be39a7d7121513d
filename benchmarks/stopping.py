"""How soon a run ends that is stopped while its requests are in flight, and what is left behind, beside two peers.

    python -m benchmarks.stopping [--runs 7]

The server takes requests and never answers, so nothing ends by itself. Each run is a process of its own, with a server
of its own, and is stopped when that server has read all requests. Ends with 3 if a promise is broken, and with 2 if a
run failed, so that nothing was measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import httpx
import trio

import scrapeengine as se
from benchmarks.machine import Cores, choose_cores, heading, pinned
from benchmarks.peers import CHECKOUT, Peers
from benchmarks.tables import BROKEN, Promise, print_promises, print_table, spread

IN_FLIGHT = 200
"""How many requests are in flight when a run is stopped."""
MOST_SECONDS = 0.25
"""The promised seconds from the end of the grace to the end of the run, for the longest of all runs."""
LONGEST = 60
"""The seconds after which a run is given up."""
ENOUGH = b"GET /enough "
"""How a request begins that is answered once all others are in flight."""


class Figures(NamedTuple):
    """What was seen of a run that was stopped."""

    seconds: float
    """From when it was asked to stop until nothing of it was left."""
    sockets: int
    """How many more sockets the process has open then than before the run."""
    cancelled: int = 0
    """How many outcomes are `Cancelled`, where there are outcomes."""


class Way(NamedTuple):
    """A way to have requests in flight and to end them."""

    title: str
    needs: tuple[str, ...]
    run: Callable[[int], Awaitable[Figures]]
    """Does so, with the server at a port, in this process."""
    loop: Callable[[Callable[[int], Awaitable[Figures]], int], Figures]
    """Runs that."""
    grace: float | None = None
    """For the engine: the seconds that tasks are given."""


# -- the server, in its own process


async def serve() -> None:
    """Print a port, and listen there for requests that are not answered, until killed."""
    in_flight = 0
    enough = asyncio.Event()

    async def keep_silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal in_flight
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(ENOUGH):
                await enough.wait()
                writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                in_flight += 1
                if in_flight == IN_FLIGHT:
                    enough.set()
                await reader.read()
        writer.close()

    server = await asyncio.start_server(keep_silent, "127.0.0.1", 0, backlog=2 * IN_FLIGHT)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def server(core: int | None) -> Iterator[int]:
    """Run a server on a core while the block runs, and give its port."""
    command = [sys.executable, "-m", "benchmarks.stopping", "--serve"]
    with pinned(core):
        process = subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - itself
    with process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.kill()


# -- one run, in its own process


def sockets() -> int:
    """Count the sockets that this process has open; 0 where the system does not say."""
    count = 0
    for link in Path("/proc/self/fd").glob("*"):
        with contextlib.suppress(OSError):  # the one that lists them is gone
            count += str(link.readlink()).startswith("socket:")
    return count


async def in_flight_under_trio(port: int) -> None:
    """Wait until the server has read all requests."""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(ENOUGH + b"HTTP/1.1\r\n\r\n")
        await stream.receive_some()


async def in_flight_under_asyncio(port: int) -> None:
    """Wait until the server has read all requests."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(ENOUGH + b"HTTP/1.1\r\n\r\n")
    await reader.readline()
    writer.close()
    await writer.wait_closed()


async def stop_engine(port: int, grace: float) -> Figures:
    """Stop an engine, and see what its run says of its tasks.

    Measured from the call of `stop` until `async with` has ended, all outcomes being read in between.
    """
    before = sockets()

    async def scrape(task: se.Task) -> None:
        await task.http.get(f"/{task.event.id}")

    site = se.Platform("silent", scrape, base_url=f"http://127.0.0.1:{port}", limit=IN_FLIGHT)
    engine = se.Engine([site], event_limit=IN_FLIGHT)
    async with engine.stream(se.Event(number) for number in range(IN_FLIGHT)) as run:
        await in_flight_under_trio(port)
        began = time.perf_counter()
        await run.stop(grace)
        outcomes = [outcome async for outcome in run]
    seconds = time.perf_counter() - began
    cancelled = sum(isinstance(outcome, se.Cancelled) for outcome in outcomes)
    return Figures(seconds, sockets() - before, cancelled)


async def cancel_httpx(port: int) -> Figures:
    """Cancel the nursery that the requests are made in; measured until it and the client have ended."""
    before = sockets()
    limits = httpx.Limits(max_connections=IN_FLIGHT)
    async with (
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", limits=limits, timeout=LONGEST) as client,
        trio.open_nursery() as nursery,
    ):
        for number in range(IN_FLIGHT):
            nursery.start_soon(client.get, f"/{number}")
        await in_flight_under_trio(port)
        began = time.perf_counter()
        nursery.cancel_scope.cancel()
    return Figures(time.perf_counter() - began, sockets() - before)


async def cancel_aiohttp(port: int) -> Figures:
    """Cancel what gathers the requests; measured until it and the session have ended."""
    import aiohttp  # noqa: PLC0415 - where only the engine is measured, it need not be there

    before = sockets()
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", connector=aiohttp.TCPConnector(limit=IN_FLIGHT)
    ) as session:

        async def get(number: int) -> bytes:
            async with session.get(f"/{number}") as response:
                return await response.read()

        gathered = asyncio.gather(*(get(number) for number in range(IN_FLIGHT)))
        await in_flight_under_asyncio(port)
        began = time.perf_counter()
        gathered.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await gathered
    return Figures(time.perf_counter() - began, sockets() - before)


def run_under_asyncio(work: Callable[[int], Awaitable[Figures]], port: int) -> Figures:
    """Run one of these under asyncio."""

    async def main() -> Figures:
        return await work(port)

    return asyncio.run(main())


WAYS = {
    "engine-0": Way(
        "scrapeengine, `stop(grace=0)`", ("scrapeengine",), partial(stop_engine, grace=0.0), trio.run, grace=0.0
    ),
    "engine-0.5": Way(
        "scrapeengine, `stop(grace=0.5)`", ("scrapeengine",), partial(stop_engine, grace=0.5), trio.run, grace=0.5
    ),
    "aiohttp": Way("aiohttp, `asyncio.gather` cancelled", ("aiohttp",), cancel_aiohttp, run_under_asyncio),
    "httpx": Way("httpx on trio, its nursery cancelled", ("httpx", "trio"), cancel_httpx, trio.run),
}


# -- all runs, and what is printed

Results = dict[str, list[Figures]]
"""By the names of the ways."""


def measure_apart(peers: Peers, cores: Cores, name: str) -> Figures:
    """Measure a way once, in a process of its own, against a server of its own.

    Raises:
        subprocess.SubprocessError: it failed, or did not end.
    """
    with server(cores.server) as port, pinned(cores.client):
        command = [str(peers.python), "-m", "benchmarks.stopping", "--measure", name, str(port)]
        done = subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE, timeout=LONGEST)  # noqa: S603
    return Figures(*json.loads(done.stdout))


def measure_all(peers: Peers, cores: Cores, names: Sequence[str], runs: int) -> Results:
    """Measure each way several times, in turns."""
    results = defaultdict(list)
    for number in range(runs):
        for name in names:
            print(f"run {number + 1} of {runs}: {WAYS[name].title}", file=sys.stderr, flush=True)
            results[name].append(measure_apart(peers, cores, name))
    return results


def past(results: Results, name: str) -> list[float]:
    """Return the seconds that the runs of a way took beyond its grace."""
    return [figures.seconds - (WAYS[name].grace or 0.0) for figures in results[name]]


def promises(results: Results) -> list[Promise]:
    """Say what is promised, and what was measured of it."""
    found = []
    engines = [name for name, way in WAYS.items() if way.grace is not None]
    for name in engines:
        seconds = past(results, name)
        what = f"`stop(grace={WAYS[name].grace:g})` with {IN_FLIGHT} requests in flight: end of the run past the grace"
        measured = f"{median(seconds):.3f} s, the longest {max(seconds):.3f} s"
        found.append(Promise(what, measured, f"≤ {MOST_SECONDS} s", kept=max(seconds) <= MOST_SECONDS))
    every = [figures for name in engines for figures in results[name]]
    left = max(figures.sockets for figures in every)
    cancelled = min(figures.cancelled for figures in every)
    return [
        *found,
        Promise("sockets that a stopped run leaves open", str(left), "0", kept=left <= 0),
        Promise(
            f"outcomes of {IN_FLIGHT} stopped tasks that are `Cancelled`",
            str(cancelled),
            str(IN_FLIGHT),
            kept=cancelled == IN_FLIGHT,
        ),
    ]


def print_results(results: Results) -> None:
    """Print the engine beside its peers."""
    print(
        "From when the end is asked for until nothing is left: for the engine until `async with engine.stream` has "
        "ended and all outcomes were read, for the peers until what makes the requests and the client have ended. They "
        "have no grace, and no outcomes.\n"
    )
    print_table(
        ("", "past the grace, ms", "longest, ms", "sockets left open"),
        [
            (
                WAYS[name].title,
                spread((1000 * seconds for seconds in past(results, name)), ".1f"),
                f"{1000 * max(past(results, name)):.1f}",
                spread(figures.sockets for figures in results[name]),
            )
            for name in results
        ],
    )


def measure(runs: int) -> int:
    """Measure, print, and return what the process is to end with."""
    peers, cores = Peers(), choose_cores()
    found = peers.versions("scrapeengine", "trio", "aiohttp", "httpx")
    names = [name for name, way in WAYS.items() if all(need in found for need in way.needs)]
    try:
        results = measure_all(peers, cores, names, runs)
    except subprocess.SubprocessError as error:
        print(f"a run failed: {error}", file=sys.stderr)
        return 2
    print("## Stopping\n")
    print(heading(found))
    print(f"{IN_FLIGHT} requests in flight to a server that never answers; {cores.said}; {runs} runs in turns.\n")
    kept = print_promises(promises(results))
    print_results(results)
    for name in (name for name in WAYS if name not in names):
        print(f"Not measured: {WAYS[name].title}: it could not be installed.\n")
    return 0 if kept else BROKEN


def main() -> int:
    """Do what the command line asks for, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks.stopping", description="how soon a run ends that is stopped")
    parser.add_argument("--runs", type=int, default=7, help="how often each way is measured (default: 7)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve())
    elif options.measure:
        name, port = options.measure
        print(json.dumps(WAYS[name].loop(WAYS[name].run, int(port))))
    else:
        return measure(max(options.runs, 1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
