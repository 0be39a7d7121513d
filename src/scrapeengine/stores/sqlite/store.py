"""A store in a file of SQLite. Several processes may have the file open."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import TYPE_CHECKING, TypeVar

import trio

from scrapeengine.stores.clock import Clock
from scrapeengine.stores.facade import Facade
from scrapeengine.stores.moment import Moment
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.rules.tables import Tables
from scrapeengine.stores.sqlite.committer import Committer
from scrapeengine.stores.sqlite.driver import connect, is_busy, is_foreign, require, translated
from scrapeengine.stores.sqlite.schema import set_up
from scrapeengine.stores.sqlite.transaction import transact

if TYPE_CHECKING:
    from apsw import AsyncConnection

__all__ = ["SqliteStore", "in_file"]

T = TypeVar("T")
_PAUSE = 0.01
"""Seconds between two attempts to set up a file that others keep locked."""


class SqliteStore(Facade):
    """A store in a file."""

    _LOOK_AGAIN = 0.25

    def __init__(self, db: AsyncConnection, path: str, settings: StorePolicy, clock: Clock, moment: Moment) -> None:
        super().__init__(settings, clock, moment)
        self._committer = Committer(db, path, settings, self._times, self._notifier)

    async def serve(self) -> None:
        """Run all calls until `close`. No error leaves; a cancellation does not reach it."""
        await self._committer.run()

    def close(self) -> None:
        """Let all calls raise `StoreClosed` from now on, those that wait too; `serve` ends when the others have."""
        self._committer.close()
        self._notifier.ring()

    async def _run(self, rule: Callable[[Tables], T], *, reads: bool = False) -> T:
        return await self._committer.call(rule, reads=reads)


class Opening(AbstractAsyncContextManager[SqliteStore]):
    """A store in a file, open within its `async with`, and served by a task of that."""

    def __init__(self, path: str, settings: StorePolicy, clock: Clock | None) -> None:
        self._path = path
        self._settings = settings
        self._clock = clock
        self._db: AsyncConnection | None = None
        self._store: SqliteStore | None = None
        self._nursery: trio.Nursery | None = None
        self._manager = trio.open_nursery(strict_exception_groups=True)

    async def __aenter__(self) -> SqliteStore:
        """Open the file, and bring it up to date. If cancelled, it is closed again."""
        if self._db is not None:
            raise RuntimeError("a store is opened once: call open_store again for another `async with`")
        try:
            with trio.CancelScope(shield=True):
                self._db = await connect(self._path)
            assert self._db is not None
            clock = self._clock or Clock.of_this_run()
            moment = await self._set_up(self._db, clock)
            store = SqliteStore(self._db, self._path, self._settings, clock, moment)
        except BaseException as error:
            await self._close()
            if is_foreign(error):
                raise translated(error, self._path) from error
            raise
        self._store = store
        self._nursery = await self._manager.__aenter__()
        self._nursery.start_soon(store.serve)
        return store

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the calls in flight, and close the file. What the body raised leaves as it is."""
        assert self._store is not None
        assert self._nursery is not None
        self._store.close()
        try:
            # The nursery is told of no error: it would put it into a group.
            self._nursery.cancel_scope.shield = True
            await self._manager.__aexit__(None, None, None)
        finally:
            await self._close()

    async def _set_up(self, db: AsyncConnection, clock: Clock) -> Moment:
        until = trio.current_time() + self._settings.patience
        while True:
            try:
                with trio.CancelScope(shield=True):
                    await db.async_run(set_up, db, self._path, self._settings.durability)
                    moment: Moment = await db.async_run(transact, db, (), self._settings, clock)
                    return moment
            except Exception as error:
                if not is_busy(error) or trio.current_time() >= until:
                    raise
            await trio.sleep(_PAUSE)

    async def _close(self) -> None:
        """Close the file, whatever happens: all that was committed is in its log, and the thread must end."""
        if self._db is None:
            return
        with trio.CancelScope(shield=True):
            try:
                await self._db.aclose()
            except Exception as error:
                if not is_foreign(error):
                    raise
                await self._db.aclose(force=True)


def in_file(path: str, settings: StorePolicy, clock: Clock | None = None) -> Opening:
    """Open a store in a file, which is where the path leads now; without a clock by those of the trio run.

    Raises:
        ImportError: apsw is not installed.
    """
    require()
    return Opening(os.path.abspath(path), settings, clock)  # noqa: PTH100 - a Path would follow links only when it is opened
