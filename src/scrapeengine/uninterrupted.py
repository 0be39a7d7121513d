"""Code that Ctrl-C does not break off: trio raises `KeyboardInterrupt` in any code of any task that says nothing of it.

Between two statements that belong together it would leave a job that nobody has and nobody gives back, or a count that
is wrong while the run ends. Here it waits for the next code that may be broken off: a scraper's, a sink's, a source's,
or the main task's where that waits. To be marked costs nothing: trio looks for marks when the signal comes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import TypeVar

import trio
import trio.lowlevel

__all__ = ["first_of", "to_its_end", "uninterrupted"]

C = TypeVar("C", bound=type)


def uninterrupted(cls: C) -> C:
    """Mark all methods of a class."""
    for value in vars(cls).values():
        if isinstance(value, FunctionType):
            trio.lowlevel.enable_ki_protection(value)
    return cls


@trio.lowlevel.enable_ki_protection
async def to_its_end(function: Callable[[], Awaitable[object]]) -> None:
    """Call an async function that nothing is to break off: no cancellation, and not Ctrl-C either.

    Trio raises that in the main task wherever it waits, shielded or not. So the call has a task of its own, and what
    has come meanwhile is raised when it is over.

    Checkpoint. What the function raises leaves, in no group.
    """

    @trio.lowlevel.enable_ki_protection
    async def call() -> None:
        with trio.CancelScope(shield=True):
            await function()

    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call)
    except BaseExceptionGroup as group:
        raise first_of(group) from None


def first_of(error: BaseException) -> BaseException:
    """Return the first that is in a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
