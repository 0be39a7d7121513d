"""Slots: what is behind a position is cut off, rotations are gone on with, and two never have one file."""

import errno
import os
from types import SimpleNamespace

import pytest

import scrapeengine as se
from scrapeengine.sinks import codecs, lines, slots
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


@pytest.mark.parametrize("name", ["pwrite", "fsync", "ftruncate", "rename", "truncate"])
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_what_fails_once_is_done_again(monkeypatch, tmp_path, name, number):
    """A disk that is full for a moment costs nothing: each outcome is there once, with a store."""
    monkeypatch.setattr(slots, "os", Failing(name, number))
    sink = se.sinks.open(str(tmp_path / "out.jsonl"), size=3, linger=0, rotate_bytes=1, on_error="retry")
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
            patched.setattr(slots, "os", Failing("rename", error=errno.EIO))
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
            patched.setattr(slots, "os", Failing("rename", error=errno.EIO))
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
    layout = slots.Layout(tmp_path, "out", ".jsonl")
    sink = se.sinks.open(str(tmp_path / "out.jsonl"))
    async with se.open_store("memory:") as store:
        await engine().enqueue(store, [se.Event(1)])
        await engine().poll(store, sinks=[sink])
        for number in (2, 3):
            path = tmp_path / f"out.{number}.jsonl"
            path.write_text('{"id": "x"}\n{"id": "tail"}\n')
            await store.acknowledge(sink.name, [], slots.Position(path.name, "[1,12]"))
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
