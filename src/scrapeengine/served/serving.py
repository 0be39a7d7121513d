"""Calls of an engine on a store: put events into it, serve it, and make rounds on what recurs there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias, TypeVar

from scrapeengine.decide.routing import Routes
from scrapeengine.deliver.sinks import AnySink
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.checks import id_of, number
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.job import Known
from scrapeengine.model.report import Report
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.run.plan import Plan
from scrapeengine.run.run import Run, report_of
from scrapeengine.schedule.clock import check_trio
from scrapeengine.served.backing import StoreWork
from scrapeengine.served.claims import Round
from scrapeengine.served.enqueueing import check_context, check_store, new_jobs
from scrapeengine.served.rounds import Alone, Rounds
from scrapeengine.served.trouble import Trouble
from scrapeengine.served.until import Until, check_until

__all__ = ["RunOf", "check_serving", "enqueue", "make_round", "rounds", "work_for"]

T = TypeVar("T")

RunOf: TypeAlias = Callable[
    [StoreWork, Sequence[AnySink[T]], Sequence[Instrument]], AbstractAsyncContextManager[Run[T]]
]
"""Makes the manager of a run that is to work for a store."""


async def enqueue(
    routes: Routes,
    store: Store,
    events: Iterable[Event],
    cadence: Cadence | None,
    delay: float,
    *,
    replace: bool,
    context: Mapping[str, str] | None,
) -> list[Known]:
    """Put events into a store; documented as `Engine.enqueue`."""
    check_store(store)
    if cadence is not None and not isinstance(cadence, Cadence):
        raise TypeError(
            f"enqueue(cadence=…) must be a Cadence or None, got {cadence!r}; write Cadence(min_interval=180)"
        )
    check_context(context)
    jobs = await new_jobs(events, routes, cadence, number(delay, "delay", zero=True), context)
    return await store.enqueue(jobs, replace=replace)


def check_serving(until: Until | None, lease: float | None = None) -> None:
    """Check the arguments of `Engine.serve` that a store is not needed for."""
    check_until(until)
    _check_lease(lease, "serve")


def _check_lease(lease: float | None, call: str) -> None:
    if lease is not None:
        number(lease, f"{call}(lease=…)", instead="; write seconds, or leave it out for the engine's")


def work_for(store: Store, lease: float | None, until: Until | None) -> StoreWork:
    """Check the arguments of `Engine.serve`, and say what its run is to work on."""
    check_store(store)
    check_serving(until, lease)
    return StoreWork(store, lease, kept=True, trouble=Trouble(), until=until)


def rounds(
    plan: Plan,
    run_of: RunOf[T],
    store: Store,
    every: float,
    sinks: Sequence[AnySink[T]],
    instruments: Sequence[Instrument],
    lease: float | None,
) -> Rounds:
    """Make rounds for ever; documented as `Engine.rounds`."""
    check_store(store)
    number(every, "rounds(every=…)", instead="; write seconds")
    _check_lease(lease, "rounds")
    if lease is not None:  # now, and not by each round anew: in between it may be tuned
        plan.tune({"lease": lease})
    trouble = Trouble()
    how: dict[str, Any] = {"sinks": sinks, "instruments": instruments, "lease": None, "early": every / 2}
    return Rounds(every, lambda: make_round(plan, run_of, store, **how, trouble=trouble), trouble)


async def make_round(
    plan: Plan,
    run_of: RunOf[T],
    store: Store,
    *,
    due_only: bool = True,
    ids: Collection[str | int] | None = None,
    sinks: Sequence[AnySink[T]],
    instruments: Sequence[Instrument],
    lease: float | None,
    early: float = 0.0,
    trouble: Trouble | None = None,
) -> Report:
    """Make one round; documented as `Engine.poll`.

    Args:
        plan: the engine's.
        run_of: makes the run.
        store: the store.
        due_only: as there.
        ids: as there.
        sinks: as there.
        instruments: as there.
        lease: as there.
        early: seconds by which events may be due again sooner than their cadence says, so as to be in the next round.
        trouble: says what the store could not be asked; None: of its own.
    """
    check_trio()
    check_store(store)
    trouble = trouble or Trouble()
    _check_lease(lease, "poll")
    if ids is not None and (isinstance(ids, str | bytes) or not isinstance(ids, Iterable)):
        raise TypeError(f"poll(ids=…) must be a list of ids, got {told(ids)}; write ids=[{told(ids)}]")
    wanted = None if ids is None else frozenset(id_of(each, "each of poll(ids=…)") for each in ids)
    first = plan.settings.lease if lease is None else lease
    async with Alone(store, first, trouble, lambda: plan.settings.lease):
        hasten = wanted is not None or not due_only
        only = Round.from_now(store, wanted, early, hasten=hasten)
        work = StoreWork(store, lease, kept=bool(sinks), trouble=trouble, only=only)
        return await report_of(run_of(work, sinks, instruments))
