"""The meaning of an exception that leaves a scraper.

    Exception                                                        a failure
    task.skip, task.retry                                            a signal
    RobotsDisallowed                                                 a skip: what a site forbids is no failure
    KeyboardInterrupt, SystemExit, GeneratorExit, trio.Cancelled     the end of more than the task
    anything else                                                    a failure: `ScraperCrashed`, raised from it

Nothing else can be meant for the engine: a panic of an extension or another framework's cancellation, which came out of
a thread, are as much the task's own as a `ValueError` is. What a test framework raises is meant for the test around it.
It is the task's outcome all the same, and whoever takes outcomes finds it there; where nobody does, `verdict` finds it.
"""

from __future__ import annotations

import dis
import inspect
import traceback
from collections.abc import Iterator
from contextlib import suppress
from types import FrameType

import attrs
import trio

from scrapeengine.decide.texts import text_of
from scrapeengine.errors import RobotsDisallowed, ScraperCrashed

__all__ = ["RetryTask", "Signal", "SkipTask", "cancels", "cleared", "fatal_part", "meaning", "verdict"]


_FATAL = (KeyboardInterrupt, SystemExit, GeneratorExit, trio.Cancelled)
"""Exceptions that end more than a task."""
_TESTS = "_pytest"
"""The package whose exceptions tell how a test ended. They are known by it, so that it need not be there."""
_SUSPENDS = inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR | inspect.CO_ITERABLE_COROUTINE


class Signal(BaseException):
    """The way out of a scraper for `task.skip` and `task.retry`; no `Exception`, or `except Exception` would eat it."""


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

    In a group what ends more than the task counts most, then failures, then signals.
    """
    if not isinstance(error, BaseExceptionGroup):
        if isinstance(error, RobotsDisallowed):
            return _banned(error)
        if isinstance(error, Exception | Signal):
            return error
        return None if isinstance(error, _FATAL) else _crash(error)
    if error.subgroup(_FATAL) is not None:
        return None
    signals, others = error.split((Signal, RobotsDisallowed))
    if others is None:
        leaves = list(_leaves(error))
        return next((leaf for leaf in leaves if isinstance(leaf, Signal)), None) or _banned(leaves[0])
    others = error if signals is None else others
    return others if isinstance(others, ExceptionGroup) else _crash(others)


def cancels(error: BaseException) -> bool:
    """Say whether an exception is trio's cancellation, or holds it."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(trio.Cancelled) is not None
    return isinstance(error, trio.Cancelled)


def fatal_part(error: BaseException) -> BaseException:
    """Return what must go on of an exception that means more than its task: all but what is the task's own."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(_FATAL) or error
    return error


def verdict(error: Exception) -> BaseException | None:
    """Return what a test framework raised in a scraper (`pytest.fail`, `pytest.skip`), if that is how it failed."""
    raised = error.__cause__ if isinstance(error, ScraperCrashed) else error
    return next((leaf for leaf in _leaves(raised) if _ends_a_test(leaf)), None)


def _ends_a_test(error: BaseException) -> bool:
    return any(kind.__module__.partition(".")[0] == _TESTS for kind in type(error).__mro__)


def _banned(error: BaseException) -> SkipTask:
    return SkipTask(str(error.args[0]))


def _crash(error: BaseException) -> ScraperCrashed:
    """Make a failure of what is no `Exception`, or of a group that holds such."""
    leaf = next((leaf for leaf in _leaves(error) if not isinstance(leaf, Exception)), error)
    text = text_of(leaf)
    crash = ScraperCrashed(f"the scraper raised {type(leaf).__name__}, which is no Exception{text and f': {text}'}")
    crash.__cause__ = error
    return crash


def _leaves(error: BaseException | None) -> Iterator[BaseException]:
    """Walk through what a group of groups holds; an error that is no group is all that it holds."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    elif error is not None:
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
    # Of a crash, what was caught is its cause.
    caught = error.__cause__ if isinstance(error, ScraperCrashed) else error
    if caught is not None and caught.__traceback__ is not None:
        # Not by assignment: an exception may be a frozen dataclass.
        BaseException.with_traceback(caught, caught.__traceback__.tb_next)
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
