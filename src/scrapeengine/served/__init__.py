"""A run over a store: claims, leases, what is written back, rounds, and what engines share."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scrapeengine.served import serving

__all__ = ["serving"]


def __getattr__(name: str) -> ModuleType:
    """Import `serving`, and so all else, when it is first asked for: a plain run needs none of it."""
    if name != "serving":
        raise AttributeError(f"module 'scrapeengine.served' has no attribute {name!r}")
    return importlib.import_module("scrapeengine.served.serving")
