"""What becomes of a file of a sink that is at its end: it gets another name, whole.

All of this blocks, and may be done again: by whoever goes on where somebody has died. Whoever reads files may take one
away as soon as it has that name, so what is not there may have been: it is noted beside it, first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

import attrs

from scrapeengine.model.urls import told

__all__ = ["Ending", "Note", "Renamed", "put_in_place", "stat_of", "sync_folder"]


class Note(Protocol):
    """Says of a last name whether a file was to get it, or another one since."""

    def identity(self) -> int:
        """Return what told that file from others; 0: none was."""
        ...

    def keep(self, identity: int) -> None:
        """Keep that a file is to get the name, on the disk; 0: that it does not, after all."""
        ...


class Ending(Protocol):
    """Ends files."""

    @property
    def completes(self) -> bool:
        """Whether only files that are at their end can be read: then each is ended that nobody goes on with."""
        ...

    def identity(self, file: int) -> int:
        """Return what tells an open file from any other that is at its path before or after it; 0: it is empty."""
        ...

    def settle(self, path: str, closed: str, note: Note) -> None:
        """Remove a file that was ended under a last name already, by who has died before it was removed."""
        ...

    def end(self, path: str, identity: int, size: int, closed: str, note: Note) -> None:
        """Give a file its last name, unless that was done, or another file is there by now.

        Args:
            path: where it is.
            identity: what it was told by.
            size: how many bytes of it count.
            closed: its last name.
            note: what is kept of that name.

        Raises:
            FileExistsError: another file is there.
            OSError: it could not be done.
        """
        ...


@attrs.frozen
class Renamed:
    """Files are renamed as they are. Implements `Ending`."""

    over: bool = False
    """Whether they take the place of what is there."""
    completes: bool = False

    def identity(self, file: int) -> int:
        """See `Ending`: its inode."""
        return os.fstat(file).st_ino

    def settle(self, path: str, closed: str, note: Note) -> None:
        """See `Ending`: a name is changed in one step."""

    def end(self, path: str, identity: int, size: int, closed: str, note: Note) -> None:
        """See `Ending`."""
        found, there = stat_of(path), stat_of(closed)
        # Where it was renamed, and that file is gone since, its number may be the new one's: but that is short.
        if found is None or found.st_ino != identity or found.st_size < size:
            return
        if not self.over and there is not None:
            if there.st_ino == identity:
                return
            raise FileExistsError(f"{told(closed)} is there, and {told(path)} was to get that name: move it away")
        os.truncate(path, size)
        if not self.over:
            note.keep(identity)  # so that no other one gets the name of this one once it is taken away
        put_in_place(path, closed)


def put_in_place(path: str, closed: str) -> None:
    """Give a file that is on the disk its last name, in place of what has that. It is on the disk too, then."""
    os.rename(path, closed)  # noqa: PTH104 - paths are texts here
    sync_folder(Path(closed).parent)


def sync_folder(folder: Path) -> None:
    """See that the names in a folder are on the disk."""
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def stat_of(path: str) -> os.stat_result | None:
    """Look at a file; None: it is not there."""
    try:
        return os.stat(path)  # noqa: PTH116 - as above
    except FileNotFoundError:
        return None
