"""A process that serves a store into a file, dies at each step in turn, and is followed by one that lives.

    dying.py FOLDER SUFFIX ROTATE_BYTES FIRST STRIDE [plain]

With "plain" there is no store: the one that lives has other outcomes, and what was flushed stands in a file. Dies at
the first step, and at each one that is so many further on. Prints at how many it was. Each trial is a child of its
own, forked before there is any thread.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import pyarrow.parquet as pq  # once, for all children
import trio

import scrapeengine as se
from scrapeengine.deliver.writing import Flush
from scrapeengine.served.deliveries import Deliveries
from scrapeengine.sinks import endings, parquet, slots

JOBS, DIED = 9, 9


async def scrape(task):
    """Return a number."""
    return {"number": int(task.event.id)}


async def serve(folder, suffix, rotate_bytes):
    """Work until the store is empty, and all is delivered."""
    async with se.open_store(f"sqlite:{folder}/jobs.db", durability="normal") as store:
        engine = se.Engine([se.Platform("a", scrape)])
        await engine.enqueue(store, map(se.Event, range(JOBS)))
        sink = se.sinks.open(f"{folder}/out{suffix}", size=3, linger=0.01, rotate_bytes=rotate_bytes)
        async with engine.serve(store, sinks=[sink], until="empty") as run:
            await run.wait()


async def write(folder, suffix, rotate_bytes, first=100):
    """Work without a store."""
    sink = se.sinks.open(f"{folder}/out{suffix}", size=3, linger=0.01, rotate_bytes=rotate_bytes)
    engine = se.Engine([se.Platform("a", scrape)])
    await engine.run(map(se.Event, range(first, first + JOBS)), sinks=[sink])


class Steps:
    """Counts steps, and dies at one of them."""

    def __init__(self, dies_at):
        self.left = dies_at

    def step(self):
        """Die, if it is time."""
        self.left -= 1
        if not self.left:
            os._exit(DIED)

    def __getattr__(self, name):
        """Do as `os` does, but for dying before and after what changes a file, or in the middle of it."""
        value = getattr(os, name)
        if name == "fdopen":
            return lambda *args: Writing(value(*args), self)
        if name not in {"pwrite", "fsync", "ftruncate", "truncate", "rename", "unlink"}:
            return value

        def call(*args):
            self.step()
            if name == "pwrite":
                file, data, at = args
                half = max(1, len(data) // 2)
                value(file, data[:half], at)
                self.step()
            answer = value(*args)
            self.step()
            return answer

        return call

    def install(self):
        """Count what sinks do, and what they tell the store."""
        for room in (slots, endings, parquet):
            room.os = self
        plain = Deliveries.acknowledge

        async def acknowledge(*args):
            self.step()
            answer = await plain(*args)
            self.step()
            return answer

        Deliveries.acknowledge = acknowledge

    def tell(self, path):
        """Write down what was flushed where there is no store."""
        plain = Flush.__call__
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

        async def said(flush, position=None):
            os.write(file, "".join(f"{outcome.event.id}\n" for outcome in flush._batch).encode())
            self.step()
            return await plain(flush, position)

        Flush.__call__ = said


class Writing:
    """A file that dies before and in the middle of its first writes, and of some of the others, which are alike."""

    def __init__(self, file, steps):
        self._file, self._steps = file, steps
        self._writes = itertools.count()

    def __getattr__(self, name):
        """Do as the file does."""
        return getattr(self._file, name)

    def __enter__(self):
        """Go on with this one."""
        return self

    def __exit__(self, *_):
        """Close it."""
        self._file.close()

    def write(self, data):
        """Write half of it, then the rest."""
        number = next(self._writes)
        if number > 1 and number % 16:
            return self._file.write(data)
        self._steps.step()
        half = len(data) // 2
        self._file.write(bytes(data[:half]))
        self._file.flush()
        self._steps.step()
        self._file.write(bytes(data[half:]))
        return len(data)


def child(dies_at, place, suffix, rotate_bytes, *, plain):
    """Run a child; return whether it died."""
    number = os.fork()
    if not number:
        first = []
        if dies_at is not None:
            steps = Steps(dies_at)
            steps.install()
            if plain:
                steps.tell(place / "flushed")
                first = [0]
        trio.run(write if plain else serve, place, suffix, rotate_bytes, *first)
        os._exit(0)
    _, status = os.waitpid(number, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, DIED}, code
    return code == DIED


def main(folder, suffix, rotate_bytes, first, stride, plain=""):
    """Try steps; each leaves files in which the test looks."""
    counts = []
    for number in itertools.count(int(first), int(stride)):
        place = Path(folder) / str(number)
        place.mkdir()
        died = child(number, place, suffix, float(rotate_bytes), plain=bool(plain))
        assert not child(None, place, suffix, float(rotate_bytes), plain=bool(plain))
        if not died:
            break
        counts.append(number)
    print(json.dumps(len(counts)))


assert pq
main(*sys.argv[1:])
