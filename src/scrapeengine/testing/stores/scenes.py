"""Plays scenarios with stores: in virtual time, within a bound of real time, and with checks that say why.

Checks are functions, so that they hold in any runner, and where Python leaves `assert` out.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any, TypeAlias

import attrs
import trio
from trio.testing import MockClock

from scrapeengine.model.job import Completion, Content, JobStatus, NewJob, StoredJob, Ticket
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told

__all__ = [
    "Passes",
    "StoreScenes",
    "behaviour",
    "claimed",
    "done",
    "holds",
    "job",
    "known",
    "order",
    "refused",
    "same",
    "within",
]

Passes: TypeAlias = Callable[[float], Awaitable[None]]
"""Lets so many seconds pass."""
_SAME = 1e-5
"""Seconds by which times may differ that are the same but for rounding: Unix times have seven digits behind the dot."""


class StoreScenes:
    """Stores that are opened one after the other, each for one scenario."""

    hangs_after = 60.0
    """Real seconds after which a scenario has failed: what it waits for does not come."""

    def open(self, **options: Any) -> AbstractAsyncContextManager[Store]:
        """Open a store that is empty, for an `async with`; to be written by whoever uses this.

        Args:
            **options: of those that all stores have: `keep`, `max_kept`, `max_pending`, `full`.
        """
        raise NotImplementedError(
            f"write {type(self).__name__}.open(self, **options): it returns an `async with` for a store that is empty, "
            f"as in return open_store('mine:…', **options)"
        )

    async def pass_time(self, clock: MockClock, seconds: float) -> None:
        """Let time pass for the store: by trio's clock. Override it where the store goes by another one."""
        clock.jump(seconds)
        await trio.lowlevel.checkpoint()

    def play(self, scenario: Callable[[Store, Passes], Awaitable[None]], **options: Any) -> None:
        """Open a store, and play a scenario with it; time passes only when the scenario says so."""
        clock = MockClock()

        async def main() -> None:
            async with self.open(**options) as store:
                await scenario(store, partial(self.pass_time, clock))

        trio.run(within, self.hangs_after, main, clock=clock)


async def within(seconds: float, main: Callable[[], Awaitable[None]]) -> None:
    """Run a function; fail where that takes longer than so many seconds of real time."""
    over = threading.Event()

    async def watch() -> None:
        if not await trio.to_thread.run_sync(over.wait, seconds, abandon_on_cancel=True):
            late.append(True)
            nursery.cancel_scope.cancel()

    late: list[bool] = []
    error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            await main()
        except Exception as caught:  # noqa: BLE001 - it is raised again, but in no group
            error = caught
        over.set()
        nursery.cancel_scope.cancel()
    if error is not None:
        raise error
    holds(not late, f"it hangs: {seconds:g} s were not enough for what it waits for")


def behaviour(**options: Any) -> Callable[[Callable[..., Coroutine[Any, Any, None]]], Callable[..., None]]:
    """Make a test of a scenario: a method that takes a `store`, opened with these options, and perhaps `passes`."""

    def decorate(scenario: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
        parameters = inspect.signature(scenario).parameters

        def test(self: StoreScenes, **values: Any) -> None:
            async def play(store: Store, passes: Passes) -> None:
                given = {"passes": passes} if "passes" in parameters else {}
                await scenario(self, store, **given, **values)

            try:
                self.play(play, **options)
            except Exception as error:
                error.add_note(f"The behaviour: {scenario.__doc__}")
                raise

        test.__name__, test.__qualname__ = scenario.__name__, scenario.__qualname__
        test.__doc__, test.__module__ = scenario.__doc__, scenario.__module__
        # Parameters of a parametrized test are told by the signature, which pytest reads.
        left = [each for name, each in parameters.items() if name not in {"store", "passes"}]
        test.__signature__ = inspect.Signature(left)  # type: ignore[attr-defined]
        return test

    return decorate


# -- checks


def same(found: object, expected: object, why: str = "") -> None:
    """Fail unless both are equal, but for the rounding of times in them."""
    __tracebackhide__ = True
    if not _alike(found, expected):
        raise AssertionError(f"{why}{': ' if why else ''}expected {expected!r}, got {found!r}")


def holds(condition: object, why: str) -> None:
    """Fail unless it is so."""
    __tracebackhide__ = True
    if not condition:
        raise AssertionError(why)


async def refused(call: Awaitable[object], kind: type[Exception], text: str = "") -> None:
    """Fail unless a call raises an error of this kind, whose text has this in it."""
    __tracebackhide__ = True
    try:
        answer = await call
    except kind as error:
        holds(text in str(error), f"the {kind.__name__} should say {text!r}, and says {str(error)!r}")
        return
    raise AssertionError(f"there should have been a {kind.__name__}, and the answer is {answer!r}")


def _alike(one: Any, other: Any) -> bool:
    if isinstance(one, float) or isinstance(other, float):
        numbers = isinstance(one, int | float) and isinstance(other, int | float)
        return numbers and (one == other or abs(one - other) <= _SAME)
    if type(one) is not type(other):
        return bool(one == other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_alike, one, other))
    if attrs.has(type(one)):
        return _alike(attrs.astuple(one, recurse=False), attrs.astuple(other, recurse=False))
    return bool(one == other)


# -- words of scenarios


def job(
    id: str,
    platform: str = "p",
    *,
    payload: str = "{}",
    priority: int = 0,
    delay: float = 0.0,
    cadence: str | None = None,
    interval: float | None = None,
) -> NewJob:
    """Make a job to enqueue."""
    return NewJob(platform, id, payload, priority, delay, cadence, interval)


def done(
    ticket: Ticket, status: JobStatus = JobStatus.DONE, *, result: Content | None = None, **values: Any
) -> Completion:
    """Make a completion."""
    return Completion(ticket=ticket, status=status, result=result, **values)


async def claimed(store: Store, n: int = 100, platform: str = "p", lease: float = 10.0, **values: Any) -> list[Ticket]:
    """Claim jobs, and return their tickets."""
    return [each.ticket for each in await store.claim(platform, n, "me", lease, **values)]


async def known(store: Store, platform: str, id: str) -> StoredJob:
    """Return a job that should be known."""
    found = await store.get(platform, id)
    if found is None:
        raise AssertionError(f"the job {told(id)} of {platform!r} should be known, and get(…) has returned None")
    return found


async def order(store: Store, platform: str = "p") -> list[str]:
    """List the ready jobs in the order in which they are claimed, and give them back."""
    tickets = await claimed(store, 1000, platform)
    await store.release(tickets)
    return [ticket.id for ticket in tickets]
