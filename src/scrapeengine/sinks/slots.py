"""The files of one sink, each in the hand of one process: `out.jsonl`, `out.2.jsonl`, and so on.

    taken (its lock) ──> cut back to its position ──> write, sync ──> (acknowledged) ──> commit
                                                      ^              └─ lost: back ──┐            │
                                                      └──────────────────────────────┴────────────┤
                                                                 rotate: renamed, once that is acknowledged

What is behind the position is not there yet: it was written by who has died, or was not acknowledged. Whoever takes the
slot next cuts it off. All of this blocks, and is called in a thread.

A slot is of the store that has written it last: its lock's file holds a word, its owner, that only the position in that
store has too. Who finds another word there, or has none, cuts nothing off: all that is whole counts. So a position says
nothing of a file of that name in another folder, nor of one that another sink has gone on with; and a run without a
store, of which no position would know, leaves slots that have an owner alone.

A rotation is acknowledged before the file is ended (`endings`): renamed, say. Whether that was done is seen by the
file: it is still the one that the position names. The number of the last one, and what told it, are noted in the lock's
file before: who reads files may take them away, and no other one is to get the name of one of these.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

import attrs

from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import Position
from scrapeengine.model.urls import told
from scrapeengine.sinks.codecs import Codec
from scrapeengine.sinks.endings import Ending, sync_folder
from scrapeengine.sinks.naming import Layout
from scrapeengine.sinks.rows import Rows

__all__ = ["Format", "SlotFile", "SlotLock", "complete_others", "lock_slot", "take_slot"]

_MODE = 0o600
_MOST_SLOTS = 10_000
_LONGEST_OWNER = 16
_LONGEST_NOTE = 40
"""Bytes behind the owner: the number and the identity of the file that has come to its end last."""


class Mark(NamedTuple):
    """A position, as it is written down."""

    generation: int
    """The number of the file, from 1."""
    offset: int
    """How many bytes of it count."""
    renamed: int = 0
    """What tells the file of the generation before, where this one has just begun: it is to be ended."""
    size: int = 0
    """How many bytes of that count."""
    owner: str = ""
    """The word that tells whose the slot is."""

    @classmethod
    def of(cls, text: str) -> Mark:
        """Read one."""
        return cls(*json.loads(text))


@attrs.frozen
class Format:
    """What the files of a sink are."""

    codec: Codec
    rows: Callable[[], Rows]
    """Makes the rows of one slot."""
    ending: Ending


@attrs.frozen
class SlotLock:
    """A slot in hand."""

    slot: str
    _file: int

    def owner(self) -> str:
        """Return the word that tells which store has written it last; empty: none has."""
        return os.pread(self._file, _LONGEST_OWNER, 0).strip(b"\0").decode("ascii", "replace")

    def own(self, owner: str) -> None:
        """Keep whose it is."""
        os.pwrite(self._file, owner.encode("ascii"), 0)  # each is as long as the one before
        os.fsync(self._file)

    def noted(self) -> tuple[int, int]:
        """Return the number of the file that has come to its end last, and its identity; 0: none has."""
        try:
            number, identity = os.pread(self._file, _LONGEST_NOTE, _LONGEST_OWNER).split()
            return int(number), int(identity)
        except ValueError:  # there is no note
            return 0, 0

    def note(self, number: int, identity: int) -> None:
        """Keep that, on the disk."""
        os.pwrite(self._file, f"{number} {identity}".ljust(_LONGEST_NOTE).encode("ascii"), _LONGEST_OWNER)
        os.fsync(self._file)

    def free(self) -> None:
        """Let others have it."""
        os.close(self._file)


@attrs.frozen
class SlotNote:
    """What is noted of one number of a slot. Implements `endings.Note`."""

    _lock: SlotLock
    _number: int

    def identity(self) -> int:
        """See `Note`."""
        number, identity = self._lock.noted()
        return identity if number == self._number else 0

    def keep(self, identity: int) -> None:
        """See `Note`."""
        self._lock.note(self._number if identity else self._number - 1, identity)


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
    _format: Format
    _rows: Rows
    _file: int = attrs.field(default=-1, init=False)
    _mark: Mark = attrs.field(default=Mark(1, 0), init=False)
    """What counts."""
    _next: Mark = attrs.field(default=Mark(1, 0), init=False)
    """What will count, once what is written is acknowledged."""
    _rotates: bool = attrs.field(default=False, init=False)
    """Whether the file is still to be ended."""

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
        last = 0
        if known:
            self._mark = Mark.of(position or "")
            self._finish_rotation()
        elif not self._layout.replaces:
            noted, _ = self._lock.noted()
            last = self._layout.last(self.slot)
            self._format.ending.settle(*self._ended_as(noted or last))
            last = max(noted, last)
        self._open()
        if not known:
            whole = 0 if self._layout.replaces else self._format.codec.whole(self._file)
            self._mark = Mark(last + 1, whole, owner=os.urandom(_LONGEST_OWNER // 2).hex())
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

    @property
    def is_settled(self) -> bool:
        """Whether it is open, and all that is written counts."""
        return self._file >= 0 and self._next == self._mark

    def settle(self) -> None:
        """Cut off what was written and does not count, where it is open."""
        if self._file >= 0 and self._next != self._mark:
            self.back()

    def end(self) -> None:
        """Have the file end where it counts, once that is acknowledged."""
        if self._next != self._mark:
            self.back()
        self.turn()

    def add(self, outcomes: Collection[Outcome[Any]], now: float) -> None:
        """Write the rows of one flush behind what counts, and see that they are on the disk; `now` is the Unix time."""
        if self._rotates:
            self.rotate()
        if self._next != self._mark:
            self.back()
        data = self._rows.of(outcomes, now) if outcomes else b""
        part = self._format.codec.part(data) if data else b""
        at, rest = self._mark.offset, memoryview(part)
        self._next = self._mark._replace(offset=at + len(part), renamed=0, size=0)
        if not part:
            return
        try:
            while rest:
                written = os.pwrite(self._file, rest, at)
                at, rest = at + written, rest[written:]
            os.fsync(self._file)
        except OSError:
            self.back()  # what is told to have failed is not to be found there later
            raise

    def turn(self) -> None:
        """Have the file be at its end with what is written, once that is acknowledged."""
        os.fsync(self._file)  # a dead process may have written some of it
        end, identity = self._next, self._format.ending.identity(self._file)
        self._next = Mark(end.generation + 1, 0, identity, end.offset, end.owner)

    def commit(self) -> None:
        """Let what was written count: it is acknowledged."""
        self._rotates = self._next.generation != self._mark.generation
        self._mark = self._next

    def back(self) -> None:
        """Cut off what was written and does not count."""
        if not self._rotates:
            os.ftruncate(self._file, self._mark.offset)
            self._rows.begin(self._format.codec.head(self._file) if self._mark.offset else b"")
        self._next = self._mark  # only now: where that has failed it is done again before more is written

    def rotate(self) -> None:
        """End the file that is at its end, and begin another one. To do it again does no harm."""
        self._let_go()
        self._finish_rotation()
        self._open()
        self._rotates = False
        self._rows.begin(b"")

    def finish(self) -> None:
        """End the file that is at its end, and begin none: it is to be closed."""
        self._let_go()
        self._finish_rotation()
        self._rotates = False

    def close(self) -> None:
        """Let go of it. What is only read once it is at its end goes, where it is empty."""
        try:
            if self._format.ending.completes and self.is_settled and not os.fstat(self._file).st_size:
                os.unlink(self.path)  # noqa: PTH108 - paths are texts here
            self._let_go()
        finally:
            self._lock.free()

    def _let_go(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _open(self) -> None:
        self._let_go()
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _MODE)
        sync_folder(self._layout.folder)

    def _finish_rotation(self) -> None:
        """End the file of the generation before, if that was not done."""
        mark = self._mark
        if mark.renamed and not mark.offset:
            path, closed, note = self._ended_as(mark.generation - 1)
            self._format.ending.end(path, mark.renamed, mark.size, closed, note)

    def _ended_as(self, number: int) -> tuple[str, str, SlotNote]:
        """Return its path, its last name as the file of that number, and what is noted of that."""
        return self.path, self._layout.closed(self.slot, number), SlotNote(self._lock, number)


def complete_others(layout: Layout, kind: Format, slot: str) -> None:
    """End the files of other slots that nobody has, and that are no store's.

    Raises:
        OSError: it could not be done.
    """
    for other in layout.found():
        lock = lock_slot(layout, other) if other != slot else None
        if lock is None:
            continue
        file = SlotFile(layout, lock, kind, kind.rows())
        try:
            if not lock.owner():
                file.begin(None)
                if file.size:
                    file.end()
                    file.commit()
                file.finish()
        finally:
            file.close()
