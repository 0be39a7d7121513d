"""Opens stores, each by the scheme of its URL, which somebody has registered."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any, TypedDict, TypeVar, Unpack

import attrs
import trio

from scrapeengine.model.checks import refuse_asyncio
from scrapeengine.model.store import Store
from scrapeengine.model.urls import told
from scrapeengine.stores.checked import CheckedStore
from scrapeengine.stores.memory.store import open_memory
from scrapeengine.stores.policy import Full, StorePolicy
from scrapeengine.stores.sqlite.policy import Durability, SqlitePolicy
from scrapeengine.stores.sqlite.store import open_file

__all__ = ["StoreOptions", "open_store", "register"]

P = TypeVar("P", bound=StorePolicy)

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


class StoreOptions(TypedDict, total=False):
    """The options of the stores that are here: those of `StorePolicy`, and of `SqlitePolicy` for a file."""

    keep: float
    max_kept: int
    max_pending: int
    full: Full
    durability: Durability
    busy_timeout: float


@attrs.frozen
class Scheme:
    """One kind of stores."""

    opener: Callable[[str, Any], AbstractAsyncContextManager[Store]]
    policy: Callable[..., StorePolicy]
    names: tuple[str, ...]
    """The options that its stores have."""
    example: str


_SCHEMES: dict[str, Scheme] = {}


class Checking(AbstractAsyncContextManager[CheckedStore]):
    """Opens a store, and has its arguments checked; all else is the opener's."""

    def __init__(self, opening: AbstractAsyncContextManager[Store]) -> None:
        self._opening = opening

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> CheckedStore:
        """Open it."""
        if not trio.lowlevel.in_trio_run():
            refuse_asyncio(
                "a store works under trio",
                "open it where its engine runs, in a thread of its own: `await asyncio.to_thread(trio.run, main)`",
            )
        return CheckedStore(await self._opening.__aenter__())

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Close it."""
        return await self._opening.__aexit__(kind, error, traceback)


def register(
    scheme: str,
    opener: Callable[[str, P], AbstractAsyncContextManager[Store]],
    policy: type[P],
    *,
    example: str | None = None,
) -> None:
    """Let `open_store` open stores of another kind: those whose URL has this scheme.

    Args:
        scheme: the text before the first colon of their URLs, in small letters.
        opener: is called with the whole URL and the policy, and returns an `async with` for the store. The store need
            not check any argument, for it is wrapped into a `CheckedStore`. A URL that is none is refused at once, by a
            `ValueError` that shows no secrets.
        policy: the class of its options: `StorePolicy`, or an attrs class that adds some to it.
        example: a URL of that kind, for errors to show.

    Raises:
        TypeError: the opener cannot be called, or the policy is no class of options.
        ValueError: the scheme is malformed, or somebody has registered it.
    """
    if not isinstance(scheme, str) or not _SCHEME.fullmatch(scheme):
        raise ValueError(f"a scheme is a word in small letters, as in register('postgresql', …); got {told(scheme)}")
    if not callable(opener):
        raise TypeError(f"register({scheme!r}, …) takes a function of a URL and a policy, got {told(opener)}")
    if not (isinstance(policy, type) and issubclass(policy, StorePolicy)):
        raise TypeError(f"register({scheme!r}, …, policy) takes StorePolicy or a subclass of it, got {told(policy)}")
    if known := _SCHEMES.get(scheme):
        by = f"{known.opener.__module__}.{getattr(known.opener, '__qualname__', type(known.opener).__name__)}"
        raise ValueError(
            f"{scheme!r} is registered already, for {by}: register once, where your module is imported, or take "
            f"another scheme, as in register('my-{scheme}', …)"
        )
    _SCHEMES[scheme] = Scheme(
        opener, policy, tuple(field.name for field in attrs.fields(policy)), example or f"{scheme}:…"
    )


def open_store(url: str, **options: Unpack[StoreOptions]) -> AbstractAsyncContextManager[CheckedStore]:
    """Open a store; it is closed when its `async with` is left, and calls that are in flight then end before.

    Args:
        url: "memory:", or "sqlite:" and the path of a file, which is made if it is not there; "sqlite:///jobs.db" and
            "sqlite:////srv/jobs.db" are read as SQLAlchemy reads them. Several processes may have one file open, on one
            machine. Other schemes are those that were registered.
        **options: those of `StorePolicy`: `keep`, `max_kept`, `max_pending`, `full`; for a file also those of
            `SqlitePolicy`: `durability`, `busy_timeout`. They are described there.

    Raises:
        ImportError: the library that the store needs is not installed; says which extra has it.
        TypeError: an argument is of the wrong type, or the store has no such option.
        ValueError: the URL is none that is known, or an argument is out of its range.
        StoreError: on entry, the file cannot be opened, or is no store; says what to do.
    """
    if not isinstance(url, str):
        raise TypeError(f"open_store takes the URL of a store as a str, got {told(url)}; write {_examples()}")
    name, colon, _ = url.partition(":")
    scheme = _SCHEMES.get(name) if colon else None
    if scheme is None:
        raise ValueError(
            f"{told(url)} is not the URL of a store that is known: write {_examples()}, or register its scheme "
            f"(scrapeengine.stores.register)"
        )
    if others := sorted(options.keys() - set(scheme.names)):
        raise TypeError(
            f"a store of {name + ':'!r} has no option {', '.join(others)}; it has {', '.join(scheme.names)}"
        )
    return Checking(scheme.opener(url, scheme.policy(**options)))


def _examples() -> str:
    return " or ".join(repr(scheme.example) for scheme in _SCHEMES.values())


register("memory", open_memory, StorePolicy, example="memory:")
register("sqlite", open_file, SqlitePolicy, example="sqlite:jobs.db")
