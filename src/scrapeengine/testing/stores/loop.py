"""A trio loop in a thread, in which a store stays open from one synchronous step to the next."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import trio
from trio.testing import MockClock

from scrapeengine.model.store import Store
from scrapeengine.testing.stores.scenes import within

__all__ = ["Loop", "OpenedStore"]

V = TypeVar("V")


class Loop:
    """A trio loop in a thread, in which a store is open from one rule to the next."""

    def __init__(self, clock: MockClock, hangs_after: float) -> None:
        tokens: SimpleQueue[trio.lowlevel.TrioToken] = SimpleQueue()
        self._hangs_after = hangs_after
        self._over = trio.Event()

        async def main() -> None:
            tokens.put(trio.lowlevel.current_trio_token())
            await self._over.wait()

        self._thread = threading.Thread(target=partial(trio.run, main, clock=clock), daemon=True)
        self._thread.start()
        self._token = tokens.get()

    def run(self, call: Callable[..., Awaitable[V]], *args: Any, **values: Any) -> V:
        """Run a call in the loop, and return what it returns."""
        answers: list[V] = []

        async def answer() -> None:
            answers.append(await call(*args, **values))

        trio.from_thread.run(within, self._hangs_after, answer, trio_token=self._token)
        return answers[0]

    def end(self) -> None:
        """End the loop."""
        trio.from_thread.run_sync(self._over.set, trio_token=self._token)
        self._thread.join()


class OpenedStore:
    """A store that is opened and left by calls: its `async with` in a task of its own."""

    def __init__(self) -> None:
        self._left, self._gone = trio.Event(), trio.Event()
        self._store: Store | None = None
        self._error: BaseException | None = None

    @property
    def store(self) -> Store:
        """The store."""
        if self._store is None:
            raise RuntimeError("the store is not open") from self._error
        return self._store

    async def open(self, opening: AbstractAsyncContextManager[Store]) -> None:
        """Open it."""
        opened = trio.Event()

        async def stay() -> None:
            try:
                async with opening as self._store:
                    opened.set()
                    await self._left.wait()
            except Exception as error:  # noqa: BLE001 - whoever waits for it raises it
                self._error = error
            opened.set()
            self._gone.set()

        trio.lowlevel.spawn_system_task(stay)
        await opened.wait()
        if self._error is not None:
            raise self._error

    async def leave(self) -> None:
        """Leave it."""
        self._left.set()
        await self._gone.wait()
        if self._error is not None:
            raise self._error
