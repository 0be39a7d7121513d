"""What an exception that leaves a scraper means."""

from __future__ import annotations

import traceback
from collections.abc import Iterator

import attrs

__all__ = ["RetryTask", "Signal", "SkipTask", "cleared", "fatal_part", "meaning"]


class Signal(BaseException):
    """How `task.skip` and `task.retry` leave the scraper; not an `Exception`, so that no `except Exception` eats it."""


@attrs.define(eq=False)
class SkipTask(Signal):
    """Raised by `task.skip`."""

    reason: str


@attrs.define(eq=False)
class RetryTask(Signal):
    """Raised by `task.retry`."""

    after: float | None


def meaning(error: BaseException) -> Exception | Signal | None:
    """Say what an exception means for its task: a failure, a signal, or (None) the end of more than the task.

    In a group what ends more than the task counts most (cancellation, `KeyboardInterrupt`, `SystemExit`), then
    failures, then signals.
    """
    if isinstance(error, Exception | Signal):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    signals, others = error.split(Signal)
    if others is None:
        return next(_leaves(signals)) if signals is not None else None
    return others if isinstance(others, ExceptionGroup) else None


def fatal_part(error: BaseException) -> BaseException:
    """Return what must go on of an exception that means more than its task: all but the task's own failures."""
    if isinstance(error, BaseExceptionGroup):
        _, fatal = error.split((Exception, Signal))
        return error if fatal is None else fatal
    return error


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[Signal]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        elif isinstance(error, Signal):
            yield error


def cleared(error: Exception) -> Exception:
    """Clear the local variables of the frames of an exception, and of all that it came from.

    A failure that waits in a buffer would keep alive whatever its scraper had in hand: whole pages, parsed trees. The
    frame that caught it still runs, cannot be cleared, and is left out of the traceback.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        traceback.clear_frames(each.__traceback__)
        todo += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
    return error
