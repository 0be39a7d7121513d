"""The engine for programs that are not async: a run from its start to its end, in any thread."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar, Unpack

import trio

from scrapeengine.deliver.sinks import Sink
from scrapeengine.engine import Engine, EngineOptions
from scrapeengine.model.checks import refuse_asyncio
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import Report
from scrapeengine.run.intake import Events
from scrapeengine.run.run import Run
from scrapeengine.tasks.signals import cancels

__all__ = ["collect", "run"]

T = TypeVar("T")
Signals: TypeAlias = Literal["raise", "return"]
"""What comes of a signal once the run that it has stopped has ended."""

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
    sinks: Sequence[Sink[T]] = (),
    instruments: Sequence[Instrument] = (),
    clock: trio.abc.Clock | None = None,
    signals: Signals = "raise",
    **options: Unpack[EngineOptions],
) -> Report:
    """Run events on platforms to their end, in this thread.

    In the main thread SIGINT and SIGTERM stop the run: the first one lets tasks that run go on for 10 s, a second one
    cancels them, a third does what it did before. What blocks the event loop (a source, say) holds up signals too. In
    other threads signals are left alone.

    Args:
        platforms: as for `Engine`.
        events: as for `Engine.stream`.
        default: as for `Engine`.
        sinks: as for `Engine.stream`.
        instruments: as for `Engine.stream`.
        clock: the clock of the run, `trio.testing.MockClock(autojump_threshold=0)`, say; None: trio's own.
        signals: once a signal has stopped the run, and all has ended: "raise" goes on with what the signal is for, or
            "return" returns, and the report says it as `stopped`.
        **options: what else `Engine` takes.

    Raises:
        RuntimeError: the thread is in a trio run already, `await Engine(…).run(…)` there; or in an asyncio loop,
            `await asyncio.to_thread(scrapeengine.run, …)` there.
        KeyboardInterrupt: SIGINT has stopped the run. It has the `report`, and of `collect` the `outcomes`.
        SystemExit: SIGTERM has; the same, and its code is 143.
        Exception, BaseException: what `Engine.run` raises.
    """
    return _run(Engine(platforms, default=default, **options), events, sinks, instruments, clock, None, signals)


def collect(
    platforms: Iterable[Platform[T]],
    events: Events,
    *,
    default: Platform[T] | None = None,
    instruments: Sequence[Instrument] = (),
    clock: trio.abc.Clock | None = None,
    signals: Signals = "raise",
    **options: Unpack[EngineOptions],
) -> list[Outcome[T]]:
    """Run events on platforms to their end, in this thread, and return all outcomes: for small things.

    Otherwise as `run`; but what a test framework raised in a scraper is in its outcome only.
    """
    outcomes: list[Outcome[T]] = []
    _run(Engine(platforms, default=default, **options), events, (), instruments, clock, outcomes, signals)
    return outcomes


def _run(
    engine: Engine[T],
    events: Events,
    sinks: Sequence[Sink[T]],
    instruments: Sequence[Instrument],
    clock: trio.abc.Clock | None,
    outcomes: list[Outcome[T]] | None,
    signals: Signals,
) -> Report:
    _check(signals)

    refuse_asyncio(
        "scrapeengine.run and collect hold their thread up until all is done",
        "write `await asyncio.to_thread(scrapeengine.run, platforms, events)`",
    )

    async def main() -> Report:
        failure: BaseException | None = None
        async with engine.stream(events, sinks=sinks, instruments=instruments) as run, trio.open_nursery() as nursery:
            if threading.current_thread() is threading.main_thread():
                await nursery.start(_heed_signals, run)
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


def _check(signals: str) -> None:
    if signals not in {"raise", "return"}:
        raise ValueError(f'signals=… must be "raise" or "return", got {signals!r}')
    if trio.lowlevel.in_trio_run():
        raise RuntimeError("this thread is in a trio run already; write `await scrapeengine.Engine(…).run(…)`")


def _raise_signal(report: Report, outcomes: object) -> None:
    """Go on with what the signal is for that has stopped a run, if one has: here, in no group, once all has ended."""
    means = _MEANS.get(report.stopped)
    if means is not None:
        end = means()
        end.__dict__.update(report=report, outcomes=outcomes)
        raise end


async def _heed_signals(run: Run[Any], task_status: trio.TaskStatus[None]) -> None:
    """Stop the run at the first signal, and cancel what runs at the second; a third finds the handlers of before."""
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        for grace in (10.0, 0.0):
            number = await anext(signals)
            run.stop_soon(grace, reason=signal.Signals(number).name)
