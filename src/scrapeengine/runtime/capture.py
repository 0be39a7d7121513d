"""What an exception that leaves a scraper means."""

from __future__ import annotations

import dis
import inspect
import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import attrs

__all__ = ["RetryTask", "Signal", "SkipTask", "cleared", "fatal_part", "meaning"]


_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


class Signal(BaseException):
    """How `task.skip` and `task.retry` leave the scraper; not an `Exception`, so that no `except Exception` eats it."""


@attrs.define(eq=False)
class SkipTask(Signal):
    """Raised by `task.skip`."""

    reason: str
    again_after: float | None = None


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


def _is_finished(frame: FrameType) -> bool:
    """Say whether a frame is surely not that of a coroutine or generator that waits to go on.

    An error that is kept and raised again has in its traceback frames of whoever met it first, who may well be alive.
    To clear the frame of a suspended coroutine closes it, up to Python 3.12. Such a frame stands at a `YIELD_VALUE`.
    """
    code = frame.f_code
    if not code.co_flags & _SUSPENDS:
        return True
    return code.co_code[frame.f_lasti] != dis.opmap["YIELD_VALUE"]


def cleared(error: Exception) -> Exception:
    """Clear the local variables of the frames of an exception, and of all that it came from.

    A failure that waits in a buffer would keep alive whatever its scraper had in hand: whole pages, parsed trees. The
    frame that caught it still runs, cannot be cleared, and is left out of the traceback.
    """
    if error.__traceback__ is not None:
        # Not by assignment: an exception may be a frozen dataclass.
        BaseException.with_traceback(error, error.__traceback__.tb_next)
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        each = todo.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        for frame, _ in traceback.walk_tb(each.__traceback__):
            if _is_finished(frame):
                with suppress(RuntimeError):  # it is executing
                    frame.clear()
        todo += (each.__cause__, each.__context__)
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
    return error
