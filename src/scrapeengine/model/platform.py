"""One site or API: its scraper and its policy."""

from __future__ import annotations

import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import attrs
import httpx

from scrapeengine.model.cadence import Cadence
from scrapeengine.model.checks import each, flag, whole
from scrapeengine.model.described import described
from scrapeengine.model.policy import Caps, Rate, Retry, Timeout, rates_of
from scrapeengine.model.task import Task
from scrapeengine.model.urls import host_of, told

__all__ = ["Platform", "check_platform_name"]

T_co = TypeVar("T_co", covariant=True)

# RFC 9309 knows letters only; robots that sites do name have digits too, and dots.
_ROBOT = re.compile(r"(?=[0-9.]*[A-Za-z_\-])[A-Za-z0-9_.\-]+")
_COMPATIBLE = re.compile(rf"(?<=compatible; ){_ROBOT.pattern}")
"""The name in a `User-Agent` that begins like everybody's."""


def _frozen_headers(headers: Mapping[str, str]) -> Mapping[str, str]:
    if not isinstance(headers, Mapping):
        raise TypeError(f"Platform(headers=…) must be a mapping of names to values, got {type(headers).__name__}")
    return MappingProxyType(dict(headers))


def _check_name(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"Platform(name=…) must be a str, got {told(value)}")
    if not value:
        raise ValueError("Platform(name=…) must not be empty: outcomes are told apart by it")


def _check_scrape(platform: Platform[Any], _: object, value: Any) -> None:
    if _is(inspect.iscoroutinefunction, value) or _is(inspect.isasyncgenfunction, value):
        return
    shown = getattr(value, "__qualname__", None) or told(value)
    raise TypeError(
        f"the scraper of platform {platform.name!r} must be an async function, got {shown}; "
        "write `async def scrape(task): …`, and call blocking code with `await task.in_thread(function, …)`"
    )


def _is(kind: Callable[[Any], bool], scrape: Any) -> bool:
    """Say whether a scraper, or its `__call__`, is a function of a kind."""
    return kind(scrape) or kind(getattr(type(scrape), "__call__", None))  # noqa: B004 - what is looked for is how it is written


def _check_base_url(platform: Platform[Any], _: object, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise TypeError(f"Platform(base_url=…) must be a str, got {told(value)}")
    if host_of(value) is None or "?" in value or "#" in value:
        raise ValueError(
            f"the base_url of platform {platform.name!r} must be an http or https URL with a host and no query, "
            "such as 'https://api.example.com/v1'"
        )


def _check_cadence(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None:
        check = _policy(Cadence, lambda n: f"Cadence(min_interval={n}), in seconds", or_else=" or None")
        check(_, attribute, value)


def _check_rates(_: object, attribute: attrs.Attribute[Any], value: tuple[object, ...]) -> None:
    check = _policy(Rate, lambda n: f"Rate({n}), for {n} a second", or_else=", several in a list, or None")
    for rate in value:
        check(_, attribute, rate)


def _policy(kind: type, write: Callable[[object], str], *, or_else: str = "") -> Any:
    """Make an attrs validator that takes a policy, and says for a bare number which one it stands for.

    Args:
        kind: the policy's class.
        write: returns what to write for a number.
        or_else: what else it may be, in words.
    """

    def validate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if isinstance(value, kind):
            return
        plain = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
        raise TypeError(
            f"Platform({attribute.name}=…) must be a {kind.__name__}{or_else}, got {told(value)}; "
            f"write {attribute.name}={write(value if plain else 2)}"
        )

    return validate


def _check_headers(platform: Platform[Any], _: object, value: Mapping[object, object]) -> None:
    for key, text in value.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"Platform(headers=…) takes texts, got {type(text).__name__} for {key!r}")
        if any(character in key + text for character in "\r\n\0"):
            raise ValueError(f"the header {key!r} of platform {platform.name!r} has a line break or a NUL in it")
        if not (key + text).isascii():
            raise ValueError(
                f"the header {key!r} of platform {platform.name!r} has characters beyond ASCII, of which HTTP does not "
                "say how they are sent; a request may give its headers in bytes"
            )


def _check_robots(platform: Platform[Any], _: object, value: Any) -> None:
    if isinstance(value, bool):
        return
    if not isinstance(value, str):
        raise TypeError(f"Platform(robots=…) must be True, False or the name of a robot, got {told(value)}")
    if not _ROBOT.fullmatch(value):
        named = _COMPATIBLE.search(value) or _ROBOT.match(value.lstrip())
        raise ValueError(
            f"the robots of platform {platform.name!r} must be a name of ASCII letters, digits, '_', '-' and "
            f"'.' (after RFC 9309, section 2.2.1), got {told(value)}; write "
            f"robots={named[0] if named else 'MyBot'!r}, or True for what the User-Agent begins with"
        )


def _check_transport(platform: Platform[Any], _: object, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, httpx.AsyncBaseTransport):
        raise TypeError(
            f"Platform(transport=…) must be an httpx.AsyncBaseTransport, got {value!r}; "
            "write httpx.AsyncHTTPTransport(http2=True), or leave it out for our own"
        )
    if platform.block_private:
        raise ValueError(
            f"platform {platform.name!r} has block_private=True and a transport of its own, which connects where it "
            "likes; have the transport or its proxy guard private addresses, or leave one of the two out"
        )


@described
@attrs.frozen
class Platform(Generic[T_co]):
    """One site or API: its scraper, and its policy.

    Size: 16 attributes, each of them an option that is described here and nowhere else.

    Raises:
        TypeError: an argument is of the wrong type; the scraper is not async.
        ValueError: an argument is out of its range.
    """

    name: str = attrs.field(validator=_check_name)
    """The name that events and outcomes call it by. For a platform that serves URLs: its host, however that is written.

    `"*"` for the engine's default.
    """
    scrape: Callable[[Task], Awaitable[T_co] | AsyncIterator[Any]] = attrs.field(validator=_check_scrape)
    """The scraper: `async def scrape(task)`. What it returns is the value of the outcome; where it yields, what it
    yields is emitted, and the value is None."""
    base_url: str | None = attrs.field(default=None, kw_only=True, repr=False, validator=_check_base_url)
    """The URL that relative URLs of `task.http` are joined to, as `httpx.Client(base_url=…)` does it."""
    limit: int = attrs.field(
        default=8,
        kw_only=True,
        validator=each(
            whole, least=0, instead="; 0 pauses the platform, and to have it unlimited, write a large number"
        ),
    )
    """The most tasks that run at once. 0: the platform is paused."""
    rate: tuple[Rate, ...] = attrs.field(default=(), kw_only=True, converter=rates_of, validator=_check_rates)
    """The rate at which requests may start, or several, each of which holds: `[Rate(10), Rate(1000, per=3600)]`. It is
    kept as a tuple. None, or an empty one: as many as the limit lets.
    """
    timeout: Timeout = attrs.field(
        default=Timeout(),
        kw_only=True,
        validator=_policy(Timeout, lambda n: f"Timeout(attempt={n}), in seconds for each request"),
    )
    """How long requests and tasks may take."""
    retry: Retry = attrs.field(
        default=Retry(),
        kw_only=True,
        validator=_policy(Retry, lambda n: f"Retry(attempts={n}), the first try counted: 1 is for no retry"),
    )
    """When a request is made again."""
    headers: Mapping[str, str] = attrs.field(
        default=MappingProxyType({}),
        kw_only=True,
        repr=False,
        hash=False,
        converter=_frozen_headers,
        validator=_check_headers,
    )
    """Sent with each request to `base_url`'s origin; to another one go only those that tell nothing of the user."""

    caps: Caps = attrs.field(
        default=Caps(),
        kw_only=True,
        validator=_policy(Caps, lambda n: f"Caps(body={n}), in bytes of a decoded body"),
    )
    """Bounds of what the platform may send."""
    robots: bool | str = attrs.field(default=False, kw_only=True, validator=_check_robots)
    """Whether to obey robots.txt (RFC 9309), and its `Crawl-delay` as a rate of at least that.

    True: as the one whose name the `User-Agent` begins with. A text: by that name, `"MyBot"` say, where the
    `User-Agent` begins with `Mozilla/5.0 (compatible; …)`, as everybody's does.
    """
    cookies: bool = attrs.field(
        default=False, kw_only=True, validator=each(flag, instead="; engine.cookies(name).set(…) seeds them")
    )
    """Whether to keep the platform's cookies, for all its tasks and for as long as the engine lives; `Engine.cookies`
    has them.
    """
    heed: bool = attrs.field(default=True, kw_only=True, validator=each(flag))
    """Whether to heed the limits that the platform states in its answers (`RateLimit`, `X-RateLimit-Remaining` and the
    like): what remains is spread over the time to the reset, never faster than `rate`; where nothing remains, the reset
    is waited for as a rate is. No wait of it is longer than `Retry.patience`.
    """
    cadence: Cadence | None = attrs.field(default=None, kw_only=True, validator=_check_cadence)
    """How the events that recur here do so, in a store; None: as each was enqueued. Whoever serves the store says it,
    and each event goes by it from the next time on that it was looked at. It has nothing recur that does not.
    """
    block_private: bool = attrs.field(default=False, kw_only=True, validator=each(flag))
    """Whether to refuse to connect to addresses that are not public: for URLs that others have chosen."""
    transport: httpx.AsyncBaseTransport | None = attrs.field(
        default=None, kw_only=True, repr=False, hash=False, eq=False, validator=_check_transport
    )
    """The transport of the requests: httpx's own for HTTP/2 or a proxy, a `MockTransport` in tests. None: ours.

    It is the program's: the engine does not close it.
    """

    yields: bool = attrs.field(
        default=attrs.Factory(lambda platform: _is(inspect.isasyncgenfunction, platform.scrape), takes_self=True),
        init=False,
        repr=False,
        eq=False,
    )
    """Whether the scraper is an async generator."""

    @property
    def host(self) -> str | None:
        """The host of `base_url`, as `host_of` names it; None without one."""
        return None if self.base_url is None else host_of(self.base_url)


def check_platform_name(value: object, name: str = "platform") -> None:
    """Refuse what is no name of a platform, such as the platform itself.

    Raises:
        TypeError: says what to write.
    """
    if not isinstance(value, str):
        write = f"platform.name, {told(value.name)}" if isinstance(value, Platform) else "'shop.example', say"
        raise TypeError(f"{name} must be the name of a platform, a str, got {type(value).__name__}; write {write}")
