"""The cookies of a platform in the program's hand: seeded, looked at, saved, cleared."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs

from scrapeengine.http.features.cookies import HeldCookie, Jar
from scrapeengine.model.checks import number
from scrapeengine.model.cookies import Cookie
from scrapeengine.model.urls import UrlError, named_host, parse, told

__all__ = ["Cookies"]

_NOT_IN_NAMES = re.compile(r"[\x00-\x1f\x7f;=]|^\s|\s$|^$")
_NOT_IN_VALUES = re.compile(r"[\x00-\x1f\x7f;]|^\s|\s$")
_MOST_BYTES = 4096
_TYPES = {"name": str, "value": str, "domain": str, "host_only": bool, "path": str, "secure": bool}


class Cookies:
    """The cookies that an engine keeps for one platform, as `Engine.cookies` hands them out.

    A `Set-Cookie` of the platform's changes them as ever, and what is changed here goes along from the next request on.
    They are bounded as those of the platform are: 50 for a domain, 1,000 in all, 4 KiB each. It is for the thread in
    which the engine runs.
    """

    def __init__(self, jar: Callable[[], Jar], wall: Callable[[], float], home: str | None, name: str) -> None:
        """Make it.

        Args:
            jar: gives the platform's jar, which may be another one than before.
            wall: gives the Unix time.
            home: the platform's own host, if it has one.
            name: the platform's name.
        """
        self._jar = jar
        self._wall = wall
        self._home = None if home is None else _domain(home)
        self._name = name

    def set(
        self,
        name: str,
        value: str,
        *,
        domain: str | None = None,
        host_only: bool = True,
        path: str = "/",
        secure: bool = False,
        expires: float | None = None,
    ) -> None:
        """Keep a cookie, in place of one of the same name, domain and path.

        Args:
            name: its name.
            value: its value.
            domain: the host that it is sent to; None: the platform's own.
            host_only: whether it is sent to that host alone; if not, to all hosts below it too.
            path: the path that it is sent to, and to all below it.
            secure: whether it is sent over https only.
            expires: the Unix time at which it is gone; None: it stays as long as the engine lives.

        Raises:
            TypeError: an argument is of the wrong type.
            ValueError: an argument can't be a cookie's; or there is no domain, and the platform has no host of its own.
        """
        if domain is None:
            if self._home is None:
                raise ValueError(
                    f"platform {self._name!r} has no host of its own; write cookies.set(…, domain='shop.example')"
                )
            domain = self._home
        given = {"name": name, "value": value, "domain": domain, "host_only": host_only, "path": path, "secure": secure}
        self._put(_held(given, expires))

    def get(self, name: str, *, domain: str | None = None) -> str | None:
        """Return the value of a cookie; None if there is none.

        Args:
            name: its name.
            domain: its domain; None: any. Of several the one that was made last counts.
        """
        found = [each.value for each in self if each.name == name and domain in (None, each.domain)]
        return found[-1] if found else None

    def clear(self, name: str | None = None, *, domain: str | None = None) -> None:
        """Forget cookies: all; or those of a name, of a domain, or of a name in a domain."""
        jar = self._jar()
        for cookie in jar.kept(-math.inf):
            if name in (None, _text(cookie.name)) and domain in (None, cookie.domain):
                jar.drop(cookie)

    def to_json(self) -> str:
        """Return all cookies as JSON, for `from_json`. It holds them in the clear: keep it as one keeps a password."""
        return json.dumps([attrs.asdict(each) for each in self])

    def from_json(self, text: str) -> None:
        """Keep the cookies that `to_json` has returned, beside those that are here; those that have expired are not.

        Raises:
            TypeError: it is no text.
            ValueError: it is nothing that `to_json` returns. Nothing of it was kept.
        """
        if not isinstance(text, str):
            raise TypeError(f"cookies.from_json takes what to_json has returned, a str, got {type(text).__name__}")
        try:
            found = [_held(given, given.pop("expires")) for given in json.loads(text)]
        except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
            # Without what was raised: it may quote a value.
            found = None
        if found is None:
            raise ValueError("these are no cookies; give cookies.from_json what cookies.to_json has returned")
        for cookie in found:
            self._put(cookie)

    def __iter__(self) -> Iterator[Cookie]:
        """List them, the one that was made first in front."""
        for each in sorted(self._jar().kept(self._wall()), key=lambda cookie: cookie.made):
            yield Cookie(
                name=_text(each.name),
                value=_text(each.value),
                domain=each.domain,
                host_only=each.host_only,
                path=each.path,
                secure=each.secure,
                expires=None if math.isinf(each.expires) else each.expires,
            )

    def __len__(self) -> int:
        """Count them."""
        return len(self._jar().kept(self._wall()))

    def __repr__(self) -> str:
        """Count them, and tell nothing of them."""
        return f"<Cookies of {self._name!r}: {len(self)}>"

    def _put(self, cookie: HeldCookie) -> None:
        self._jar().put(cookie, self._wall())


def _held(given: dict[str, Any], expires: object) -> HeldCookie:
    """Check what is given, and return it as a jar holds it. No message quotes a value.

    Raises:
        TypeError: a part is missing, is too much, or is of the wrong type.
        ValueError: a part is nothing that a cookie can have.
    """
    if given.keys() != _TYPES.keys():
        raise TypeError("a cookie has a name, a value, a domain, host_only, a path and secure")
    for part, kind in _TYPES.items():
        if not isinstance(given[part], kind):
            raise TypeError(f"cookies.set({part}=…) must be a {kind.__name__}, got {type(given[part]).__name__}")
    until = math.inf if expires is None else number(expires, "cookies.set(expires=…)", instead="; it is a Unix time")
    domain, path = _domain(given["domain"]), given["path"]
    if domain is None:
        raise ValueError(f"cookies.set(domain=…) must be a host, such as 'shop.example', got {told(given['domain'])}")
    if not path.startswith("/"):
        raise ValueError("cookies.set(path=…) must begin with a slash; '/' is for all paths")
    name, value = _letters(given["name"]), _letters(given["value"])
    if _NOT_IN_NAMES.search(name):
        raise ValueError("cookies.set(name, …): a name has no ';', no '=', no blanks around it, and is not empty")
    if _NOT_IN_VALUES.search(value):
        raise ValueError("cookies.set(…, value): a value has no ';', no line break and no blanks around it; encode it")
    if len(name) + len(value) >= _MOST_BYTES:
        raise ValueError(f"cookies.set(name, value): both together have less than {_MOST_BYTES} bytes")
    return HeldCookie(name, value, domain, given["host_only"], path, given["secure"], until)


def _domain(host: str) -> str | None:
    """Return a host as jars name it; None if it is none."""
    named = named_host(host)
    try:
        return None if named is None else parse(f"http://{named}/").host
    except UrlError:
        return None


def _letters(text: str) -> str:
    """Return a text with a letter for each of its bytes, as jars have it.

    Raises:
        ValueError: it is no text that could be sent.
    """
    try:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    except UnicodeEncodeError:
        pass
    raise ValueError("a cookie is text, and half a surrogate pair is none")


def _text(letters: str) -> str:
    """Return what `_letters` was given; a byte that is no UTF-8 as Python has it in names of files."""
    return letters.encode("latin-1").decode("utf-8", "surrogateescape")
