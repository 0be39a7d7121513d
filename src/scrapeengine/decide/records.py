"""Events and outcomes as a store keeps them: JSON, or bytes as they are; nothing that runs when it is read."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, assert_never

from scrapeengine.decide.texts import text_of, written
from scrapeengine.errors import RecordedError
from scrapeengine.model.event import Event
from scrapeengine.model.job import Content, JobStatus
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success

__all__ = [
    "NotJson",
    "context_of",
    "digest_of",
    "error_text",
    "event_of",
    "items_of",
    "kept_of",
    "outcome_of",
    "outcome_text",
    "payload_of",
    "status_of",
    "value_of",
]

_BYTES = "bytes"
_CONTEXT = "context"
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
_ENCODE_STRICTLY = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""`json.dumps` makes its encoder anew where it is told how."""


def payload_of(event: Event, context: Mapping[str, str] | None = None) -> str:
    """Return what a store keeps of an event beside its id and priority.

    Args:
        event: the event.
        context: what is to come with it to whoever runs it, and is none of its own: texts by name. Who does not know
            of it, as an older version, leaves it.

    Raises:
        TypeError: its data is neither JSON nor bytes.
    """
    kept: dict[str, Any] = {}
    if event.url is not None and event.url != event.id:
        kept["url"] = event.url
    elif event.url is not None:
        kept["url"] = True
    if event.platforms:
        kept["platforms"] = list(event.platforms)
    if event.data is not None:
        kept |= _kept(event.data, f"the data of {event!r}")
    if context:
        kept[_CONTEXT] = dict(context)
    return _ENCODE(kept)


def event_of(id: str, priority: int, payload: str) -> Event:
    """Return the event that a payload was made of."""
    kept = json.loads(payload)
    url = kept.get("url")
    return Event(
        id,
        url=id if url is True else url,
        platforms=tuple(kept.get("platforms", ())),
        data=_given_back(kept),
        priority=priority,
    )


def context_of(payload: str) -> dict[str, str]:
    """Return what has come with an event; what is no text is left out. The payload is one that `event_of` can read."""
    context = json.loads(payload).get(_CONTEXT)
    if not isinstance(context, dict):
        return {}
    return {name: value for name, value in context.items() if isinstance(value, str)}


class NotJson(TypeError):
    """A result that JSON does not have. Most tasks of its scraper would end like this one.

    Attributes:
        instead: what to write.
    """

    def __init__(self, message: str, instead: str = "") -> None:
        super().__init__(message)
        self.instead = instead


def kept_of(value: object, encode: Callable[[Any], Any] | None = None) -> tuple[Content, Any]:
    """Return what a store keeps of the value of a scraper, and what whoever reads it there gets.

    Bytes are kept as they are, anything else as JSON.

    Args:
        value: what the scraper has returned.
        encode: makes something that JSON has of whatever it does not have (`default` of `json.dumps`); None: nothing
        does.

    Raises:
        NotJson: it has something that JSON does not have, or `encode` has raised or made something of that kind.
    """
    if isinstance(value, bytes):
        return value, value
    try:
        text = _json(value, encode)
        same = type(value) is str and value.isascii()  # which reading it again would make the same of
        return text, value if same else json.loads(text)
    except Exception as error:
        raise _refusal(value, encode, error) from error


def items_of(items: Sequence[Any], encode: Callable[[Any], Any] | None = None) -> tuple[Any, ...]:
    """Return items as whoever reads them from a store gets them.

    Raises:
        NotJson: one has something that JSON does not have.
    """
    try:
        return tuple(json.loads(_json(list(items), encode)))
    except Exception as error:
        raise _refusal(list(items), encode, error) from error


def value_of(content: Content) -> Any:
    """Return the value that a content was made of, as whoever reads it from a store gets it."""
    return content if isinstance(content, bytes) else json.loads(content)


def digest_of(content: Content) -> str:
    """Return what tells two contents apart, in 32 characters."""
    data = content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def error_text(error: Exception) -> str:
    """Return what a store keeps of an error: the class's name and its text."""
    return f"{_kind_of(error)}: {text_of(error)}"


def _kind_of(error: Exception) -> str:
    """Name the class of an error; of one that was kept before, that which it had then."""
    return error.kind if isinstance(error, RecordedError) else type(error).__name__


def status_of(outcome: Outcome[Any]) -> JobStatus:
    """Say how a job has ended that has this outcome; a cancelled one has not."""
    match outcome:
        case Success():
            return JobStatus.DONE
        case Skipped():
            return JobStatus.SKIPPED
        case _:
            return JobStatus.FAILED


def outcome_text(outcome: Outcome[Any], payload: str, result: Content | None) -> str:
    """Return an outcome as JSON, so that it can be delivered by whoever finds it.

    Args:
        outcome: how the task has ended.
        payload: of its event.
        result: what `kept_of` has made of its value, if it has one.
    """
    kept: dict[str, Any] = {
        "priority": outcome.event.priority,
        "payload": payload,
        "status": status_of(outcome).value,
        "times": [outcome.attempts, outcome.queued, outcome.parked, outcome.ran],
    }
    if outcome.items:
        kept["items"] = outcome.items
    match outcome:
        case Success() if isinstance(result, bytes):
            kept[_BYTES] = base64.b64encode(result).decode("ascii")
        case Success():
            kept["result"] = result
        case Failure(error=error):
            kept["error"] = [_kind_of(error), text_of(error)]
        case Skipped(reason=reason) | Cancelled(reason=reason):
            kept["reason"] = written(reason)
        case _:
            assert_never(outcome)
    return _ENCODE(kept)


def outcome_of(platform: str, id: str, text: str) -> Outcome[Any]:
    """Return the outcome that `outcome_text` was made of; of an error its name and its text (`RecordedError`).

    Raises:
        Exception: the text is none that `outcome_text` has made.
    """
    kept = json.loads(text)
    attempts, queued, parked, ran = kept["times"]
    said: dict[str, Any] = {
        "event": event_of(id, kept["priority"], kept["payload"]),
        "platform": platform,
        "attempts": attempts,
        "queued": queued,
        "parked": parked,
        "ran": ran,
        "items": tuple(kept.get("items", ())),
    }
    match JobStatus(kept["status"]):
        case JobStatus.DONE:
            value = base64.b64decode(kept[_BYTES]) if _BYTES in kept else value_of(kept["result"])
            return Success(value=value, **said)
        case JobStatus.SKIPPED:
            return Skipped(reason=kept["reason"], **said)
        case _ if "reason" in kept:
            return Cancelled(reason=kept["reason"], **said)
        case _:
            return Failure(error=RecordedError(*kept["error"]), **said)


def _kept(value: object, what: str) -> dict[str, Any]:
    if isinstance(value, bytes):
        return {_BYTES: base64.b64encode(value).decode("ascii")}
    try:
        _json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(_cannot(what, error)) from None
    return {"data": value}


def _given_back(kept: dict[str, Any]) -> Any:
    return base64.b64decode(kept[_BYTES]) if _BYTES in kept else kept.get("data")


def _json(value: object, encode: Callable[[Any], Any] | None = None) -> str:
    if encode is None:
        return _ENCODE_STRICTLY(value)
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=encode)


def _cannot(what: str, error: Exception) -> str:
    return (
        f"{what} cannot be stored: {error}; a store takes bytes, and what JSON has: dict, list, str, int, float, bool "
        "and None"
    )


def _refusal(value: object, encode: Callable[[Any], Any] | None, error: Exception) -> NotJson:
    """Say what is wrong with a result, and what to write instead."""
    if encode is not None and _is_json_but_for_kinds(value):
        said = _cannot("what encode=… has made of what the scraper has returned", error)
        return NotJson(
            said, "mend the engine's encode=…: for whatever JSON does not have it must return something that it has"
        )
    said = _cannot("what the scraper has returned", error)
    if isinstance(error, TypeError) and encode is None:
        return NotJson(said, "give the engine encode=…, such as str, or return bytes or what JSON has")
    return NotJson(
        said,
        "return bytes or what JSON has: None for NaN and infinity, a text for a number of thousands of digits or for a "
        "key that is none, nothing that holds itself or is a thousand deep; encode=… is asked about none of these",
    )


def _is_json_but_for_kinds(value: object) -> bool:
    """Say whether a value can be written down where anything is made of the kinds that JSON does not have."""
    try:
        json.loads(_json(value, lambda _: None))
    except Exception:  # noqa: BLE001 - as above
        return False
    return True
