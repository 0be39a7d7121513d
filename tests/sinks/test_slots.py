"""Slots: what is behind a position is cut off, rotations are gone on with, and two never have one file."""

import errno
import os
from types import SimpleNamespace

import pytest
import trio

import scrapeengine as se
from scrapeengine.sinks import again, codecs, endings, lines, parquet, slots
from scrapeengine.sinks.naming import Layout
from support.rows import rows_of


async def scrape(task):
    """Return the id."""
    return task.event.id


def engine():
    """Make an engine."""
    return se.Engine([se.Platform("A", scrape)])


class Failing:
    """Does as `os` does, but for one call of a function that fails."""

    def __init__(self, name, number=1, error=errno.ENOSPC):
        self._name, self._left, self._error = name, number, error

    def __getattr__(self, name):
        """Return a function."""
        value = getattr(os, name)
        if name != self._name:
            return value

        def call(*args, **options):
            self._left -= 1
            if not self._left:
                raise OSError(self._error, os.strerror(self._error))
            return value(*args, **options)

        return call


def fail(monkeypatch, failing):
    """Have a call fail in all rooms that files are written in."""
    for room in (slots, endings, parquet):
        monkeypatch.setattr(room, "os", failing)


@pytest.mark.parametrize("name", ["pwrite", "fsync", "ftruncate", "rename", "truncate"])
@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.zst", ".csv", ".csv.gz"])
async def test_what_fails_once_is_done_again(monkeypatch, tmp_path, name, number, suffix):
    """A disk that is full for a moment costs nothing: each outcome is there once, with a store."""
    fail(monkeypatch, Failing(name, number))
    sink = se.sinks.open(str(tmp_path / f"out{suffix}"), size=3, linger=0, rotate_bytes=1, on_error="retry")
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, map(se.Event, range(9)))
        await engine().poll(store, sinks=[sink])
    assert sorted(row["id"] for row in rows_of(tmp_path)) == list(map(str, range(9)))


async def test_a_rotation_is_gone_on_with_by_the_next_run(monkeypatch, tmp_path):
    """It was acknowledged, and then the file could not be renamed."""
    sink = se.sinks.open(str(tmp_path / "out.jsonl"), rotate_bytes=1, linger=0)
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1)])
        with monkeypatch.context() as patched:
            fail(patched, Failing("rename", error=errno.EIO))
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                await engine().poll(store, sinks=[sink])
        assert [path.name for path in tmp_path.glob("out*")] == ["out.jsonl"]
        await engine().enqueue(store, [se.Event(2)])
        await engine().poll(store, sinks=[sink])
    names = {path.name: path.read_text().count("\n") for path in tmp_path.glob("out*")}
    assert names == {"out-000001.jsonl": 1, "out-000002.jsonl": 1, "out.jsonl": 0}


async def test_a_foreign_file_of_that_name_is_not_replaced(monkeypatch, tmp_path):
    """It says so; once it is moved away all goes on."""
    sink = se.sinks.open(str(tmp_path / "out.jsonl"), rotate_bytes=1, linger=0)
    foreign = tmp_path / "out-000001.jsonl"
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1)])
        with monkeypatch.context() as patched:
            fail(patched, Failing("rename", error=errno.EIO))
            with pytest.raises(OSError, match=os.strerror(errno.EIO)):
                await engine().poll(store, sinks=[sink])
        foreign.write_text("mine")
        await engine().enqueue(store, [se.Event(2)])
        with pytest.raises(FileExistsError, match="move it away"):
            await engine().poll(store, sinks=[sink])
        assert foreign.read_text() == "mine"
        foreign.unlink()
        await engine().poll(store, sinks=[sink])
    assert sorted(row["id"] for row in rows_of(tmp_path)) == ["1", "2"]


async def test_the_tails_of_the_dead_are_cut_off_by_whoever_has_their_outcomes(tmp_path):
    """Those of slots that nobody has; who lives keeps what it has not acknowledged yet."""
    layout = Layout(tmp_path, "out", ".jsonl")
    sink = se.sinks.open(str(tmp_path / "out.jsonl"))
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1)])
        await engine().poll(store, sinks=[sink])
        for number in (2, 3):
            path = tmp_path / f"out.{number}.jsonl"
            path.write_text('{"id": "x"}\n{"id": "tail"}\n')
            (tmp_path / f".{path.name}.lock").write_text("0123456789abcdef")
            await store.acknowledge(sink.name, [], slots.Position(path.name, '[1,12,0,0,"0123456789abcdef"]'))
        living = slots.lock_slot(layout, "out.3.jsonl")
        assert slots.lock_slot(layout, "out.3.jsonl") is None
        await engine().enqueue(store, [se.Event(2)])
        await engine().poll(store, sinks=[sink])
        assert (tmp_path / "out.2.jsonl").read_text() == '{"id": "x"}\n'
        assert "tail" in (tmp_path / "out.3.jsonl").read_text()
        living.free()
    assert sorted(row["id"] for row in rows_of(tmp_path)) == ["1", "2", "tail", "x", "x"]


async def test_a_folder_that_is_not_there_is_said(tmp_path):
    """It is the program's to make."""
    with pytest.raises(FileNotFoundError):
        await engine().run([se.Event(1)], sinks=[se.sinks.open(str(tmp_path / "none" / "out.jsonl"))])


def test_lines_that_cannot_be_added_are_not_there(monkeypatch, tmp_path):
    """Not in part, either."""
    path = str(tmp_path / "x")
    lines.add_lines(path, b"1\n")
    monkeypatch.setattr(lines, "os", Failing("fsync"))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        lines.add_lines(path, b"2\n")
    lines.add_lines(path, b"3\n")
    assert (tmp_path / "x").read_bytes() == b"1\n3\n"


def test_names_of_files_are_on_the_disk_too(monkeypatch, tmp_path):
    """Of one that was made, that was replaced, and that is gone: the folder is synced, and only then."""
    synced = []
    for room in (lines, endings, again):
        monkeypatch.setattr(room, "sync_folder", lambda folder, room=room: synced.append((room, folder)))
    path = str(tmp_path / "x")
    for _ in range(2):
        lines.add_lines(path, b"1\n")
    again._keep(path, b"1\n")
    again._keep(path, b"")
    assert synced == [(room, tmp_path) for room in (lines, endings, again)]


def test_a_long_torn_line_is_found(tmp_path):
    """Longer than a block."""
    (tmp_path / "x").write_bytes(b"1\n" + b"x" * 200_000)
    lines.add_lines(str(tmp_path / "x"), b"2\n")
    assert (tmp_path / "x").read_bytes() == b"1\n2\n"


def test_zstd_says_what_to_install(monkeypatch):
    """Where its library is not there."""

    def none(name):
        raise ImportError(name)

    monkeypatch.setattr(codecs, "importlib", SimpleNamespace(import_module=none))
    with pytest.raises(ImportError, match=r"pip install 'scrapeengine\[encodings\]'"):
        se.sinks.open("out.jsonl.zst")


def test_the_parts_say_what_they_are(tmp_path):
    """In their `repr`, and in what the package lists."""
    assert repr(se.sinks.open(str(tmp_path / "out.csv"))) == f"<FileSink {tmp_path}/out.csv>"
    assert {"of", "open", "where", "only", "mapped", "Sink", "SinkPolicy"} <= set(dir(se.sinks))
    with pytest.raises(AttributeError, match="nonsense"):
        _ = se.sinks.nonsense


async def served(store, events, *sinks):
    """Serve a store until it is empty."""
    await engine().enqueue(store, map(se.Event, events))
    await engine().poll(store, sinks=sinks)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv.gz"])
async def test_a_store_does_not_cut_off_what_was_added_without_it(tmp_path, suffix):
    """That goes into a slot of which no store knows; a later run of the store may go on with that one, too."""
    path = str(tmp_path / f"out{suffix}")
    async with se.open_store("memory:") as store:
        for number in (1, 3, 5):
            await served(store, [number], se.sinks.open(path))
            await engine().run([se.Event(number + 1)], sinks=[se.sinks.open(path)])
        held = slots.lock_slot(Layout(tmp_path, "out", suffix), f"out{suffix}")
        await served(store, [7], se.sinks.open(path))
        held.free()
        await engine().run([se.Event(8)], sinks=[se.sinks.open(path)])
        await served(store, [9], se.sinks.open(path))
    assert sorted(row["id"] for row in rows_of(tmp_path)) == list("123456789")
    assert {each.name for each in tmp_path.glob("out*")} == {f"out{part}{suffix}" for part in ("", ".2", ".3")}


async def test_a_position_is_not_of_a_file_of_that_name_elsewhere(tmp_path):
    """Two folders in turn, or two stores, or two sinks of one path, whichever is first: nothing is cut off."""
    for name in "ab":
        (tmp_path / name).mkdir()
    one, two = (str(tmp_path / name / "out.jsonl") for name in "ab")
    async with se.open_store("memory:") as store, se.open_store("memory:") as other:
        for first in range(0, 40, 10):
            await served(store, range(first, first + 1), se.sinks.open(one))
            await served(store, range(first + 1, first + 6), se.sinks.open(two))
            await served(other, range(first + 6, first + 8), se.sinks.open(one))
            await served(store, range(first + 8, first + 10), se.sinks.open(two, name="else"))
    rows = [row["id"] for name in "ab" for row in rows_of(tmp_path / name)]
    assert sorted(map(int, rows)) == list(range(40))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv.gz", ".parquet"])
async def test_numbers_do_not_begin_again_where_files_were_taken_away(tmp_path, suffix):
    """Who takes them away as they come would take the second file of a name for the first one."""
    found = []
    for number in range(3):
        sink = se.sinks.open(str(tmp_path / f"out{suffix}"), rotate_bytes=1)
        await engine().run([se.Event(number, data=number)], sinks=[sink])
        for path in tmp_path.glob("out-*"):
            found.append(path.name)
            path.unlink()
    assert found == [f"out-{number:06}{suffix}" for number in (1, 2, 3)]


async def test_two_files_of_one_name_are_refused(tmp_path):
    """Before anything runs: listed the other way round, each would have the position of the other. So is one twice."""
    one = se.sinks.open(str(tmp_path / "out.jsonl"))
    two = se.sinks.where(se.sinks.open(str(tmp_path / "else" / "out.jsonl")), se.sinks.only(se.Success))
    for sinks in ([one, two], [one, one], [se.sinks.where(one, bool), se.sinks.mapped(one, str)]):
        with pytest.raises(ValueError, match=r"name='…'\) with another name"):
            await engine().run([se.Event(1)], sinks=sinks)
    assert list(tmp_path.iterdir()) == []


async def test_a_file_is_of_one_run_at_a_time(tmp_path):
    """Another one is refused, and the first goes on with it; then it is free."""
    sink = se.sinks.open(str(tmp_path / "out.jsonl"), linger=0)

    async def source():
        yield se.Event(1)
        while not (tmp_path / "out.jsonl").exists() or not (tmp_path / "out.jsonl").stat().st_size:
            await trio.lowlevel.checkpoint()
        with pytest.raises(RuntimeError, match="one for each run"):
            await engine().run([se.Event(2)], sinks=[sink])
        yield se.Event(3)

    await engine().run(source(), sinks=[sink])
    await engine().run([se.Event(4)], sinks=[sink])
    assert [row["id"] for row in rows_of(tmp_path)] == ["1", "3", "4"]
