"""Whether progress is shown: what `progress=True` asks for is imported once it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

__all__ = ["shows"]


def shows(progress: object) -> Callable[[Any], AbstractAsyncContextManager[object]] | None:
    """Return what shows the progress of a run where a program has asked for it (`progress=True`); None: it has not.

    Raises:
        TypeError: it is no bool; says what to write.
        ImportError: rich is not installed; says how to.
    """
    if not isinstance(progress, bool):
        write = "progress=True, or `async with scrapeengine.observe.Progress(run, file=…)`"
        raise TypeError(f"progress=… must be True or False, got {type(progress).__name__}; write {write}")
    if not progress:
        return None
    module: Any = importlib.import_module("scrapeengine.observe.progress")
    module.importable("rich.console")  # now, and not once the run has begun
    found: Callable[[Any], AbstractAsyncContextManager[object]] = module.Progress
    return found
