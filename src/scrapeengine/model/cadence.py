"""Cadence: how often something that recurs is looked at."""

from __future__ import annotations

import attrs

from scrapeengine.model.checks import each, number
from scrapeengine.model.described import described

__all__ = ["Cadence"]


def _check_maximum(cadence: Cadence, _: object, maximum: float) -> None:
    if maximum < cadence.min_interval:
        raise ValueError(
            f"Cadence(max_interval=…) must be at least its min_interval, {cadence.min_interval} s, got {maximum}; "
            "give both, in s"
        )


def _check_growth(_: object, __: object, growth: float) -> None:
    if growth < 1:
        raise ValueError(f"Cadence(growth=…) must be at least 1, got {growth}; 1 leaves the interval as it is")


def _check_shrink(_: object, __: object, shrink: float) -> None:
    if shrink > 1:
        raise ValueError(f"Cadence(shrink=…) must be at most 1, got {shrink}; 1 leaves the interval as it is")


def _check_jitter(_: object, __: object, jitter: float) -> None:
    if jitter > 1:
        raise ValueError(
            f"Cadence(jitter=…) must be at most 1, got {jitter}; it is a part of the wait, and 0.1 is 10 %"
        )


@described
@attrs.frozen
class Cadence:
    """The pace at which something is looked at again: sooner after it has changed, later after it has not.

    Raises:
        TypeError: an argument is not a number.
        ValueError: an argument is out of its range.
    """

    min_interval: float = attrs.field(
        default=180.0, validator=each(number, instead="; it is the shortest interval, in seconds")
    )
    """The shortest interval, in seconds; also the first one."""
    max_interval: float = attrs.field(
        default=86_400.0, validator=[each(number, instead="; it is the longest interval, in seconds"), _check_maximum]
    )
    """The longest interval, in seconds. Only a site that asks for it, or the program, has it wait longer."""
    growth: float = attrs.field(
        default=1.5, validator=[each(number, instead="; 1 leaves the interval as it is"), _check_growth]
    )
    """By how much the interval is multiplied when nothing has changed; at least 1."""
    shrink: float = attrs.field(
        default=0.5, validator=[each(number, instead="; 1 leaves the interval as it is"), _check_shrink]
    )
    """By how much the interval is multiplied when something has changed; at most 1."""
    jitter: float = attrs.field(
        default=0.1, validator=[each(number, zero=True, instead="; 0 is to have none"), _check_jitter]
    )
    """The longest that a wait is put off by chance, as a part of it, so that not all come at once; at most 1.

    Never beyond `max_interval`: what waits for about as long is put forward instead, but for no shorter than
    `min_interval`. Where the two are equal there is no jitter.
    """
