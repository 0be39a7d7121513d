"""The one border to apsw: how a connection is made, and what its errors are called here."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from scrapeengine.errors import StoreBusy, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from apsw import Connection, Cursor

apsw: Any
try:
    import apsw  # type: ignore[no-redef, unused-ignore]
    import apsw.aio  # type: ignore[no-redef, unused-ignore]
except ImportError:
    apsw = None

__all__ = [
    "ThreadedConnection",
    "connect",
    "fetch",
    "has_moved",
    "hold",
    "is_busy",
    "is_foreign",
    "is_held",
    "require",
    "translated",
]

P = ParamSpec("P")
T = TypeVar("T")
_STATEMENTS = 400
"""The statements that are kept prepared. A hundred are in use, but apsw puts each one back in another place than it was
in, place after place, and drops what stands there."""
_MISSING = "a store in a file needs apsw, which is not installed: pip install 'scrapeengine[sqlite]'"


def require() -> None:
    """Raise an `ImportError` that says what to install, if apsw is not there."""
    if apsw is None:
        raise ImportError(_MISSING)


class ThreadedConnection:
    """A connection, in a thread of its own.

    The thread is apsw's, the connection a plain one: apsw's own asynchronous ones describe all columns again with each
    row set that they read, which takes 8 µs where the reading takes 3.
    """

    def __init__(self, thread: Any, db: Connection) -> None:
        self.reader: Connection | None = None
        """Another one to the file, that reads beside this one, in the loop; None: there is none."""
        self._thread = thread
        self._db = db

    async def open_reader(self, path: str) -> None:
        """Open the reader of a file that has a log (WAL): what it reads waits for nobody who writes. As `run`."""
        self.reader = await self._thread.send(partial(apsw.Connection, path, flags=apsw.SQLITE_OPEN_READONLY))

    async def run(self, function: Callable[Concatenate[Connection, P], T], *args: P.args, **options: P.kwargs) -> T:
        """Call a function in the thread, with the connection. Checkpoint. Not to be cancelled: it would go on."""
        result: T = await self._thread.send(partial(function, self._db, *args, **options))
        return result

    async def aclose(self, *, force: bool = False) -> None:
        """Close the connection, and end the thread. Checkpoint. Not to be cancelled.

        Raises:
            apsw.Error: it is not closed; to be called again, with force, then it is, whatever is raised.
        """
        try:
            if self.reader is not None:  # first: who closes last takes the log into the file
                reader, self.reader = self.reader, None
                await self._thread.send(reader.close)
            await self._thread.send(partial(self._db.close, force))
        except BaseException:
            if force:
                self._thread.close()
            raise
        self._thread.close()


async def connect(path: str) -> ThreadedConnection:
    """Open a file, and make it first if it is not there, for nobody else to read. It must be closed.

    Checkpoint. Not to be cancelled: the connection's thread would be left behind.
    """
    # Only a file that nobody has open may be opened and closed here: on closing any descriptor of a file, POSIX takes
    # away all locks that the process has on it (https://www.sqlite.org/howtocorrupt.html, 2.2).
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    thread = apsw.aio.Trio()
    try:
        return ThreadedConnection(
            thread, await thread.send(partial(apsw.Connection, path, statementcachesize=_STATEMENTS))
        )
    except BaseException:
        thread.close()
        raise


def fetch(db: Connection | Cursor, query: str, bindings: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return all rows that a query finds. In the connection's thread."""
    return db.execute(query, bindings).fetchall()


def has_moved(db: Connection) -> bool:
    """Say whether the file that is open is not any more the one at its path. In the connection's thread."""
    moved = ctypes.c_int(0)
    db.file_control("main", apsw.SQLITE_FCNTL_HAS_MOVED, ctypes.addressof(moved))
    return bool(moved.value)


def hold(path: str) -> Connection:
    """Lock a file that is empty, and of no other use, until the connection is closed or the process ends.

    In the thread that is to close it. With no journal, which would be a second file, and no log, for with one others
    can read; a program may have its connections made so (`apsw.connection_hooks`).

    Raises:
        OSError, apsw.Error: it cannot be.
    """
    lock: Connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
    try:
        for statement in ("PRAGMA journal_mode = DELETE", "PRAGMA journal_mode = MEMORY", "BEGIN EXCLUSIVE"):
            lock.execute(statement)
    except BaseException:
        lock.close()
        raise
    return lock


def is_held(path: str) -> bool:
    """Say whether somebody holds a file, or may: what cannot be looked at may be held. In a connection's thread.

    SQLite's own way to look, for it knows what this process itself has open: closing any other descriptor of the file
    would take away the lock (https://www.sqlite.org/howtocorrupt.html, 2.2).
    """
    if not os.path.lexists(path):
        return False
    try:
        db = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            db.execute("SELECT 1 FROM sqlite_schema").fetchall()
        finally:
            db.close()
    except apsw.Error:
        return os.path.lexists(path)
    return False


def is_foreign(error: BaseException) -> bool:
    """Say whether an error is one of apsw's."""
    return isinstance(error, apsw.Error)


def is_busy(error: BaseException) -> bool:
    """Say whether an error means that others keep the file locked."""
    return isinstance(error, apsw.BusyError | apsw.LockedError)


def is_conflict(error: BaseException) -> bool:
    """Say whether an error means that two rows have what only one may have."""
    return isinstance(error, apsw.ConstraintError)


def translated(error: BaseException, path: str) -> StoreError:
    """Call an error of apsw's, or one that only a damaged file explains, what it is here.

    The text of SQLite holds no values.
    """
    if is_busy(error):
        return StoreBusy(
            f"others kept {path!r} locked for longer than `busy_timeout`: call again; if it stays so, end whoever "
            f"has a transaction open on it, or open the store with a longer one"
        )
    if not is_foreign(error):  # what was read is not what was ever written: SQLite has not seen it
        return StoreError(f"{path!r} is damaged: {_RESTORE} ({type(error).__name__}: {error})")
    for kind, advice in _ADVICE:
        if isinstance(error, getattr(apsw, kind)):
            return StoreError(f"{path!r} {advice} (SQLite says: {error})")
    return StoreError(f"{path!r} could not be used; nothing was changed, call again (SQLite says: {error})")


_RESTORE = "move it away together with its -wal file and restore a copy, or begin anew"
_ADVICE = (
    ("FullError", "cannot grow, its disk is full: make room there, then call again; nothing was changed"),
    ("ReadOnlyError", "is read-only: let this user write the file and its directory, or give another path"),
    ("PermissionsError", "may not be used: let this user read and write the file and its directory"),
    ("CantOpenError", "cannot be opened: give the path of a file in a directory that exists and can be written to"),
    ("NotADBError", "is not a database of SQLite: give another path, or move that file away"),
    ("CorruptError", f"is damaged: {_RESTORE}"),
    ("TooBigError", "takes no text or bytes as large as that, the limit is near 1 GB: keep it elsewhere"),
    ("NoMemError", "could not be used for lack of memory: free some, then call again; nothing was changed"),
    ("IOError", "could not be read or written: look after its disk, then call again; nothing was changed"),
)
