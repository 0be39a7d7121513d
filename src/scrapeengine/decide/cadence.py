"""The time at which something that recurs is due again.

The interval shrinks when something has changed and grows when nothing has. The wait starts from it, and all else only
postpones:

    interval  ->  doubled for each failure in a row  ->  hint  ->  jitter  ->  capped at the maximum  ->  asked

So a wait is at least the minimum, at most the maximum unless asked for more, and never less than asked.

At the maximum there is no room behind for jitter, so it is taken in front: as far as the minimum and the hint let. To
cut it off instead would have all that seldom changes come at one time, which is most of what there is.
"""

from __future__ import annotations

import enum
import functools
import json
from collections.abc import Callable
from typing import Any, assert_never

import attrs

from scrapeengine.model.cadence import Cadence
from scrapeengine.model.checks import each, number, whole

__all__ = ["History", "Polled", "cadence_from_json", "cadence_to_json", "next_due"]

_MOST_DOUBLINGS = 64
_STORED = {"min_interval": "minimum", "max_interval": "maximum"}
"""The names of fields in stores, where they differ: a file outlives a name."""


@attrs.frozen
class History:
    """The history of something that recurs: what is remembered from one time to the next.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of its range.
    """

    interval: float | None = attrs.field(default=None, validator=attrs.validators.optional(each(number)))
    """The present interval, in seconds; None before the first time that it was looked at."""
    failures: int = attrs.field(default=0, validator=each(whole, least=0))
    """How often in a row it could not be looked at."""
    digest: str | None = attrs.field(
        default=None, validator=attrs.validators.optional(attrs.validators.instance_of(str))
    )
    """The digest that tells whether it has changed; None if nothing does."""
    floor: float | None = attrs.field(default=None, validator=attrs.validators.optional(each(number)))
    """The minimum of the cadence that it was looked at by last. An interval that is no longer was held up by it."""

    def to_json(self) -> str:
        """Return it as JSON."""
        return json.dumps({name: getattr(self, name) for name in _stored(History)})

    @classmethod
    def from_json(cls, text: str | None) -> History:
        """Return what `to_json` has written; a new history if there is none, or if it cannot be read.

        A history that is lost costs a look too many, and one that raised would stop what recurs for good.
        """
        try:
            return cls(**_fields(cls, text or "{}"))
        except (TypeError, ValueError):
            return cls()


class Polled(enum.Enum):
    """The result of one look at it."""

    CHANGED = "changed"
    """There was something new."""
    UNCHANGED = "unchanged"
    """There was nothing new."""
    FAILED = "failed"
    """It could not be looked at."""


def next_due(
    cadence: Cadence,
    history: History,
    polled: Polled,
    *,
    hint: float = 0.0,
    asked: float = 0.0,
    digest: str | None = None,
    draw: Callable[[], float],
) -> tuple[History, float]:
    """Decide when it is due again.

    Args:
        cadence: how often it is looked at.
        history: what this has returned the last time.
        polled: what came of the look at it.
        hint: seconds for which it will not change, by what the site says (`max-age`, a feed's `ttl`). Postpones, up to
            the maximum.
        asked: seconds for which it must not be looked at (`Retry-After`, or what the program says). Postpones, however
            long it is.
        digest: of what was seen. After a change it replaces the last one, else only if it is given.
        draw: gives a random number from 0 to 1.

    Returns:
        The history to remember, and the seconds until it is due.
    """
    history = _remember(cadence, history, polled, digest)
    interval = _next(cadence, history.interval)
    wait = interval * 2.0 ** min(history.failures, _MOST_DOUBLINGS)
    wait = min(max(wait, hint), cadence.max_interval)
    latest = max(cadence.max_interval / (1 + cadence.jitter), cadence.min_interval, hint)
    wait = min(min(wait, latest) * (1 + cadence.jitter * draw()), cadence.max_interval)
    return history, max(wait, asked)


def cadence_to_json(cadence: Cadence) -> str:
    """Return a cadence as JSON."""
    return json.dumps({key: getattr(cadence, name) for name, key in _stored(Cadence).items()})


@functools.lru_cache(maxsize=1000)
def cadence_from_json(text: str) -> Cadence:
    """Return the cadence that `cadence_to_json` has written. What is missing has its default, what is more is ignored.

    Raises:
        ValueError: it is none.
    """
    try:
        return Cadence(**_fields(Cadence, text))
    except (TypeError, ValueError) as error:
        raise ValueError(f"no cadence: {text[:80]!r}; write what `cadence_to_json` returns") from error


def _remember(cadence: Cadence, history: History, polled: Polled, digest: str | None) -> History:
    kept, floor = history.digest if digest is None else digest, cadence.min_interval
    interval = history.interval
    if interval is not None and history.floor is not None and interval <= history.floor and floor < history.floor:
        interval = None  # how short it would be without the minimum of then, nobody knows: it begins anew
    match polled:
        case Polled.CHANGED:
            return History(_next(cadence, interval, cadence.shrink), digest=digest, floor=floor)
        case Polled.UNCHANGED:
            return History(_next(cadence, interval, cadence.growth), digest=kept, floor=floor)
        case Polled.FAILED:
            return History(interval, history.failures + 1, kept, floor)
        case _:
            assert_never(polled)


def _next(cadence: Cadence, interval: float | None, factor: float = 1.0) -> float:
    """Return the interval that follows one, within what the cadence allows; the minimum if there was none."""
    return (
        cadence.min_interval
        if interval is None
        else min(max(interval * factor, cadence.min_interval), cadence.max_interval)
    )


def _fields(cls: type[attrs.AttrsInstance], text: str) -> dict[str, Any]:
    """Return the fields of a class that stand in a JSON object."""
    try:
        found = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(found, dict):
        raise TypeError("no JSON object")
    return {name: found[key] for name, key in _stored(cls).items() if key in found}


@functools.cache
def _stored(cls: type[attrs.AttrsInstance]) -> dict[str, str]:
    """Return the names of a class's fields, and for each the one that stores have."""
    return {field.name: _STORED.get(field.name) or field.name for field in attrs.fields(cls)}
