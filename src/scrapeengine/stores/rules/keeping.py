"""What is kept beside the jobs: what is known of URLs, outcomes to be delivered, and locks."""

from __future__ import annotations

from collections.abc import Sequence

from scrapeengine.model.job import Delivery, Kept
from scrapeengine.model.validators import Validator
from scrapeengine.stores.rules.tables import Tables

__all__ = ["acknowledge", "lock", "recall", "remember", "undelivered", "unlock"]

_MOST_PAGES = 100_000
_LONGEST_URL = 4096


def recall(tables: Tables, platform: str, url: str) -> Validator | None:
    """Return what is known of a URL."""
    return tables.pages.recall(platform, url)


def remember(tables: Tables, platform: str, url: str, validator: Validator | None) -> None:
    """Keep what is known of a URL, if it is of a sensible length; None: forget it."""
    if validator is None:
        tables.pages.forget(platform, url)
    elif len(url) <= _LONGEST_URL:
        tables.pages.remember(platform, url, validator, _MOST_PAGES)


def undelivered(tables: Tables, n: int, lease: float) -> list[Kept]:
    """Hand out what should have been acknowledged by now."""
    found = tables.outbox.late(tables.awake, n)
    for kept in found:
        tables.outbox.postpone(kept.delivery, tables.awake + lease)
    return found


def acknowledge(tables: Tables, deliveries: Sequence[Delivery]) -> None:
    """Forget outcomes."""
    for delivery in deliveries:
        tables.outbox.drop(delivery)


def lock(tables: Tables, name: str, owner: str, lease: float) -> bool:
    """Take a lock that is free, void, or one's own."""
    holder = tables.pool.holder(name)
    if holder is not None and holder[0] != owner and holder[1] > tables.awake:
        return False
    tables.pool.void(tables.awake)
    tables.pool.lock(name, owner, tables.awake + lease)
    return True


def unlock(tables: Tables, name: str, owner: str) -> None:
    """Give a lock back, if it is one's own."""
    holder = tables.pool.holder(name)
    if holder is not None and holder[0] == owner:
        tables.pool.unlock(name)
