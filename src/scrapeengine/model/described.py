"""Descriptions of fields in `help()`: a field is described once, by the text below it, and shown where it is asked for.

Python keeps no text below a field. It is read from the source when the docstring of the class is first looked at, so
that importing it costs nothing. Where there is no source (a frozen program), fields have no text; where there are
no docstrings (`python -OO`), all stays as it is.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import textwrap
from typing import Any, TypeVar

import attrs

__all__ = ["described"]

C = TypeVar("C", bound=type)


def described(cls: C) -> C:
    """Let the docstring of an attrs class describe its fields too."""
    if cls.__doc__ is not None:
        whole: Any = _WholeDoc(cls.__doc__)
        cls.__doc__ = whole
    return cls


class _WholeDoc:
    """The docstring of a class and those of its fields, put together when it is first looked at."""

    def __init__(self, own: str) -> None:
        self._own = own
        self._whole: str | None = None

    def __get__(self, instance: object, cls: type) -> str:
        """Return it."""
        if self._whole is None:
            self._whole = _with_fields(self._own, cls)
        return self._whole


def _with_fields(own: str, cls: type) -> str:
    found: dict[str, str] = {}
    for each in reversed(cls.__mro__):
        if attrs.has(each):
            found.update(_texts(each))
    lines = []
    for field in attrs.fields(cls):
        text = f": {_indented(found[field.name])}" if field.name in found else ""  # some names say it all
        lines.append(f"    {field.name} ({field.type}){text}")
    return "\n".join([inspect.cleandoc(own), "", "Attributes:", *lines, ""])


def _indented(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first}\n{textwrap.indent(rest, ' ' * 8)}" if rest else first


def _texts(cls: type) -> dict[str, str]:
    """Return the texts below the fields of a class, by the field's name; none where there is no source."""
    try:
        tree = ast.parse(inspect.getsource(sys.modules[cls.__module__]))
    except (KeyError, OSError, SyntaxError, TypeError):
        return {}
    found: dict[str, str] = {}
    for body in (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == cls.__name__):
        for field, below in itertools.pairwise(body):
            match field, below:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                    found[name] = inspect.cleandoc(text)
                case _:
                    pass
    return found
