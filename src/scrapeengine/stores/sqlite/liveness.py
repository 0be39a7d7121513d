"""Whether those who have a file open still live: a small file for each opening, which its process keeps locked.

    jobs.db-live/0123…ef         empty, held by BEGIN EXCLUSIVE: the system lets go of it with the process
    jobs.db-live/0123…ef.runs    whose scrapers run there (`starts`)

The number of an opening is the name of its file, and stands in the table `openings`, and with all that is taken through
it. Who finds that nobody holds a file frees all that (`rules.deaths`), and then removes the files.

Invariants:

- A number stands in the table only once its file is locked. So one that stands there and is not locked is of a process
  that is dead, or has left and will have struck it out by the time that anybody can write.
- Numbers are drawn out of 2**62, and none is used twice: a file that was found unlocked is never locked again.
- All of it happens in the connection's thread. What only reads, or enqueues, has no file.

What cannot be seen costs a lease's time and nothing more: a folder that cannot be written to, a file of another user, a
file that somebody has removed. Then nobody is taken for dead who may live.

Rejected: process ids, which say nothing in another container on the same volume; `flock` and locks of an open file
description, which a forked child keeps; `lockf`, which is gone when any descriptor of the file is closed.
"""

from __future__ import annotations

import math
import os
import random
import stat
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from scrapeengine.stores.rules.tables import Death
from scrapeengine.stores.sqlite.driver import fetch, has_moved, hold, is_foreign, is_held
from scrapeengine.stores.sqlite.starts import StartsFile, tokens_in

if TYPE_CHECKING:
    from apsw import Connection

__all__ = ["Liveness"]

_APART = 0.5
"""Seconds between two looks at the files of others at least."""
_SOON = 0.05
"""The same for who is refused what others hold."""
_YOUNG = 60.0
"""Seconds for which a file in no table may be one that is being made."""
_TRIES = 5
_RUNS = ".runs"


class Liveness:
    """One opening of a file, for others to see that it lives, and its view of others.

    Args:
        path: of the file of the store.
    """

    def __init__(self, path: str) -> None:
        self.number: int | None = None
        """The number of the opening; None: it has taken nothing, or cannot be seen."""
        self.stored = False
        """Whether the number is in the table."""
        self.began: float | None = None
        """When the opening began; None: it has made no transaction."""
        self.starts = StartsFile()
        self._path = os.path.realpath(path)
        self._folder = f"{self._path}-live"
        self._lock: Connection | None = None
        self._able = True
        self._looked: float | None = None

    def enter(self, db: Connection) -> int | None:
        """Return the number of this opening, for what it takes now; its file is there from the first time on."""
        if self.number is None and self._able:
            try:
                self._make()
            except Exception as error:
                if not (is_foreign(error) or isinstance(error, OSError)):
                    raise
                self._able = False
            else:
                self._clear(number for (number,) in fetch(db, "SELECT number FROM openings"))
        return self.number

    def look(self, db: Connection, now: float, *, soon: bool = False) -> list[Death]:
        """Look who has died, unless that was done a moment ago.

        Args:
            db: the connection.
            now: the time by any clock that goes on while the file is open.
            soon: whether somebody waits for what others hold.
        """
        if self._looked is not None and 0 <= now - self._looked < (_SOON if soon else _APART):
            return []
        self._looked = now
        numbers = {number for (number,) in fetch(db, "SELECT number FROM openings")}
        if self.stored and self.number not in numbers:
            self._drop()  # somebody has removed the file: what was taken under this number is for its lease
        return [
            Death(number, tokens_in(self._file(number) + _RUNS))
            for number in sorted(numbers)
            if number != self.number and not is_held(self._file(number))
        ]

    def bury(self, deaths: Iterable[Death]) -> None:
        """Remove the files of those who are in the table no more."""
        for death in deaths:
            self._remove(death.opening)

    def leave(self, db: Connection) -> None:
        """Strike this opening out, and remove its files. What it has not given back is for its lease.

        If others keep the file of the store locked, they find that it has gone, and free what it held.
        """
        if self.number is not None:
            try:
                if self.stored:
                    db.execute("DELETE FROM openings WHERE number = ?", (self.number,))
            except Exception as error:
                if not is_foreign(error):
                    raise
            self._drop()
        with suppress(OSError):
            os.rmdir(self._folder)  # noqa: PTH106 - as all paths here

    def _make(self) -> None:
        """Make the file of this opening, and lock it.

        Raises:
            OSError, apsw.Error: it cannot be done here.
        """
        like = os.stat(self._path)  # noqa: PTH116
        mode = stat.S_IMODE(like.st_mode)
        for _ in range(_TRIES):
            number = random.SystemRandom().randrange(1, 2**62)
            file = self._file(number)
            try:
                with suppress(FileExistsError):
                    os.mkdir(self._folder, mode | (mode & 0o444) >> 2)  # noqa: PTH102
                    _give(self._folder, like)
                # Nobody else knows the name, so no lock is lost by closing it.
                os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, mode))
            except FileNotFoundError:
                continue  # the last of those who were there has taken the folder with it
            _give(file, like)
            lock = hold(file)
            if has_moved(lock):
                lock.close()
                continue
            self.number, self._lock = number, lock
            with suppress(OSError):  # without it no death counts, and all else goes on
                self.starts.open(file + _RUNS, mode)
                _give(file + _RUNS, like)
            return
        raise FileNotFoundError(self._folder)

    def _clear(self, numbers: Iterable[int]) -> None:
        """Remove files that are in no table: their processes have died before they had written that down, or after."""
        known = {f"{number:016x}" for number in (*numbers, self.number or 0)}
        now = _written(self._file(self.number or 0))  # by the clock of the disk, as the times of the others are
        for name in os.listdir(self._folder):  # noqa: PTH208
            path = f"{self._folder}/{name.removesuffix(_RUNS)}"
            if name.removesuffix(_RUNS) in known or now - _written(f"{self._folder}/{name}") <= _YOUNG:
                continue
            if not is_held(path):
                _unlink([path, path + _RUNS])

    def _drop(self) -> None:
        number, lock = self.number, self._lock
        self.number, self._lock, self.stored = None, None, False
        if lock is not None:
            lock.close()
        if number is not None:
            self._remove(number)

    def _remove(self, number: int) -> None:
        _unlink([self._file(number), self._file(number) + _RUNS])

    def _file(self, number: int) -> str:
        return f"{self._folder}/{number:016x}"


def _give(path: str, like: os.stat_result) -> None:
    """Give a file of root's to whose the store is, as SQLite does with its own."""
    if getattr(os, "geteuid", lambda: -1)() == 0:
        with suppress(OSError):
            os.chown(path, like.st_uid, like.st_gid)


def _written(path: str) -> float:
    """Return when a file was written last, in seconds since 1970; never if it is gone."""
    try:
        return os.stat(path).st_mtime  # noqa: PTH116
    except OSError:
        return math.inf


def _unlink(paths: Collection[str]) -> None:
    for path in paths:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
