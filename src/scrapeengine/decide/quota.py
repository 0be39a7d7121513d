"""How much is told of what may happen any number of times: of each kind one line a second, and each traceback once.

Invariants:

- Two lines of one kind are a second apart, but for those that have to be told; see `Quota.ask`.
- Nothing is lost: what happens is told, or counted in what the next line of its kind says, or what `left` says.
- What is remembered is bounded, whatever happens. A kind that has been told a second ago, and of which nothing was left
  out, is as good as new and is forgotten when there are too many. What cannot be forgotten shares one kind.
"""

from __future__ import annotations

import traceback
from collections.abc import Hashable
from typing import TypeAlias

import attrs

__all__ = ["Firsts", "Place", "Quota", "place_of"]

_APART = 1.0
"""Seconds between two lines of one kind."""
_MOST_KINDS = 256
_MOST_FIRSTS = 100
_DEEPEST = 100
_OURS = f"{__name__.partition('.')[0]}."

Place: TypeAlias = tuple[type[BaseException], str, int]
"""A kind of error: its class, and the file and line that have raised it."""


@attrs.define(eq=False)
class _Tally:
    """One kind of what happens."""

    told: float
    """When it was told last."""
    left_out: int = 0
    """How often it has happened since and was not told."""


@attrs.define(eq=False, repr=False)
class Quota:
    """Says which of many things are told. All times are seconds of one clock."""

    _kinds: dict[Hashable, _Tally] = attrs.field(factory=dict, init=False)

    def ask(self, kind: Hashable, now: float, *, must: bool = False) -> int | None:
        """Count one more of a kind, and say whether it is told.

        Args:
            kind: its kind.
            now: the time.
            must: whether it has to be told.

        Returns:
            How many of its kind were left out since the last one that was told; None: this one is left out too.
        """
        found = self._kinds.get(kind)
        if found is None:
            if len(self._kinds) >= _MOST_KINDS:
                self._forget(now)
            if len(self._kinds) < _MOST_KINDS:
                self._kinds[kind] = _Tally(now)
                return 0
            found = self._kinds.get(None)
            if found is None:
                self._kinds[None] = _Tally(now)
                return 0
        if now < found.told + _APART and not must:
            found.left_out += 1
            return None
        left_out, found.told, found.left_out = found.left_out, now, 0
        return left_out

    def left(self) -> dict[Hashable, int]:
        """Say of which kinds something was left out after the last line, and how much; None: of those that share it."""
        return {kind: each.left_out for kind, each in self._kinds.items() if each.left_out}

    def _forget(self, now: float) -> None:
        """Forget the kinds that are as good as new."""
        self._kinds = {kind: each for kind, each in self._kinds.items() if each.left_out or now < each.told + _APART}

    def __repr__(self) -> str:
        """Count the kinds."""
        return f"<Quota, {len(self._kinds)} kinds>"


@attrs.define(eq=False, repr=False)
class Firsts:
    """Says what is seen for the first time, of as many kinds as it can remember; of more nothing is."""

    _seen: set[Hashable] = attrs.field(factory=set, init=False)

    def see(self, kind: Hashable) -> bool:
        """Say whether a kind was not seen before."""
        if kind in self._seen or len(self._seen) >= _MOST_FIRSTS:
            return False
        self._seen.add(kind)
        return True

    def __repr__(self) -> str:
        """Count what was seen."""
        return f"<Firsts, {len(self._seen)} seen>"


def place_of(error: BaseException) -> Place:
    """Say what kind of error it is: of a group its first one, of an error that was never raised the one it came from.

    Where it was raised is the last place outside of this library: one function of ours raises all that goes wrong in
    requests, and the scraper's line says which one it was.
    """
    for _ in range(_DEEPEST):  # what an error came from is the program's to say, and may be itself
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        if inner is None and error.__traceback__ is None:
            inner = error.__cause__
        if inner is None:
            break
        error = inner
    file, at = "", 0
    for frame, line in traceback.walk_tb(error.__traceback__):
        if not at or not str(frame.f_globals.get("__name__")).startswith(_OURS):
            file, at = frame.f_code.co_filename, line
    return type(error), file, at
