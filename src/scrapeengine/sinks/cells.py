"""Values as cells: an object has a column for each of its fields, anything else one."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from scrapeengine.model.urls import told

__all__ = ["EXTRA", "OWN", "VALUE", "cells_of"]

OWN = ("id", "platform", "kind", "attempts", "elapsed", "written", "error")
"""The columns of each file, before those of the values."""
VALUE = "value"
EXTRA = "extra"
_TAKEN = {*OWN, EXTRA}
_TEXT = {str}


def cells_of(value: Any) -> Mapping[str, Any]:
    """Return what a value has, by the names of columns; nothing where it is None.

    A name that the file has itself, or that begins as those are called by then, has "value." before it: else two would
    have one name. Names are such that a first line can have them: in one line, and of characters.

    Raises:
        ValueError: two fields would have one name.
    """
    if type(value) is not dict and not isinstance(value, Mapping):  # the first is quick to ask
        return {} if value is None else {VALUE: value}
    if {*map(type, value)} == _TEXT and _are_plain(tuple(value)):
        return value
    found: dict[str, Any] = {}
    for name, each in value.items():
        column = _column(str(name))
        if column in found:
            raise ValueError(f"two fields of a value are both {told(column)} as columns; give them other names")
        found[column] = each
    return found


@lru_cache(64)
def _are_plain(names: tuple[str, ...]) -> bool:
    """Say whether names are those of columns as they are; most values of a file have the same ones."""
    return all(_column(name) == name for name in names)


def _column(name: str) -> str:
    if not (name.isascii() and name.isprintable()):
        name = name.encode("utf-8", "backslashreplace").decode().replace("\r", "\\r").replace("\n", "\\n")
    return f"{VALUE}.{name}" if name in _TAKEN or name.startswith(f"{VALUE}.") else name
