"""The options of a store in a file."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from scrapeengine.model.checks import each, number
from scrapeengine.model.described import described
from scrapeengine.stores.policy import StorePolicy, one_of

__all__ = ["Durability", "SqlitePolicy"]

Durability: TypeAlias = Literal["full", "normal"]


@described
@attrs.frozen(kw_only=True)
class SqlitePolicy(StorePolicy):
    """Options of a store in a file: those that all stores have, and two that only a file has.

    Raises:
        TypeError: a number is none.
        ValueError: a value is out of its range.
    """

    durability: Durability = attrs.field(default="full", validator=one_of("full", "normal"))
    """The worst that a file outlives: "full" a power cut; "normal" loses the last calls by one, and syncs less."""
    busy_timeout: float = attrs.field(default=10.0, validator=each(number, zero=True, instead="; it is seconds"))
    """Seconds to wait for others that keep the file locked."""
