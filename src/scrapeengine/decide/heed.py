"""The limits that sites state in the headers of their answers, and the pace that follows from them. Pure.

What is read, of each header all values, what remains with its reset of the same way of writing, and of several limits
the tightest:

    RateLimit: "default";r=50;t=5                   draft-ietf-httpapi-ratelimit-headers-08 and later
    RateLimit: limit=100, remaining=50, reset=5     -07
    RateLimit-Remaining: 50, RateLimit-Reset: 5     -06 and before; the same behind `X-`, and as `X-Rate-Limit-…`

A reset is seconds from now; or a Unix time, in seconds or milliseconds, or a date (HTTP's, or ISO 8601), which count
from the answer's own `Date`: that spares us the difference between the two clocks. `RateLimit-Policy` says nothing that
these do not, for what remains is what counts, whatever the whole is; so it is not needed, and not read. Left out is
what says nothing of now: an answer from a cache (`Age`), a time that is over, a limit of 0, a reset more than a year
ahead.

What remains is spread evenly over the time to the reset. Each answer says it anew, so that what was late, what others
have used and what a site rounds is made up for by the next one. A reset in whole seconds was rounded, up or down, and
so is each `Date`: it is taken half a second sooner for the pace, which is right in the mean, and a second later where
nothing is left.

Rejected: to send what remains as fast as the own rate lets and to stop at 0. The requests that are on their way then
are refused. Rejected too: to trust a count of our own between two answers. Others may use the same account.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import attrs

from scrapeengine.decide.retry_after import instant

__all__ = ["Heard", "StatedLimit", "pace", "said_of"]

_NAME = re.compile(rb"((?:x-)?rate-?limit)(?:-(limit|remaining|reset|reset-after))?")
_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?", re.ASCII)
_PARAMETER = re.compile(r"(?<![\w-])(r|t|limit|remaining|reset)=([0-9]{1,20}(?:\.[0-9]{1,20})?)", re.ASCII)
_QUOTED = re.compile(r'"[^"]*"')
_LONGEST_VALUE = 1024
"""The characters of a header that are looked at."""
_UNIX = 1e8
"""What is more is no number of seconds to wait (three years), but a Unix time."""
_MILLISECONDS = 1e11
"""What is more is a Unix time in milliseconds."""
_LONGEST = 366 * 86400.0
_SHORTEST = 1e-6
_MOST = 1024
"""The starts that are remembered: as many as may be on their way at once."""


@attrs.frozen
class StatedLimit:
    """One limit, as an answer states it."""

    remaining: float
    """The requests that may follow."""
    reset: float
    """The seconds until there are more."""
    rounded: bool
    """Whether these are whole, or from a date, so that a fraction may have been left out."""


def said_of(headers: Iterable[tuple[bytes, bytes]], wall: float) -> StatedLimit | None:
    """Return the tightest limit that headers state; None: they state none that can be read.

    Args:
        headers: those of an answer, as they came; any bytes.
        wall: the Unix time now, from which dates count where there is no `Date`.
    """
    now, found, families = wall, list[tuple[float, str]](), dict[str, _Family]()
    for name, value in headers:
        text = value[:_LONGEST_VALUE].decode("latin-1").strip()
        lower = name.lower()
        if lower == b"age" and _NUMBER.fullmatch(text) and float(text) > 0:
            return None  # it comes from a cache, and says what was so then
        if lower == b"date":
            date = instant(text)
            now = wall if date is None else date
        elif (kind := _NAME.fullmatch(lower)) is None:
            continue
        elif kind[2] is None:
            found += _limits(text)
        else:
            family = families.setdefault(kind[1].decode("ascii"), _Family())
            family.take(kind[2].decode("ascii"), text)
    for family in families.values():
        found += family.limits()
    said = (_said(left, reset, now) for left, reset in found)
    return max((each for each in said if each is not None), key=_tightness, default=None)


@attrs.define
class _Family:
    """The headers of one way to write them: another way may be of another limit."""

    totals: list[float] = attrs.field(factory=list)
    remaining: list[float] = attrs.field(factory=list)
    resets: dict[str, list[str]] = attrs.field(factory=dict)
    """By the end of the name: two of these are one reset twice, not two resets."""

    def take(self, end: str, text: str) -> None:
        """Take a header in, by the end of its name. Several limits are one header with a list, or several headers."""
        numbers = [number for part in _QUOTED.sub("", text).split(",") if (number := _NUMBER.match(part.strip()))]
        if end == "limit":
            self.totals += (float(number[0]) for number in numbers)
        elif end == "remaining":
            self.remaining += (float(number[0]) for number in numbers if number.end() == len(number.string))
        else:
            parts = [part.strip() for part in text.split(",")]
            whole = all(_NUMBER.fullmatch(part) for part in parts)  # a date has a comma too
            self.resets.setdefault(end, []).extend(parts if whole else [text])

    def limits(self) -> Iterator[tuple[float, str]]:
        """Pair what remains with its reset: by position, or, where there are not as many, the least with each."""
        if not self.remaining or (self.totals and max(self.totals) <= 0):
            return  # a limit of 0 is none: nobody could ever ask
        for resets in self.resets.values():
            least = [min(self.remaining)] * len(resets)
            yield from zip(self.remaining if len(self.remaining) == len(resets) else least, resets, strict=True)


def _limits(text: str) -> Iterator[tuple[float, str]]:
    """Read the limits of a `RateLimit`; the older form spreads one of them over its items."""
    bare = _QUOTED.sub("", text)
    for item in map(dict, map(_PARAMETER.findall, bare.split(","))):
        if "r" in item and "t" in item:
            yield float(item["r"]), item["t"]
    whole = dict(_PARAMETER.findall(bare))
    if "remaining" in whole and "reset" in whole and float(whole.get("limit", 1)) > 0:
        yield float(whole["remaining"]), whole["reset"]


def _said(remaining: float, reset: str, now: float) -> StatedLimit | None:
    if _NUMBER.fullmatch(reset):
        at = float(reset)
        at /= 1000 if at > _MILLISECONDS else 1
        absolute = at > _UNIX
        rounded = absolute or "." not in reset
    else:
        date = instant(reset)
        date = _iso(reset) if date is None else date
        if date is None:
            return None
        at, absolute, rounded = date, True, True
    seconds = at - now if absolute else at
    # What is over says nothing of now; but a time that was rounded down may be over by a second. And no site means more
    # than a year.
    return None if seconds <= -1 or seconds > _LONGEST else StatedLimit(remaining, max(0.0, seconds), rounded)


def _iso(text: str) -> float | None:
    """Read a date of ISO 8601; without a zone it is of UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None


def _tightness(said: StatedLimit) -> tuple[bool, float]:
    return said.remaining < 1, said.reset / (said.remaining + 1)


def pace(said: StatedLimit, started: float, patience: float) -> tuple[float, float]:
    """Say how a platform is to be asked from now on.

    Args:
        said: what it has stated.
        started: the cost of the requests that were started after the one that was answered: these may not be counted.
        patience: the longest wait; a site that states more is taken to state this.

    Returns:
        The seconds for which nothing is to start, 0 if anything remains; and those between two requests after that, 0
        if nothing is known of them.
    """
    if said.remaining < 1:
        return min(said.reset + said.rounded, patience), 0.0
    span = max(0.5, said.reset - 0.5) if said.rounded else said.reset
    return 0.0, max(_SHORTEST, min(span / (max(0.0, said.remaining - started) + 1), patience))


@attrs.define(eq=False)
class Heard:
    """What is kept of a platform that states its limits. All times are of one clock."""

    _starts: deque[tuple[float, int]] = attrs.field(factory=lambda: deque(maxlen=_MOST), init=False)
    """When the last requests started, and what they cost."""
    opens_at: float = attrs.field(default=-math.inf, init=False)
    """Until when nothing remains."""
    stale_at: float = attrs.field(default=math.inf, init=False)
    """When what was heard last means nothing any more: as long after the reset as that was ahead."""

    def start(self, now: float, cost: int) -> None:
        """Count a request that starts."""
        self._starts.append((now, cost))

    def started_since(self, at: float) -> int:
        """Return the cost of what has started after a time."""
        total = 0
        for time, cost in reversed(self._starts):
            if time <= at:
                break
            total += cost
        return total

    def put_off(self, opens_at: float, now: float) -> float:
        """Return when a request may start that else might at `opens_at`."""
        if now >= self.opens_at:
            return opens_at
        # Who has too few reserved times (`math.inf`) needs none before that: they would have lapsed by then.
        return self.opens_at if opens_at == math.inf else max(opens_at, self.opens_at)

    def shift(self, seconds: float) -> None:
        """Move to a clock that shows `seconds` more."""
        self.opens_at += seconds
        self.stale_at += seconds
        self._starts = deque(((at + seconds, cost) for at, cost in self._starts), maxlen=_MOST)
