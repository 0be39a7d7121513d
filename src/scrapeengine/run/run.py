"""A run as its consumer sees it, and the context manager that it lives in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

import trio

from scrapeengine.model.checks import number
from scrapeengine.model.outcome import Failure, Outcome
from scrapeengine.model.report import Report, Statistics
from scrapeengine.observe.log import logger
from scrapeengine.run.explaining import explain, statistics
from scrapeengine.run.session import Session
from scrapeengine.schedule.clock import check_trio
from scrapeengine.tasks.signals import cancels, verdict

__all__ = ["Run", "Stream", "read_out", "report_of"]

T = TypeVar("T")


class Run(Generic[T]):
    """One run of an engine: an async iterator of outcomes, in the order in which tasks end."""

    def __init__(self, session: Session[T]) -> None:
        self._session = session
        self._token = trio.lowlevel.current_trio_token()

    def __aiter__(self) -> Run[T]:
        """Return itself."""
        return self

    async def __anext__(self) -> Outcome[T]:
        """Wait for the next outcome. Checkpoint. If cancelled, none is lost.

        Raises:
            StopAsyncIteration: every task has ended, and all outcomes were read.
            Exception: what the source of events raised, once, after the outcomes of all that it gave before.
        """
        try:
            return await self._session.outbox.take()
        except trio.EndOfChannel:
            pass
        error, self._session.backing.jobs.error = self._session.backing.jobs.error, None
        if error is not None:
            raise error
        raise StopAsyncIteration

    @property
    def report(self) -> Report:
        """The counts of what the run has done so far; also readable after it has ended."""
        return self._session.report()

    def statistics(self) -> Statistics:
        """Say what the run is doing at this instant."""
        return statistics(self._session.parts)

    def explain(self, platform: str | None = None) -> str:
        """Say in plain sentences what holds a platform back at this instant; None: each that has work.

        Raises:
            UnknownPlatform: the engine has no such platform.
        """
        return explain(self._session.parts, self._session.backing, platform)

    def watch(self, instrument: object) -> None:
        """Let one more instrument listen, from now on; it hears first of the run as it is (`RunStarted.joined`).

        Raises:
            TypeError: it is none; says what to write.
        """
        self._session.watch(instrument)

    async def stop(self, grace: float = 10.0) -> None:
        """Stop the run: no task starts any more, what waits or is parked becomes `Cancelled` at once.

        Args:
            grace: seconds for the tasks that run to end by themselves; after that they are cancelled.

        Returns when no task runs, within a second of the grace. It never waits for the consumer, who may be its
        caller: outcomes that were not read stay readable. A scraper that shields itself from cancellation is logged
        and waited for by the end of `async with` only. A second call can shorten the grace. Sinks have 5 s more than
        the tasks; what they have not taken by then is counted (`Report.undelivered`), and stays in a store.

        Checkpoint. If cancelled, the run stops all the same.
        """
        self._session.shutdown.stop(number(grace, "stop(grace=…)", zero=True, endless=True), "the run was stopped")
        await self._session.shutdown.quiet.wait()

    def stop_soon(self, grace: float = 10.0, *, reason: str = "the run was stopped") -> None:
        """Begin to stop as `stop` does, without waiting. From any thread; if it has ended, nothing happens."""
        number(grace, "stop_soon(grace=…)", zero=True, endless=True)
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(self._session.shutdown.stop, grace, reason)

    def __repr__(self) -> str:
        """Count what has been done, and what is being done."""
        report = self._session.report()
        return f"<Run {report.outcomes.total}/{report.tasks} tasks ended>"


class Stream(Generic[T]):
    """The life of a run: `async with`.

    A class, and no generator: what the body raises must leave as it is, and a nursery would put it into a group.
    """

    def __init__(self, begin: Callable[[], Session[T]], ended: Callable[[], None]) -> None:
        """Make the manager of a run.

        Args:
            begin: makes the session, on entry; what it raises leaves.
            ended: called when the run is over.
        """
        self._begin = begin
        self._ended = ended
        self._session: Session[T] | None = None
        self._nursery: trio.Nursery | None = None
        self._manager = trio.open_nursery(strict_exception_groups=True)

    async def __aenter__(self) -> Run[T]:
        """Begin the run. No checkpoint."""
        check_trio()
        self._session = self._begin()
        self._nursery = await self._manager.__aenter__()
        self._session.open(self._nursery)
        return Run(self._session)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the run: wait for the sinks if all its work is done, else cancel everything.

        What the body raised leaves as the same object; what ends the program (`KeyboardInterrupt`, `SystemExit`) of a
        task before it; an error of a sink where the body raised none.
        """
        session, nursery = self._session, self._nursery
        assert session is not None
        assert nursery is not None
        # First: what ends from here on has no reader either, and counts as such.
        session.parts.counters.unread += session.outbox.leave()
        if error is not None or not session.shutdown.ended.is_set():
            session.shutdown.abort("the run was left")
            nursery.cancel_scope.cancel()
        # Only a cancellation is the nursery's business. Anything else it would put into a group, and take groups apart.
        own = error is not None and not cancels(error)
        first: BaseException | None = None
        swallowed = False
        try:
            swallowed = bool(await self._manager.__aexit__(*((None, None, None) if own else (kind, error, traceback))))
        except BaseException as raised:  # noqa: BLE001 - what leaves is chosen below
            first = _first(raised, own=own)
        finally:
            try:
                await session.close()
            finally:
                self._ended()
        if first is not None and first is not error:
            raise first
        return swallowed and not own  # of the body's own error the nursery was told nothing


async def read_out(run: Run[Any], *, sinks: bool) -> BaseException | None:
    """Read a run to its end, for who wants no outcomes.

    Returns:
        What a test framework raised in a scraper (`pytest.fail`), to be raised once the run is over: where no sink had
        the outcome, nobody else could see it, and the test would pass.

    Raises:
        Exception: what the source of events raised.

    Checkpoint. If cancelled, no outcome is lost.
    """
    unheard: BaseException | None = None
    async for outcome in run:
        if unheard is None and not sinks and isinstance(outcome, Failure):
            unheard = verdict(outcome.error)
    return unheard


async def report_of(stream: AbstractAsyncContextManager[Run[T]], *, sinks: bool) -> Report:
    """Make a run to its end for who wants its report only.

    Raises:
        BaseException: what `read_out` has found.
        Exception: what the run raises.

    Checkpoint. If cancelled, the run is cancelled.
    """
    unheard: BaseException | None = None
    async with stream as run:  # which may take the cancellation of its own scope for its end
        unheard = await read_out(run, sinks=sinks)
    if unheard is not None:
        raise unheard
    return run.report


def _first(raised: BaseException, *, own: bool) -> BaseException | None:
    """Choose what leaves, of what was raised beside the body; None: what the body raised of its own."""
    ends = _ends(raised)
    for end in ends:
        if isinstance(end, KeyboardInterrupt | SystemExit | GeneratorExit):
            return end
    if not own:
        if isinstance(raised, BaseExceptionGroup) and len(raised.exceptions) == 1:
            return raised.exceptions[0]
        return raised
    for end in ends:
        if not isinstance(end, trio.Cancelled):
            logger().error("a sink failed while the run was left", exc_info=end)
    return None


def _ends(error: BaseException) -> list[BaseException]:
    """List what groups hold."""
    if isinstance(error, BaseExceptionGroup):
        return [end for each in error.exceptions for end in _ends(each)]
    return [error]
