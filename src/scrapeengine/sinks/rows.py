"""Outcomes as rows of files, and as lines of JSON."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol, TypeAlias, assert_never

from scrapeengine.decide.records import error_text
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success

__all__ = ["JsonRows", "Part", "Rows", "encoder_of", "parts_of", "shown"]


Part: TypeAlias = tuple[str, Any, str | None]
"""What a row says: its kind, and a value, or the text of an error."""


class Rows(Protocol):
    """Makes the bytes of a file of outcomes."""

    def begin(self, head: bytes) -> None:
        """Go on with a file.

        Args:
            head: its first line; empty where it begins here.
        """
        ...

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """Say whether outcomes can go into this file, as far as that is to be helped by another one."""
        ...

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """Return what outcomes add to the file.

        Args:
            outcomes: the outcomes.
            now: the Unix time.

        Raises:
            TypeError, ValueError: one of them cannot be written; says what to write instead.
        """
        ...


def parts_of(outcome: Outcome[Any]) -> list[Part]:
    """Return what a file has of an outcome: a row for each of its items, and one for itself, if that says more."""
    if isinstance(outcome, Success) and not outcome.items:  # most are
        return [("success", outcome.value, None)]
    parts: list[Part] = [("item", item, None) for item in outcome.items]
    match outcome:
        case Success(value=None) if parts:
            pass
        case Success(value=value):
            parts.append(("success", value, None))
        case Failure(error=error):
            parts.append(("failure", None, error_text(error)))
        case Skipped(reason=reason):
            parts.append(("skipped", None, reason))
        case Cancelled(reason=reason):
            parts.append(("cancelled", None, reason))
        case _:
            assert_never(outcome)
    return parts


def shown(now: float) -> str:
    """Write a Unix time down."""
    return datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds")


class JsonRows:
    """JSON lines: each is an object, and begins and ends in one line.

    All values of a batch are encoded in one call, which takes half the time of a call for each; the text is cut where a
    word is that no site can know. What is around them is written by hand.
    """

    def __init__(self, encode: Callable[[Any], Any] | None = None) -> None:
        self._json = encoder_of(encode).encode
        self._word = os.urandom(16).hex()

    def begin(self, head: bytes) -> None:
        """Do nothing: no line depends on another."""

    def fits(self, outcomes: Iterable[Outcome[Any]]) -> bool:
        """See `Rows`."""
        del outcomes
        return True

    def of(self, outcomes: Iterable[Outcome[Any]], now: float) -> bytes:
        """See `Rows`."""
        end = f',"written":"{shown(now)}"}}\n'
        frames: list[tuple[str, str]] = []
        values: list[Any] = []
        for outcome in outcomes:
            behind = f',"attempts":{outcome.attempts},"elapsed":{round(outcome.elapsed, 6)!r}{end}'
            for kind, value, error in parts_of(outcome):
                frames.append((f',"kind":"{kind}","{"value" if error is None else "error"}":', behind))
                values += (outcome.event.id, outcome.platform, value if error is None else error)
        text = iter(self._each(values))
        lines = [
            f'{{"id":{event},"platform":{platform}{before}{value}{behind}'
            for (before, behind), event, platform, value in zip(frames, text, text, text, strict=True)
        ]
        # Half a surrogate pair becomes its escape, which JSON has.
        return "".join(lines).encode("utf-8", "backslashreplace")

    def _each(self, values: list[Any]) -> list[str]:
        """Encode values: each for itself, and all in one call."""
        parted: list[Any] = [self._word] * (2 * len(values) - 1)
        parted[::2] = values
        return self._json(parted)[1:-1].split(f',"{self._word}",')


def encoder_of(encode: Callable[[Any], Any] | None) -> json.JSONEncoder:
    """Make an encoder: `json.dumps` with options makes one for each call."""

    def default(each: Any) -> Any:
        if isinstance(each, bytes):
            return {"base64": base64.b64encode(each).decode("ascii")}
        if encode is None:
            raise TypeError(
                f"what a scraper has returned has a {type(each).__name__} in it, which JSON has not: give the sink "
                "encode=…, such as str"
            )
        return encode(each)

    return json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default)
