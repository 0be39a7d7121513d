"""Sinks: where outcomes are written.

What a run does without is imported when it is first asked for.
"""

import importlib
import typing

if typing.TYPE_CHECKING:
    from scrapeengine.model.sink import Sink, SinkPolicy
    from scrapeengine.sinks.database.opening import sql
    from scrapeengine.sinks.database.tables import SqlTable
    from scrapeengine.sinks.filters import mapped, only, where
    from scrapeengine.sinks.functions import of
    from scrapeengine.sinks.opening import open_sink as open  # noqa: A004 - as `io.open`, in a module of its own

__all__ = ["Sink", "SinkPolicy", "SqlTable", "mapped", "of", "only", "open", "sql", "where"]

_LATER = {
    "mapped": "scrapeengine.sinks.filters",
    "only": "scrapeengine.sinks.filters",
    "where": "scrapeengine.sinks.filters",
    "open": "scrapeengine.sinks.opening",
    "Sink": "scrapeengine.model.sink",
    "SinkPolicy": "scrapeengine.model.sink",
    "of": "scrapeengine.sinks.functions",
    "SqlTable": "scrapeengine.sinks.database.tables",
    "sql": "scrapeengine.sinks.database.opening",
}
"""Where each name is that is imported when it is first asked for."""
_CALLED = {"open": "open_sink"}
"""What it is called there, where the name is a builtin's."""


def __getattr__(name: str) -> typing.Any:
    """Import what is asked for (PEP 562)."""
    if name not in _LATER:
        raise AttributeError(f"module 'scrapeengine.sinks' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), _CALLED.get(name, name))
    return value


def __dir__() -> list[str]:
    """List what there is."""
    return sorted({*globals(), *_LATER})
