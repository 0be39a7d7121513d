"""A run as its consumer sees it, and the context manager that it lives in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from types import TracebackType
from typing import Any, Generic, TypeVar

import trio

from scrapeengine.model.checks import number
from scrapeengine.model.outcome import Failure, Outcome
from scrapeengine.model.report import Report, Statistics
from scrapeengine.observe.log import logger
from scrapeengine.run.explaining import explain
from scrapeengine.run.session import Session
from scrapeengine.schedule.clock import check_trio
from scrapeengine.tasks.signals import cancels, verdict
from scrapeengine.uninterrupted import to_its_end

__all__ = ["Run", "Stream", "report_of"]

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
        """Wait for the next outcome; who asks for it has had the last one. Checkpoint. If cancelled, none is lost.

        Raises:
            StopAsyncIteration: every task has ended, and all outcomes were read.
            Exception: what the source of events raised, once, after the outcomes of all that it gave before.
        """
        try:
            return await self._session.outbox.take()
        except trio.EndOfChannel:
            pass
        self._raise_error()
        raise StopAsyncIteration

    async def wait(self) -> Report:
        """Wait for the end of the run, for who reads no outcomes: they go to the sinks, or to nobody.

        Where another task reads the run, it goes on to have them. Otherwise there is no consumer from here on: a store
        keeps outcomes for the sinks, and without sinks none.

        Returns:
            The report, once all tasks have ended and all sinks have had their outcomes.

        Raises:
            Exception: what the source of events raised, once; what makes it pointless to go on with a store.
            BaseException: what a test framework raised in a scraper (`pytest.fail`), after all has ended, and only
                where neither sinks nor another task have had the outcome: nobody else could see it.

        Checkpoint. If cancelled, the run goes on.
        """
        session = self._session
        outbox = session.outbox
        unheard: BaseException | None = None
        if outbox.reader is None or outbox.reader is trio.lowlevel.current_task():
            unheard = await self._read_out()
        await session.shutdown.ended.wait()
        await session.collector.done.wait()
        self._raise_error()
        if unheard is not None:
            raise unheard
        return self.report

    async def _read_out(self) -> BaseException | None:
        """Read to the end where a consumer is owed anything; return what a test framework raised in a scraper."""
        outbox, unheard = self._session.outbox, None
        if not outbox.owed:
            return None
        sinks = outbox.has_sinks
        if not sinks:
            self._session.backing.unwanted()
        with suppress(trio.EndOfChannel, trio.ClosedResourceError):  # or the run was left meanwhile
            while True:
                outcome = await outbox.take()
                if unheard is None and not sinks and isinstance(outcome, Failure):
                    unheard = verdict(outcome.error)
        return unheard

    def _raise_error(self) -> None:
        error, self._session.backing.jobs.error = self._session.backing.jobs.error, None
        if error is not None:
            raise error

    @property
    def report(self) -> Report:
        """The counts of what the run has done so far; also readable after it has ended."""
        return self._session.report()

    def statistics(self) -> Statistics:
        """Say what the run is doing at this instant, from any thread; after its end, as it was then."""
        return self._session.statistics()

    async def pending(self) -> Mapping[str, int] | None:
        """Count what is still to come, and not accepted yet; None: nobody knows, for the source has no length.

        Returns:
            Of a store the jobs by platform that are ready, and those that are delayed too where the run waits for them
            (`until="empty"`). Of a source the number of its events, under the empty name. What tasks will follow, and
            what others will enqueue, nobody knows.

        Raises:
            StoreError: the store could not be asked.

        Checkpoint where a store is asked, else none.
        """
        return await self._session.backing.pending()

    def explain(self, platform: str | None = None) -> str:
        """Say in plain sentences what holds a platform back at this instant; None: each that has work. From any thread.

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

    def __init__(
        self, check: Callable[[], Awaitable[None]], begin: Callable[[], Session[T]], ended: Callable[[], None]
    ) -> None:
        """Make the manager of a run.

        Args:
            check: refuses what would lead nowhere, on entry; what it raises leaves.
            begin: makes the session, on entry; what it raises leaves.
            ended: called when the run is over.
        """
        self._check = check
        self._begin = begin
        self._ended = ended
        self._session: Session[T] | None = None
        self._nursery: trio.Nursery | None = None
        self._manager = trio.open_nursery(strict_exception_groups=True)

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Run[T]:
        """Begin the run. Checkpoint where a store is asked something first, else none."""
        check_trio()
        await self._check()
        self._session = self._begin()
        self._nursery = await self._manager.__aenter__()
        self._session.open(self._nursery)
        return Run(self._session)

    @trio.lowlevel.enable_ki_protection
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
        session.leave()
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
                await to_its_end(session.close)
            finally:
                self._ended()
        if first is not None and first is not error:
            raise first
        return swallowed and not own  # of the body's own error the nursery was told nothing


async def report_of(
    stream: AbstractAsyncContextManager[Run[T]],
    shows: Callable[[Any], AbstractAsyncContextManager[object]] | None = None,
) -> Report:
    """Make a run to its end for who wants its report only.

    Args:
        stream: the run.
        shows: shows its progress; None: it is not shown.

    Raises:
        BaseException: what `Run.wait` raises, and the run.

    Checkpoint. If cancelled, the run is cancelled.
    """
    async with stream as run, nullcontext() if shows is None else shows(run):
        await run.wait()  # the run may take the cancellation of its own scope for its end
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
