"""The engine for programs that are not async: a run from its start to its end, in any thread.

    receiver of signals ──> store ──> run ──> wait, or collect ──> leave them, the receiver last

The first signal lets tasks end, the second cancels them. From then on signals are the system's: a third ends the
process, whatever a scraper shields itself from. Who had them before has them again when the receiver goes. Until then
none comes between the end of a run and what it gives back.
"""

from __future__ import annotations

import importlib
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias, TypeVar, Unpack

import trio

import scrapeengine.served as served  # noqa: PLR0402 - of the package only what is asked for is imported
from scrapeengine.deliver.sinks import AnySink
from scrapeengine.engine import Engine, EngineOptions
from scrapeengine.model.checks import refuse_asyncio
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import Report
from scrapeengine.observe.showing import shows
from scrapeengine.run.intake import Events
from scrapeengine.run.run import Run
from scrapeengine.tasks.signals import cancels

if TYPE_CHECKING:
    from scrapeengine.model.store import Store
    from scrapeengine.served.until import Until

__all__ = ["collect", "run", "serve"]

T = TypeVar("T")
Signals: TypeAlias = Literal["raise", "return"]
"""What comes of a signal once the run that it has stopped has ended."""
Begin: TypeAlias = Callable[[AsyncExitStack], Awaitable[Run[T]]]
"""Begins a run, and leaves it to a stack to end it."""


class Instead(NamedTuple):
    """What to write where no thread may be held up."""

    name: str
    in_trio: str
    in_thread: str


_RUN = Instead("run and collect hold", "await scrapeengine.Engine(…).run(…)", "scrapeengine.run, platforms, events")
_SERVE = Instead(
    "serve holds",
    "async with scrapeengine.Engine(…).serve(store) as run: await run.wait()",
    "scrapeengine.serve, platforms, 'sqlite:jobs.db'",
)
_HEEDED = signal.SIGINT, signal.SIGTERM
_MEANS: dict[str | None, Callable[[], BaseException]] = {
    "SIGINT": KeyboardInterrupt,
    "SIGTERM": lambda: SystemExit(128 + signal.SIGTERM),
}
"""What signals are for."""


def run(
    platforms: Iterable[Platform[T]],
    events: Events,
    *,
    default: Platform[T] | None = None,
    sinks: Sequence[AnySink[T]] = (),
    instruments: Sequence[Instrument] = (),
    progress: bool = False,
    clock: trio.abc.Clock | None = None,
    signals: Signals = "raise",
    **options: Unpack[EngineOptions],
) -> Report:
    """Run events on platforms to their end, in this thread.

    In the main thread SIGINT and SIGTERM stop the run: the first one lets tasks that run go on for 10 s, a second one
    cancels them, a third ends the process at once. What blocks the event loop (a source, say) holds up signals too. In
    other threads signals are left alone.

    Args:
        platforms: as for `Engine`.
        events: as for `Engine.stream`.
        default: as for `Engine`.
        sinks: as for `Engine.stream`.
        instruments: as for `Engine.stream`.
        progress: whether to show how far it is, on stderr (`observe.Progress`); needs the extra `progress`.
        clock: the clock of the run, `trio.testing.MockClock(autojump_threshold=0)`, say; None: trio's own.
        signals: once a signal has stopped the run, and all has ended: "raise" goes on with what the signal is for, or
            "return" returns, and the report says it as `stopped`.
        **options: what else `Engine` takes.

    Raises:
        RuntimeError: the thread is in a trio run already, `await Engine(…).run(…)` there; or in an asyncio loop,
            `await asyncio.to_thread(scrapeengine.run, …)` there.
        KeyboardInterrupt: SIGINT has stopped the run. It has the `report`, and of `collect` the `outcomes`.
        SystemExit: SIGTERM has; the same, and its code is 143.
        ImportError: `progress` is asked for, and rich is not installed.
        Exception, BaseException: what `Engine.run` raises.
    """
    engine = Engine(platforms, default=default, **options)
    stream = partial(engine.stream, events, sinks=sinks, instruments=instruments)
    return _to_the_end(partial(_begin, stream), clock, None, signals, _RUN, progress)


def collect(
    platforms: Iterable[Platform[T]],
    events: Events,
    *,
    default: Platform[T] | None = None,
    instruments: Sequence[Instrument] = (),
    progress: bool = False,
    clock: trio.abc.Clock | None = None,
    signals: Signals = "raise",
    **options: Unpack[EngineOptions],
) -> list[Outcome[T]]:
    """Run events on platforms to their end, in this thread, and return all outcomes: for small things.

    Otherwise as `run`; but what a test framework raised in a scraper is in its outcome only.
    """
    engine, outcomes = Engine(platforms, default=default, **options), list[Outcome[T]]()
    stream = partial(engine.stream, events, instruments=instruments)
    _to_the_end(partial(_begin, stream), clock, outcomes, signals, _RUN, progress)
    return outcomes


def serve(
    platforms: Iterable[Platform[T]],
    url: str | Store | AbstractAsyncContextManager[Store],
    *,
    default: Platform[T] | None = None,
    sinks: Sequence[AnySink[T]] = (),
    until: Until | None = None,
    instruments: Sequence[Instrument] = (),
    progress: bool = False,
    clock: trio.abc.Clock | None = None,
    signals: Signals = "raise",
    **options: Unpack[EngineOptions],
) -> Report:
    """Open a store, and work for it in this thread, until a signal or as said; all jobs are given back then.

    Signals are heeded as by `run`. In other threads than the main one nothing ends it but `until`.

    Args:
        platforms: as for `Engine`.
        url: the store's, as for `open_store`; or what `open_store` returns, with options; or a store of your own that
            needs no opening. One that is open belongs to another run: serve that with `Engine.serve`.
        default: as for `Engine`.
        sinks: as for `Engine.serve`. Without any, outcomes are for nobody, and are not kept: results are in the store.
        until: as for `Engine.serve`.
        instruments: as for `Engine.stream`.
        progress: as for `run`.
        clock: as for `run`.
        signals: as for `run`.
        **options: what else `Engine` takes.

    Returns:
        What was done, once all has ended, and the store is closed.

    Raises:
        RuntimeError: as for `run`.
        KeyboardInterrupt: as for `run`.
        SystemExit: as for `run`.
        ValueError: as for `Engine.serve`, or the URL is none.
        StoreError: the store could not be opened.
        ImportError: as for `run`.
        Exception, BaseException: what `Run.wait` raises, and sinks.
    """
    engine = Engine(platforms, default=default, **options)
    store = importlib.import_module("scrapeengine.stores").open_store(url) if isinstance(url, str) else url
    serve = partial(engine.serve, sinks=sinks, instruments=instruments, until=until)
    served.serving.check_serving(until)

    async def begin(stack: AsyncExitStack) -> Run[T]:
        opened = await stack.enter_async_context(store) if isinstance(store, AbstractAsyncContextManager) else store
        return await stack.enter_async_context(serve(opened))

    return _to_the_end(begin, clock, None, signals, _SERVE, progress)


async def _begin(stream: Callable[[], AbstractAsyncContextManager[Run[T]]], stack: AsyncExitStack) -> Run[T]:
    return await stack.enter_async_context(stream())


def _to_the_end(
    begin: Begin[T],
    clock: trio.abc.Clock | None,
    outcomes: list[Outcome[T]] | None,
    signals: Signals,
    instead: Instead,
    progress: bool,  # noqa: FBT001 - as it was given
) -> Report:
    """Make a run to its end in this thread.

    Args:
        begin: begins it.
        clock: its clock, or None.
        outcomes: gets them, as their consumer; None: there is none.
        signals: what comes of a signal.
        instead: what to write where this cannot be.
        progress: whether it is shown.
    """
    _check(signals, clock, instead)
    show = shows(progress)

    async def main() -> Report:
        failure: BaseException | None = None
        async with AsyncExitStack() as stack:
            numbers = None
            if threading.current_thread() is threading.main_thread():
                numbers = stack.enter_context(trio.open_signal_receiver(*_HEEDED))
            run = await begin(stack)
            await stack.enter_async_context(nullcontext() if show is None else show(run))
            nursery = await stack.enter_async_context(trio.open_nursery())
            if numbers is not None:
                nursery.start_soon(_heed_signals, run, numbers)
            try:
                if outcomes is None:
                    await run.wait()
                else:
                    async for outcome in run:
                        outcomes.append(outcome)
            except BaseException as error:
                if cancels(error):
                    raise
                failure = error  # raised below, outside of the group that the nursery would make
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure
        return run.report

    report = trio.run(main, clock=clock)
    if signals == "raise":
        _raise_signal(report, outcomes)
    return report


def _check(signals: str, clock: object, instead: Instead) -> None:
    if signals not in {"raise", "return"}:
        raise ValueError(f'signals=… must be "raise" or "return", got {signals!r}')
    if not isinstance(clock, trio.abc.Clock | None):
        write = "trio.testing.MockClock(autojump_threshold=0)"
        raise TypeError(f"clock=… must be a clock of trio's, got {type(clock).__name__}; write {write}")
    if trio.lowlevel.in_trio_run():
        raise RuntimeError(f"this thread is in a trio run already; write `{instead.in_trio}`")
    refuse_asyncio(
        f"scrapeengine.{instead.name} its thread up until all is done",
        f"write `await asyncio.to_thread({instead.in_thread})`",
    )


def _raise_signal(report: Report, outcomes: object) -> None:
    """Go on with what the signal is for that has stopped a run, if one has: here, in no group, once all has ended."""
    means = _MEANS.get(report.stopped)
    if means is not None:
        end = means()
        end.__dict__.update(report=report, outcomes=outcomes)
        raise end


async def _heed_signals(run: Run[Any], numbers: AsyncIterator[int]) -> None:
    """Stop the run at the first signal, and cancel what runs at the second; a third ends the process."""
    for grace in (10.0, 0.0):
        number = await anext(numbers)
        run.stop_soon(grace, reason=signal.Signals(number).name)
    # Not those of before: Python's turns SIGINT into an exception of the main task, which a shielded child holds up.
    for number in _HEEDED:
        signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(await anext(numbers))  # the third, where it came before that
