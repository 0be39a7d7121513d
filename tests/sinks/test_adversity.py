"""Files, whatever happens around them: signals, full disks, consumers that raise, processes that die, slow sinks."""

import errno
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

import scrapeengine as se
from support.rows import rows_of

HERE = Path(__file__).parent
SUFFIXES = [".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".parquet"]


def numbers(folder):
    """List the numbers of all rows, in their order."""
    return sorted(int(row["value"]["number"] if "value" in row else row["number"]) for row in rows_of(folder))


def python(name, *arguments):
    """Return a command line."""
    return [sys.executable, str(HERE / name), *map(str, arguments)]


def once(name, *arguments):
    """Run a program to its end, and return what it has printed."""
    done = subprocess.run(python(name, *arguments), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


ENDS = {
    "once": ([signal.SIGINT], 0.3),
    "twice": ([signal.SIGINT, signal.SIGINT], 100),
    "terminated": ([signal.SIGTERM], 0.3),
}
QUICK = {("twice", ".parquet"), ("terminated", ".jsonl")}
"""What is tried each time: each needs two processes."""


@pytest.mark.parametrize(
    ("how", "suffix"),
    [
        pytest.param(how, suffix, marks=[] if (how, suffix) in QUICK else pytest.mark.slow)
        for how in ENDS
        for suffix in SUFFIXES
    ],
)
def test_each_outcome_is_there_once_after_signals(tmp_path, how, suffix):
    """Ctrl-C lets tasks end, twice it cancels them: what was cancelled is done by the next run."""
    signals, seconds = ENDS[how]
    with subprocess.Popen(
        python("signalled.py", tmp_path, suffix, seconds), stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "waits\n"
            process.send_signal(signals[0])
            assert process.stdout.readline() == "stops\n"
            for number in signals[1:]:
                process.send_signal(number)
            assert process.wait(60) == 0
        finally:
            process.kill()
    before = numbers(tmp_path)
    assert len(before) >= 20 if seconds < 1 else before == list(range(20))
    once("signalled.py", tmp_path, suffix, 0)
    assert numbers(tmp_path) == list(range(40))
    assert {row["kind"] for row in rows_of(tmp_path)} == {"success"}


@pytest.mark.parametrize(
    "suffix", [suffix if suffix == ".parquet" else pytest.param(suffix, marks=pytest.mark.slow) for suffix in SUFFIXES]
)
def test_nothing_is_lost_where_files_may_not_grow(tmp_path, suffix):
    """The run ends with the system's error; what was flushed is there, and the next run writes the rest."""
    printed = once("full.py", tmp_path, suffix, 9000)
    assert printed == f"OSError {errno.EFBIG}\n"
    assert numbers(tmp_path) == list(range(60))


@pytest.fixture
def small_disk(tmp_path):
    """Make a disk of 256 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k,mode=700", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only who may mount has a disk that is full; what may not grow is tried without")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)  # a system that still closes a file calls it busy


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("stored", [True, False])
async def test_nothing_is_lost_on_a_disk_that_is_full(small_disk, suffix, stored):
    """Once there is room, the rest is written; without a store what was flushed is there, and can be read."""
    filler = small_disk / "filler"
    filler.write_bytes(b"x" * 236_000)

    async def scrape(task):
        return {"number": int(task.event.id), "text": os.urandom(600).hex()}

    engine = se.Engine([se.Platform("a", scrape)])
    sink = se.sinks.open(str(small_disk / f"out{suffix}"), size=5, linger=0.01)
    async with se.open_store("memory:") as store:
        for first in (0, 40):
            events = list(map(se.Event, range(first, first + 40)))
            if stored:
                await engine.enqueue(store, events)
            working = engine.poll(store, sinks=[sink]) if stored else engine.run(events, sinks=[sink])
            if first == 0:
                with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
                    await working
                assert 0 < len(numbers(small_disk)) < 40
                filler.unlink()
            else:
                await working
    found = numbers(small_disk)
    assert len(found) == len(set(found))
    assert found == list(range(80)) if stored else found[-40:] == list(range(40, 80))


@pytest.mark.parametrize("suffix", SUFFIXES)
async def test_a_consumer_that_raises_costs_nothing(tmp_path, suffix):
    """Its error leaves the run; what the sink had not is written by the next one."""

    async def scrape(task):
        return {"number": int(task.event.id)}

    engine = se.Engine([se.Platform("a", scrape, limit=4)], buffer=4)

    def sink():
        return se.sinks.open(str(tmp_path / f"out{suffix}"), size=3, linger=0.01, rotate_bytes=300)

    async with se.open_store("memory:") as store:
        await engine.enqueue(store, map(se.Event, range(30)))
        with pytest.raises(KeyError):
            async with engine.serve(store, sinks=[sink()]) as run:
                async for outcome in run:
                    if int(outcome.event.id) > 10:
                        raise KeyError(outcome.event.id)
        await engine.poll(store, sinks=[sink()])
    assert numbers(tmp_path) == list(range(30))


def died_plainly(folder, suffix, rotate_bytes, first, stride):
    """Let a process without a store die at each step in turn, and look at what it and the next one have written."""
    tried = int(once("dying.py", folder, suffix, rotate_bytes, first, stride, "plain"))
    for place in folder.iterdir():
        found = numbers(place)
        assert len(found) == len(set(found)), place.name
        flushed = {int(line) for line in (place / "flushed").read_text().split()}
        assert flushed | set(range(100, 109)) <= set(found), place.name
    return tried


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_nothing_that_was_flushed_is_lost_without_a_store(tmp_path, suffix):
    """Wherever a process dies: no file is unreadable, and no row is there twice."""
    first = int.from_bytes(os.urandom(1), "big") % 10 + 1
    print("first", first)
    assert died_plainly(tmp_path, suffix, 1, first, 10) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rotate_bytes", [1, 10**9])
def test_nothing_that_was_flushed_is_lost_without_a_store_at_any_step(tmp_path, suffix, rotate_bytes):
    """As above, at each of them."""
    assert died_plainly(tmp_path, suffix, rotate_bytes, 1, 1) > 10


async def test_a_sink_that_is_slow_slows_nothing_but_the_source(autojump_clock):
    """One takes a second for each ten outcomes: another sink, and who reads, have each when it is there."""
    ended, late = {}, []

    async def scrape(task):
        await trio.sleep(0.1)
        ended[task.event.id] = trio.current_time()

    async def slow(outcomes):
        await trio.sleep(1)

    async def quick(outcomes):
        late.extend(trio.current_time() - ended[outcome.event.id] for outcome in outcomes)

    engine = se.Engine([se.Platform("a", scrape, limit=10)], buffer=20)
    begun = trio.current_time()
    sinks = [se.sinks.of(slow, size=10, linger=0), quick]
    async with engine.stream(map(se.Event, range(200)), sinks=sinks) as run:
        async for outcome in run:
            late.append(trio.current_time() - ended[outcome.event.id])
    assert len(late) == 400
    assert max(late) < 1e-6
    assert trio.current_time() - begun == pytest.approx(20, abs=1.2)  # the slow one's time, and no more


MEMORY = """
import os, sys, trio, scrapeengine as se

async def scrape(task):
    return {"number": int(task.event.id), "text": "x" * 50}

peaks = []

def source(count):
    for number in range(count):
        if number in (count // 5, count - 1):
            peaks.append(int(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))))
        yield se.Event(number)

async def main(path, count):
    sink = se.sinks.open(path, rotate_bytes=2e6)
    report = await se.Engine([se.Platform("a", scrape, limit=50)]).run(source(count), sinks=[sink])
    assert report.outcomes.succeeded == count

trio.run(main, sys.argv[1], int(sys.argv[2]))
print((peaks[1] - peaks[0]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_memory_is_flat_over_a_million_outcomes(tmp_path, suffix):
    """From the first fifth on, the peak does not grow by more than 10 MB."""
    program = tmp_path / "memory.py"
    program.write_text(MEMORY)
    command = [sys.executable, str(program), str(tmp_path / f"out{suffix}"), str(10**6)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 10
