"""The engine: it wires everything, and does nothing else."""

from __future__ import annotations

import functools
import random
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, TypedDict, TypeVar

import attrs
import trio

from scrapeengine.decide.gate import Gate
from scrapeengine.decide.routing import Routes
from scrapeengine.deliver.outbox import Sink
from scrapeengine.errors import EngineBusy, UnknownPlatform
from scrapeengine.http.client.clients import HttpClients
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.wire.connector import OwnConnector
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.event import Event
from scrapeengine.model.job import Known
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import Report
from scrapeengine.model.store import Store
from scrapeengine.model.urls import named_host, told
from scrapeengine.model.validators import Validators
from scrapeengine.run.backing import Work
from scrapeengine.run.intake import Events, check_events
from scrapeengine.run.plan import Plan
from scrapeengine.run.policy import EnginePolicy
from scrapeengine.run.run import Run, Stream, report_of
from scrapeengine.run.session import Session
from scrapeengine.run.skips import Skips
from scrapeengine.run.source import SourceWork
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.gates import Gates
from scrapeengine.served import serving

__all__ = ["Engine", "EngineOptions"]

T = TypeVar("T")

_KNOBS = ("event_limit", "lookahead", "buffer", "max_pending")
_PLATFORM_KNOBS = ("limit", "rate", "timeout", "retry", "headers", "caps", "robots", "cookies")


class EngineOptions(TypedDict, total=False):
    """What `Engine` takes beside its platforms."""

    event_limit: int
    default: Platform[Any] | None
    lookahead: int
    buffer: int
    max_pending: int
    dedupe: bool
    validators: Validators | None


class Engine(Generic[T]):
    """Runs events on platforms. It makes one run at a time, as often as one likes.

    What it learns of a platform stays with it between runs: how much of its rate is used, and its penalties.
    """

    def __init__(
        self,
        platforms: Iterable[Platform[T]],
        *,
        event_limit: int = 10,
        default: Platform[T] | None = None,
        lookahead: int = 1000,
        buffer: int = 100,
        max_pending: int = 100_000,
        dedupe: bool = False,
        validators: Validators | None = None,
    ) -> None:
        """Make an engine.

        Args:
            platforms: the sites and APIs that events can name, and those whose URLs they carry.
            event_limit: how many events may be in progress at once, at least 1.
            default: serves each host that has no platform of its own as a platform; name it `"*"`.
            lookahead: how many events of the source may wait for a start: how far the engine sees past a full platform.
            buffer: how many outcomes may wait for the consumer before no task starts any more.
            max_pending: how many events may wait for a start, followed ones included.
            dedupe: whether an id is a duplicate for the whole run, and not only while its event is live; memory then
                grows with the ids.
            validators: where ETags are kept for conditional requests; None: in memory, for as long as the engine lives.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: two platforms have one name, or an argument is out of its range.
        """
        settings = EnginePolicy(
            event_limit=event_limit, lookahead=lookahead, buffer=buffer, max_pending=max_pending, dedupe=dedupe
        )
        declared = _by_name(platforms, default)
        self._plan = Plan(
            settings=settings,
            platforms=dict(declared),
            default=default,
            routes=Routes(declared, hosts=default is not None),
            gates=Gates(),
            shared_gates=Gates(Gate.sharing),
            skips=Skips(),
            declared=frozenset(declared),
            own_validators=validators is not None,
            draw=random.Random().random,  # noqa: S311 - jitter, no secret
            clients=functools.partial(_clients, Keeping(validators)),
        )
        self._session: Session[T] | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def stream(self, events: Events, *, sinks: Sequence[Sink[T]] = ()) -> AbstractAsyncContextManager[Run[T]]:
        """Run events, and hand out their outcomes as they come.

        Args:
            events: any iterable or async iterable of `Event`, finite or endless; read lazily.
            sinks: async callables that take each batch of outcomes, before the consumer gets them.

        Returns:
            An async context manager. When it exits, nothing of the run is left running. What its body raises leaves
            as the same object, in no group; so do `KeyboardInterrupt`, `SystemExit` and `GeneratorExit` of a scraper,
            and an error of a sink, which end the run.

        Raises:
            EngineBusy: on entry: the engine is running already.
        """
        check_events(events)
        return self._run_of(SourceWork(events), sinks)

    async def run(self, events: Events, *, sinks: Sequence[Sink[T]] = ()) -> Report:
        """Run events to their end; their outcomes go to the sinks only.

        Raises:
            EngineBusy: the engine is running already.
            Exception: what the source raised, after all that it gave before has ended; what a sink raised.
            BaseException: what a test framework raised in a scraper (`pytest.fail`), after all has ended, and only
                without sinks: nobody else could see it.

        Checkpoint. If cancelled, the run is cancelled.
        """
        return await report_of(self.stream(events, sinks=sinks), sinks=bool(sinks))

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
        return await serving.enqueue(self._plan.routes, store, events, cadence, delay)

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
        return self._run_of(serving.work_for(store, sinks, lease), sinks)

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
        return await serving.make_round(self._run_of, store, due_only=due_only, ids=ids, sinks=sinks, lease=lease)

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
        return serving.rounds(self._run_of, store, every, sinks, lease)

    def tune(self, platform: str | None = None, **changes: Any) -> None:
        """Change a knob, at any time and from any thread; a run that is going on goes on with it at once.

        Args:
            platform: whose `limit` (0 pauses it), `rate`, `timeout`, `retry`, `headers`, `caps`, `robots` or `cookies`
                to change: a platform's name, a host that the default serves, or the default's name for all hosts that
                were not tuned by themselves. None: the engine's own `event_limit`, `lookahead`, `buffer` and
                `max_pending`.
            **changes: the new values.

        Raises:
            UnknownPlatform: the engine has no such platform.
            TypeError: there is no such knob, or a value is of the wrong type.
            ValueError: a value is out of its range.
        """
        knobs = _KNOBS if platform is None else _PLATFORM_KNOBS
        for name in changes:
            if name not in knobs:
                raise TypeError(f"tune has no knob {name!r} here; it takes {', '.join(knobs)}")
        if platform is None:
            self._plan.settings = attrs.evolve(self._plan.settings, **changes)
        else:
            self._tune_platform(platform, changes)
        session, token = self._session, self._token
        if session is None or token is None:
            return
        if trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is token:
            session.retune()
        else:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(session.retune)

    def _tune_platform(self, name: str, changes: dict[str, Any]) -> None:
        plan = self._plan
        if plan.default is not None and name == plan.default.name:
            plan.default = attrs.evolve(plan.default, **changes)
            return
        name = plan.routes.declared(name) or name
        if name not in plan.platforms and plan.default is not None:
            name = named_host(name) or name
        if name in plan.platforms:
            plan.platforms[name] = attrs.evolve(plan.platforms[name], **changes)
        elif plan.default is not None:
            plan.platforms[name] = attrs.evolve(plan.default, **changes)
        else:
            raise UnknownPlatform(
                f"no platform is named {told(name)}; the engine has {', '.join(map(repr, plan.declared))}"
            )

    def _run_of(self, work: Work, sinks: Sequence[Sink[T]]) -> Stream[T]:
        for sink in sinks:
            if not callable(sink):
                raise TypeError(f"a sink is an async callable that takes a list of outcomes, got {told(sink)}")

        def begin() -> Session[T]:
            if self._session is not None:
                raise EngineBusy("this engine is running already; wait for its run to end, or make another engine")
            self._token = trio.lowlevel.current_trio_token()
            self._session = Session(self._plan, work, sinks)
            return self._session

        return Stream(begin, self._ended)

    def _ended(self) -> None:
        self._session = self._token = None

    def __repr__(self) -> str:
        """Name the platforms, and say whether it runs."""
        names = ", ".join(sorted(self._plan.declared)) or "hosts"
        return f"<Engine {names}; {'running' if self._session else 'idle'}>"


def _clients(keeping: Keeping, alarms: Alarms) -> HttpClients:
    return HttpClients(keeping, OwnConnector(alarms))


def _by_name(platforms: Iterable[Platform[T]], default: Platform[T] | None) -> dict[str, Platform[T]]:
    found: dict[str, Platform[T]] = {}
    for platform in [*platforms, *([] if default is None else [default])]:
        if not isinstance(platform, Platform):
            raise TypeError(f"an Engine takes Platforms, got {told(platform)}; write Platform('name', scrape)")
        if platform.name in found:
            raise ValueError(f"two platforms are named {platform.name!r}; outcomes are told apart by the name")
        found[platform.name] = platform
    if not found:
        raise ValueError("an Engine needs at least one platform, or default=Platform('*', …) to serve any host")
    if default is not None:
        del found[default.name]
    return found
