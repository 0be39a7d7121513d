"""The plan of an engine: what it hands to each of its runs, and keeps between them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import attrs

from scrapeengine.decide.gate import Gate
from scrapeengine.decide.routing import Routes
from scrapeengine.errors import UnknownPlatform
from scrapeengine.model.options import EnginePolicy, Environment
from scrapeengine.model.platform import Platform, check_platform_name
from scrapeengine.model.settings import Change, PlatformSettings, Settings
from scrapeengine.model.urls import named, named_host, told
from scrapeengine.model.validators import Validator, Validators
from scrapeengine.observe.log import logger
from scrapeengine.run.skips import Skips
from scrapeengine.schedule.alarms import Alarms
from scrapeengine.schedule.gates import Gates
from scrapeengine.tasks.handle import TaskHttp
from scrapeengine.tasks.requesting import RequestingTask

__all__ = ["Clients", "Plan", "Said"]

_FEWEST_EVENTS, _FEWEST_WITH_HOSTS, _MOST_EVENTS = 10, 100, 1000
"""The bounds of an event limit that nobody has said."""


class Clients(Protocol):
    """Makes the HTTP clients of tasks, on one connection pool for the run."""

    def client(self, task: RequestingTask) -> TaskHttp:
        """Make the client of a task."""
        ...

    def keep_validators_in(self, validators: Validators) -> None:
        """Recall and remember validators there from now on."""
        ...

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Keep the validators that a task has found, which has ended in `Success`."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Said(NamedTuple):
    """A platform was closed, or reopened, when there was no run."""

    seconds: float | None
    """For how long; None: it was reopened."""
    at: float
    """When, by the system's monotonic clock."""


@attrs.define(eq=False, repr=False)
class Plan:
    """The knobs as they are now, and what is remembered of platforms.

    Size: 13 attributes: all that an engine keeps between its runs.
    """

    settings: EnginePolicy
    environment: Environment
    platforms: dict[str, Platform[Any]]
    """The declared platforms, and the hosts that have been tuned, by name."""
    default: Platform[Any] | None
    clients: Callable[[Alarms], Clients]
    """Makes the HTTP clients of a run, given its alarms."""
    declared: frozenset[str] = attrs.field(init=False)
    routes: Routes = attrs.field(init=False)
    gates: Gates = attrs.field(factory=Gates, init=False)
    shared_gates: Gates = attrs.field(factory=lambda: Gates(Gate.sharing), init=False)
    """Those of platforms that are shared with other engines, by a store."""
    said: dict[str, Said] = attrs.field(factory=dict, init=False)
    """Platforms that the program has closed or reopened while there was no run, for the next one to hear."""
    skips: Skips = attrs.field(factory=Skips, init=False)
    """Events that need not be asked for again before their time."""
    _said_of: int | None = attrs.field(default=None, init=False)
    """The event limit of which it was said that it binds."""
    _turning: threading.RLock = attrs.field(factory=threading.RLock, init=False)
    """Held by the thread that turns knobs, so that none is lost that another one turns meanwhile."""

    def __attrs_post_init__(self) -> None:
        """Remember which platforms were declared; what is tuned later are hosts that the default serves."""
        self.declared = frozenset(self.platforms)
        self.routes = self._routes()

    def _routes(self) -> Routes:
        declared = {name: platform for name, platform in self.platforms.items() if name in self.declared}
        return Routes(declared, hosts=self.default is not None)

    @property
    def event_limit(self) -> int:
        """How many events may be in progress at once: as was said, or as many as the declared platforms can use."""
        if self.settings.event_limit is not None:
            return self.settings.event_limit
        wanted = sum(self.platforms[name].limit for name in self.declared)
        return min(_MOST_EVENTS, max(wanted, _FEWEST_EVENTS if self.default is None else _FEWEST_WITH_HOSTS))

    def knobs(self) -> Settings:
        """Return all knobs as they are. From any thread."""
        with self._turning:
            return self._knobs()

    def _knobs(self) -> Settings:
        platforms = self.platforms.copy()
        if self.default is not None:
            platforms[self.default.name] = self.default
        return Settings(
            **attrs.asdict(self.settings),
            effective_event_limit=self.event_limit,
            platforms={name: _settings(platform) for name, platform in sorted(platforms.items())},
            default=None if self.default is None else self.default.name,
        )

    def say_what_binds(self) -> None:
        """Log, once, that a platform's limit can never be reached, for the event limit is less."""
        limits = {name: self.platforms[name].limit for name in self.declared}
        name = max(limits, key=lambda each: (limits[each], each), default="")
        said, most = self.settings.event_limit, limits.get(name, 0)
        if said is None or most <= said or self._said_of == said:
            return
        self._said_of = said
        logger().warning(
            "the event limit keeps a platform from its own limit for good: leave event_limit out, or raise it",
            event_limit=said,
            platform=named(name),
            limit=most,
        )

    def tune(self, changes: Mapping[str, Any]) -> None:
        """Turn the engine's own knobs."""
        with self._turning:
            self.settings = attrs.evolve(self.settings, **changes)

    def named(self, name: str) -> str:
        """Return the name of the lane that a name means: of a platform, or of a host that the default serves.

        Raises:
            TypeError: it is no name.
            UnknownPlatform: there is no such platform.
        """
        check_platform_name(name)
        name = self.routes.declared(name) or name
        if name not in self.platforms and self.default is not None:
            name = named_host(name) or name
        if name not in self.platforms and self.default is None:
            known = ", ".join(map(repr, self.declared))
            raise UnknownPlatform(f"no platform is named {told(name)}; the engine has {known}")
        return name

    def tune_platform(self, name: str, changes: Mapping[str, Any]) -> None:
        """Turn the knobs of a platform, of a host that the default serves, or of the default.

        Raises:
            UnknownPlatform: there is no such platform.
        """
        with self._turning:
            if self.default is not None and name == self.default.name:
                self.default = attrs.evolve(self.default, **changes)
                return
            name = self.named(name)
            self.platforms[name] = attrs.evolve(self.platform(name), **changes)
            if "base_url" in changes:
                self.routes = self._routes()

    def apply(self, settings: Settings) -> tuple[Change, ...]:
        """Turn all knobs at once; documented as `Engine.apply`."""
        with self._turning:
            before = self._knobs()
            if settings.dedupe != before.dedupe:
                raise ValueError("dedupe is said once, when the engine is made, for a run can't forget")
            policy = EnginePolicy(**{name: getattr(settings, name) for name in attrs.fields_dict(EnginePolicy)})
            platforms, default = self._as_in(settings)
            # From here on nothing is refused. What is read in between by the run is of the one or the other, and valid.
            self.settings, self.platforms, self.default = policy, platforms, default
            self.routes = self._routes()
            return before.changes(self._knobs())

    def _as_in(self, settings: Settings) -> tuple[dict[str, Platform[Any]], Platform[Any] | None]:
        """Return the platforms and the default as settings have them; hosts that they do not name are the default's."""
        name = None if self.default is None else self.default.name
        if settings.default != name:
            raise ValueError("these are settings of another engine: the default is not the same")
        left_out = {*self.declared, *([] if name is None else [name])}.difference(settings.platforms)
        if left_out:
            raise ValueError(f"settings are whole, and these say nothing of {', '.join(map(told, sorted(left_out)))}")
        given = dict(settings.platforms)
        default = None if self.default is None else _with(self.default, given.pop(self.default.name))
        # The declared ones first, in their order: it is the one in which events go to them.
        names = dict.fromkeys([*(name for name in self.platforms if name in given), *given])
        return {self.named(name): _with(self.platform(name), given[name]) for name in names}, default

    def platform(self, name: str) -> Platform[Any]:
        """Return a platform as it is now; for a host the default, unless the host was tuned itself."""
        platform = self.platforms.get(name, self.default)
        assert platform is not None
        return platform

    def serves(self, name: str) -> bool:
        """Say whether there is such a platform, or the default serves it."""
        return name in self.platforms or self.default is not None

    def is_declared(self, name: str) -> bool:
        """Say whether a platform was declared by name; all others are hosts that the default serves."""
        return name in self.declared

    def limits(self) -> dict[str, int]:
        """Return the limits of the declared platforms, and of the hosts that were tuned. From any thread."""
        return {name: platform.limit for name, platform in self.platforms.copy().items()}

    def host(self, host: str) -> str | None:
        """Name the platform that serves a host; None if none does."""
        return self.routes.host(host)


def _settings(platform: Platform[Any]) -> PlatformSettings:
    return PlatformSettings(**{name: getattr(platform, name) for name in attrs.fields_dict(PlatformSettings)})


def _with(platform: Platform[Any], settings: PlatformSettings) -> Platform[Any]:
    """Return a platform with such knobs; the same one where it has them already."""
    return platform if _settings(platform) == settings else attrs.evolve(platform, **settings.knobs())
