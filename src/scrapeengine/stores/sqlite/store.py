"""Opens and closes stores in files of SQLite. Several processes may have a file open."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from types import TracebackType

import trio

from scrapeengine.errors import ScrapeError
from scrapeengine.model.urls import told
from scrapeengine.standstill import Standstill
from scrapeengine.stores.calls import TableStore
from scrapeengine.stores.clock import Clock
from scrapeengine.stores.rules.staging import settle_any
from scrapeengine.stores.sqlite.committer import Committer
from scrapeengine.stores.sqlite.driver import ThreadedConnection, connect, is_busy, is_foreign, require, translated
from scrapeengine.stores.sqlite.liveness import Liveness
from scrapeengine.stores.sqlite.policy import SqlitePolicy
from scrapeengine.stores.sqlite.schema import set_up
from scrapeengine.stores.sqlite.transaction import Seen, StoreCall, transact
from scrapeengine.stores.staged import PART
from scrapeengine.uninterrupted import first_of, to_its_end

__all__ = ["in_file", "open_file"]

_PAUSE = 0.01
"""Seconds between two attempts to set up a file that others keep locked."""


class Opening(AbstractAsyncContextManager[TableStore]):
    """A store in a file, open within its `async with`, and served by a task of that."""

    def __init__(self, path: str, policy: SqlitePolicy, clock: Clock | None) -> None:
        self._path = path
        self._policy = policy
        self._clock = clock
        self._liveness = Liveness(path)
        self._begun = False
        self._db: ThreadedConnection | None = None
        self._committer: Committer | None = None
        self._nursery: trio.Nursery | None = None
        self._manager = trio.open_nursery(strict_exception_groups=True)

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> TableStore:
        """Open the file, and bring it up to date. If cancelled, it is closed again."""
        if self._begun:
            raise RuntimeError("a store is opened once: call open_store again for another `async with`")
        self._begun = True
        try:
            # A connection whose opening or closing is broken off leaves its thread behind, for which a program waits.
            await to_its_end(self._connect)
            assert self._db is not None
            clock = self._clock or Clock.of_this_run()
            seen = await self._set_up(self._db, clock)
            committer = Committer(self._db, self._path, self._policy, clock, seen, self._liveness)
        except BaseException as error:
            await to_its_end(self._close)
            if isinstance(error, Exception) and not isinstance(error, ScrapeError):
                raise translated(error, self._path) from error
            raise
        self._committer = committer
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(committer.serve)
        return TableStore(committer)

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the calls in flight, and close the file. What the body raised leaves as it is."""
        assert self._committer is not None
        assert self._nursery is not None
        self._committer.close()
        try:
            # The nursery is told of no error: it would put it into a group. Shielded, for calls that are taken are
            # waited for.
            self._nursery.cancel_scope.shield = True
            await self._manager.__aexit__(None, None, None)
        except BaseExceptionGroup as group:  # Ctrl-C, in the main task: the task in the nursery raises nothing
            raise first_of(group) from None
        finally:
            await to_its_end(self._close)

    @trio.lowlevel.enable_ki_protection
    async def _connect(self) -> None:
        with Standstill():
            self._db = await connect(self._path)

    async def _set_up(self, db: ThreadedConnection, clock: Clock) -> Seen:
        until = trio.current_time() + self._policy.busy_timeout
        while True:
            try:
                with trio.CancelScope(shield=True), Standstill():
                    await db.run(set_up, self._path, self._policy.durability)
                    if db.reader is None:
                        await db.open_reader(self._path)
                    seen: Seen = await db.run(transact, (), self._policy, clock, self._liveness)
                    while seen.coming > 0:  # what a process that died has left half way
                        settling = StoreCall(partial(settle_any, n=PART), reads=False)
                        seen = await db.run(transact, [settling], self._policy, clock, self._liveness)
                        if not settling.answer:
                            break
                    return seen
            except Exception as error:
                if not is_busy(error) or trio.current_time() >= until:
                    raise
            await trio.sleep(_PAUSE)

    @trio.lowlevel.enable_ki_protection
    async def _close(self) -> None:
        """Close the file, whatever happens: all that was committed is in its log, and the thread must end."""
        if self._db is None:
            return
        self._liveness.starts.close()
        with Standstill():
            try:
                await self._db.run(self._liveness.leave)
                await self._db.aclose()
            except Exception as error:
                if not is_foreign(error):
                    raise
                await self._db.aclose(force=True)


def in_file(path: str, policy: SqlitePolicy, clock: Clock | None = None) -> Opening:
    """Open a store in a file, which is where the path leads now; without a clock by those of the trio run.

    Raises:
        ImportError: apsw is not installed.
    """
    require()
    return Opening(os.path.abspath(path), policy, clock)  # noqa: PTH100 - a Path would follow links only when it is opened


def open_file(url: str, policy: SqlitePolicy) -> AbstractAsyncContextManager[TableStore]:
    """Open the store of "sqlite:" and the path of a file, which is made if it is not there."""
    return in_file(_path_of(url), policy)


def _path_of(url: str) -> str:
    """Return the path in a URL: what is behind "sqlite:", or behind "sqlite:///" as SQLAlchemy has it.

    There the path begins behind the third slash: `sqlite:///jobs.db` is relative, `sqlite:////srv/jobs.db` is not. What
    else begins with two slashes names a host, which a file has not; as a path it would lead to the root folder. A file
    there is never meant: it comes of a slash too many, or of a program that was started there.

    Raises:
        ValueError: it is no path of a file; says what to write.
    """
    said = f"{told(url)} is not the URL of a store"
    path = url.removeprefix("sqlite:")
    if path.startswith("//"):
        if path != "//" and not path.startswith("///"):
            raise ValueError(f"{said}: a file has no host; write 'sqlite:jobs.db', or 'sqlite:////srv/jobs.db'")
        path = path[3:] or ":memory:"
        if "?" in path:
            raise ValueError(f"{said}: options are arguments here; write open_store('sqlite:jobs.db', busy_timeout=5)")
    if path == ":memory:" or path.startswith("file:"):
        raise ValueError(f"{said}: one in memory is 'memory:'; of one in a file write the path, as in 'sqlite:jobs.db'")
    if not path or "\0" in path:
        raise ValueError(f"{said}: write the path of a file, as in 'sqlite:jobs.db'")
    folder = Path(os.path.abspath(path)).parent  # noqa: PTH100 - as above: links are not followed
    if folder == folder.parent:
        raise ValueError(
            f"{said}: its file would be in the root folder; write 'sqlite:jobs.db' for one in the folder that the "
            "program runs in, or a whole path, as in 'sqlite:/srv/jobs.db'"
        )
    return path
