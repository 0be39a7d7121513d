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

    Size: 18 attributes, a record of one column.
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
    """Of decimals: how many of these behind the point. Of floats in MariaDB: how many digits behind the point."""
    fraction: int = 6
    """Of times: how many digits of a second."""
    aware: bool = False
    """Of times: whether the database knows that they are of a zone."""
    collation: str | None = None
    """Of texts in MariaDB: how they are compared."""
    least: int = 0
    """Of texts the fewest characters, of bytes the fewest of them: what has fewer is filled up, and read so."""
    cuts_blanks: bool = False
    """Of texts: whether blanks at their ends are cut off."""
    members: tuple[str, ...] | None = None
    """Of texts in MariaDB: what they may be, in an ENUM, or be made of, in a SET; None: anything."""
    is_single: bool = False
    """Of floats: whether only six digits are sure to be kept."""
    fills: bool = False
    """Whether the database takes NULL for something else."""
    cast: str = ""
    """Of "uuid", "json" and "other" in PostgreSQL: its type without its length, so that what is longer is an error."""
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
    if value is not None:
        return _CHECKS[column.kind](value, column, limits)
    if column.fills:
        raise _no(
            value, column, "this database makes the present time of it; give it a time, or let the column be NULL"
        )
    return None


def _is_particular(column: Column) -> bool:
    """Say whether there is more to look at than types, sizes and lengths."""
    return column.is_single or column.fills or column.least > 0 or column.cuts_blanks or column.members is not None


def all_fit(values: Sequence[Any], column: Column, limits: Limits) -> bool:
    """Say whether `checked` would return each of these values as it is; no, where that is not seen at a glance.

    Of a column of numbers or texts all are looked at together, by what is fast: one by one they cost half of what a row
    does.
    """
    types = {*map(type, values)} - {NoneType}
    if len(types) != 1 or _is_particular(column):
        return not types and not column.fills
    some: Sequence[Any] = values if None not in values else [each for each in values if each is not None]
    match column.kind:
        case "float" if types == {float} and column.scale is None:
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
    if column.scale is not None and round(same, column.scale) != same:
        raise _no(
            value, column, f"it keeps {column.scale} digits behind the point; round it, or make the column a double"
        )
    if column.is_single and math.isfinite(same) and not _is_single(same):
        raise _no(value, column, "six digits of it are sure to be kept; round it, or make the column a double")
    return same


def _is_single(value: float) -> bool:
    """Say whether a float of 32 bits is read as this number, whichever way a database writes it."""
    return value == 0 or (float(f"{value:.6g}") == value and 2.0**-126 <= abs(value) < 2.0**127)


def _decimal(value: Any, column: Column, limits: Limits) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _no(value, column, "give it a Decimal")
    same = Decimal(float.__repr__(value)) if isinstance(value, float) else Decimal(value)
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
    if limits.digits is not None and Decimal(repr(float(same))) != same:  # it is too near to 0
        raise _no(value, column, "this database makes a float of it, and no float is that; make the column a text")
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
    if len(value) < column.least:
        raise _no(value, column, f"it is filled up with blanks to {column.least} characters; make the column a VARCHAR")
    if column.cuts_blanks and value.endswith(" "):
        raise _no(value, column, "blanks at its end are cut off; make the column a VARCHAR")
    if column.members is not None and not _are_members(value, column):
        raise _no(value, column, "it is none of these, as they are written there; add it to them")
    return str.__str__(value)  # of a member of an enum `str` would be its name


def _are_members(text: str, column: Column) -> bool:
    """Say whether a text is one of an ENUM, or made of those of a SET: else MariaDB may take it for their number."""
    assert column.members is not None
    return text in column.members or (
        column.type.upper().startswith("SET") and {*text.split(",")} <= {*column.members, *([""] if not text else [])}
    )


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
    if len(data) < column.least:
        raise _no(value, column, f"it is filled up with zeros to {column.least} bytes; make the column a VARBINARY")
    return data


def _datetime(value: Any, column: Column, limits: Limits) -> dt.datetime:
    del limits
    if not isinstance(value, dt.datetime):
        raise _no(value, column, "give it a datetime")
    if value.utcoffset() is None:
        raise _no(value, column, "of which zone is it? Give it one: value.replace(tzinfo=datetime.UTC)")
    _whole_fraction(value, value.microsecond, column)
    try:
        same = value.astimezone(dt.UTC)
    except OverflowError:
        raise _no(value, column, "in UTC it is of a year that is none; give it one between 1 and 9999") from None
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
