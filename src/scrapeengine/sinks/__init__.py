"""Sinks: where outcomes are written.

What a run does without is imported when it is first asked for.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from scrapeengine.model.sink import Sink, SinkPolicy
    from scrapeengine.sinks.functions import of

__all__ = ["Sink", "SinkPolicy", "of"]

_LATER = {
    "Sink": "scrapeengine.model.sink",
    "SinkPolicy": "scrapeengine.model.sink",
    "of": "scrapeengine.sinks.functions",
}
"""Where each name is that is imported when it is first asked for."""


def __getattr__(name: str) -> typing.Any:
    """Import what is asked for (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module 'scrapeengine.sinks' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """List what there is."""
    return sorted({*globals(), *_LATER})
