"""Observation of a run from outside: instruments, and log lines.

What a run does without is imported when it is first asked for.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from scrapeengine.observe.progress import Progress
    from scrapeengine.observe.recording import Recording

__all__ = ["Progress", "Recording"]

_LATER = {"Progress": "scrapeengine.observe.progress", "Recording": "scrapeengine.observe.recording"}
"""Where each name is that is imported when it is first asked for."""


def __getattr__(name: str) -> typing.Any:
    """Import what is asked for (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module 'scrapeengine.observe' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """List what there is."""
    return sorted({*globals(), *_LATER})
