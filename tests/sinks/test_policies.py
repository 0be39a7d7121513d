"""What becomes of what a sink refuses: the run ends, or it is tried again, or set aside; never is it lost."""

import datetime as dt
import errno
import json
import os
import stat
from pathlib import Path

import pytest
import trio

import scrapeengine as se
from scrapeengine.cli import main
from scrapeengine.model.sink import Position
from scrapeengine.sinks import slots
from scrapeengine.sinks.again import bring_in
from scrapeengine.sinks.aside import aside_of, set_aside
from support.rows import rows_of


async def scrape(task):
    """Return what the event says, after a second."""
    await trio.sleep(1)
    match task.event.data:
        case "fail":
            raise ValueError("no odds")
        case "skip":
            task.skip("nothing there")
    return task.event.data


def engine(**options):
    """Make an engine of one platform."""
    return se.Engine([se.Platform("A", scrape, limit=4)], **options)


class Refusing:
    """A sink that refuses some outcomes, and fails a number of times beside."""

    def __init__(self, refused=(), failures=0):
        self.refused = set(refused)
        self.failures = failures
        self.had = []
        self.calls = []

    async def __call__(self, outcomes):
        """Take all of a batch, or nothing."""
        self.calls.append(trio.current_time())
        if self.failures:
            self.failures -= 1
            raise OSError("the database is down")
        for outcome in outcomes:
            if outcome.event.id in self.refused:
                raise LookupError(f"no such column: {outcome.event.id}")
        self.had += outcomes


def read_aside(path):
    """List what was set aside in a file, but for a torn line."""
    return [aside_of(line, "it") for line in Path(path).read_bytes().split(b"\n")[:-1]]


def ids(outcomes):
    """List the ids, sorted."""
    return sorted(outcome.event.id for outcome in outcomes)


async def test_a_sink_that_fails_for_a_while_is_tried_again(autojump_clock):
    """With growing pauses; then it has all, once."""
    sink = Refusing(failures=4)
    report = await engine().run(map(se.Event, range(8)), sinks=[se.sinks.of(sink, on_error="retry", linger=0)])
    pauses = [round(after - before, 6) for before, after in zip(sink.calls, sink.calls[1:5], strict=False)]
    assert pauses == [0.1, 0.2, 0.4, 0.8]
    assert ids(sink.had) == sorted(map(str, range(8)))
    assert report.set_aside == {}
    assert report.ok()


async def test_a_sink_that_goes_on_failing_ends_the_run(autojump_clock):
    """Once its patience is over; nothing waits for longer."""
    sink = Refusing(failures=10**9)
    begun = trio.current_time()
    with pytest.raises(OSError, match="the database is down"):
        await engine().run(map(se.Event, range(8)), sinks=[se.sinks.of(sink, on_error="retry", patience=5, linger=0)])
    assert 3 <= trio.current_time() - begun <= 1 + 5


async def test_only_what_is_refused_is_set_aside(autojump_clock, tmp_path):
    """The others are written, whatever batch they came in; the report names the file, and is not ok."""
    file, sink = str(tmp_path / "refused.jsonl"), Refusing(refused={"3", "4", "11"})
    named = se.sinks.of(sink, name="odds", on_error="set aside", aside=file, patience=0)
    report = await engine().run([se.Event(each, data={"a": each}) for each in range(16)], sinks=[named])
    assert ids(sink.had) == ids(
        se.Success(event=se.Event(each), platform="A", value=0) for each in set(range(16)) - {3, 4, 11}
    )
    assert report.set_aside == {file: 3}
    assert f"3 outcomes were set aside in {file}" in str(report)
    assert not report.ok()
    aside = list(read_aside(file))
    assert [(each.sink, each.error) for each in aside] == [
        ("odds", f"LookupError: no such column: {each.outcome.event.id}") for each in aside
    ]
    assert sorted((each.outcome.event.id, each.outcome.value["a"]) for each in aside) == [
        ("11", 11),
        ("3", 3),
        ("4", 4),
    ]
    assert stat.S_IMODE((tmp_path / "refused.jsonl").stat().st_mode) == 0o600


async def test_any_outcome_can_be_set_aside(autojump_clock, tmp_path):
    """As a store would keep it; of what JSON does not have a word."""
    file, whole = str(tmp_path / "refused.jsonl"), object()
    events = [se.Event(number, data=data) for number, data in enumerate(["fail", "skip", b"\xff", whole, float("nan")])]
    sink = se.sinks.of(Refusing(refused=map(str, range(9))), on_error="set aside", aside=file, patience=0)
    async with engine().stream([*events, se.Event(5, data=1), se.Event(6, data=1)], sinks=[sink]) as run:
        await trio.sleep(1.5)
        await run.stop(grace=0)
        async for _ in run:
            pass
    found = {each.outcome.event.id: each.outcome for each in read_aside(file)}
    assert len(found) == 7
    kinds = {id: type(outcome).__name__ for id, outcome in found.items()}
    assert kinds == {"0": "Failure", "1": "Skipped", "2": "Success", "3": "Success"} | dict.fromkeys("456", "Cancelled")
    assert (str(found["0"].error), found["1"].reason) == ("no odds", "nothing there")
    assert (found["2"].value, found["3"].value) == (b"\xff", repr(whole))


async def test_what_was_set_aside_is_not_delivered_again(autojump_clock, tmp_path):
    """With a store it is acknowledged once it is in the file."""
    file, sink, later = str(tmp_path / "refused.jsonl"), Refusing(refused={"1"}), Refusing()
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, map(se.Event, range(4)))
        named = se.sinks.of(sink, name="odds", on_error="set aside", aside=file, patience=0)
        await engine().poll(store, sinks=[named])
        report = await engine().poll(store, sinks=[se.sinks.of(later, name="odds")])
    assert (ids(sink.had), later.had, report.redelivered) == (["0", "2", "3"], [], 0)


async def test_a_torn_line_is_cut_off_before_others_are_added(autojump_clock, tmp_path):
    """It was never said to be there."""
    file = tmp_path / "refused.jsonl"
    for number, sink in enumerate((Refusing({"0"}), Refusing({"0"}))):
        await engine().run(
            [se.Event(0, data=number)],
            sinks=[se.sinks.of(sink, on_error="set aside", aside=str(file), patience=0)],
        )
        file.write_bytes(file.read_bytes() + b'{"sink": "odds", "err')
    lines = file.read_text().split("\n")
    assert [json.loads(line)["id"] for line in lines[:2]] == ["0", "0"]
    assert [each.outcome.value for each in read_aside(str(file))] == [0, 1]


async def test_a_file_that_cannot_take_it_ends_the_run(autojump_clock, tmp_path):
    """Nothing is dropped: the error of the file leaves."""
    sink = se.sinks.of(Refusing({"0"}), on_error="set aside", aside=str(tmp_path / "none" / "x"), patience=0)
    with pytest.raises(FileNotFoundError):
        await engine().run([se.Event(0)], sinks=[sink])


async def put_aside(tmp_path, *numbers, name="odds"):
    """Set outcomes aside."""
    file = str(tmp_path / "refused.jsonl")
    sink = se.sinks.of(Refusing(map(str, numbers)), name=name, on_error="set aside", aside=file, patience=0)
    await engine().run([se.Event(number, data={"n": number}) for number in numbers], sinks=[sink])
    return file


async def test_what_was_set_aside_is_brought_in_again(autojump_clock, tmp_path):
    """Once; one that was set aside twice too, as by a crash. Then the file is gone."""
    file = await put_aside(tmp_path, 1, 2, 3)
    path = tmp_path / "refused.jsonl"
    path.write_bytes(path.read_bytes() * 2 + b'{"torn')
    sink = Refusing()
    assert await bring_in(file, se.sinks.of(sink, size=2), lambda: 0.0) == 3
    assert sorted((outcome.event.id, outcome.value["n"]) for outcome in sink.had) == [("1", 1), ("2", 2), ("3", 3)]
    assert not path.exists()


async def test_what_is_refused_again_stays(autojump_clock, tmp_path):
    """What the sink had before that is in it, and not in the file."""
    file = await put_aside(tmp_path, 1, 2, 3)
    third = read_aside(file)[2].outcome.event.id
    sink = Refusing({third})
    with pytest.raises(LookupError):
        await bring_in(file, se.sinks.of(sink, size=1), lambda: 0.0)
    assert len(sink.had) == 2
    assert ids(each.outcome for each in read_aside(file)) == [third]
    assert await bring_in(file, se.sinks.of(Refusing(), size=1), lambda: 0.0) == 1


async def test_of_several_sinks_one_is_meant(autojump_clock, tmp_path):
    """What the others have refused stays."""
    file = await put_aside(tmp_path, 1)
    await put_aside(tmp_path, 2, name="prices")
    sink = Refusing()
    with pytest.raises(ValueError, match=r"several sinks, odds, prices: say"):
        await bring_in(file, se.sinks.of(sink), lambda: 0.0)
    assert await bring_in(file, se.sinks.of(sink), lambda: 0.0, "prices") == 1
    assert (ids(sink.had), [each.sink for each in read_aside(file)]) == (["2"], ["odds"])


async def test_two_sinks_may_share_a_file_of_what_they_refuse(autojump_clock, tmp_path):
    """Each gets what it has refused itself, also where that is one and the same outcome."""
    file = await put_aside(tmp_path, 1)
    one, two = read_aside(file)[0].outcome, Refusing()
    path = tmp_path / "refused.jsonl"
    path.unlink()
    for name in ("odds", "prices"):
        await set_aside(file, name, one, ValueError("no"))
    assert await bring_in(file, se.sinks.of(two), lambda: 0.0, "prices") == 1
    assert [each.sink for each in read_aside(file)] == ["odds"]
    assert await bring_in(file, se.sinks.of(two), lambda: 0.0, "odds") == 1
    assert (ids(two.had), path.exists()) == (["1", "1"], False)


class Interrupted:
    """A sink that cancels a scope at a step of a batch, and does as another one otherwise."""

    def __init__(self, sink, scope, step):
        self._sink, self._scope, self._step = sink, scope, step

    def __getattr__(self, name):
        """Have what the sink has."""
        return getattr(self._sink, name)

    async def write(self, outcomes):
        """Write; cancel."""
        await self._sink.write(outcomes)
        if self._step == "write":
            self._scope.cancel()

    async def flush(self, acknowledge):
        """Flush; cancel."""
        await self._sink.flush(acknowledge)
        if self._step == "flush":
            self._scope.cancel()


@pytest.mark.parametrize(("step", "had"), [("write", 0), ("flush", 1)])
async def test_bringing_in_may_be_cancelled(autojump_clock, tmp_path, step, had):
    """Each outcome is in the sink or in the file then, and nobody has the sink in hand any more."""
    file = await put_aside(tmp_path, 1, 2, 3)
    out = tmp_path / "out.jsonl"
    with trio.CancelScope() as scope:
        await bring_in(file, Interrupted(se.sinks.open(str(out), size=1), scope, step), lambda: 0.0)
    assert (len(out.read_text().splitlines()), len(read_aside(file))) == (had, 3 - had)
    assert await bring_in(file, se.sinks.open(str(out)), lambda: 0.0) == 3 - had
    assert sorted(json.loads(line)["id"] for line in out.read_text().splitlines()) == ["1", "2", "3"]


async def test_bringing_in_says_that_a_sink_was_cut_off_while_it_closed(autojump_clock, tmp_path):
    """What it puts in place at its end may not be there."""
    file = await put_aside(tmp_path, 1)
    sink = Troubled(file, "", None)
    sink.close = trio.sleep_forever
    with pytest.raises(TimeoutError, match="'odds' took longer than 5 s to close"):
        await bring_in(file, sink, lambda: 0.0)


async def test_items_that_json_has_not_are_set_aside_as_words(autojump_clock, tmp_path):
    """As values are: so they do not end the run."""

    async def emits(task):
        for item in (1, [], {"at": dt.date(2026, 1, 2)}, float("nan"), {(1, 2): 3}):
            task.emit(item)

    file = str(tmp_path / "refused.jsonl")
    sink = se.sinks.of(Refusing({"1"}), on_error="set aside", aside=file, patience=0)
    report = await se.Engine([se.Platform("A", emits)]).run([se.Event(1)], sinks=[sink])
    assert report.set_aside == {file: 1}
    items = read_aside(file)[0].outcome.items
    assert items == (1, [], {"at": "datetime.date(2026, 1, 2)"}, "nan", "{(1, 2): 3}")


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize("call", ["pwrite", "fsync"])
async def test_what_is_set_aside_is_not_in_the_file(autojump_clock, monkeypatch, tmp_path, suffix, call):
    """Where a disk was full, in the middle of it, also without a store: else it is there twice in the end."""
    path, file = tmp_path / f"out{suffix}", str(tmp_path / "refused.jsonl")
    await engine().run([se.Event(1)], sinks=[se.sinks.open(str(path))])
    with monkeypatch.context() as patched:
        patched.setattr(slots, "os", FullDisk(call, path))
        sink = se.sinks.open(str(path), on_error="set aside", aside=file, patience=0)
        await engine().run([se.Event(2, data="x" * 500)], sinks=[sink])
    assert [row["id"] for row in rows_of(tmp_path)] == ["1"]
    assert await bring_in(file, se.sinks.open(str(path)), lambda: 0.0) == 1
    assert [row["id"] for row in rows_of(tmp_path)] == ["1", "2"]


class FullDisk:
    """Does as `os` does, but that writing a file fails once part of it is written, or syncing it."""

    def __init__(self, call, path):
        self._call, self._path, self._calls = call, path, 0

    def __getattr__(self, name):
        """Return a function."""
        return getattr(os, name)

    def pwrite(self, file, data, at):
        """Write part of it."""
        self._calls += 1
        if self._call == "pwrite" and not self._calls % 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return os.pwrite(file, data[:20] if self._call == "pwrite" else data, at)

    def fsync(self, file):
        """Fail, if that is the file."""
        if self._call == "fsync" and os.path.samestat(os.fstat(file), self._path.stat()):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(file)


def test_the_command_line_brings_it_in(tmp_path, capsys):
    """Into a file, by its name, or into a sink that a module has."""
    file = trio.run(put_aside, tmp_path, 1, 2)
    assert main(["deliver", file, "--into", str(tmp_path / "out.jsonl")]) == 0
    assert "2 outcomes" in capsys.readouterr().out
    assert sorted(json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()) == ["1", "2"]
    assert main(["deliver", file, "--into", str(tmp_path / "out.jsonl")]) == 1
    assert "refused.jsonl" in capsys.readouterr().err


def test_the_command_line_knows_sinks_of_modules(tmp_path, capsys, monkeypatch):
    """By the module and the name in it; what is none is said."""
    file = trio.run(put_aside, tmp_path, 1)
    (tmp_path / "its_sinks.py").write_text(
        "had = []\nasync def save(outcomes):\n    had.extend(outcomes)\nnumber = 1\n", "utf-8"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    for wrong in ("its_sinks:nothing", "no_such_module:save", "its_sinks:number", "out.txt"):
        assert main(["deliver", file, "--into", wrong]) == 1
        assert capsys.readouterr().err.startswith("scrapeengine deliver: ")
    assert main(["deliver", file, "--into", "its_sinks:save"]) == 0
    assert capsys.readouterr().out == "1 outcome brought in\n"


@pytest.mark.parametrize("line", [b"{}", b"[]", b"x", b'{"sink": 1}'])
def test_a_file_of_something_else_is_refused(line):
    """Where it says so, with the line."""
    with pytest.raises(ValueError, match=r"line 1 .* give the file"):
        aside_of(line, "line 1 of it")


@pytest.mark.parametrize(
    "wrong", [{"on_error": "ignore"}, {"on_error": "set aside"}, {"aside": "x"}, {"patience": -1}, {"size": 0.5}]
)
def test_policies_that_make_no_sense_are_refused(wrong):
    """With what to write."""
    with pytest.raises((TypeError, ValueError), match=r"a sink|what is set aside"):
        se.sinks.SinkPolicy(**wrong)


class Twice:
    """A sink that acknowledges twice what it has written."""

    name = "twice"
    policy = se.sinks.SinkPolicy(linger=0)

    def __init__(self):
        self.said = []

    async def open(self, run):
        """Ask for nothing."""

    async def recover(self):
        """Do nothing."""

    async def write(self, outcomes):
        """Write nothing."""

    async def flush(self, acknowledge):
        """Say it again."""
        for number in (1, 2):
            self.said.append(await acknowledge(Position("out", str(number))))

    async def close(self):
        """Do nothing."""


async def test_what_was_acknowledged_is_lost_to_who_says_it_again(autojump_clock):
    """So a sink that writes anew what it has had before learns of it."""
    sink = Twice()
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1)])
        await engine().poll(store, sinks=[sink])
        assert sink.said[:2] == [True, False]
        assert await store.positions("twice") == {"out": "1"}


async def test_what_a_sink_has_of_a_batch_that_ends_it_is_not_counted_as_undelivered(autojump_clock, tmp_path):
    """What it refuses cannot be set aside, for there is no such folder: that one is, and the others are not."""
    sink = Refusing(["7"])
    policy = {"on_error": "set aside", "patience": 0, "aside": str(tmp_path / "no" / "aside"), "size": 8, "linger": 5}
    run = engine().stream(map(se.Event, range(8)), sinks=[se.sinks.of(sink, **policy)])
    with pytest.raises(OSError, match="No such file"):
        async with run as running:
            await running.wait()
    assert 4 <= len(sink.had) < 8  # halves of a batch, up to the one that fails
    assert running.report.undelivered == 8 - len(sink.had)


async def test_what_will_pass_is_tried_again_by_any_policy(autojump_clock):
    """A sink that says so is given the batch again though it is to stop at an error; for as long as it has patience."""
    calls = []

    async def sink(outcomes):
        calls.append(trio.current_time())
        if len(calls) < 4:
            raise se.SinkUnavailable("the database is down")

    report = await engine().run([se.Event(1)], sinks=[se.sinks.of(sink, linger=0)])
    assert report.ok()
    assert [round(time - calls[0], 6) for time in calls] == [0, 0.1, 0.3, 0.7]
    calls.clear()
    with pytest.raises(se.SinkUnavailable):
        await engine().run([se.Event(1)], sinks=[se.sinks.of(sink, linger=0, patience=0.5)])
    assert len(calls) == 3


class Troubled:
    """A sink that raises an error at one of its steps, so many times, and refuses one outcome as well."""

    name = "odds"

    def __init__(self, file, step, error, times=10**9, refused=""):
        self.policy = se.sinks.SinkPolicy(on_error="set aside", aside=file, patience=5, size=8, linger=2)
        self._step, self._error, self._times, self._refused = step, error, times, refused
        self.had = []

    async def open(self, _run):
        """Raise, or do nothing."""
        self._pass("open")

    async def recover(self):
        """Raise, or do nothing."""
        self._pass("recover again" if self.had else "recover")

    async def write(self, outcomes):
        """Raise, or take all."""
        self._pass("write" if len(outcomes) == 8 else "write a part")
        if self._refused in ids(outcomes):
            raise LookupError("no such column")
        self.had += outcomes

    async def flush(self, acknowledge):
        """Have it acknowledged."""
        await acknowledge()

    async def close(self):
        """Do nothing."""

    def _pass(self, step):
        if step == self._step and self._times:
            self._times -= 1
            raise self._error


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ("write", se.SinkUnavailable("locked")),
        ("open", se.SinkUnavailable("down")),
        ("open", OSError("no such host")),
        ("recover", OSError("no such folder")),
        ("recover again", OSError("no such folder")),
    ],
)
async def test_what_says_nothing_of_outcomes_sets_none_aside(autojump_clock, tmp_path, step, error):
    """A database that is down, or cannot be opened, refuses no outcome: the run ends, and the store keeps them all."""
    file, sink, later = tmp_path / "refused.jsonl", Troubled(str(tmp_path / "refused.jsonl"), step, error), Refusing()
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, map(se.Event, range(16)))
        if "recover" in step:  # which is asked of it where outcomes are of an earlier run
            with pytest.raises(LookupError):
                await engine().poll(store, sinks=[se.sinks.of(Refusing("0"), name="odds", size=16, linger=9)])
        begun = trio.current_time()
        with pytest.raises(type(error)):
            await engine().poll(store, sinks=[sink])
        assert trio.current_time() - begun >= 3  # it was tried for as long as there was patience
        assert not file.exists()
        await engine().poll(store, sinks=[se.sinks.of(later, name="odds")])
    assert len(sink.had) == (8 if step == "recover again" else 0)
    assert ids(sink.had + later.had) == sorted(map(str, range(16)))


async def test_what_passes_while_a_batch_is_split_sets_nothing_good_aside(autojump_clock, tmp_path):
    """Each part is tried again, as the whole was, and only the outcome that is refused goes aside."""
    file = str(tmp_path / "refused.jsonl")
    sink = Troubled(file, "write a part", se.SinkUnavailable("a deadlock"), times=3, refused="3")
    report = await engine().run(map(se.Event, range(8)), sinks=[sink])
    assert report.set_aside == {file: 1}
    assert ids(each.outcome for each in read_aside(file)) == ["3"]
    assert ids(sink.had) == sorted(set("01234567") - {"3"})


async def test_what_goes_down_while_a_batch_is_split_ends_the_run(autojump_clock, tmp_path):
    """Nothing is set aside for that: what the sink has not had is counted, or kept by a store."""
    file = tmp_path / "refused.jsonl"
    sink = Troubled(str(file), "write a part", se.SinkUnavailable("down"), refused="0")
    with pytest.raises(se.SinkUnavailable):
        async with engine().stream(map(se.Event, range(8)), sinks=[sink]) as run:
            await run.wait()
    assert (file.exists(), sink.had, run.report.undelivered) == (False, [], 8)
