"""`run` and `collect`: the engine for programs that are not async."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Site


async def answer(task):
    """Return the event's id."""
    await trio.lowlevel.checkpoint()
    return task.event.id


async def streamed(engine):
    """Enter a run."""
    async with engine.stream([se.Event(1)]):
        pass


async def left_store():
    """Return a store that was opened under trio."""
    async with se.open_store("memory:") as store:
        return store


async def served(engine):
    """Enter a run that serves a store."""
    async with engine.serve(STORE):
        pass


async def polled(engine):
    """Make a round."""
    await engine.poll(STORE)


async def in_rounds(engine):
    """Make rounds."""
    async for _ in engine.rounds(STORE, every=1):
        pass


async def enqueued(engine):
    """Put an event into a store."""
    await engine.enqueue(STORE, [se.Event(1)])


async def opened(_engine):
    """Open a store."""
    async with se.open_store("memory:"):
        pass


async def site_opened(_engine):
    """Open a site."""
    async with Site.open(answer):
        pass


async def transported(_engine):
    """Ask for something."""
    async with httpx.AsyncClient(transport=se.Transport()) as client:
        await client.get("http://127.0.0.1:1/")


async def ran(engine):
    """Make a run to its end."""
    await engine.run([se.Event(1)])


async def run_here(_engine):
    """Hold the loop up."""
    se.run([se.Platform("A", answer)], [se.Event(1)])


async def served_here(_engine):
    """Hold the loop up."""
    se.serve([se.Platform("A", answer)], "memory:")


async def collected_here(_engine):
    """Hold the loop up."""
    se.collect([se.Platform("A", answer)], [se.Event(1)])


STORE = trio.run(left_store)
TRIO_THREAD = r"await asyncio\.to_thread\(trio\.run, main\)"
RUN_THREAD = r"await asyncio\.to_thread\(scrapeengine\.run, platforms, events\)"
SERVE_THREAD = r"await asyncio\.to_thread\(scrapeengine\.serve, platforms, 'sqlite:jobs\.db'\)"


@pytest.mark.parametrize(
    ("enter", "write"),
    [
        *((entry, TRIO_THREAD) for entry in (streamed, ran, served, polled, in_rounds, enqueued, opened)),
        *((entry, TRIO_THREAD) for entry in (site_opened, transported)),
        *((entry, RUN_THREAD) for entry in (run_here, collected_here)),
        (served_here, SERVE_THREAD),
    ],
)
def test_in_asyncio_each_entry_says_what_to_use_there(enter, write):
    """Where a loop runs, nothing begins; the message shows what to write."""
    engine = se.Engine([se.Platform("A", answer)])
    with pytest.raises(RuntimeError, match=write) as refused:
        asyncio.run(enter(engine))
    assert "examples/in_asyncio.py" in str(refused.value)


def test_what_it_says_works_there():
    """In a thread of its own `run` goes its way, and so does trio."""

    async def main():
        return await asyncio.to_thread(se.run, [se.Platform("A", answer)], [se.Event(1)])

    assert asyncio.run(main()).outcomes.succeeded == 1


def test_collect_returns_all_outcomes():
    """All outcomes, in a list."""
    outcomes = se.collect([se.Platform("A", answer)], map(se.Event, range(5)), event_limit=2)
    assert sorted(outcome.value for outcome in outcomes) == list("01234")


def test_run_reports_and_feeds_its_sinks():
    """The report counts, and the sinks got everything."""
    kept = []

    async def keep(batch):
        kept.extend(batch)

    report = se.run([se.Platform("A", answer)], map(se.Event, range(5)), sinks=[keep])
    assert len(kept) == report.outcomes.succeeded == 5
    assert report.stopped is None
    assert report.platforms == {"A": se.Counts(succeeded=5)}


def test_it_runs_in_a_thread_beside_a_running_asyncio_program():
    """Another thread, an asyncio loop in this one: neither disturbs the other."""

    async def main():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        ticking = asyncio.create_task(tick())
        outcomes = await asyncio.to_thread(se.collect, [se.Platform("A", answer)], [se.Event("e")])
        ticking.cancel()
        return outcomes, ticks

    [outcome], ticks = asyncio.run(main())
    assert outcome.value == "e"
    assert ticks > 0


def test_signals_are_left_alone_in_other_threads():
    """A run in a thread of its own leaves the program's handlers as they are."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    seen = []

    async def look(_):
        seen.append((signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)))

    thread = threading.Thread(target=se.run, args=([se.Platform("A", look)], [se.Event(1)]))
    thread.start()
    thread.join()
    assert seen == [before]


async def test_in_a_trio_program_it_says_what_to_write_instead():
    """A trio run cannot be nested: the message names what can."""
    with pytest.raises(RuntimeError, match="await"):
        se.run([se.Platform("A", answer)], [])


def test_what_ends_the_program_ends_the_run_with_its_exit_code():
    """`SystemExit` of a scraper leaves `run` as it is."""

    async def leave(_):
        sys.exit(3)

    with pytest.raises(SystemExit) as caught:
        se.run([se.Platform("A", leave)], [se.Event(1)])
    assert caught.value.code == 3


def enqueued_in(url, count, **options):
    """Put events into a store, by their numbers."""

    async def main():
        async with se.open_store(url) as store:
            await se.Engine([se.Platform("A", answer)]).enqueue(store, map(se.Event, range(count)), **options)

    trio.run(main)


def jobs_in(url):
    """Count the jobs of a store."""

    async def main():
        async with se.open_store(url) as store:
            return (await store.stats())["A"], await store.undelivered("", 9, 0.1)

    return trio.run(main)


@pytest.mark.parametrize("sinks", [True, False])
def test_serve_does_what_is_due(tmp_path, sinks):
    """It opens the store, ends as it was told, and keeps nothing for anybody."""
    url, kept = f"sqlite:{tmp_path}/jobs.db", []

    async def keep(batch):
        kept.extend(batch)

    enqueued_in(url, 300)
    enqueued_in(url, 301, delay=1000)
    report = se.serve([se.Platform("A", answer)], url, until="idle", sinks=[keep] * sinks, buffer=10)
    stats, undelivered = jobs_in(url)
    assert (report.outcomes.succeeded, stats.done, stats.delayed, undelivered) == (300, 300, 1, [])
    assert len(kept) == 300 * sinks


def test_serve_takes_what_opens_a_store():
    """With options; or a store that needs no opening, whatever it is made of."""
    with pytest.raises(ValueError, match="recur"):
        se.serve([se.Platform("A", answer)], Recurring(), until="empty")
    report = se.serve([se.Platform("A", answer)], se.open_store("memory:", keep=5), until="empty")
    assert (report.tasks, report.stopped) == (0, None)


class Recurring:
    """A store in which something recurs, as far as anybody looks."""

    shared = False
    claim = complete = enqueue = None.__class__

    async def stats(self):
        """Count it."""
        return {"A": se.QueueStatistics(delayed=1, recurring=1)}


def test_serve_refuses_at_once_what_is_wrong():
    """Before a store is opened."""
    platforms = [se.Platform("A", answer)]
    with pytest.raises(ValueError, match="URL of a store"):
        se.serve(platforms, "jobs.db")
    with pytest.raises(ValueError, match="until="):
        se.serve(platforms, "memory:", until="done")
    with pytest.raises(ValueError, match="lease="):
        se.serve(platforms, "memory:", lease=0)
    with pytest.raises(TypeError, match="open_store"):
        se.serve(platforms, 7)
    with pytest.raises(TypeError, match="event_limt"):
        se.serve(platforms, "memory:", event_limt=7)


def test_what_a_test_framework_raises_in_a_served_scraper_leaves(tmp_path):
    """Nobody else could see it."""
    url = f"sqlite:{tmp_path}/jobs.db"

    async def fails(_):
        pytest.fail("not so")

    enqueued_in(url, 1)
    with pytest.raises(pytest.fail.Exception, match="not so"):
        se.serve([se.Platform("A", fails)], url, until="idle")


PROGRAM = textwrap.dedent("""
    import trio, scrapeengine as se

    async def scrape(task):
        print("started", flush=True)
        {wait}

    report = None
    try:
        report = se.run([se.Platform("A", scrape, limit=1)], map(se.Event, range(3)), signals="{signals}")
    except (KeyboardInterrupt, SystemExit) as error:
        print("raised", repr(error), error.outcomes, flush=True)
        report = error.report
        raise
    finally:
        print(report.stopped, report.outcomes.succeeded, report.outcomes.cancelled)
""")


def interrupted(wait, *signals, then="return"):
    """Run a program, send it signals once its first task runs, and return what it printed, and what it ended with."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(wait=wait, signals=then)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as program:
        assert program.stdout.readline() == "started\n"
        for number in signals:
            os.kill(program.pid, number)
        output = program.stdout.read()
        program.stderr.read()
    return output.split(), program.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_drains(number):
    """What runs may end; what waits is cancelled; the report says which signal it was."""
    assert interrupted("await trio.sleep(1)", number) == ([number.name, "1", "2"], 0)


def test_the_second_signal_cancels():
    """A task that would run for an hour is cancelled by the second signal."""
    assert interrupted("await trio.sleep(3600)", signal.SIGINT, signal.SIGTERM) == (["SIGINT", "0", "3"], 0)


RAISED = {
    signal.SIGINT: (["raised", "KeyboardInterrupt()", "None", "SIGINT", "1", "2"], -signal.SIGINT),
    signal.SIGTERM: (["raised", "SystemExit(143)", "None", "SIGTERM", "1", "2"], 143),
}


@pytest.mark.parametrize("number", RAISED)
def test_after_the_drain_the_signal_is_what_it_is_for(number):
    """All has ended, and what was done is on the exception, which leaves in no group: a loop around it ends too."""
    assert interrupted("await trio.sleep(1)", number, then="raise") == RAISED[number]


SERVER = textwrap.dedent("""
    import sys, trio, scrapeengine as se

    async def scrape(task):
        print("started", flush=True)
        {wait}

    report = None
    try:
        report = se.serve([se.Platform("A", scrape, limit=1)], sys.argv[1], lease=1000, signals="{signals}")
    except (KeyboardInterrupt, SystemExit) as error:
        print("raised", repr(error), error.outcomes, flush=True)
        report = error.report
        raise
    finally:
        if report is not None:
            print(report.stopped, report.outcomes.succeeded, report.returned, report.lost)
""")


def interrupted_server(folder, wait, *signals, then="raise", at_last=()):
    """As `interrupted`, of a program that serves a store with three jobs; and how they are left."""
    url = f"sqlite:{folder}/jobs.db"
    enqueued_in(url, 3)
    program = [sys.executable, "-c", SERVER.format(wait=wait, signals=then), url]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        assert server.stdout.readline() == "started\n"
        for number in signals:
            os.kill(server.pid, number)
        if len(signals) > 1:
            wait_until_default(server.pid, signal.SIGTERM)
            for number in at_last:
                os.kill(server.pid, number)
        output = server.stdout.read()
        server.stderr.read()
    stats, _ = jobs_in(url)
    return output.split(), server.returncode, (stats.ready, stats.leased, stats.done)


def wait_until_default(pid, number):
    """Wait until a process catches a signal no more, or is over."""
    until = time.monotonic() + 30
    with contextlib.suppress(OSError):
        while time.monotonic() < until:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            caught = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:")]
            if not caught or not caught[0] >> (number - 1) & 1:
                return
            time.sleep(0.01)


@pytest.mark.parametrize("number", RAISED)
@pytest.mark.parametrize("then", ["raise", "return"])
def test_a_signal_drains_a_server(tmp_path, number, then):
    """What runs may end; what was in hand is given back before it exits; the rest is as for `run`."""
    said, code, jobs = interrupted_server(tmp_path, "await trio.sleep(1)", number, then=then)
    assert said[-4:] == [number.name, "1", "1", "0"]
    assert said[:-4] == (RAISED[number][0][:3] if then == "raise" else [])
    assert code == (RAISED[number][1] if then == "raise" else 0)
    assert jobs == (2, 0, 1)


def test_the_second_signal_has_a_server_give_all_back(tmp_path):
    """A task that would run for an hour is cancelled, and its job is ready again."""
    said, code, jobs = interrupted_server(tmp_path, "await trio.sleep(3600)", signal.SIGINT, signal.SIGTERM)
    assert said == ["raised", "KeyboardInterrupt()", "None", "SIGINT", "0", "2", "0"]
    assert (code, jobs) == (-signal.SIGINT, (3, 0, 0))


def test_who_had_the_signals_has_them_again_after_the_run():
    """Also after two of them, from when on they are the system's."""
    numbers, seen = (signal.SIGINT, signal.SIGTERM), []

    async def scrape(_):
        for number in numbers:
            os.kill(os.getpid(), number)
        try:
            await trio.sleep_forever()
        finally:
            seen.extend(map(signal.getsignal, numbers))

    before = list(map(signal.getsignal, numbers))
    report = se.run([se.Platform("A", scrape)], [se.Event(1)], signals="return")
    assert (report.stopped, seen) == ("SIGINT", [signal.SIG_DFL] * 2)
    assert list(map(signal.getsignal, numbers)) == before


@pytest.mark.parametrize("third", [signal.SIGINT, signal.SIGTERM])
def test_the_third_signal_ends_a_server_at_once(tmp_path, third):
    """Whatever its scraper does; what it had in hand is free at once."""
    wait = "with trio.CancelScope(shield=True): await trio.sleep(3600)"
    both = signal.SIGINT, signal.SIGTERM
    said, code, jobs = interrupted_server(tmp_path, wait, *both, at_last=[third])
    assert (said, code) == ([], -third)
    assert jobs == (3, 0, 0)


def test_collect_has_its_outcomes_on_the_exception():
    """What was done before the signal is not lost by it."""

    async def scrape(task):
        if task.event.id == "1":
            os.kill(os.getpid(), signal.SIGINT)
            await trio.sleep(0.01)
        return task.event.id

    with pytest.raises(KeyboardInterrupt) as caught:
        se.collect([se.Platform("A", scrape, limit=1)], map(se.Event, range(5)))
    assert [outcome.event.id for outcome in caught.value.outcomes if isinstance(outcome, se.Success)] == ["0", "1"]
    assert caught.value.report.stopped == "SIGINT"


def test_signals_are_raised_or_returned_and_nothing_else():
    """Said at once."""
    with pytest.raises(ValueError, match='must be "raise" or "return"'):
        se.run([], [], default=se.Platform("*", nothing), signals="ignore")


async def nothing(_):
    """Do nothing."""
