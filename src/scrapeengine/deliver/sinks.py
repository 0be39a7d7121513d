"""Sinks: async callables that take outcomes in batches. What is handed in as one is checked here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeAlias, TypeVar

from scrapeengine.model.outcome import Outcome
from scrapeengine.model.urls import told

__all__ = ["Sink", "check_sinks"]

T = TypeVar("T")

Sink: TypeAlias = Callable[[list[Outcome[T]]], Awaitable[object]]
"""A sink of outcomes: an async callable that takes a list of them."""


def check_sinks(sinks: object) -> None:
    """Refuse what is no list of sinks: before anything runs, and not with the first outcome, which would be lost.

    Raises:
        TypeError: it is none; says what to write.
    """
    if isinstance(sinks, str | bytes) or not isinstance(sinks, Iterable):
        raise TypeError(f"sinks=… takes a list of async functions, got {told(sinks)}; write sinks=[save]")
    for sink in sinks:
        if not callable(sink):
            raise TypeError(f"a sink is an async callable that takes a list of outcomes, got {told(sink)}")
        if not _is_async(sink):
            named = getattr(sink, "__qualname__", None) or told(sink)
            raise TypeError(
                f"a sink is an async callable that takes a list of outcomes, got {named}, which is not async; write "
                "`async def save(outcomes): …`, and call what blocks with `await trio.to_thread.run_sync(function, …)`"
            )


def _is_async(sink: object) -> bool:
    """Say whether a callable is an async function, bound, partial or wrapped; or has such a `__call__`."""
    while isinstance(sink, functools.partial):
        sink = sink.func
    for each in (sink, getattr(type(sink), "__call__", None)):  # noqa: B004 - what is looked for is how it is written
        if callable(each) and inspect.iscoroutinefunction(inspect.unwrap(each)):
            return True
    return False
