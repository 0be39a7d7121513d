"""What an engine does with a store: put events into it, serve it, and poll what recurs there."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Generic, TypeVar

from scrapeengine.deliver.outbox import Sink
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.checks import number
from scrapeengine.model.event import Event
from scrapeengine.model.job import Known
from scrapeengine.model.report import Report
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.run.plan import Plan
from scrapeengine.run.run import Run, Stream, report_of
from scrapeengine.run.session import Session
from scrapeengine.served.claims import Round
from scrapeengine.served.enqueueing import check_store, new_jobs
from scrapeengine.served.rounds import Rounds, alone
from scrapeengine.served.session import ServedSession

__all__ = ["Serving"]

T = TypeVar("T")


class Serving(ABC, Generic[T]):
    """The part of an engine that has to do with stores."""

    _plan: Plan

    @abstractmethod
    def _run_of(self, make: Callable[[], Session[T]], sinks: Sequence[Sink[T]]) -> Stream[T]:
        """Return the manager of a run, whose session is made on entry."""

    async def enqueue(
        self, store: Store, events: Iterable[Event], *, cadence: Cadence | None = None, delay: float = 0.0
    ) -> list[Known]:
        """Put events into a store, all or none: a job for each on each of its platforms.

        Args:
            store: made by `open_store`.
            events: their `data` is bytes, or what JSON has: tuples come back as lists, and keys as texts.
            cadence: how they recur; None: they do not. On events that are known it replaces what they had.
            delay: seconds until they are ready.

        Returns:
            For each job, in the order of the events and their platforms, whether it is new, and its present state: an
            id that is pending, or has ended and is still known, is left as it is.

        Raises:
            UnknownPlatform: an event names a platform that the engine does not have, or none at all. None was taken.
            TypeError: what is given is no store or no event, or the data of an event can't be stored. None was taken.
            ValueError: an id or a priority can't be stored. None was taken.
            StoreFull: there is no room, and the store was told to raise.
            StoreError: the store could not take them. None was taken.

        Checkpoint. If cancelled, all were taken or none.
        """
        check_store(store)
        if cadence is not None and not isinstance(cadence, Cadence):
            raise TypeError(
                f"enqueue(cadence=…) must be a Cadence or None, got {cadence!r}; write Cadence(minimum=180)"
            )
        return await store.enqueue(new_jobs(events, self._plan.routes, cadence, number(delay, "delay", zero=True)))

    def serve(
        self, store: Store, *, sinks: Sequence[Sink[T]] = (), lease: float = 30.0
    ) -> AbstractAsyncContextManager[Run[T]]:
        """Work for a store until the run is stopped: claim jobs, run them, and store how they ended.

        Several engines may serve one store, in one process or in many. A job whose process dies is run again once its
        lease has ended; each job's result is accepted once. On a store that processes share, engines keep a platform's
        limit and rate together, and its penalties within half a second.

        Args:
            store: made by `open_store`.
            sinks: as for `stream`. The store keeps each outcome until they have it: after a crash it is delivered
                again, at least once, and exactly once where the sink upserts by event and platform.
            lease: the seconds after which a job of a process that has died is somebody else's. It is renewed after a
                third of that.

        Returns:
            As for `stream`. The outcomes must be read, as there; the run goes on until it is stopped. What was not
            started by then, or was cut off, is given back to the store at once, and has no outcome.

        Raises:
            EngineBusy: on entry: the engine is running already.
        """
        check_store(store)
        number(lease, "serve(lease=…)", instead="; write seconds")
        return self._run_of(lambda: ServedSession(self._plan, store, sinks, lease=lease), sinks)

    async def poll(
        self,
        store: Store,
        *,
        due_only: bool = True,
        ids: Collection[str | int] | None = None,
        sinks: Sequence[Sink[T]] = (),
        lease: float = 30.0,
    ) -> Report:
        """Make one round: run what is due in a store, until nothing of that is left; what is due later is later's.

        Args:
            store: made by `open_store`.
            due_only: whether to run only what is due; if not, all that recurs.
            ids: the ids of events that recur, to be run now, due or not, and nothing else.
            sinks: as for `serve`.
            lease: as for `serve`.

        Returns:
            What the round has done. What waits for a closed or paused platform stays in the store, for a later one.

        Raises:
            EngineBusy: the engine is running, or another round on this store is, here or in another process.
            StoreError: the store could not be asked.
            Exception: what a sink raised.
            BaseException: as for `run`.

        Checkpoint. If cancelled, the run is cancelled, and what it had in hand is given back.
        """
        return await self._make_round(store, due_only=due_only, ids=ids, sinks=sinks, lease=lease)

    def rounds(
        self, store: Store, *, every: float, sinks: Sequence[Sink[T]] = (), lease: float = 30.0
    ) -> AsyncIterator[Report]:
        """Make a round each `every` seconds, for ever; leave the loop to stop. One that the store fails is left out.

        Rounds never overlap. One that is still running when the next is due says so in the log and in its report
        (`overran`); the rounds that it has missed are not made. An event is in the round that is nearest to when its
        cadence has it due, so that with a minimum of `every` it is in each; what platforms and scrapers have asked for
        (`Retry-After`, `max-age`, `again_after`) is heeded to the second.

        Args:
            store: made by `open_store`.
            every: seconds from the beginning of one round to that of the next.
            sinks: as for `serve`.
            lease: as for `serve`.

        Returns:
            An async iterator of the rounds' reports.

        Raises:
            EngineBusy: as for `poll`.
        """
        check_store(store)
        number(every, "rounds(every=…)", instead="; write seconds")
        return Rounds(every, lambda: self._make_round(store, sinks=sinks, lease=lease, early=every / 2))

    async def _make_round(
        self,
        store: Store,
        *,
        due_only: bool = True,
        ids: Collection[str | int] | None = None,
        sinks: Sequence[Sink[T]],
        lease: float,
        early: float = 0.0,
    ) -> Report:
        check_store(store)
        number(lease, "poll(lease=…)", instead="; write seconds")
        if isinstance(ids, str | bytes):
            raise TypeError(f"poll(ids=…) must be a list of ids, got {told(ids)}; write ids=[{told(ids)}]")
        wanted = None if ids is None else frozenset(map(str, ids))
        async with alone(store, lease):
            if wanted is not None or not due_only:
                await store.hasten(wanted)
            only = Round.from_now(store, wanted, early)
            session = partial(ServedSession, self._plan, store, sinks, lease=lease, only=only)
            return await report_of(self._run_of(session, sinks), sinks=bool(sinks))
