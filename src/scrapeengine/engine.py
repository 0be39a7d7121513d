"""The engine: it wires everything, and does nothing else."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterable, Sequence
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
from scrapeengine.model.platform import Platform
from scrapeengine.model.report import Report
from scrapeengine.model.urls import named_host, told
from scrapeengine.model.validators import Validators
from scrapeengine.run.intake import Events, check_events
from scrapeengine.run.plain import PlainSession
from scrapeengine.run.plan import Plan
from scrapeengine.run.policy import EnginePolicy
from scrapeengine.run.run import Run, Stream, report_of
from scrapeengine.run.session import Session
from scrapeengine.run.skips import Skips
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.gates import Gates
from scrapeengine.served.serving import Serving

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


class Engine(Serving[T], Generic[T]):
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
        return self._run_of(lambda: PlainSession(self._plan, events, sinks), sinks)

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

    def _run_of(self, make: Callable[[], Session[T]], sinks: Sequence[Sink[T]]) -> Stream[T]:
        for sink in sinks:
            if not callable(sink):
                raise TypeError(f"a sink is an async callable that takes a list of outcomes, got {told(sink)}")

        def begin() -> Session[T]:
            if self._session is not None:
                raise EngineBusy("this engine is running already; wait for its run to end, or make another engine")
            self._token = trio.lowlevel.current_trio_token()
            self._session = make()
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
