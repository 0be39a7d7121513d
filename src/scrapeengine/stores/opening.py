"""How a store is opened."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.stores.memory.store import in_memory
from scrapeengine.stores.policy import Durability, Full, StorePolicy
from scrapeengine.stores.sqlite.store import in_file

__all__ = ["open_store"]

_KNOWN = "write 'memory:', or 'sqlite:' and the path of a file, as in 'sqlite:jobs.db'"


def open_store(
    url: str,
    *,
    keep: float = 86400.0,
    most_kept: int = 100_000,
    most_pending: int = 1_000_000,
    full: Full = "raise",
    durability: Durability = "full",
    patience: float = 10.0,
) -> AbstractAsyncContextManager[Store]:
    """Open a store; it is closed when its `async with` is left, and calls that are in flight then end before.

    Args:
        url: "memory:", or "sqlite:" and the path of a file, which is made if it is not there. Several processes may
            have one file open, on one machine.
        keep: seconds for which a job that has ended is known.
        most_kept: how many of those are kept at most; the oldest go first, but none before its completion allows it.
        most_pending: how many jobs may be pending; what tasks find (`follow_ups`) goes in all the same.
        full: what `enqueue` does when there is no room: "raise" `StoreFull`, or "wait" until there is.
        durability: "full" outlives a power cut; "normal" spares a file the syncing, and loses the last calls by one.
        patience: seconds to wait for others that keep a file locked.

    Raises:
        ImportError: the library that the store needs is not installed; says which extra has it.
        TypeError: an argument is of the wrong type.
        ValueError: the URL is none that is known, or an argument is out of its range.
        StoreError: on entry, the file cannot be opened, or is no store; says what to do.
    """
    if not isinstance(url, str):
        raise TypeError(f"open_store takes the URL of a store as a str, got {told(url)}; {_KNOWN}")
    settings = StorePolicy(
        keep=keep,
        most_kept=most_kept,
        most_pending=most_pending,
        full=full,
        durability=durability,
        patience=patience,
    )
    scheme, colon, path = url.partition(":")
    match scheme, colon, path:
        case "memory", ":", "":
            return in_memory(settings)
        case "sqlite", ":", path if path and "\0" not in path:
            return in_file(path, settings)
        case _:
            raise ValueError(f"{told(url)} is not the URL of a store; {_KNOWN}")
