"""Log lines: structlog's, handed to the standard library's logger "scrapeengine". The root logger is never touched.

Where the program has configured structlog, its processors are used; else a plain line of keys and values. A program
that configures neither sees warnings and errors on stderr, as from any library.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

from scrapeengine.model.event import Event
from scrapeengine.model.urls import named

__all__ = ["logger", "task_logger"]

_PLAIN = (
    structlog.contextvars.merge_contextvars,
    structlog.processors.format_exc_info,
    structlog.processors.KeyValueRenderer(key_order=["event"]),
)


def logger() -> Any:
    """Return the library's logger."""
    return structlog.wrap_logger(
        logging.getLogger("scrapeengine"),
        processors=None if structlog.is_configured() else _PLAIN,
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def task_logger(event: Event, platform: str) -> Any:
    """Return a logger bound to a task. An id that is a URL is shown without its secrets."""
    return logger().bind(id=named(event.id), platform=named(platform))
