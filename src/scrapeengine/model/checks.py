"""Checks of what a program gives, and of where it calls. Each refusal says what to write instead."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import attrs

__all__ = ["each", "flag", "id_of", "number", "refuse_asyncio", "whole"]


PORTS = 65_535
"""The greatest number of a port."""


def whole(value: object, name: str, *, least: int, instead: str = "") -> int:
    """Return `value` if it is an int of at least `least`, else raise."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, got {value!r}{instead}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}{instead}")
    return value


def port(value: object, name: str) -> int:
    """Return `value` if it is the number of a port, or 0, which stands for any that is free; else raise."""
    found = whole(value, name, least=0)
    if found > PORTS:
        raise ValueError(f"{name} must be at most {PORTS}, got {found}; 0 takes any that is free")
    return found


def number(value: object, name: str, *, zero: bool = False, endless: bool = False, instead: str = "") -> float:
    """Return `value` if it is a positive number (or 0, or infinite, where that is allowed), else raise."""
    if type(value) is float and 0.0 < value < math.inf:
        return value  # nearly all are: what follows takes four times as long, and a union for `isinstance` is made anew
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{name} must be a number, got {value!r}{instead}")
    try:
        exact = float(value)
    except OverflowError:
        exact = math.inf
    if math.isnan(exact) or value < 0 or (value == 0 and not zero):
        bound = "at least 0" if zero else "more than 0"
        raise ValueError(f"{name} must be {bound}, got {value}{instead}")
    if math.isinf(exact) and not endless:
        raise ValueError(f"{name} must be finite, got {exact}{instead}")
    return exact


def flag(value: object, name: str, *, instead: str = "") -> bool:
    """Return `value` if it is True or False, else raise; what it is instead may be a secret, and is not shown."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, got {type(value).__name__}{instead}")
    return value


def id_of(value: object, name: str) -> str:
    """Return an id as a text: an int is its digits."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"{name} must be a str or an int, as an event's id is, got {type(value).__name__}")
    return str(value)


def each(
    check: Callable[..., object], *, of: str | None = None, **options: Any
) -> Callable[[Any, attrs.Attribute[Any], Any], None]:
    """Make an attrs validator of one of the checks above; the field's name goes into its message.

    Args:
        check: the check.
        of: what the value is given to, as the program writes it; None: the class that has the field.
        **options: the check's.
    """

    def validate(instance: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
        check(value, f"{of or type(instance).__name__}({attribute.name}=…)", **options)

    return validate


def refuse_asyncio(what: str, instead: str) -> None:
    """Refuse to begin in the thread of a running asyncio loop: there trio would say no more than that it does not run.

    Args:
        what: the thing that was called.
        instead: what to write there.

    Raises:
        RuntimeError: an asyncio loop runs in this thread.
    """
    asyncio = sys.modules.get("asyncio")  # where nobody has imported it, none runs
    if asyncio is None:
        return
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError(f"{what}, and this thread runs an asyncio loop; {instead} (examples/in_asyncio.py has it whole)")
