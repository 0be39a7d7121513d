"""What is kept beside the jobs: what is known of URLs, outcomes to be delivered, and locks."""

from __future__ import annotations

from collections.abc import Sequence

from scrapeengine.model.job import Delivery, Kept
from scrapeengine.model.validators import Validator
from scrapeengine.stores.shelf import Shelf

__all__ = ["acknowledge", "lock", "recall", "remember", "undelivered", "unlock"]

_MOST_PAGES = 100_000
_LONGEST_URL = 4096


def recall(shelf: Shelf, platform: str, url: str) -> Validator | None:
    """Return what is known of a URL."""
    return shelf.pages.recall(platform, url)


def remember(shelf: Shelf, platform: str, url: str, validator: Validator | None) -> None:
    """Keep what is known of a URL, if it is of a sensible length; None: forget it."""
    if validator is None:
        shelf.pages.forget(platform, url)
    elif len(url) <= _LONGEST_URL:
        shelf.pages.remember(platform, url, validator, _MOST_PAGES)


def undelivered(shelf: Shelf, n: int, lease: float) -> list[Kept]:
    """Hand out what should have been acknowledged by now."""
    found = shelf.outbox.late(shelf.awake, n)
    for kept in found:
        shelf.outbox.postpone(kept.delivery, shelf.awake + lease)
    return found


def acknowledge(shelf: Shelf, deliveries: Sequence[Delivery]) -> None:
    """Forget outcomes."""
    for delivery in deliveries:
        shelf.outbox.drop(delivery)


def lock(shelf: Shelf, name: str, owner: str, lease: float) -> bool:
    """Take a lock that is free, void, or one's own."""
    holder = shelf.pool.holder(name)
    if holder is not None and holder[0] != owner and holder[1] > shelf.awake:
        return False
    shelf.pool.void(shelf.awake)
    shelf.pool.lock(name, owner, shelf.awake + lease)
    return True


def unlock(shelf: Shelf, name: str, owner: str) -> None:
    """Give a lock back, if it is one's own."""
    holder = shelf.pool.holder(name)
    if holder is not None and holder[0] == owner:
        shelf.pool.unlock(name)
