"""The files of one sink, each in the hand of one process: `out.jsonl`, `out.2.jsonl`, and so on.

    taken (its lock) ──> cut back to its position ──> write ──> sync ──> (acknowledged) ──> commit
                                                        ^         └─ lost: back ──┐            │
                                                        └──────────────────────────┴───────────┤
                                                              rotate: renamed, once that is acknowledged

What is behind the position is not there yet: it was written by who has died, or was not acknowledged. Whoever takes the
slot next cuts it off. All of this blocks, and is called in a thread.

A slot is of the store that has written it last: its lock's file holds a word, its owner, that only the position in that
store has too. Who finds another word there, or has none, cuts nothing off: all that is whole counts. So a position says
nothing of a file of that name in another folder, nor of one that another sink has gone on with; and a run without a
store, of which no position would know, leaves slots that have an owner alone.

A rotation is acknowledged before the file is renamed. Whether that was done is seen by the file: it is still the one
that the position names.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import Position
from scrapeengine.model.urls import told
from scrapeengine.sinks.codecs import Codec
from scrapeengine.sinks.rows import Rows

__all__ = ["Layout", "SlotFile", "SlotLock", "lock_slot", "take_slot"]

_MODE = 0o600
_MOST_SLOTS = 10_000
_LONGEST_OWNER = 16


class Mark(NamedTuple):
    """A position, as it is written down."""

    generation: int
    """The number of the file, from 1."""
    offset: int
    """How many bytes of it count."""
    renamed: int = 0
    """The inode of the file of the generation before, where this one has just begun: it is to be renamed."""
    size: int = 0
    """How many bytes of that count."""
    owner: str = ""
    """The word that tells whose the slot is."""

    @classmethod
    def of(cls, text: str) -> Mark:
        """Read one."""
        return cls(*json.loads(text))


@attrs.frozen
class Layout:
    """How the files of a sink are called."""

    folder: Path
    stem: str
    suffix: str
    """What they end with: ".jsonl.gz"."""

    def slot(self, number: int) -> str:
        """Name a slot."""
        return f"{self.stem}{self.suffix}" if number == 1 else f"{self.stem}.{number}{self.suffix}"

    def path(self, slot: str) -> str:
        """Return the path of a slot's file."""
        return str(self.folder / slot)

    def closed(self, slot: str, generation: int) -> str:
        """Return the path that the file of a generation has once the next one has begun."""
        return str(self.folder / f"{slot.removesuffix(self.suffix)}-{generation:06}{self.suffix}")


@attrs.frozen
class SlotLock:
    """A slot in hand."""

    slot: str
    _file: int

    def owner(self) -> str:
        """Return the word that tells which store has written it last; empty: none has."""
        return os.pread(self._file, _LONGEST_OWNER, 0).decode("ascii", "replace")

    def own(self, owner: str) -> None:
        """Keep whose it is."""
        os.pwrite(self._file, owner.encode("ascii"), 0)  # each is as long as the one before
        os.fsync(self._file)

    def free(self) -> None:
        """Let others have it."""
        os.close(self._file)


def take_slot(layout: Layout, *, keeps: bool) -> SlotLock:
    """Take the first slot that no process has.

    Args:
        layout: how the files are called.
        keeps: whether there is a store; without one only slots are taken that are no store's: what is added to others
            does not count there, and would be cut off.

    Raises:
        OSError: the folder is not there, or not to be written to.
    """
    for number in range(1, _MOST_SLOTS + 1):
        found = lock_slot(layout, layout.slot(number))
        if found is not None and (keeps or not found.owner()):
            return found
        if found is not None:
            found.free()
    raise OSError(f"{_MOST_SLOTS} processes write {told(layout.path(layout.slot(1)))}: give each a file of its own")


def lock_slot(layout: Layout, slot: str) -> SlotLock | None:
    """Take a slot; None: another process has it."""
    file = os.open(layout.folder / f".{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return SlotLock(slot, file)


@attrs.define(eq=False)
class SlotFile:
    """The file of a slot that is in hand.

    Size: 8 attributes: what it is, and how far it has come.
    """

    _layout: Layout
    _lock: SlotLock
    _codec: Codec
    _rows: Rows
    _file: int = attrs.field(default=-1, init=False)
    _mark: Mark = attrs.field(default=Mark(1, 0), init=False)
    """What counts."""
    _next: Mark = attrs.field(default=Mark(1, 0), init=False)
    """What will count, once what is written is acknowledged."""
    _rotates: bool = attrs.field(default=False, init=False)
    """Whether the file is still to be renamed."""

    @property
    def slot(self) -> str:
        """Its name."""
        return self._lock.slot

    @property
    def path(self) -> str:
        """Where it is."""
        return self._layout.path(self.slot)

    @property
    def size(self) -> int:
        """How many bytes of it are written."""
        return self._next.offset

    def begin(self, position: str | None) -> Position:
        """Open it, and cut off what does not count.

        Args:
            position: how far it has come; None, or one that is not of this file: all that is whole counts.

        Returns:
            The position.

        Raises:
            OSError: it cannot be opened.
            ValueError: it is shorter than it should be.
        """
        known = position is not None and self.is_of(position)
        if known:
            self._mark = Mark.of(position or "")
            self._finish_rotation()
        self._open()
        if not known:
            self._mark = Mark(self._free_generation(), self._codec.whole(self._file))
            self._mark = self._mark._replace(owner=os.urandom(_LONGEST_OWNER // 2).hex())
        size = os.fstat(self._file).st_size
        if size < self._mark.offset and size > 0:
            raise ValueError(
                f"{told(self.path)} has {size:,} bytes, and a store knows of {self._mark.offset:,}: put it back, or "
                "move it away to begin another one"
            )
        if size == 0:  # moved away, or never there: another one begins
            self._mark = self._mark._replace(offset=0)
        self.back()
        return self.position

    def is_of(self, position: str) -> bool:
        """Say whether a position is of this file: it was the last that anybody has kept of it."""
        owner = Mark.of(position).owner
        return bool(owner) and owner == self._lock.owner()

    def own(self) -> None:
        """Let its position count for whoever opens it next, once that is kept."""
        if self._lock.owner() != self._mark.owner:
            self._lock.own(self._mark.owner)

    @property
    def position(self) -> Position:
        """How far it will have come, once that is acknowledged."""
        return Position(self.slot, json.dumps(self._next, separators=(",", ":")))

    def fits(self, outcomes: Collection[Outcome[Any]]) -> bool:
        """Say whether outcomes can go into the file of now; else it is to end, and another one to begin."""
        return self._rotates or self._rows.fits(outcomes)

    def end(self) -> None:
        """Have the file end where it counts, once that is acknowledged."""
        if self._next != self._mark:
            self.back()
        self.sync(rotate=True)

    def add(self, outcomes: Collection[Outcome[Any]], now: float) -> None:
        """Write the rows of one flush, behind what counts; `now` is the Unix time."""
        if self._rotates:
            self.rotate()
        if self._next != self._mark:
            self.back()
        data = self._rows.of(outcomes, now) if outcomes else b""
        part = self._codec.part(data) if data else b""
        at, rest = self._mark.offset, memoryview(part)
        self._next = self._mark._replace(offset=at + len(part), renamed=0, size=0)
        try:
            while rest:
                written = os.pwrite(self._file, rest, at)
                at, rest = at + written, rest[written:]
        except OSError:
            self.back()
            raise

    def sync(self, *, rotate: bool) -> None:
        """See that what was written is on the disk; whether the file is at its end with that."""
        try:
            os.fsync(self._file)
        except OSError:
            self.back()  # what is told to have failed is not to be found there later
            raise
        if rotate:
            end = self._next
            self._next = Mark(end.generation + 1, 0, os.fstat(self._file).st_ino, end.offset, end.owner)

    def commit(self) -> None:
        """Let what was written count: it is acknowledged."""
        self._rotates = self._next.generation != self._mark.generation
        self._mark = self._next

    def back(self) -> None:
        """Cut off what was written and does not count."""
        if not self._rotates:
            os.ftruncate(self._file, self._mark.offset)
            self._rows.begin(self._codec.head(self._file) if self._mark.offset else b"")
        self._next = self._mark  # only now: where that has failed it is done again before more is written

    def rotate(self) -> None:
        """Rename the file that is at its end, and begin another one. To do it again does no harm."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._finish_rotation()
        self._open()
        self._rotates = False
        self._rows.begin(b"")

    def close(self, *, cut: bool = False) -> None:
        """Let go of it; whether what does not count is cut off before."""
        try:
            if cut and self._file >= 0 and self._next != self._mark:
                self.back()
        finally:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            self._lock.free()

    def _open(self) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        _sync_folder(self._layout.folder)

    def _finish_rotation(self) -> None:
        """Rename the file of the generation before, if that was not done."""
        mark = self._mark
        if not mark.renamed or mark.offset:
            return
        closed = self._layout.closed(self.slot, mark.generation - 1)
        found, there = _stat(self.path), _stat(closed)
        # Where it was renamed, and that file is gone since, its number may be the new one's: but that is short.
        if found is None or found.st_ino != mark.renamed or found.st_size < mark.size:
            return
        if there is not None and there.st_ino == mark.renamed:
            return
        if there is not None:
            raise FileExistsError(f"{told(closed)} is there, and {told(self.path)} was to get that name: move it away")
        os.truncate(self.path, mark.size)
        os.rename(self.path, closed)  # noqa: PTH104 - paths are texts here
        _sync_folder(self._layout.folder)

    def _free_generation(self) -> int:
        """Return the number of the generation behind all whose files are there."""
        stem = self.slot.removesuffix(self._layout.suffix)
        found = [0]
        for name in os.listdir(self._layout.folder):  # noqa: PTH208 - as above
            number = name.removeprefix(f"{stem}-").removesuffix(self._layout.suffix)
            if number.isdecimal() and name == f"{stem}-{number}{self._layout.suffix}":
                found.append(int(number))
        return max(found) + 1


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - as above
    except FileNotFoundError:
        return None


def _sync_folder(folder: Path) -> None:
    """See that the names in a folder are on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
