"""The policies of a platform: how often, for how long, how many times."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from scrapeengine.errors import TransportError
from scrapeengine.model.checks import each, number, whole
from scrapeengine.model.described import described
from scrapeengine.model.standards import IDEMPOTENT

__all__ = ["Caps", "Rate", "Retry", "Timeout", "fastest", "longest_interval", "rates_of"]

_STOP = "; to stop a platform, give it limit=0"


def _statuses(value: Any) -> frozenset[int]:
    if not isinstance(value, Iterable):
        raise TypeError(f"Retry(statuses=…) takes a set, got {value!r}; write statuses={{429, 503}}")
    return frozenset(value)


def _methods(value: Any) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"Retry(methods=…) takes a set, got {value!r}; write methods={{'GET', 'POST'}}")
    return frozenset(value)


def _error_types(value: Any) -> tuple[type[Exception], ...]:
    if not isinstance(value, Iterable):
        raise TypeError(f"Retry(errors=…) takes a tuple of exception classes, got {value!r}")
    return tuple(value)


def _check_interval(rate: Rate, _: object, __: object) -> None:
    if not 1e-9 <= rate.interval <= 1e9:
        raise ValueError(f"Rate({rate.count}, per={rate.per}) is one request in {rate.interval:g} s, beyond all sense")


def _check_statuses(_: object, __: object, value: frozenset[int]) -> None:
    for status in value:
        if isinstance(status, bool) or not isinstance(status, int) or not 400 <= status <= 599:
            raise ValueError(f"Retry(statuses=…) takes HTTP statuses from 400 to 599, got {status!r}")


def _check_methods(_: object, __: object, value: frozenset[str]) -> None:
    for method in value:
        if not isinstance(method, str) or not method.isupper():
            raise ValueError(f"Retry(methods=…) takes HTTP methods in capitals, such as 'POST', got {method!r}")


def _check_errors(_: object, __: object, value: tuple[type[Exception], ...]) -> None:
    for error in value:
        if not isinstance(error, type) or not issubclass(error, Exception):
            raise TypeError(f"Retry(errors=…) takes exception classes, got {error!r}")


@described
@attrs.frozen
class Rate:
    """The number of requests that may start in a period: `count` in `per` seconds, `burst` of them at once.

    In any window of w seconds at most `burst + w * count / per` requests start. One with a `cost` of n counts as n; one
    that costs more than `burst` starts all the same, once all before it is paid, and the bound has its cost there.

    What a request starts late, the next ones make up for only if there is a burst. A loop wakes up to 2 ms late, so
    with `burst=1` rates above about 50 a second are not reached in full; with `burst=2` they are, up to some 500.

    Raises:
        TypeError: an argument is not a number.
        ValueError: `count` or `per` is not positive and finite, or `burst` is less than 1.
    """

    count: float = attrs.field(validator=each(number, instead=_STOP))
    """Requests in a period."""
    per: float = attrs.field(default=1.0, validator=each(number, instead="; it is the period, in seconds"))
    """The period, in seconds."""
    burst: int = attrs.field(
        default=1,
        validator=[each(whole, least=1, instead="; to slow a platform down, lower its count"), _check_interval],
    )
    """Requests that may start at one instant after a pause."""

    @classmethod
    def every(cls, seconds: float) -> Rate:
        """Make a rate of one request every `seconds`."""
        return cls(1, per=seconds)

    @property
    def interval(self) -> float:
        """The seconds between two requests when they come evenly."""
        return self.per / self.count


def rates_of(given: Rate | Iterable[Rate] | None) -> tuple[Rate, ...]:
    """Return rates as a tuple: one is a tuple of one, and None is none. What is none stays in it, to be refused."""
    if given is None:
        return ()
    return tuple(given) if isinstance(given, Iterable) else (given,)


def longest_interval(rates: Iterable[Rate]) -> float:
    """Return the seconds between two requests when they come evenly, by all of some rates; 0 without any."""
    return max((rate.interval for rate in rates), default=0.0)


def fastest(rates: Iterable[Rate]) -> Rate | None:
    """Return the rate that by itself would let most through; None without any."""
    return min(rates, key=lambda rate: rate.interval, default=None)


@described
@attrs.frozen
class Timeout:
    """The time that things may take. `math.inf` is for ever.

    Raises:
        TypeError: an argument is not a number.
        ValueError: an argument is not positive.
    """

    attempt: float = attrs.field(default=30.0, validator=each(number, endless=True, instead="; for ever is math.inf"))
    """Seconds for one request as a whole, from connecting to the last byte of the body; each redirect is one more."""
    task: float = attrs.field(default=300.0, validator=each(number, endless=True, instead="; for ever is math.inf"))
    """Seconds for one task as a whole, the time in which it is parked not counted."""


@described
@attrs.frozen
class Retry:
    """The policy of retries: when a request is made again, and how long after.

    The wait before attempt n + 1 is drawn evenly from 0 to `min(max_wait, initial_wait * 2 ** (n - 1))` seconds
    ("full jitter", Marc Brooker, AWS Architecture Blog, 2015), and never ends before a `Retry-After` has passed.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of its range.
    """

    attempts: int = attrs.field(default=3, validator=each(whole, least=1, instead="; 1 is to try once, with no retry"))
    """How often a request is tried in all; also how often a scraper that calls `task.retry` is run in all.

    Fewer where many fail: see `budget`.
    """
    initial_wait: float = attrs.field(default=0.5, validator=each(number, zero=True))
    """The longest wait before the second attempt, in seconds."""
    max_wait: float = attrs.field(default=30.0, validator=each(number, zero=True))
    """The longest wait before any attempt, in seconds."""
    patience: float = attrs.field(default=300.0, validator=each(number, zero=True, endless=True))
    """The longest that work waits for a platform that has asked not to be called (`Retry-After`), in seconds.

    What would have to wait longer ends as `Failure(PlatformClosed)`, which says until when. It is also the longest in
    all that work waits for a robots.txt that cannot be had.
    """
    statuses: frozenset[int] = attrs.field(
        default=frozenset({408, 429, 500, 502, 503, 504}),
        converter=_statuses,
        validator=_check_statuses,
    )
    """The statuses after which a request is tried again."""
    methods: frozenset[str] = attrs.field(
        default=IDEMPOTENT,
        converter=_methods,
        validator=_check_methods,
    )
    """The methods that may be tried again; those that are idempotent by RFC 9110, unless asked for more."""
    errors: tuple[type[Exception], ...] = attrs.field(
        default=(TransportError,), converter=_error_types, validator=_check_errors
    )
    """The errors after which a request is tried again; after a `ProtocolError` once at most."""
    budget: float = attrs.field(
        default=0.2,
        validator=each(
            number,
            zero=True,
            endless=True,
            instead="; it is a share of the requests: 0 is no retry, math.inf any number",
        ),
    )
    """The retries that a platform is worth: this share of its requests in the last minute, and always ten.

    So an outage is not answered with a storm. 0 is for no retry of a request at all, not even the ten; `math.inf` for
    as many as `attempts` allows. `task.retry` is not counted. What was not tried again for its sake says so in the
    text of its error.
    """


_MEBIBYTE = 2**20


@described
@attrs.frozen
class Caps:
    """Bounds of what a platform may send in answer to one request, and of what one task emits.

    More is an error; of an answer it closes the connection.

    The head of an answer, and the trailers of its body, may have 64 KiB and 256 headers, whatever is said here.

    Raises:
        TypeError: an argument is of the wrong type.
        ValueError: an argument is out of its range.
    """

    wire: float = attrs.field(
        default=32 * _MEBIBYTE, validator=each(number, endless=True, instead="; without bound is math.inf")
    )
    """The bytes of a body as they come: compressed, in their chunks."""
    body: float = attrs.field(
        default=64 * _MEBIBYTE, validator=each(number, endless=True, instead="; without bound is math.inf")
    )
    """The bytes of a body once decoded."""
    redirects: int = attrs.field(default=10, validator=each(whole, least=0, instead="; 0 follows none"))
    """The redirects that one request follows."""
    items: float = attrs.field(
        default=100_000, validator=each(number, endless=True, instead="; without bound is math.inf")
    )
    """The items that one task emits."""
    items_bytes: float = attrs.field(
        default=8 * _MEBIBYTE, validator=each(number, endless=True, instead="; without bound is math.inf")
    )
    """The bytes of these, as JSON."""
