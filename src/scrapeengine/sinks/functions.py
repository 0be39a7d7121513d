"""Plain async functions as sinks."""

from __future__ import annotations

import functools
import inspect
from typing import Any, Generic, TypeVar

import attrs

from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import Acknowledge, Sink, SinkFunction, SinkPolicy, SinkRun
from scrapeengine.model.urls import told

__all__ = ["FunctionSink", "check_function", "is_whole", "name_of", "of", "whole_sink"]

T = TypeVar("T")

_METHODS = ("open", "recover", "write", "flush", "close")
_PLAIN = SinkPolicy(size=100, linger=0.0)


@attrs.frozen(eq=False)
class FunctionSink(Generic[T]):
    """A sink of a plain async callable, which keeps no position."""

    name: str
    function: SinkFunction[T]
    policy: SinkPolicy = _PLAIN

    async def open(self, run: SinkRun) -> None:
        """Do nothing. No checkpoint."""

    async def recover(self) -> None:
        """Do nothing. No checkpoint."""

    async def write(self, outcomes: list[Outcome[T]]) -> None:
        """Call it, where there is anything."""
        if outcomes:
            await self.function(outcomes)

    async def flush(self, acknowledge: Acknowledge) -> None:
        """Acknowledge: what the function has taken, it has."""
        await acknowledge()

    async def close(self) -> None:
        """Do nothing. No checkpoint."""


def of(function: SinkFunction[T], *, name: str | None = None, **policy: Any) -> Sink[T]:
    """Make a sink of an async function, with a name and a policy of its own.

        sinks=[se.sinks.of(save, name="odds", size=1000, on_error="retry")]

    A function that is handed in as it is has what is there at once, a hundred outcomes at most; an exception of it ends
    the run; and it is named as it is called.

    Args:
        function: takes a list of outcomes.
        name: by which a store knows what it has had; to be the same in each run. None: as the function is called.
        **policy: the fields of `SinkPolicy`: `size`, `linger`, `on_error`, `patience`, `aside`.

    Raises:
        TypeError: it is no async callable.
        ValueError: the policy makes no sense; says what to write.
    """
    check_function(function)
    if name is not None and not (isinstance(name, str) and name):
        raise TypeError(f"of(name=…) must be a word, got {told(name)}; write of(save, name='odds')")
    return FunctionSink(name or name_of(function), function, SinkPolicy(**policy))


def whole_sink(sink: Any) -> Sink[Any]:
    """Return a sink as it is, or make one of a function.

    Raises:
        TypeError: it is neither; says what to write.
    """
    if is_whole(sink):
        whole: Sink[Any] = sink
        return whole
    check_function(sink)
    return FunctionSink(name_of(sink), sink)


def is_whole(sink: Any) -> bool:
    """Say whether it has all methods of `Sink`."""
    return not inspect.isclass(sink) and all(callable(getattr(sink, name, None)) for name in _METHODS)


def check_function(function: object) -> None:
    """Refuse what is no async callable.

    Raises:
        TypeError: says what to write.
    """
    if not callable(function):
        raise TypeError(f"a sink is an async callable that takes a list of outcomes, got {told(function)}")
    if not _is_async(function):
        named = getattr(function, "__qualname__", None) or told(function)
        raise TypeError(
            f"a sink is an async callable that takes a list of outcomes, got {named}, which is not async; write "
            "`async def save(outcomes): …`, and call what blocks with `await trio.to_thread.run_sync(function, …)`"
        )


def name_of(function: Any) -> str:
    """Name a function, a method or a callable object, in one word for all runs of a program."""
    while isinstance(function, functools.partial):
        function = function.func
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return str(name).rpartition("<locals>.")[2]


def _is_async(sink: object) -> bool:
    """Say whether a callable is an async function, bound, partial or wrapped; or has such a `__call__`."""
    while isinstance(sink, functools.partial):
        sink = sink.func
    for each in (sink, getattr(type(sink), "__call__", None)):  # noqa: B004 - what is looked for is how it is written
        if callable(each) and inspect.iscoroutinefunction(inspect.unwrap(each)):
            return True
    return False
