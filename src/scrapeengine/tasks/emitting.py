"""Items that a scraper emits, and scrapers that yield them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import attrs

from scrapeengine.errors import ItemsFull
from scrapeengine.model.policy import Caps
from scrapeengine.model.task import Task

__all__ = ["Emitted", "called"]


@attrs.define(eq=False, repr=False)
class Emitted:
    """The items of one run of a scraper, in their order, within bounds."""

    _caps: Caps
    items: list[Any] = attrs.field(factory=list, init=False)
    _bytes: int = attrs.field(default=0, init=False)

    def add(self, item: Any) -> None:
        """Take an item.

        Raises:
            ItemsFull: it is one too many, or too large.
        """
        if len(self.items) >= self._caps.items:
            raise ItemsFull(
                f"the task has emitted {len(self.items):,} items; emit fewer, give the platform larger "
                "Caps(items=…), or follow an event for a part of them"
            )
        size = _size(item)
        if self._bytes + size > self._caps.items_bytes:
            raise ItemsFull(
                f"the task has emitted {self._bytes:,} bytes, and the next item has {size:,}; emit less, give the "
                "platform larger Caps(items_bytes=…), or follow an event for a part of them"
            )
        self._bytes += size
        self.items.append(item)


async def called(scrape: Callable[[Task], Awaitable[Any] | AsyncIterator[Any]], task: Task) -> None:
    """Drive a scraper that is an async generator, in the task that calls this, and emit what it yields.

    Nothing is awaited between two steps: a scope around a `yield` would be left where another one is on top of it, and
    cancel what it should not. Where something is raised the generator is closed before that goes on.
    """
    generator = scrape(task)
    assert isinstance(generator, AsyncGenerator)
    async with aclosing(generator):
        async for item in generator:
            task.emit(item)


def _size(item: Any) -> int:
    """Return how many bytes an item has, as JSON, or about so many."""
    if isinstance(item, bytes):
        return len(item)
    try:
        return len(json.dumps(item, default=str))
    except (TypeError, ValueError, RecursionError):
        return len(repr(item))
