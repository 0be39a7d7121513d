"""Progress: in a terminal frames, elsewhere lines; the run goes on whatever becomes of them."""

import importlib.machinery
import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys
import types

import pytest
import rich.console
import trio

import scrapeengine as se
from scrapeengine.observe.gauge import Gauge
from support.world import World


class Terminal(io.StringIO):
    """A file that says that it is a terminal."""

    def isatty(self):
        """Say so."""
        return True


def engine_of(limit=2, **options):
    """Make an engine whose tasks take a second each."""
    world = World(default=[("request", 1, 200)])
    return world.engine([world.platform("A", limit=limit), world.platform("B", limit=limit)], **options)


EVENTS = [se.Event(n) for n in range(40)]


async def test_elsewhere_it_is_a_line_each_ten_seconds(autojump_clock):
    """Of how far it is, and by what it is as slow as it is; the last one says how it has ended."""
    file = io.StringIO()
    async with engine_of().stream(EVENTS) as run, se.observe.Progress(run, file=file):
        await run.wait()
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    words = r"\d+ of 80 tasks, [\d.]+ requests a second; about [\d.]+ s left, by the limit of [AB]; slowest now: [AB] "
    assert re.match(words, lines[0])
    assert re.fullmatch(r"80 of 80 tasks, [\d.]+ requests a second", lines[2])


async def test_in_a_terminal_it_is_drawn_in_its_place(autojump_clock, monkeypatch):
    """A frame each 0.2 s at most; what is printed or logged comes above, also by handlers that were there before."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    file, said = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    handler = logging.StreamHandler(said)
    logging.getLogger().addHandler(handler)
    try:
        async with engine_of().stream(EVENTS) as run, se.observe.Progress(run, file=file):
            await trio.sleep(1.5)
            assert handler.stream is not said
            logging.getLogger().warning("logged %s", "[bold]")
            print("printed", file=sys.stderr)
            await run.wait()
        assert handler.stream is said
        assert sys.stderr is said
    finally:
        logging.getLogger().removeHandler(handler)
    shown = file.getvalue()
    assert shown.count("platform") <= 5 * 20 + 5
    assert shown.count("platform") > 20
    for text in ("80 of 80 tasks", "slowest now: A", "by the limit of", "logged [bold]", "printed"):
        assert text in shown
    assert said.getvalue() == ""
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h") == 1  # the cursor is there again


def in_a_terminal(program, columns=80, stdout=None):
    """Run a program with a terminal of so many columns, and return what it has written there."""
    ours, its = pty.openpty()
    environment = os.environ | {"COLUMNS": str(columns), "LINES": "24", "TERM": "xterm-256color"}
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=its, stdout=stdout or its, stderr=its, env=environment
    )
    os.close(its)
    found = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # as Linux says that nobody has the other end any more
            break
        if not chunk:
            break
        found += chunk
    os.close(ours)
    assert process.wait(30) == 0, found.decode()
    return found.decode()


PROGRAM = """if True:
    import trio
    import scrapeengine as se
    async def scrape(task):
        await trio.sleep(0.02)
        print("printed", task.event.id)
    platforms = [se.Platform("a-platform-with-a-long-name.example", scrape, limit=2)]
    print(se.run(platforms, [se.Event(n) for n in range(30)], progress=True).outcomes.total)
"""


@pytest.mark.parametrize("columns", [80, 140])
def test_a_real_terminal(columns):
    """No line is longer than it, and nothing that is printed is lost."""
    shown = in_a_terminal(PROGRAM, columns)
    assert [f"printed {n}" in shown for n in range(30)] == [True] * 30
    assert "30 of 30 tasks" in shown
    assert shown.rstrip().endswith("30")


def test_what_is_printed_goes_where_it_is_meant_to(tmp_path):
    """Into a file as ever, while progress is in the terminal; and so it is for another terminal."""
    ours, its = pty.openpty()
    with (tmp_path / "out.jsonl").open("w") as file:
        shown = in_a_terminal(PROGRAM, stdout=file)
    assert sorted((tmp_path / "out.jsonl").read_text().splitlines(keepends=True)) == sorted(
        ["30\n", *(f"printed {n}\n" for n in range(30))]
    )
    assert "30 of 30 tasks" in shown
    assert "printed" not in shown
    shown = in_a_terminal(PROGRAM, stdout=its)
    assert "printed" not in shown
    assert os.read(ours, 1000).count(b"printed") == 30
    os.close(ours)
    os.close(its)


async def test_two_at_once_leave_logs_where_they_were(autojump_clock, monkeypatch):
    """Whichever ends first; a handler that the program moves meanwhile stays there."""
    monkeypatch.setenv("TERM", "xterm")
    said, elsewhere = Terminal(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", said)
    handlers = logging.StreamHandler(said), logging.StreamHandler(said)
    for handler in handlers:
        logging.getLogger().addHandler(handler)
    try:
        async with engine_of().stream([]) as run, trio.open_nursery() as nursery:
            for start, end in ((0, 2), (1, 3)):
                nursery.start_soon(show_from, run, start, end)
            await trio.sleep(1.5)
            handlers[1].setStream(elsewhere)
        assert [handler.stream for handler in handlers] == [said, elsewhere]
        assert sys.stderr is said
    finally:
        for handler in handlers:
            logging.getLogger().removeHandler(handler)


async def show_from(run, start, end):
    """Show progress from one instant to another."""
    await trio.sleep(start)
    async with se.observe.Progress(run):
        await trio.sleep(end - start)


async def test_a_body_that_fails_while_it_is_cancelled(autojump_clock):
    """Raises what it raises: to ask a store once more would raise a cancellation instead."""
    engine = engine_of()
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, EVENTS)
        with pytest.raises(ValueError, match="mine"), trio.CancelScope() as scope:
            async with engine.serve(store) as run, se.observe.Progress(run, file=io.StringIO()):
                await trio.sleep(0.1)
                scope.cancel()
                raise ValueError("mine")


NUMBERS = ("event_limit", "in_progress", "live", "buffered", "events", "running", "parked", "waiting")


class Interrupted:
    """A run of which it is asked what is pending until Ctrl-C is pressed, once that is cancelled."""

    def watch(self, instrument):
        """Take no note of it."""

    def statistics(self):
        """Say nothing."""
        return se.Statistics(**dict.fromkeys(NUMBERS, 0), platforms={}, outcomes={})

    async def pending(self):
        """Wait."""
        try:
            await trio.sleep_forever()
        finally:
            signal.raise_signal(signal.SIGINT)
            with trio.CancelScope(shield=True):
                for _ in range(10):  # until trio has handed it to its main task
                    await trio.lowlevel.checkpoint()


def test_an_interrupt_is_in_no_group():
    """Where it comes while progress waits for its task."""

    async def main():
        async with se.observe.Progress(Interrupted(), file=io.StringIO()):
            await trio.sleep(11)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def test_colours_by_force_make_no_terminal(autojump_clock, monkeypatch):
    """A pipe gets lines; and nothing that a site has put into an id reaches it, or a terminal, as an escape."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    for file in (io.StringIO(), Terminal()):
        event = se.Event("\x1b]0;title\x07\nline")
        async with engine_of().stream([event]) as run, se.observe.Progress(run, file=file):
            await trio.sleep(0.5)
        assert ("\x1b" in file.getvalue()) == file.isatty()
        assert "slowest now: A ?]0;title??line" in file.getvalue()


@pytest.mark.parametrize("file", ["progress.txt", 5, io.BytesIO()])
def test_what_is_no_file_for_text_is_refused(file):
    """Before it begins; so is an engine in the place of its run."""
    with pytest.raises(TypeError, match=r'written to, got .*; write file=open\("progress.txt", "w"\)'):
        se.observe.Progress(Interrupted(), file=file)
    with pytest.raises(TypeError, match=r"takes a run, got .*Engine.*; write `async with engine.stream"):
        se.observe.Progress(engine_of())


async def test_what_the_body_raises_leaves_as_it_is(autojump_clock):
    """In no group; and so does the cancellation of a scope around it."""
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as caught:
        async with engine_of().stream(EVENTS) as run, se.observe.Progress(run, file=io.StringIO()):
            raise error
    assert caught.value is error
    with trio.move_on_after(3) as scope:
        async with engine_of().stream(EVENTS) as run, se.observe.Progress(run, file=io.StringIO()):
            await run.wait()
    assert scope.cancelled_caught


async def test_what_cannot_begin_to_show_leaves_nothing_behind(monkeypatch):
    """No nursery that nobody closes, and stdout and stderr are where they were."""

    def fail(*_, **__):
        raise ZeroDivisionError("in a theme")

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("rich.console.Console.push_render_hook", fail)
    monkeypatch.setattr(sys, "stderr", Terminal())
    before = sys.stdout, sys.stderr
    async with engine_of().stream(EVENTS) as run:
        nurseries = trio.lowlevel.current_task().child_nurseries
        with pytest.raises(ZeroDivisionError):
            await se.observe.Progress(run).__aenter__()
        assert trio.lowlevel.current_task().child_nurseries == nurseries
        assert (sys.stdout, sys.stderr) == before
        await run.stop(0)


@pytest.mark.parametrize("terminal", [True, False])
async def test_a_terminal_that_is_gone_ends_no_run(terminal, autojump_clock, monkeypatch, caplog):
    """It is said in the log once, and once at the end."""
    monkeypatch.setenv("TERM", "xterm")
    file, said = Terminal() if terminal else io.StringIO(), Terminal()
    monkeypatch.setattr(sys, "stderr", said)
    async with engine_of().stream(EVENTS) as run, se.observe.Progress(run, file=file):
        await trio.sleep(1)
        file.close()
        report = await run.wait()
    assert report.outcomes.succeeded == 80
    assert "progress can't be shown" in caplog.text
    assert sys.stderr is said


async def test_a_store_has_a_total(autojump_clock, monkeypatch):
    """What is ready there, and what is delayed where the run waits for it; a store that fails has none."""
    engine = engine_of()
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, EVENTS[:10])
        await engine.enqueue(store, EVENTS[10:15], delay=100)
        async with engine.serve(store, until="empty") as run:
            assert sum((await run.pending()).values()) == 30
            file = io.StringIO()
            async with se.observe.Progress(run, file=file):
                await run.wait()
            assert sum((await run.pending()).values()) == 0
        async with engine.serve(store, until="idle") as run:

            async def fail():
                raise se.StoreError("it is down")

            monkeypatched, store_stats = run._session.backing._store, None
            del monkeypatched, store_stats
            await run.wait()
    assert " of 30 tasks" in file.getvalue()


async def test_a_source_says_how_much_it_has(autojump_clock):
    """By its length, if it has one, and as far as that was true."""

    class Less(list):
        def __len__(self):
            return 3

    for events, first in ((EVENTS, 40), (iter(EVENTS), None), (Less(EVENTS), 3)):
        async with engine_of(lookahead=1).stream(events) as run:
            assert await run.pending() == (None if first is None else {"": first})
            await run.wait()
            assert await run.pending() == {"": 0}


async def test_the_gauge_measures_hosts_together(autojump_clock):
    """Under the default's name, and knows rates that are tuned."""
    world, gauge = World(default=[("request", 1, 200)]), Gauge()
    engine = world.engine([world.platform("A", rate=se.Rate(4))], default=world.platform("*"))
    events = [se.Event(url=f"http://h{n}.test/") for n in range(3)] + [se.Event(1, platforms=["A"])]
    async with engine.stream(events, instruments=[gauge]) as run:
        await trio.sleep(0.5)
        engine.tune("A", rate=se.Rate(10))
        assert [task for _, task, _ in gauge.slowest(trio.current_time(), 2)] == ["http://h0.test/", "http://h1.test/"]
        await run.wait()
    found = gauge.gauged(trio.current_time())
    assert sorted(found) == ["*", "A"]
    assert (found["A"].interval, found["*"].requests, found["*"].mean) == (0.1, 1.0, 1.0)
    assert repr(gauge) == "<Gauge of 2 platforms>"


def test_programs_ask_for_it_by_a_word(capsys):
    """As `run`, `collect`, `serve` and `Engine.run` take it; anything else than a bool is refused before they begin."""

    async def scrape(task):
        return 1

    platforms, events = [se.Platform("A", scrape)], [se.Event(n) for n in range(3)]
    se.run(platforms, events, progress=True)
    assert len(se.collect(platforms, events, progress=True)) == 3
    se.serve(platforms, "memory:", until="idle", progress=True)
    trio.run(lambda: se.Engine(platforms).run(events, progress=True))
    assert capsys.readouterr().err.count("3 of 3 tasks") == 3  # of the store there is nothing
    with pytest.raises(TypeError, match="progress=… must be True or False, got str; write progress=True"):
        se.run(platforms, events, progress="yes")


def test_without_rich_it_says_what_to_install(monkeypatch):
    """Before the run begins; and a plain run does not import what draws with it."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "rich"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "rich", None)
    with pytest.raises(ImportError, match=r"pip install 'scrapeengine\[progress\]'"):
        se.run([se.Platform("A", World().scrape)], [], progress=True)
    program = """if True:
        import sys
        import scrapeengine as se
        async def scrape(task): return 1
        se.run([se.Platform("A", scrape)], [se.Event(1)])
        assert not {"rich.live", "scrapeengine.observe.progress", "scrapeengine.decide.progress"} & set(sys.modules)
    """
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


class Output:
    """What ipywidgets shows things in: one place, which is emptied before the next thing."""

    def __init__(self):
        self.shown = []

    def clear_output(self, *, wait):
        """Empty it."""
        assert wait

    def __enter__(self):
        """Show what comes in it."""
        here.append(self)

    def __exit__(self, *_):
        """Show it elsewhere again."""
        here.pop()


here = []
"""The outputs that things are shown in."""


@pytest.mark.parametrize("widgets", [True, False])
async def test_a_notebook_shows_it(widgets, autojump_clock, monkeypatch):
    """In one place that is replaced, where ipywidgets are there; else it is lines, each ten seconds."""
    monkeypatch.setattr(rich.console, "_is_jupyter", lambda: True)
    modules = {name: types.ModuleType(name) for name in ("IPython", "IPython.display", "ipywidgets")}
    shown = []
    modules["IPython.display"].display = shown.append
    modules["ipywidgets"].Output = Output
    modules["ipywidgets"].__spec__ = importlib.machinery.ModuleSpec("ipywidgets", None)
    for name, module in modules.items():
        if widgets or name != "ipywidgets":
            monkeypatch.setitem(sys.modules, name, module)
    file = io.StringIO()
    async with engine_of().stream(EVENTS) as run, se.observe.Progress(run), se.observe.Progress(run, file=file):
        await run.wait()
    assert len(file.getvalue().splitlines()) == 3
    pages = [each.html for each in shown if hasattr(each, "html")]
    assert len(pages) > 50 if widgets else len(pages) == 3
    assert len([each for each in shown if isinstance(each, Output)]) == widgets
    assert "80 of 80 tasks" in pages[-1] or "80 of 80 tasks" in pages[-2]
    assert not here
