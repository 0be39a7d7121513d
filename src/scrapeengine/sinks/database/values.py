"""Values on their way into columns: what a column cannot hold as it is, is refused here, before a database changes it.

A database that is given what it has not, rounds (a decimal), cuts off (a text), takes another zone for granted (a time)
or makes NULL of it (NaN in SQLite), each in silence and each in its own way. So a value is looked at by its column:
what passes is read again as it was written.
"""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import NoneType
from typing import Any, Literal, TypeAlias

import attrs

from scrapeengine.model.urls import told

__all__ = ["Column", "Kind", "Limits", "all_fit", "checked"]

Kind: TypeAlias = Literal[
    "boolean", "integer", "float", "decimal", "text", "bytes", "datetime", "date", "time", "json", "uuid", "other"
]
"""What a column holds. "other": what the database makes of a text by itself, such as an enum or an address."""


@attrs.frozen
class Column:
    """A column of a table.

    Size: 12 attributes, a record of one column.
    """

    name: str
    kind: Kind
    type: str
    """Its type, as the database writes it."""
    bounds: tuple[int, int] = (-(2**63), 2**63 - 1)
    """Of integers: the least and the greatest."""
    length: int | None = None
    """Of texts the most characters, of bytes the most of them; None: as many as the database takes."""
    size: int | None = None
    """Of texts in MariaDB: the most bytes of them in UTF-8; None: as many as the database takes."""
    digits: int | None = None
    """Of decimals: how many digits in all."""
    scale: int | None = None
    """Of decimals: how many of these behind the point."""
    fraction: int = 6
    """Of times: how many digits of a second."""
    aware: bool = False
    """Of times: whether the database knows that they are of a zone."""
    collation: str | None = None
    """Of texts in MariaDB: how they are compared."""
    is_loose: bool = False
    """Whether the database takes values of it for one that are not equal here."""


@attrs.frozen
class Limits:
    """What a database has not, whatever the column."""

    nul: bool
    """Whether texts may have a NUL in them."""
    endless: bool
    """Whether floats may be NaN, or infinite."""
    digits: int | None = None
    """How many digits of a decimal it keeps; None: all."""
    json_integers: bool = True
    """Whether JSON that is one integer, and nothing else, may be of any size."""


def checked(value: Any, column: Column, limits: Limits) -> Any:
    """Return what a column is to hold: of one type for each kind, so that all of a column can be compared.

    Times become UTC, without a zone where the column has none; JSON becomes its text.

    Args:
        value: what a row has there.
        column: the column.
        limits: what its database has not.

    Raises:
        ValueError: the column could not hold it as it is; says why, and what to do.
    """
    return None if value is None else _CHECKS[column.kind](value, column, limits)


def all_fit(values: Sequence[Any], column: Column, limits: Limits) -> bool:
    """Say whether `checked` would return each of these values as it is; no, where that is not seen at a glance.

    Of a column of numbers or texts all are looked at together, by what is fast: one by one they cost half of what a row
    does.
    """
    types = {*map(type, values)} - {NoneType}
    if len(types) != 1:
        return not types
    some: Sequence[Any] = values if None not in values else [each for each in values if each is not None]
    match column.kind:
        case "float" if types == {float}:
            return limits.endless or all(map(math.isfinite, some))
        case "integer" if types == {int}:
            least, most = column.bounds
            return bool(least <= min(some) and max(some) <= most)
        case "text" if types == {str}:
            text = "".join(some)
            longest = max(map(len, some))
            is_short = (column.length is None or longest <= column.length) and (
                column.size is None or longest * _MOST_OF_CHARACTER <= column.size
            )
            return is_short and _is_unicode(text) and (limits.nul or "\0" not in text)
        case "boolean" if types == {bool}:
            return True
        case _:
            return False


def _no(value: object, column: Column, instead: str) -> ValueError:
    return ValueError(f"a {type(value).__name__}, {told(value)}, where the column is {column.type}: {instead}")


def _boolean(value: Any, column: Column, limits: Limits) -> bool:
    del limits
    if isinstance(value, bool) or (isinstance(value, int) and value in {0, 1}):
        return bool(value)
    raise _no(value, column, "give it True or False")


def _integer(value: Any, column: Column, limits: Limits) -> int:
    del limits
    if not isinstance(value, int):
        raise _no(value, column, "give it an int")
    least, most = column.bounds
    if not least <= value <= most:
        raise _no(value, column, f"it holds {least} to {most}; make the column wider, or a text")
    return int(value)


def _float(value: Any, column: Column, limits: Limits) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _no(value, column, "give it a float")
    try:
        same = float(value)
    except OverflowError:
        same = math.inf
    if isinstance(value, int) and same != value:
        raise _no(value, column, "no float is that int; make the column a decimal, or a text")
    if not math.isfinite(same) and not limits.endless:
        raise _no(value, column, "this database has no such number; give it None")
    return same


def _decimal(value: Any, column: Column, limits: Limits) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _no(value, column, "give it a Decimal")
    same = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not same.is_finite():
        raise _no(value, column, "give it None, or make the column a float")
    _, digits, exponent = same.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    behind = max(0, -exponent - (len(text) - len(text.rstrip("0"))) if any(digits) else 0)
    before = max(0, same.adjusted() + 1) if any(digits) else 0
    if column.scale is not None and behind > column.scale:
        raise _no(value, column, f"it has {behind} digits behind the point, which would be rounded; round it yourself")
    if column.digits is not None and before > column.digits - (column.scale or 0):
        raise _no(value, column, f"it has {before} digits before the point; make the column wider")
    kept = before + behind if before else len(text.strip("0"))
    if limits.digits is not None and kept > limits.digits:
        raise _no(value, column, f"this database keeps {limits.digits} digits of it; make the column a text")
    return same


def _text(value: Any, column: Column, limits: Limits) -> str:
    if isinstance(value, uuid.UUID):
        return str(value)
    if not isinstance(value, str):
        raise _no(value, column, "give it a str")
    if not _is_unicode(value):
        raise _no(value, column, "it has half a surrogate pair in it, which is no character; replace it")
    if "\0" in value and not limits.nul:
        raise _no(value, column, "it has a NUL in it, which this database has not; replace it")
    if column.length is not None and len(value) > column.length:
        raise _no(value, column, f"it has {len(value)} characters; make the column wider")
    if column.size is not None and (size := len(value.encode())) > column.size:
        raise _no(value, column, f"it is {size} bytes, and the column takes {column.size}; make the column wider")
    return str.__str__(value)  # of a member of an enum `str` would be its name


_MOST_OF_CHARACTER = 4
"""Bytes that a character has at most in UTF-8."""


def _uuid(value: Any, column: Column, limits: Limits) -> str:
    del limits
    if not isinstance(value, uuid.UUID | str):
        raise _no(value, column, "give it a UUID")
    try:
        return str(value if isinstance(value, uuid.UUID) else uuid.UUID(value))
    except ValueError:
        raise _no(value, column, "it is no UUID; give it one") from None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _bytes(value: Any, column: Column, limits: Limits) -> bytes:
    del limits
    if not isinstance(value, bytes | bytearray | memoryview):
        raise _no(value, column, "give it bytes")
    data = bytes(value)
    if column.length is not None and len(data) > column.length:
        raise _no(value, column, f"these are {len(data)} bytes; make the column wider")
    return data


def _datetime(value: Any, column: Column, limits: Limits) -> dt.datetime:
    del limits
    if not isinstance(value, dt.datetime):
        raise _no(value, column, "give it a datetime")
    if value.utcoffset() is None:
        raise _no(value, column, "of which zone is it? Give it one: value.replace(tzinfo=datetime.UTC)")
    _whole_fraction(value, value.microsecond, column)
    same = value.astimezone(dt.UTC)
    return same if column.aware else same.replace(tzinfo=None)


def _date(value: Any, column: Column, limits: Limits) -> dt.date:
    del limits
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise _no(value, column, "give it a date")
    return value


def _time(value: Any, column: Column, limits: Limits) -> dt.time:
    del limits
    if not isinstance(value, dt.time) or value.tzinfo is not None:
        raise _no(value, column, "give it a time without a zone")
    _whole_fraction(value, value.microsecond, column)
    return value


def _whole_fraction(value: object, microsecond: int, column: Column) -> None:
    if microsecond % 10 ** (6 - column.fraction):
        raise _no(
            value, column, f"it keeps {column.fraction} digits of a second; make the column finer, or round the time"
        )


_JSON = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""How the text of JSON says NUL: with an odd number of backslashes."""


def _json(value: Any, column: Column, limits: Limits) -> str:
    try:
        text = _JSON.encode(value)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise _no(value, column, f"it is no JSON ({error}); make it dicts, lists, texts and finite numbers") from error
    if not limits.nul and _NUL.search(text):
        raise _no(value, column, "it has a NUL in it, which this database has not; replace it")
    if not limits.json_integers and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise _no(value, column, "this database makes a float of an integer of this size; put it in a list")
    return text


_CHECKS: Mapping[Kind, Callable[[Any, Column, Limits], Any]] = {
    "boolean": _boolean,
    "integer": _integer,
    "float": _float,
    "decimal": _decimal,
    "text": _text,
    "bytes": _bytes,
    "datetime": _datetime,
    "date": _date,
    "time": _time,
    "json": _json,
    "uuid": _uuid,
    "other": _text,
}
