"""Programs as one writes them in the first hour are killed, or stopped by Ctrl-C, at any instant, and started again.

Nothing is lost, nothing comes again but what the documentation says, and each goes on within a second.
"""

import json
import os
import random
import signal
import statistics
import subprocess
import sys
from collections import Counter
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import attrs
import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer, Site

PROGRAMS = Path(__file__).with_name("programs")
RUN = "import runpy, sys, scrapeengine; print(flush=True); del sys.argv[0]; "
RUN += "runpy.run_path(sys.argv[0], run_name='__main__')"
SOON = 1.0
"""Seconds within which a program goes on, by the median of its starts: the machine has other things to do."""
LIMIT = 4
PATIENCE = 60

ENDS = [
    (signal.SIGKILL, 2),
    (signal.SIGINT, 2),
    pytest.param(signal.SIGKILL, 15, marks=pytest.mark.slow),
    pytest.param(signal.SIGINT, 15, marks=pytest.mark.slow),
]


@attrs.define(eq=False)
class Newcomer:
    """A program that somebody has written, and what it has done so far."""

    program: str
    folder: Path
    site: Site
    gaps: list = attrs.field(factory=list)
    """Seconds from each start, once all was imported, to its first request."""
    done: set = attrs.field(factory=set)
    """What the store knows as done since the last end of a process."""

    @property
    def lines(self):
        """What it has written down; a line that a kill has cut short is none."""
        path = self.folder / "out"
        text = path.read_text() if path.exists() else ""
        return [tuple(json.loads(line)) for line in text.split("\n") if line.endswith("]")]

    @property
    def store(self):
        """The URL of its store."""
        return f"sqlite:{self.folder}/jobs.db"

    @asynccontextmanager
    async def running(self):
        """Have it run."""
        arguments = [self.site.url, self.store, str(self.folder / "out")]
        command = [sys.executable, "-c", RUN, str(PROGRAMS / f"{self.program}.py"), *arguments]
        env = os.environ | {"PYTHONPATH": ":".join(sys.path)}
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        errors = []
        try:
            async with trio.open_nursery() as nursery:
                await process.stdout.receive_some()
                begun = trio.current_time()
                nursery.start_soon(drain, process.stdout, [])
                nursery.start_soon(drain, process.stderr, errors)
                before = self.site.ledger.requests
                yield process, begun, before
                with trio.fail_after(PATIENCE):
                    await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
        said = b"".join(errors).decode()
        assert "set aside" not in said, said  # no job's fault
        assert "Traceback" not in said or "KeyboardInterrupt" in said, said

    async def end(self, number, seconds):
        """Run it, and end it by a signal so many seconds after its first request."""
        async with self.running() as (process, begun, before):
            with trio.move_on_after(PATIENCE) as patience:
                while self.site.ledger.requests == before and process.poll() is None:
                    await trio.sleep(0.005)
            assert not patience.cancelled_caught
            if self.site.ledger.requests > before:
                self.gaps.append(self.site.ledger.arrivals[before] - begun)
            await trio.sleep(seconds)
            process.send_signal(number)
        async with se.open_store(self.store) as store:
            if number == signal.SIGINT:
                assert [each.leased for each in (await store.stats()).values() if each.leased] == []  # all given back
            self.done = await done(store)

    async def go_on_until(self, done):
        """Run it until all is there, and stop it then."""
        async with self.running() as (process, _, _):
            with trio.fail_after(PATIENCE):
                while not done() and process.poll() is None:
                    await trio.sleep(0.01)
            process.send_signal(signal.SIGINT)


async def done(store):
    """Read the ids of all jobs that are done."""
    page = await store.jobs(status=se.JobStatus.DONE, limit=1000)
    jobs = [*page]
    while len(page) == 1000:
        page = await store.jobs(status=se.JobStatus.DONE, limit=1000, after=page[-1].key)
        jobs += page
    return {job.id for job in jobs}


async def drain(stream, into):
    """Read all that is said."""
    async for chunk in stream:
        into.append(chunk)


def seconds(draw):
    """Draw how long a program goes on: the instant is any."""
    return draw.choice([draw.uniform(0, 0.1), draw.uniform(0, 0.6)])


def draw_of(number, ends):
    """Return what instants are drawn with, and say it."""
    seed = int.from_bytes(os.urandom(4), "big")
    print("seed", seed, number, ends)
    return random.Random(seed)


@pytest.mark.parametrize(("number", "ends"), ENDS)
async def test_a_crawler(tmp_path, number, ends):
    """Each page is read and written down; what was in hand at a kill is asked for again, and nothing after Ctrl-C."""
    pages, asked, again = 100 * ends, Counter[str](), Counter[str]()

    async def answer(request):
        await trio.sleep(0.02)
        asked[request.path] += 1
        again.update({request.path} & {urlsplit(url).path for url in newcomer.done})
        page = int(request.path[1:])
        links = "".join(f'<a href="/{(page * each + 1) % pages}">' for each in (1, 2, 3))
        return Answer(body=f"<title>page {page}</title>{links}".encode())

    draw = draw_of(number, ends)
    async with Site.open(answer) as site:
        newcomer = Newcomer("crawler", tmp_path, site)
        for _ in range(ends):
            await newcomer.end(number, seconds(draw))
            assert {urlsplit(url).path for url in newcomer.done} <= set(asked)
        async with newcomer.running() as (process, _, _):
            with trio.fail_after(PATIENCE):
                await process.wait()
        assert process.returncode == 0
    lines = Counter(newcomer.lines)
    expected = {(f"{site.url}/{page}", f"page {page}") for page in range(pages)}
    assert set(lines) == expected
    assert set(asked) == {f"/{page}" for page in range(pages)}
    assert again == Counter()  # nothing that is done
    if number == signal.SIGINT:
        assert asked.total() == len(asked)
    assert statistics.median(newcomer.gaps) <= SOON
    if number == signal.SIGINT:
        assert set(lines.values()) == {1}


@pytest.mark.parametrize(("number", "ends"), ENDS)
async def test_a_tracker(tmp_path, number, ends):
    """The last price of each item is there in the end; all that is written down was a price."""
    prices, fixed = Counter(), False

    async def answer(request):
        await trio.sleep(0.01)
        item = request.path.rpartition("/")[2]
        if not fixed or item not in prices:
            prices[item] += 1
        return Answer(body=json.dumps({"price": prices[item]}).encode())

    draw = draw_of(number, ends)
    async with Site.open(answer) as site:
        newcomer = Newcomer("tracker", tmp_path, site)
        for _ in range(ends):
            await newcomer.end(number, seconds(draw))
        fixed = True
        await newcomer.go_on_until(lambda: len(prices) == 12 and set(prices.items()) <= set(newcomer.lines))
    assert len(prices) == 12
    assert all(1 <= price <= prices[item] for item, price in newcomer.lines)
    assert statistics.median(newcomer.gaps) <= SOON


@pytest.mark.parametrize(("number", "ends"), ENDS)
async def test_a_feed_reader(tmp_path, number, ends):
    """Each entry is written down, also one that a feed had while the reader was down, and said but once."""
    feeds = {f"/feeds/{each}": [0] for each in range(12)}

    async def answer(request):
        await trio.sleep(0.01)
        feed = feeds[request.path]
        etag = f'"{len(feed)}"'
        if request.headers.get("if-none-match") == etag:
            return Answer(304, headers={"ETag": etag})
        return Answer(body=json.dumps(feed).encode(), headers={"ETag": etag})

    async def publish():
        for each in range(1, 1_000_000):
            await trio.sleep(0.05)
            feeds[f"/feeds/{each % 12}"].append(each)

    draw = draw_of(number, ends)
    async with Site.open(answer) as site:
        newcomer = Newcomer("reader", tmp_path, site)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(publish)
            for _ in range(ends):
                await newcomer.end(number, seconds(draw))
            nursery.cancel_scope.cancel()
        entries = {(site.url + path, entry) for path, feed in feeds.items() for entry in feed}
        await newcomer.go_on_until(lambda: entries <= set(newcomer.lines))
    assert set(newcomer.lines) == entries
    assert statistics.median(newcomer.gaps) <= SOON
