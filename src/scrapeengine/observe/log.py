"""Log lines: structlog's, handed to the standard library's logger "scrapeengine". The root logger is never touched.

Where the program has configured structlog, its processors are used; else a plain line of keys and values. A program
that configures neither sees warnings and errors on stderr, as from any library.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from scrapeengine.model.event import Event
from scrapeengine.model.urls import named

__all__ = ["logger", "moved", "put_back", "task_logger", "write"]

_KEYS_AND_VALUES = structlog.processors.KeyValueRenderer(key_order=["event"])


def _plain(log: Any, method: str, fields: Any) -> str:
    """Render a line, with the traceback below it, as it is read."""
    exception = fields.pop("exception", None)
    line = str(_KEYS_AND_VALUES(log, method, fields))
    return line if exception is None else f"{line}\n{exception}"


_PLAIN = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.format_exc_info,
    _plain,
)


def logger() -> Any:
    """Return the library's logger."""
    return structlog.wrap_logger(
        logging.getLogger("scrapeengine"),
        processors=None if structlog.is_configured() else _PLAIN,
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def moved(before: Mapping[int, Any]) -> list[tuple[logging.StreamHandler[Any], Any, Any]]:
    """Have lines go elsewhere that handlers of the program's write straight to a terminal: its root's, and ours.

    Args:
        before: what they write to now, by its `id`, and where lines go from now on.

    Returns:
        The handlers that have been moved, each with where it wrote before, and where it writes now.
    """
    handlers = [each for name in (None, "scrapeengine") for each in logging.getLogger(name).handlers]
    streams = [each for each in handlers if isinstance(each, logging.StreamHandler) and id(each.stream) in before]
    found = [(each, each.stream, before[id(each.stream)]) for each in streams]
    for handler, _, now in found:  # what `setStream` returns is None, and not the stream, where it is that one already
        handler.setStream(now)
    return found


def put_back(handlers: Iterable[tuple[logging.StreamHandler[Any], Any, Any]]) -> None:
    """Have handlers write where they did before they were `moved`, but those that somebody has moved again."""
    for handler, was, now in handlers:
        if handler.stream is now:
            handler.setStream(was)


def task_logger(event: Event, platform: str) -> Any:
    """Return a logger bound to a task. An id that is a URL is shown without its secrets."""
    return logger().bind(id=named(event.id), platform=named(platform))


def write(level: str, what: str, fields: Mapping[str, object]) -> None:
    """Write a line in the middle of a step of the engine, which goes on whatever the program's own processors do."""
    try:
        getattr(logger(), level)(what, **fields)
    except Exception:
        logging.getLogger("scrapeengine").exception("a log line could not be written: structlog's processors raise")
