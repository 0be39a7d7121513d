"""Outcomes that a sink refuses: a file of JSON lines keeps them, each with its error, to be brought in again."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import attrs

from scrapeengine.decide.records import error_text, items_of, kept_of, outcome_of, outcome_text, payload_of
from scrapeengine.decide.texts import written
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Outcome, Success
from scrapeengine.sinks.lines import add_lines
from scrapeengine.standstill import in_thread

__all__ = ["Aside", "aside_of", "set_aside"]


class Aside(NamedTuple):
    """One outcome that was set aside."""

    sink: str
    """The name of the sink that has refused it."""
    error: str
    """The exception's class and its text."""
    outcome: Outcome[Any]
    key: tuple[str, str, str]
    """What tells it from others."""


async def set_aside(path: str, sink: str, outcome: Outcome[Any], error: Exception) -> None:
    """Add an outcome to a file. Checkpoint. Once it is begun it is not cancelled.

    Raises:
        OSError: it could not be added.
    """
    line = json.dumps(
        {
            "sink": sink,
            "error": error_text(error),
            "platform": outcome.platform,
            "id": outcome.event.id,
            "outcome": _text(outcome),
        }
    )
    await in_thread(add_lines, path, line.encode() + b"\n")


def aside_of(line: bytes, where: str) -> Aside:
    """Read a line of such a file.

    Args:
        line: the line.
        where: which one it is, as it may be shown.

    Raises:
        ValueError: it is none that was written here.
    """
    try:
        said = json.loads(line)
        key = said["platform"], said["id"], said["outcome"]
        return Aside(said["sink"], said["error"], outcome_of(*key), key)
    except Exception as error:
        raise ValueError(
            f"{where} is no outcome that was set aside ({type(error).__name__}): give the file of a sink's aside="
        ) from error


def _text(outcome: Outcome[Any]) -> str:
    result = None
    if isinstance(outcome, Success):
        try:
            result, _ = kept_of(outcome.value, _word)
        except Exception:  # noqa: BLE001 - a word of it is better than nothing, and it must be somewhere
            result = json.dumps(_word(outcome.value))
    if outcome.items:
        outcome = attrs.evolve(outcome, items=tuple(map(_item, outcome.items)))
    return outcome_text(outcome, _payload(outcome.event), result)


def _item(item: object) -> object:
    try:
        return items_of((item,), _word)[0]
    except Exception:  # noqa: BLE001 - as above
        return _word(item)


def _payload(event: Event) -> str:
    try:
        return payload_of(event)
    except Exception:  # noqa: BLE001 - as above
        return json.dumps({"data": _word(event.data)})


def _word(value: object) -> str:
    try:
        return written(repr(value))
    except Exception:  # noqa: BLE001 - as above
        return f"({type(value).__name__})"
