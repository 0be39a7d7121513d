"""The options that all stores have. A backend that has more of them makes a policy of its own out of this one."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from scrapeengine.model.checks import each, number, whole
from scrapeengine.model.described import described

__all__ = ["Full", "StorePolicy", "one_of"]

Full: TypeAlias = Literal["wait", "raise"]


def one_of(*choices: str) -> Any:
    """Make an attrs validator that takes a few texts and no others."""

    def validate(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            known = " or ".join(repr(choice) for choice in choices)
            raise ValueError(f"{type(instance).__name__}({attribute.name}=…) must be {known}, got {value!r}")

    return validate


@described
@attrs.frozen(kw_only=True)
class StorePolicy:
    """Options that all stores have.

    Raises:
        TypeError: a number is none.
        ValueError: a value is out of its range.
    """

    keep: float = attrs.field(default=86400.0, validator=each(number, zero=True, instead="; it is seconds"))
    """Seconds for which a job that has ended is known, and an outcome that nobody has fetched is kept (that one for a
    minute at least), from when it could be fetched last."""
    max_kept: int = attrs.field(default=100_000, validator=each(whole, least=0))
    """The most of those that are kept; the oldest go first, but none before its completion allows it.

    While anything that was reached by `task.follow` is pending, the ids of all that was reached so stay known to what
    is followed: a crawl ends. An id takes its length, its platform's and some 16 bytes in a file, 140 in memory.
    """
    max_pending: int = attrs.field(default=1_000_000, validator=each(whole, least=1))
    """The most jobs that may be pending. Jobs that tasks find (`follow_ups`) go in all the same."""
    full: Full = attrs.field(default="raise", validator=one_of("wait", "raise"))
    """Whether `enqueue` raises `StoreFull` where there is no room, or waits until there is."""
