"""The options of an engine and the knobs of its platforms, each described once: at a field, here or in `Platform`.

The typed dicts say for type checkers which of them may be given where; a test holds them against the fields.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import attrs

from scrapeengine.model.checks import each, flag, number, whole

if TYPE_CHECKING:
    import httpx

    from scrapeengine.model.cadence import Cadence
    from scrapeengine.model.policy import Caps, Rate, Retry, Timeout
    from scrapeengine.model.validators import Validators

__all__ = ["EngineKnobs", "EnginePolicy", "Environment", "PlatformKnobs"]


def _callable(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value):
        raise TypeError(f"Engine({attribute.name}=…) must be a function, got {value!r}")


def _connects(_: object, __: object, value: object) -> None:
    known = ("at_hand", "connect", "aclose"), ("handle_async_request",)
    if value is not None and not any(all(callable(getattr(value, name, None)) for name in names) for names in known):
        raise TypeError(
            f"Engine(connector=…) must be a transport of httpx's, or a Connector, got {type(value).__name__}; to have "
            "requests answered in a test, write connector=httpx.MockTransport(…)"
        )


def _has(*names: str, hint: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value is not None and not all(callable(getattr(value, name, None)) for name in names):
            raise TypeError(f"Engine({attribute.name}=…) must be {hint}, got {type(value).__name__}")

    return check


@attrs.frozen(kw_only=True)
class EnginePolicy:
    """Bounds of what an engine has in hand at once.

    Raises:
        TypeError: a value is of the wrong type.
        ValueError: a value is out of its range.
    """

    event_limit: int | None = attrs.field(
        default=None,
        validator=attrs.validators.optional(
            each(whole, of="Engine", least=1, instead="; to pause, tune the limits of the platforms to 0")
        ),
    )
    """How many events may be in progress at once, at least 1; None: as many as the declared platforms can use, which is
    the sum of their limits as these are now, at least 10 (100 with a `default`) and at most 1,000."""
    lookahead: int = attrs.field(default=1000, validator=each(whole, of="Engine", least=1))
    """The most events of the source that may wait for a start: how far the engine sees past a full platform."""
    buffer: int = attrs.field(default=100, validator=each(whole, of="Engine", least=1))
    """The most outcomes that may wait for the consumer, the sinks or the store; with more no task starts."""
    max_pending: int = attrs.field(default=100_000, validator=each(whole, of="Engine", least=1))
    """The most events that may wait for a start, followed ones included."""
    lease: float = attrs.field(default=30.0, validator=each(number, of="Engine", instead="; write seconds"))
    """Of a run that serves a store: the seconds after which a job of a process that lives and hangs is somebody else's.
    It is renewed after a third of that."""
    dedupe: bool = attrs.field(default=False, validator=each(flag, of="Engine"))
    """Whether an id is a duplicate on its platform for the whole run, and not only while it is live there; memory then
    grows with the ids. It is said once, for a run can't forget."""


@attrs.frozen(kw_only=True)
class Environment:
    """The surroundings of an engine. The defaults are the true ones; tests give others.

    Raises:
        TypeError: a value is of the wrong type.
    """

    validators: Validators | None = attrs.field(
        default=None, validator=_has("recall", "remember", hint="an object with async `recall` and `remember`")
    )
    """Where ETags are kept for conditional requests; None: in memory, for as long as the engine lives."""
    random: Callable[[], float] = attrs.field(factory=lambda: random.Random().random, validator=_callable)  # noqa: S311
    """Returns a number from 0 to 1, for jitter: `random.Random(7).random`, say."""
    wall_time: Callable[[], float] = attrs.field(default=time.time, validator=_callable)
    """Returns the Unix time. It is read as a run begins, for what is shown and for what sites give as a date; all else
    goes by trio's clock."""
    encode: Callable[[Any], Any] | None = attrs.field(default=None, validator=attrs.validators.optional(_callable))
    """Makes something that JSON has (a text, say) of what a scraper has returned and JSON does not have: a datetime, a
    Decimal, an object. For stores: it is the `default` of `json.dumps`, so `encode=str` is one. None: nothing does."""
    connector: Any = attrs.field(default=None, validator=_connects)
    """What carries the requests of platforms that have no transport of their own: any transport of httpx's, or a
    connector (`scrapeengine.http.wire.connector.Connector`); None: connections of the engine's own. It is its owner's
    to close."""


class EngineKnobs(TypedDict, total=False):
    """Knobs of the engine that `Engine.tune` turns: all of `EnginePolicy` but `dedupe`."""

    event_limit: int | None
    lookahead: int
    buffer: int
    max_pending: int
    lease: float


class PlatformKnobs(TypedDict, total=False):
    """Knobs of a platform that `Engine.tune` turns: all of `Platform` but its name and its scraper.

    Size: 13 attributes, one for each of these.
    """

    base_url: str | None
    limit: int
    rate: Rate | Iterable[Rate] | None
    timeout: Timeout
    retry: Retry
    headers: Mapping[str, str]
    caps: Caps
    robots: bool | str
    cookies: bool
    heed: bool
    cadence: Cadence | None
    block_private: bool
    transport: httpx.AsyncBaseTransport | None
