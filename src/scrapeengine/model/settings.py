"""The settings of an engine: all knobs as they are at one instant, to be read, compared, changed and applied.

    engine.settings() ──with_toml──> Settings ──engine.apply──> (Change, …)

Settings are whole. A file, a dict or the environment says some of them, which take the place of those of an engine.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import attrs

from scrapeengine.model.cadence import Cadence
from scrapeengine.model.described import described
from scrapeengine.model.options import EnginePolicy
from scrapeengine.model.platform import Platform
from scrapeengine.model.policy import Caps, Rate, Retry, Timeout
from scrapeengine.model.urls import named, named_host, shown, told

V = TypeVar("V")

__all__ = ["Change", "PlatformSettings", "Settings"]


@described
@attrs.frozen(kw_only=True)
class PlatformSettings:
    """The knobs of one platform; what each of them does is said at `Platform`.

    Its headers are none of them: they may be secrets, and settings are there to be shown. Nor is its transport.

    Size: 11 attributes, the other knobs of a platform.
    """

    base_url: str | None = attrs.field(repr=lambda url: repr(url and shown(url)))
    """The URL that relative URLs are joined to; shown without user and password."""
    limit: int
    """The most tasks that run at once; 0: the platform is paused."""
    rate: tuple[Rate, ...]
    """The rates at which requests may start, each of which holds; none: as many as the limit lets."""
    timeout: Timeout
    """How long requests and tasks may take."""
    retry: Retry
    """When a request is made again."""
    caps: Caps
    """Bounds of what the platform may send."""
    robots: bool | str
    """Whether robots.txt is obeyed, and by which name."""
    cookies: bool
    """Whether cookies are kept."""
    heed: bool
    """Whether limits that the platform states are heeded."""
    cadence: Cadence | None
    """How events that recur do so, in a store; None: as each was enqueued."""
    block_private: bool
    """Whether addresses that are not public are left alone."""

    @property
    def paused(self) -> bool:
        """Whether no task of it starts."""
        return self.limit == 0

    def knobs(self) -> dict[str, Any]:
        """Return them by their names."""
        return attrs.asdict(self, recurse=False)


@described
@attrs.frozen
class Change:
    """One knob that differs between two settings. As a text it is a line to be shown."""

    platform: str | None
    """The platform's name; None: it is a knob of the engine."""
    knob: str
    """The knob's name."""
    before: Any
    """The first one's value."""
    after: Any
    """The second one's value."""

    def __str__(self) -> str:
        """Say it in a line, without user and password of a URL."""
        before, after = (
            shown(value) if self.knob == "base_url" and value else value for value in (self.before, self.after)
        )
        of = "" if self.platform is None else f"{named(self.platform)}: "
        return f"{of}{self.knob} {before!r} -> {after!r}"


@described
@attrs.frozen(kw_only=True)
class Settings:
    """The knobs of an engine and its platforms as they are now, tuned or not: `Engine.settings()`.

    Two are equal if all that was said is the same. They are a snapshot: later changes make another one. Nothing of an
    engine changes before they are applied: `Engine.apply`.
    """

    event_limit: int | None
    """The most events that may be in progress at once, as was said; None: nobody has said it."""
    effective_event_limit: int = attrs.field(eq=False)
    """The one that holds: as was said, or as follows from the platforms' limits (`EnginePolicy.event_limit`)."""
    lookahead: int
    """The most events of the source that may wait for a start."""
    buffer: int
    """The most outcomes that may wait for the consumer, the sinks or the store."""
    max_pending: int
    """The most events that may wait for a start, followed ones included."""
    lease: float
    """The seconds after which a job of a process that lives and hangs is somebody else's."""
    dedupe: bool
    """Whether an id is a duplicate on its platform for the whole run."""
    platforms: Mapping[str, PlatformSettings]
    """The platforms by name: those that were declared, the default, and the hosts that were tuned by themselves."""
    default: str | None = None
    """The name of the platform that serves all hosts without one of their own; None: there is none."""

    def changes(self, other: Settings) -> tuple[Change, ...]:
        """List the knobs that `other` has otherwise, those of the engine first.

        A host that only one of them has by itself is compared with what the default says in the other.

        Raises:
            ValueError: they are of engines with different platforms.
        """
        found = [Change(None, name, getattr(self, name), getattr(other, name)) for name in _ENGINE]
        for name in sorted({*self.platforms, *other.platforms}):
            before, after = self.of(name), other.of(name)
            found += [Change(name, knob, getattr(before, knob), getattr(after, knob)) for knob in _PLATFORM]
        return tuple(each for each in found if each.before != each.after)

    def of(self, name: str) -> PlatformSettings:
        """Return the settings of a platform, or of a host that the default serves.

        Raises:
            ValueError: there is no such platform; says which one may be meant.
        """
        host = named_host(name) if isinstance(name, str) else None
        found = self.platforms.get(name) or self.platforms.get(host or "")
        if found is None and self.default is not None and host is not None:
            found = self.platforms[self.default]
        if found is None:
            raise ValueError(f"no platform is named {told(name)}; {_plain().nearest(name, self.platforms)}")
        return found

    def with_values(self, values: Mapping[str, Any]) -> Settings:
        """Return these settings, with what a dict says in their place.

        Args:
            values: as TOML and JSON have them: `{"buffer": 20, "platforms": {"shop": {"limit": 3, "rate": {"count": 5},
                "timeout": {"attempt": 10}}}}`. A table changes the fields that it names, and no others; `rate`, which
                may be a list of tables, is replaced. Typed values (`Rate(5)`) are taken too. `"inf"` is infinity, and
                `"none"` or None is None.

        Raises:
            ValueError: there is no such setting (says which one may be meant), or a value is none of it. Each value is
                checked as `Engine` and `Platform` check it.
        """
        plain = _plain()
        table = plain.known(values, [*_ENGINE, "platforms"], "")
        said = {name: plain.typed(name, table[name], None, name) for name in _ENGINE if name in table}
        policy = _checked(lambda: EnginePolicy(**{name: said.get(name, getattr(self, name)) for name in _ENGINE}), "")
        given = table.get("platforms", {})
        platforms = dict(self.platforms)
        for name, knobs in plain.table(given, "platforms", "name").items():
            key = name if name in platforms else named_host(str(name)) or name
            platforms[key] = self._platform(name, knobs)
        fixed = self.effective_event_limit if policy.event_limit is None else policy.event_limit
        return attrs.evolve(self, **attrs.asdict(policy), effective_event_limit=fixed, platforms=platforms)

    def _platform(self, name: str, knobs: object) -> PlatformSettings:
        """Return the settings of a platform with what a table says in their place."""
        plain, where = _plain(), f"platforms.{named(str(name))}"
        # A host by the default is one that looks like it: else each name that is written wrong would be a host.
        now = (self if _is_like_a_host(name) else attrs.evolve(self, default=None)).of(name)
        changed = {
            knob: plain.typed(knob, value, getattr(now, knob), f"{where}.{knob}")
            for knob, value in plain.known(knobs, _PLATFORM, where).items()
        }
        # As a platform with these knobs is made, so that all is checked that is checked there.
        made = _checked(lambda: Platform(name, _nobody, **(now.knobs() | changed)), where)
        return PlatformSettings(**{knob: getattr(made, knob) for knob in _PLATFORM})

    def with_toml(self, path: str | os.PathLike[str]) -> Settings:
        """Return these settings, with what a file says in their place; `with_values` says how it is read.

        Raises:
            OSError: it cannot be read.
            ValueError: it is no TOML, or as for `with_values`. Names the file.
        """
        return _checked(lambda: self.with_values(_plain().from_toml(Path(path).read_text("utf-8"))), str(path))

    def with_environment(self, environ: Mapping[str, str] | None = None) -> Settings:
        """Return these settings, with what variables of the environment say in their place.

        `SCRAPEENGINE_EVENT_LIMIT=20`, `SCRAPEENGINE_PLATFORMS__SHOP__LIMIT=3`,
        `SCRAPEENGINE_PLATFORMS__SHOP__TIMEOUT__ATTEMPT=10`. Values are written as in TOML, and what is no TOML is a
        text. Of a platform's name what is no letter or digit is `_`; that of the default `"*"` is `DEFAULT`.

        Args:
            environ: the variables; None: those of the process.

        Raises:
            ValueError: a variable that begins with `SCRAPEENGINE_` names no setting, or as for `with_values`.
        """
        return self.with_values(
            _plain().from_environment(os.environ if environ is None else environ, _ENGINE, self.platforms)
        )

    def values(self) -> dict[str, Any]:
        """Return them as plain values, which JSON has all of, and `with_values` makes the same of again.

        A `base_url` with a user in it is left out, and so are the errors of a `Retry`, which are classes.
        """
        plain = _plain().plain
        platforms = {
            name: {
                knob: plain(value)
                for knob, value in each.knobs().items()
                if not (knob == "base_url" and value and shown(value) != value)
            }
            for name, each in self.platforms.items()
        }
        return {**{name: plain(getattr(self, name)) for name in _ENGINE}, "platforms": platforms}


_ENGINE = tuple(attrs.fields_dict(EnginePolicy))
_PLATFORM = tuple(attrs.fields_dict(PlatformSettings))


def _is_like_a_host(name: object) -> bool:
    return isinstance(name, str) and ("." in name or ":" in name or name.lower() == "localhost")


async def _nobody(_: object) -> None:
    """Stand for the scraper of a platform whose knobs are checked."""


def _plain() -> Any:
    """Import what reads plain values when they are first read: an engine that reads none starts faster."""
    return importlib.import_module("scrapeengine.model.plain")


def _checked(make: Callable[[], V], where: str) -> V:
    """Make something; what is wrong with it is a `ValueError` that says where it stands."""
    try:
        return make()
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from error
