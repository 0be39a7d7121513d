"""The wait that a `Retry-After` asks for (RFC 9110, section 10.2.3): seconds in ASCII digits, or a date."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["instant", "seconds_of"]

_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_LONGEST = 366 * 86400.0


def seconds_of(retry_after: str | None, date: str | None, wall: float) -> float | None:
    """Return the seconds to wait, or None if the header is missing or says nothing.

    Args:
        retry_after: the header's value.
        date: the response's `Date`, from which a date counts; it spares us the difference between the two clocks.
        wall: the Unix time now, from which a date counts where there is no `Date`.

    Returns:
        Seconds, at least 0. More than a year is a year: no platform means it, and clocks overflow.
    """
    if retry_after is None:
        return None
    text = retry_after.strip(" \t")
    if _DIGITS.fullmatch(text):
        digits = text.lstrip("0")
        return _LONGEST if len(digits) > 9 else min(float(digits or 0), _LONGEST)
    until = instant(text)
    if until is None:
        return None
    now = instant(date.strip(" \t")) if date else None
    return min(max(0.0, until - (wall if now is None else now)), _LONGEST)


def instant(text: str) -> float | None:
    """Read an HTTP date in any of its three forms. `asctime`'s has no zone, and means UTC as the others do."""
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
