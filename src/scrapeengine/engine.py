"""The engine: it wires everything, and does nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, Unpack, overload

import attrs
import httpx
import trio

import scrapeengine.served as served  # noqa: PLR0402 - of the package only what is asked for is imported
from scrapeengine.deliver.sinks import AnySink, check_sinks
from scrapeengine.errors import EngineBusy
from scrapeengine.http.client.clients import HttpClients
from scrapeengine.http.features.cookie_access import Cookies
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.wire.connector import Connector, connector_of
from scrapeengine.model.checks import number
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.options import EngineKnobs, EnginePolicy, Environment, PlatformKnobs
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import Report
from scrapeengine.model.settings import Change, Settings
from scrapeengine.model.urls import named_host, told
from scrapeengine.model.validators import Validators
from scrapeengine.observe.instruments import check_instruments
from scrapeengine.observe.showing import shows
from scrapeengine.run.backing import Work
from scrapeengine.run.intake import Events, check_events
from scrapeengine.run.plan import Plan, Said
from scrapeengine.run.run import Run, Stream, report_of
from scrapeengine.run.session import Session
from scrapeengine.run.source import SourceWork
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.clock import between_runs, check_trio

if TYPE_CHECKING:
    from scrapeengine.model.cadence import Cadence
    from scrapeengine.model.job import Known
    from scrapeengine.model.store import Store
    from scrapeengine.served.until import Until

__all__ = ["Engine", "EngineOptions"]

T = TypeVar("T")


class EngineOptions(EngineKnobs, total=False):
    """Options of an `Engine` beside its platforms: the fields of `EnginePolicy` and of `Environment`.

    Size: 11 attributes, one for each of these.
    """

    dedupe: bool
    validators: Validators | None
    random: Callable[[], float]
    wall_time: Callable[[], float]
    encode: Callable[[Any], Any] | None
    connector: Connector | httpx.AsyncBaseTransport | None


class Engine(Generic[T]):
    """Runs events on platforms. It makes one run at a time, as often as one likes.

    What it learns of a platform stays with it between runs: how much of its rate is used, and its penalties.

    Size: its ways to run are documented here, each where a program calls it.
    """

    def __init__(
        self, platforms: Iterable[Platform[T]], *, default: Platform[T] | None = None, **options: Unpack[EngineOptions]
    ) -> None:
        """Make an engine.

        Args:
            platforms: the sites and APIs that events can name, and those whose URLs they carry.
            default: serves each host that has no platform of its own as a platform; name it `"*"`.
            **options: `event_limit`, `lookahead`, `buffer`, `max_pending`, `lease` and `dedupe`, as `EnginePolicy` has
                them;
                `validators`, `random`, `wall_time`, `encode` and `connector`, as `Environment` has them.

        Raises:
            TypeError: an argument is of the wrong type, or there is no such option.
            ValueError: two platforms have one name, or an argument is out of its range.
        """
        _check_names("Engine", "option", options, EngineOptions)
        given: dict[str, Any] = dict(options)
        environment = Environment(**_of(Environment, given))
        self._keeping = Keeping(environment.validators)
        self._plan = Plan(
            settings=EnginePolicy(**_of(EnginePolicy, given)),
            environment=environment,
            platforms=_by_name(platforms, default),
            default=default,
            clients=partial(_clients, self._keeping, environment.connector),
        )
        self._session: Session[T] | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def stream(
        self, events: Events, *, sinks: Sequence[AnySink[T]] = (), instruments: Sequence[Instrument] = ()
    ) -> AbstractAsyncContextManager[Run[T]]:
        """Run events, and hand out their outcomes as they come.

        Args:
            events: any iterable or async iterable of `Event`, finite or endless; read lazily.
            sinks: async callables that take each batch of outcomes, before the consumer gets them.
            instruments: are told what happens; see `Instrument`.

        Returns:
            An async context manager. When it exits, nothing of the run is left running. What its body raises leaves
            as the same object, in no group; so do `KeyboardInterrupt`, `SystemExit` and `GeneratorExit` of a scraper,
            and an error of a sink, which end the run.

        Raises:
            EngineBusy: on entry: the engine is running already.
        """
        check_events(events)
        return self._run_of(SourceWork(events), sinks, instruments)

    async def run(
        self,
        events: Events,
        *,
        sinks: Sequence[AnySink[T]] = (),
        instruments: Sequence[Instrument] = (),
        progress: bool = False,
    ) -> Report:
        """Run events to their end; their outcomes go to the sinks only.

        Args:
            events: as for `stream`.
            sinks: as for `stream`.
            instruments: as for `stream`.
            progress: whether to show how far it is, on stderr (`observe.Progress`); needs the extra `progress`.

        Raises:
            ImportError: `progress` is asked for, and rich is not installed.
            EngineBusy: the engine is running already.
            Exception: what the source raised, after all that it gave before has ended; what a sink raised.
            BaseException: what a test framework raised in a scraper (`pytest.fail`), after all has ended, and only
                without sinks: nobody else could see it.

        Checkpoint. If cancelled, the run is cancelled.
        """
        return await report_of(self.stream(events, sinks=sinks, instruments=instruments), shows(progress))

    async def enqueue(
        self,
        store: Store,
        events: Iterable[Event],
        *,
        cadence: Cadence | None = None,
        delay: float = 0.0,
        replace: bool = False,
        context: Mapping[str, str] | None = None,
    ) -> list[Known]:
        """Put events into a store, all or none: a job for each on each of its platforms.

        Args:
            store: made by `open_store`.
            events: their `data` is bytes, or what JSON has: tuples come back as lists, and keys as texts.
            cadence: how they recur; None: they do not. On events that are known it replaces what they had: what waits
                for its next time is due at the latest when the new minimum has passed since the last one, and what is
                done, or was skipped, recurs from then on.
            delay: seconds until they are ready.
            replace: whether events that are pending get the new data, priority and delay. What runs goes on with the
                old ones, and the reply says so (`Known.replaced`).
            context: texts by name that come with the jobs to the instruments of whoever runs them (`JobClaimed`), such
                as `se.observe.trace_context()`; 8192 characters at most. Jobs that are known keep what they have.

        Returns:
            For each job, in the order of the events and their platforms, whether it is new, and its present state. An
            id that has failed, or was cancelled, runs again, and counts as new; one that is pending, or is done or was
            skipped and is still known, is left as it is.

        Raises:
            UnknownPlatform: an event names a platform that the engine does not have, or none at all. None was taken.
            TypeError: what is given is no store or no event, or the data of an event can't be stored. None was taken.
            ValueError: an id or a priority can't be stored, or the context is too large. None was taken.
            StoreFull: there is no room, and the store was told to raise.
            StoreError: the store could not take them. None was taken.

        Checkpoint. If cancelled, all were taken or none.
        """
        check_trio()
        return await served.serving.enqueue(
            self._plan.routes, store, events, cadence, delay, replace=replace, context=context
        )

    def serve(
        self,
        store: Store,
        *,
        sinks: Sequence[AnySink[T]] = (),
        instruments: Sequence[Instrument] = (),
        lease: float | None = None,
        until: Until | None = None,
    ) -> AbstractAsyncContextManager[Run[T]]:
        """Work for a store until the run is stopped, or as said: claim jobs, run them, and store how they ended.

        Several engines may serve one store, in one process or in many. A job whose process dies is run again within a
        second, one whose process lives and hangs once its lease has ended; each job's result is accepted once. On a
        store that processes share, engines keep a platform's limit and rate together, and its penalties within half a
        second.

        Args:
            store: made by `open_store`.
            sinks: as for `stream`. The store keeps each outcome until they have it: after a crash it is delivered
                again, at least once, and exactly once where the sink upserts by event and platform.
            instruments: as for `stream`.
            lease: the seconds after which a job of a process that lives and hangs is somebody else's: the engine's
                `lease` from here on, as if it were tuned. None: as it is. What the dead held is free within a second,
                where the store sees deaths (one in a file does).
            until: when the run ends by itself. "idle": when nothing is due and nothing in hand; what is delayed,
                closed, paused or in others' hands is left. "empty": when nothing is pending on the engine's platforms,
                whoever works on it, what comes in meanwhile and what tasks follow included. None: never.

        Returns:
            As for `stream`. What was not started when it is stopped, or was cut off, is given back to the store at
            once, and has no outcome.

            Who reads the run is as good as a sink: the store keeps each outcome until the next one is asked for. What
            was not had, by a crash, an exception, a `break` or a cancellation, is delivered again, by the next run.
            Without sinks outcomes must be read, or `await run.wait()` says that nobody will; then none are kept. With
            sinks nobody need read. What nobody fetches is kept for as long as ended jobs are (`keep`, a minute at
            least).

        Raises:
            EngineBusy: on entry: the engine is running already.
            ValueError: there is no such `until`; or, on entry or when all else is done, something recurs, so that the
                store is never empty.
            StoreError: on entry, with "empty": the store could not be asked.
        """
        return self._run_of(served.serving.work_for(store, lease, until), sinks, instruments)

    async def poll(
        self,
        store: Store,
        *,
        due_only: bool = True,
        ids: Collection[str | int] | None = None,
        sinks: Sequence[AnySink[T]] = (),
        instruments: Sequence[Instrument] = (),
        lease: float | None = None,
    ) -> Report:
        """Make one round: run what is due in a store, until nothing of that is left; what is due later is later's.

        Args:
            store: made by `open_store`.
            due_only: whether to run only what is due; if not, all that recurs.
            ids: the ids of events that recur, to be run now, due or not, and nothing else.
            sinks: as for `serve`.
            instruments: as for `stream`.
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
        return await served.serving.make_round(
            self._plan,
            self._run_of,
            store,
            due_only=due_only,
            ids=ids,
            sinks=sinks,
            instruments=instruments,
            lease=lease,
        )

    def rounds(
        self,
        store: Store,
        *,
        every: float,
        sinks: Sequence[AnySink[T]] = (),
        instruments: Sequence[Instrument] = (),
        lease: float | None = None,
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
            instruments: as for `stream`.
            lease: as for `serve`.

        Returns:
            An async iterator of the rounds' reports.

        Raises:
            EngineBusy: as for `poll`.
        """
        return served.serving.rounds(self._plan, self._run_of, store, every, sinks, instruments, lease)

    @overload
    def tune(self, platform: None = None, **changes: Unpack[EngineKnobs]) -> None: ...

    @overload
    def tune(self, platform: str, **changes: Unpack[PlatformKnobs]) -> None: ...

    def tune(self, platform: str | None = None, **changes: Any) -> None:
        """Change a knob, at any time and from any thread; a run that is going on goes on with it at once.

        Args:
            platform: a platform's name, a host that the default serves, or the default's name for all hosts that were
                not tuned by themselves; None: the engine itself.
            **changes: the new values: of a platform, `PlatformKnobs` (a `limit` of 0 pauses it); of the engine,
                `EngineKnobs`.

        Raises:
            UnknownPlatform: the engine has no such platform.
            TypeError: there is no such knob, or a value is of the wrong type.
            ValueError: a value is out of its range.
        """
        _check_names("tune", "knob", changes, EngineKnobs if platform is None else PlatformKnobs)
        if platform is None:
            self._plan.tune(changes)
        else:
            self._plan.tune_platform(platform, changes)
        if self._session is not None:
            self._have(self._session.retune)

    def settings(self) -> Settings:
        """Return all knobs as they are now. At any time and from any thread: before, in and after a run."""
        return self._plan.knobs()

    def apply(self, settings: Settings) -> tuple[Change, ...]:
        """Turn all knobs at once, so that `engine.settings()` is what is given. At any time, from any thread.

        What is not among the settings, headers and transports, stays. A host that was tuned by itself, and that they do
        not name, is as the default again.

        Args:
            settings: the engine's own, changed: `engine.settings().with_toml("odds.toml")`.

        Returns:
            What was changed by it; each is a line as a text.

        Raises:
            ValueError: a value is out of its range, or they are not of this engine. Nothing was changed.
            TypeError: a value is of the wrong type. Nothing was changed.
            UnknownPlatform: the engine has no such platform. Nothing was changed.
        """
        if not isinstance(settings, Settings):
            raise TypeError(
                f"apply takes Settings, got {told(settings)}; write engine.apply(engine.settings().with_values(…))"
            )
        changed = self._plan.apply(settings)
        if self._session is not None:
            self._have(self._session.retune)
        return changed

    def close(self, platform: str, seconds: float) -> None:
        """Close a platform for so long, at least: no request to it starts meanwhile. At any time, from any thread.

        What would wait for it for longer than its `Retry.patience` fails, or stays in the store. A run that serves a
        store tells all others there.

        Args:
            platform: as for `tune`; `scrapeengine.host_of` names the host of a URL.
            seconds: how long, from now; where no run goes on, the next one has what is left of it.

        Raises:
            UnknownPlatform: the engine has no such platform.
            TypeError: an argument is of the wrong type.
            ValueError: the seconds are out of range.
        """
        self._say(platform, number(seconds, "close(seconds=…)"))

    def reopen(self, platform: str) -> None:
        """End the penalty of a platform, which a site may have made a year long. At any time, from any thread.

        Args:
            platform: as for `close`.

        Raises:
            UnknownPlatform: the engine has no such platform.
        """
        self._say(platform, None)

    def _say(self, platform: str, seconds: float | None) -> None:
        name = self._plan.named(platform)
        session = self._session
        if session is None:
            self._plan.said.pop(name, None)
            self._plan.said[name] = Said(seconds, between_runs())
        elif seconds is None:
            self._have(partial(session.penalties.reopen, name))
        else:
            self._have(partial(session.penalties.close, name, seconds))

    def _have(self, done: Callable[[], None]) -> None:
        """Have something done in the loop of the run: at once, where one may."""
        session, token = self._session, self._token
        if session is None or token is None:
            return
        here = trio.lowlevel.in_trio_run() and trio.lowlevel.current_trio_token() is token
        if here and not session.instruments.telling:
            done()
        else:  # a hook is called in the middle of a step, which goes on as it was begun
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(done)

    def cookies(self, platform: str) -> Cookies:
        """Return the cookies that are kept for a platform, to be seeded, looked at, saved and cleared.

        Args:
            platform: a platform's name, or a host that the default serves.

        Raises:
            UnknownPlatform: the engine has no such platform.
            ValueError: the platform keeps no cookies; or it is the default, each of whose hosts has its own.
        """
        plan = self._plan
        if plan.default is not None and platform == plan.default.name:
            raise ValueError(f"each host of {platform!r} has cookies of its own; write engine.cookies('shop.example')")
        name = plan.named(platform)
        kept = plan.platform(name)
        if not kept.cookies:
            raise ValueError(f"platform {told(name)} keeps no cookies; write Platform(…, cookies=True)")
        # A name without a dot is rarely meant as a host: of such a platform the program says which one it means.
        home = kept.host or (named_host(name) if "." in name or ":" in name else None)
        return self._keeping.cookies(name, home, plan.environment.wall_time)

    def _run_of(self, work: Work, sinks: Sequence[AnySink[T]], instruments: Sequence[Instrument]) -> Stream[T]:
        check_sinks(sinks)
        listeners = check_instruments(instruments)

        def begin() -> Session[T]:
            if self._session is not None:
                raise EngineBusy("this engine is running already; wait for its run to end, or make another engine")
            self._plan.say_what_binds()
            self._token = trio.lowlevel.current_trio_token()
            self._session = Session(self._plan, work, sinks, listeners)
            return self._session

        return Stream(partial(work.check, self._plan), begin, self._ended)

    def _ended(self) -> None:
        self._session = self._token = None

    def __repr__(self) -> str:
        """Name the platforms, and say whether it runs."""
        names = ", ".join(sorted(self._plan.declared)) or "hosts"
        return f"<Engine {names}; {'running' if self._session else 'idle'}>"


def _clients(keeping: Keeping, connector: Any, alarms: Alarms) -> HttpClients:
    return HttpClients(keeping, connector_of(connector, alarms))


def _of(kind: type[EnginePolicy | Environment], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are fields of a policy."""
    return {name: given[name] for name in attrs.fields_dict(kind) if name in given}


def _check_names(function: str, what: str, given: Mapping[str, object], known: type) -> None:
    """Refuse an option that there is not."""
    for name in given:
        if name not in known.__annotations__:
            names = ", ".join(known.__annotations__)
            raise TypeError(f"{function} has no {what} {name!r}{' here' if what == 'knob' else ''}; it takes {names}")


def _check_platforms(platforms: object, default: object) -> None:
    """Refuse what is no list of platforms, and a default that is none."""
    if not isinstance(platforms, Iterable):
        one = "[platform]" if isinstance(platforms, Platform) else "[Platform('name', scrape)]"
        raise TypeError(f"an Engine takes a list of Platforms, got {told(platforms)}; write {one}")
    if not (default is None or isinstance(default, Platform)):
        raise TypeError(f"Engine(default=…) must be a Platform, got {told(default)}; write Platform('*', scrape)")


def _by_name(platforms: Iterable[Platform[T]], default: Platform[T] | None) -> dict[str, Platform[T]]:
    _check_platforms(platforms, default)
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
