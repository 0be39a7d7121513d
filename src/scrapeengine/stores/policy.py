"""How a store is to be kept."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from scrapeengine.model.checks import number, whole

__all__ = ["Durability", "Full", "StorePolicy"]

Full: TypeAlias = Literal["wait", "raise"]
Durability: TypeAlias = Literal["full", "normal"]


def _one_of(*choices: str) -> Any:
    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if value not in choices:
            known = " or ".join(repr(choice) for choice in choices)
            raise ValueError(f"open_store({attribute.name}=…) must be {known}, got {value!r}")

    return check


def _check(check: Any, **options: Any) -> Any:
    def validate(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        check(value, f"open_store({attribute.name}=…)", **options)

    return validate


@attrs.frozen(kw_only=True)
class StorePolicy:
    """How a store is to be kept.

    Raises:
        TypeError: a number is none.
        ValueError: a value is out of its range.
    """

    keep: float = attrs.field(default=86400.0, validator=_check(number, zero=True, instead="; it is seconds"))
    """Seconds for which a job that has ended is known."""
    most_kept: int = attrs.field(default=100_000, validator=_check(whole, least=0))
    """How many jobs that have ended are kept at most, but for those whose completions ask for longer."""
    most_pending: int = attrs.field(default=1_000_000, validator=_check(whole, least=1))
    """How many jobs may be pending."""
    full: Full = attrs.field(default="raise", validator=_one_of("wait", "raise"))
    """What `enqueue` does when there is no room."""
    durability: Durability = attrs.field(default="full", validator=_one_of("full", "normal"))
    """What a file outlives: "full" a power cut, "normal" the death of the process only; of a power cut, not all."""
    patience: float = attrs.field(default=10.0, validator=_check(number, zero=True, instead="; it is seconds"))
    """Seconds to wait for others that keep a file locked."""
