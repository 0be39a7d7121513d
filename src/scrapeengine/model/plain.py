"""Plain values, as TOML, JSON and the environment have them, made into the typed ones of settings.

A policy is a table: what it says takes the place of what is there, and the rest stays. A rate is a table, or a list of
them, and replaces all rates. `"inf"` is for what JSON has no number for, and `"none"` for what TOML has no value for.
All that is wrong with a value is a `ValueError` that begins with where it stands: it comes from outside.
"""

from __future__ import annotations

import difflib
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from scrapeengine.model.cadence import Cadence
from scrapeengine.model.policy import Caps, Rate, Retry, Timeout
from scrapeengine.model.urls import told

__all__ = ["from_environment", "from_toml", "known", "nearest", "plain", "table", "typed"]

_POLICIES: dict[str, type[Any]] = {
    "rate": Rate,
    "timeout": Timeout,
    "retry": Retry,
    "caps": Caps,
    "cadence": Cadence,
}
_MAY_BE_NONE = {"event_limit", "base_url", "rate", "cadence"}
_IN_CODE_ONLY = {"errors"}
"""Fields of policies that no plain value can say: exception classes."""
_PREFIX = "SCRAPEENGINE_"


def nearest(name: object, names: Iterable[str]) -> str:
    """Say in words which name may be meant, or which there are."""
    there = list(names)
    near = difflib.get_close_matches(str(name), there, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(there)}"


def known(given: object, names: Iterable[str], where: str) -> Mapping[str, Any]:
    """Return a table, all of whose keys are known.

    Raises:
        ValueError: it is no table, or has other keys.
    """
    there = list(names)
    for key in (found := table(given, where, there[0])):
        if key not in there:
            inside = f" in {where}" if where else ""
            raise ValueError(f"there is no setting {told(key)}{inside}; {nearest(key, there)}")
    return found


def table(given: object, where: str, example: str) -> Mapping[str, Any]:
    """Return a table.

    Args:
        given: it, if it is one.
        where: the place of it, for errors.
        example: a key that it might have.

    Raises:
        ValueError: it is none.
    """
    if isinstance(given, Mapping):
        return given
    raise ValueError(f"{where or 'settings'} must be a table, such as {{{example} = …}}, got {told(given)}")


def typed(name: str, value: Any, present: Any, where: str) -> Any:
    """Return the value of a knob as an engine has it; whether it is in its range says who takes it.

    Args:
        name: the knob's.
        value: plain; or as it is to be, already.
        present: the knob's present value.
        where: the place of the value, for errors.

    Raises:
        ValueError: it is of no use.
    """
    if value == "none" and name in _MAY_BE_NONE:
        value = None
    kind = _POLICIES.get(name)
    if kind is None:
        return _number(value) if name == "lease" else value
    if name == "rate":
        given = () if value is None else value if isinstance(value, list | tuple) else (value,)
        return tuple(each if isinstance(each, Rate) else _made(Rate, None, each, where) for each in given)
    return value if value is None or isinstance(value, kind) else _made(kind, present, value, where)


def plain(value: Any) -> Any:
    """Return a knob's value as plain ones: what `typed` makes the same of again."""
    if attrs.has(type(value)):
        fields = attrs.asdict(value, recurse=False)
        return {name: plain(each) for name, each in fields.items() if name not in _IN_CODE_ONLY}
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [plain(each) for each in value]
    return "inf" if value == math.inf else value


def from_toml(text: str) -> dict[str, Any]:
    """Read TOML.

    Raises:
        ValueError: it is none; says where.
    """
    return tomllib.loads(text)


def from_environment(environ: Mapping[str, str], names: Iterable[str], platforms: Iterable[str]) -> dict[str, Any]:
    """Gather the settings in variables: `SCRAPEENGINE_BUFFER`, `SCRAPEENGINE_PLATFORMS__SHOP__LIMIT`.

    A value is written as in TOML; what is no TOML is a text. Of a platform's name what is no letter or digit is `_`.

    Args:
        environ: the variables. Those that begin otherwise are left alone.
        names: of the engine's knobs.
        platforms: the platforms' names.

    Raises:
        ValueError: a variable names no setting.
    """
    engine = {f"{_PREFIX}{name.upper()}": name for name in names}
    found: dict[str, Any] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_PREFIX):
            continue
        if variable in engine:
            found[engine[variable]] = _parsed(text)
            continue
        first, *parts = variable.removeprefix(_PREFIX).split("__")
        if first != "PLATFORMS" or not 2 <= len(parts) <= 3:
            there = [*engine, f"{_PREFIX}PLATFORMS__NAME__LIMIT"]
            raise ValueError(f"the variable {variable} names no setting; {nearest(variable, there)}")
        *path, last = [_platform_of(parts[0], platforms, variable), *map(str.lower, parts[1:])]
        inner: Any = found.setdefault("platforms", {})
        for each in path:
            inner = inner.setdefault(each, {}) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            raise ValueError(f"the variable {variable} says more of what another one says whole; leave one out")  # noqa: TRY004
        inner[last] = _parsed(text)
    return found


def _platform_of(part: str, platforms: Iterable[str], variable: str) -> str:
    """Return the platform that a part of a variable's name means."""
    by_part: dict[str, list[str]] = {}
    for name in platforms:
        by_part.setdefault("DEFAULT" if name == "*" else re.sub(r"[^A-Z0-9]+", "_", name.upper()), []).append(name)
    found = by_part.get(part, [])
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"the variable {variable} may mean {' or '.join(map(told, found))}; say that in a file")
    raise ValueError(f"the variable {variable} names no platform; {nearest(part, by_part)}")


def _parsed(text: str) -> Any:
    try:
        found = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return found["value"] if len(found) == 1 else text


def _made(kind: type[Any], present: Any, value: object, where: str) -> Any:
    names = [name for name in attrs.fields_dict(kind) if name not in _IN_CODE_ONLY]
    given = {name: _number(each) for name, each in known(value, names, where).items()}
    try:
        return kind(**given) if present is None else attrs.evolve(present, **given)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{where}: {error}") from error


def _number(value: Any) -> Any:
    return math.inf if value == "inf" else value
