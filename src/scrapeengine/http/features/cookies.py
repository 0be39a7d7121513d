"""The cookies of one platform (RFC 6265, with the prefixes and bounds of its revision, RFC 6265bis).

What a site cannot do here: set a cookie for another site, or for a public suffix such as `co.uk`; fill the jar, or the
requests; have a cookie that was set over https read or replaced over http; break a header by what it puts into one.

Which domains are public suffixes the library `publicsuffixlist` knows (extra `cookies`). Without it no `Domain` that is
wider than the host that sets it can be trusted: such a cookie is refused, and those for one host are kept as ever.
What the list does not name, `internal` as well as `localhost`, counts as public, as the list itself has it.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

publicsuffixlist: Any
try:
    import publicsuffixlist  # type: ignore[import-not-found, no-redef, unused-ignore]
except ImportError:
    publicsuffixlist = None

__all__ = ["HeldCookie", "Jar", "date_of", "is_suffix"]

_MOST_BYTES = 4096
_MOST_ATTRIBUTE = 1024
_MOST_OF_DOMAIN = 50
_MOST = 1000
_MOST_HEADER = 8192
_LONGEST_LIFE = 400 * 86400.0
"""RFC 6265bis, section 5.5."""

_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")
"""Characters that no cookie has. Texts have a letter for each byte: what is beyond ASCII comes back as it came."""
_SECONDS = re.compile(r"-?[0-9]+")
_NUMBER_AT_END = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A host that ends so is an address, in whatever form, or nothing."""

_DELIMITERS = re.compile(r"[\t -/;-@\[-`{-~]+")
_TIME = re.compile(r"([0-9]{1,2}):([0-9]{1,2}):([0-9]{1,2})(?![0-9])")
_DAY = re.compile(r"([0-9]{1,2})(?![0-9])")
_YEAR = re.compile(r"([0-9]{2,4})(?![0-9])")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@attrs.define(eq=False, repr=False)
class HeldCookie:
    """One cookie, as a jar holds it. It has no `repr`, for it is a secret."""

    name: str
    value: str
    domain: str
    host_only: bool
    path: str
    secure: bool
    expires: float
    """The Unix time at which it is gone."""
    made: int = 0
    """A number that grows with each cookie that is made."""
    used: int = 0
    """A number that grows each time that one is set or sent."""

    @property
    def key(self) -> tuple[bool, str, str]:
        """The parts that tell it from all others of its domain."""
        return self.host_only, self.path, self.name


class Jar:
    """The cookies of one platform, in memory: 1,000 at most, 50 of them for a domain, 4 KiB each.

    Where there are too many, those that have expired go first, then those that were not set or sent for longest. Its
    methods take where a request goes: `scheme` and `host` of its URL, the host without the port, for cookies know none,
    the `path` without the query; and `wall`, the Unix time now.
    """

    def __init__(self, suffixes: Callable[[str], bool] | None = None) -> None:
        """Make an empty one.

        Args:
            suffixes: says whether a domain, in ASCII and lower case, is a public suffix; None: `is_suffix`.
        """
        self._suffixes = is_suffix if suffixes is None else suffixes
        self._domains: dict[str, dict[tuple[bool, str, str], HeldCookie]] = {}
        """By domain and key. Only `put` and `drop` change it, and count."""
        self._count = 0
        self._clock = itertools.count(1)

    def __repr__(self) -> str:
        """Count them."""
        return f"<Jar {self._count} cookies of {len(self._domains)} domains>"

    def take(self, set_cookie: Iterable[str], *, scheme: str, host: str, path: str, wall: float) -> None:
        """Keep what an answer sets, in `set_cookie`: the values of its `Set-Cookie` headers, one by one, as ISO-8859-1.

        What is malformed, too large or not the site's to set is passed over, and so is all after the first 50.
        """
        host, secure = _canonical(host), scheme == "https"
        for text in itertools.islice(set_cookie, _MOST_OF_DOMAIN):
            cookie = _read(text, host, path, wall, self._suffixes)
            if cookie is not None and (secure or not (cookie.secure or self._hides(cookie, wall))):
                self.put(cookie, wall)

    def header(self, *, scheme: str, host: str, path: str, wall: float) -> str | None:
        """Return the `Cookie` header of a request, as ISO-8859-1, of at most 8 KiB; None: it has none.

        The longest path comes first, then the oldest cookie; what does not fit is left out.
        """
        left = _MOST_HEADER
        sent: list[str] = []
        fitting = self._fitting(_canonical(host), path, wall)
        for cookie in sorted(fitting, key=lambda each: (-len(each.path), each.made)):
            if cookie.secure and scheme != "https":
                continue
            pair = f"{cookie.name}={cookie.value}"
            size = len(pair) + (len("; ") if sent else 0)
            if size <= left:
                left -= size
                sent.append(pair)
                cookie.used = next(self._clock)
        return "; ".join(sent) or None

    def kept(self, wall: float) -> list[HeldCookie]:
        """List all that have not expired by a time."""
        return [each for each in self._all() if each.expires > wall]

    def _all(self) -> Iterator[HeldCookie]:
        return itertools.chain.from_iterable(of_domain.values() for of_domain in self._domains.values())

    def _fitting(self, host: str, path: str, wall: float) -> list[HeldCookie]:
        """List what belongs to a place, and drop what has expired there."""
        fitting = []
        for domain in _widening(host):
            for cookie in list(self._domains.get(domain, {}).values()):
                if cookie.expires <= wall:
                    self.drop(cookie)
                elif (domain == host or not cookie.host_only) and _path_matches(path, cookie.path):
                    fitting.append(cookie)
        return fitting

    def _hides(self, new: HeldCookie, wall: float) -> bool:
        """Say whether what came in the clear would hide what was set over https (RFC 6265bis, section 5.7)."""
        return any(
            old.name == new.name and old.secure and old.expires > wall and _path_matches(new.path, old.path)
            for domain, of_domain in self._domains.items()
            if _within(domain, new.domain) or _within(new.domain, domain)
            for old in of_domain.values()
        )

    def put(self, new: HeldCookie, wall: float) -> None:
        """Keep a cookie, in place of one with the same key; one that has expired only takes that away."""
        old = self._domains.get(new.domain, {}).get(new.key)
        if old is not None:
            self.drop(old)
        if new.expires <= wall:
            return
        new.used = next(self._clock)
        new.made = new.used if old is None or old.expires <= wall else old.made
        of_domain = self._domains.setdefault(new.domain, {})
        of_domain[new.key] = new
        self._count += 1
        # One has come, so one has to go.
        if len(of_domain) > _MOST_OF_DOMAIN:
            self.drop(_least(of_domain.values(), wall))
        elif self._count > _MOST:
            self.drop(_least(self._all(), wall))

    def drop(self, cookie: HeldCookie) -> None:
        """Forget a cookie that is here."""
        of_domain = self._domains[cookie.domain]
        del of_domain[cookie.key]
        self._count -= 1
        if not of_domain:
            del self._domains[cookie.domain]


def is_suffix(domain: str) -> bool:
    """Say whether a domain, in ASCII and lower case, is a public suffix; without the library, any may be one."""
    known = _list()
    return known is None or bool(known.is_public(domain))


@functools.cache
def _list() -> Any:
    """Load the list, when the first cookie comes that needs it: it takes 35 ms."""
    return None if publicsuffixlist is None else publicsuffixlist.PublicSuffixList()


def _least(cookies: Iterable[HeldCookie], wall: float) -> HeldCookie:
    """Return the one that is missed least."""
    return min(cookies, key=lambda each: (each.expires > wall, each.used))


def _read(text: str, host: str, path: str, wall: float, suffixes: Callable[[str], bool]) -> HeldCookie | None:
    """Read a `Set-Cookie` (RFC 6265, sections 5.2 and 5.3); None if it is refused."""
    if len(text) > _MOST_BYTES or _CONTROL.search(text):
        return None
    pair, *rest = text.split(";")
    name, equals, value = (part.strip(" \t") for part in pair.partition("="))
    given = _attributes(rest)
    asked = given.get("domain", "").removeprefix(".").lower()
    scope = _scope(asked, host, suffixes)
    if scope is None or not (name and equals) or "\t" in name + value:
        return None
    secure, where = "secure" in given, given.get("path", "")
    lowered = name.lower()
    if lowered.startswith(("__secure-", "__host-")) and not secure:
        return None
    if lowered.startswith("__host-") and (asked or where != "/"):
        return None
    if not where.startswith("/"):
        where = _default_path(path)
    if len(where) > _MOST_ATTRIBUTE:
        return None
    return HeldCookie(name, value, *scope, where, secure, _expiry(given, wall))


def _attributes(parts: Iterable[str]) -> dict[str, str]:
    """Read the attributes by their names in lower case; the last of a name stands."""
    pairs = (part.partition("=") for part in parts)
    stripped = ((name.strip(" \t").lower(), value.strip(" \t")) for name, _, value in pairs)
    return {name: value for name, value in stripped if len(value) <= _MOST_ATTRIBUTE}


def _scope(asked: str, host: str, suffixes: Callable[[str], bool]) -> tuple[str, bool] | None:
    """Return the domain of a cookie, and whether it is for that host only; None: it is not the host's to set."""
    if not asked:
        return host, True
    address = ":" in host or _NUMBER_AT_END.fullmatch(host) is not None
    if asked == host:
        return host, address or suffixes(host)
    if address or not _within(host, asked) or suffixes(asked):
        return None
    return asked, False


def _expiry(given: Mapping[str, str], wall: float) -> float:
    """Return when a cookie is gone: by `Max-Age`, else by `Expires`, else never; not later than in 400 days."""
    age = given.get("max-age", "")
    if _SECONDS.fullmatch(age):
        return wall + min(float(age), _LONGEST_LIFE)
    until = date_of(given.get("expires", ""))
    return math.inf if until is None else min(until, wall + _LONGEST_LIFE)


def date_of(text: str) -> float | None:
    """Return the Unix time that an `Expires` means (RFC 6265, section 5.1.1); None if it is no date."""
    clock = day = month = year = None
    for token in _DELIMITERS.split(text):
        if clock is None and (found := _TIME.match(token)):
            clock = found
        elif day is None and (found := _DAY.match(token)):
            day = int(found[1])
        elif month is None and token[:3].lower() in _MONTHS:
            month = _MONTHS.index(token[:3].lower()) + 1
        elif year is None and (found := _YEAR.match(token)):
            year = int(found[1])
    if clock is None or day is None or month is None or year is None:
        return None
    if year < 100:
        year += 1900 if year >= 70 else 2000
    try:
        moment = datetime(year, month, day, int(clock[1]), int(clock[2]), int(clock[3]), tzinfo=UTC)
    except ValueError:
        return None
    return moment.timestamp() if year >= 1601 else None


def _canonical(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")


def _widening(host: str) -> Iterator[str]:
    """List a host and all domains that it is in."""
    while host:
        yield host
        host = host.partition(".")[2]


def _within(host: str, domain: str) -> bool:
    """Say whether a host is a domain or in it (RFC 6265, section 5.1.3)."""
    return host == domain or host.endswith(f".{domain}")


def _default_path(path: str) -> str:
    """Return the path of a cookie that has none (RFC 6265, section 5.1.4)."""
    return path[: path.rfind("/")] if path.startswith("/") and path.count("/") > 1 else "/"


def _path_matches(path: str, cookie_path: str) -> bool:
    """Say whether a request's path is a cookie's or below it (RFC 6265, section 5.1.4)."""
    below = cookie_path if cookie_path.endswith("/") else f"{cookie_path}/"
    return path == cookie_path or path.startswith(below)
