"""Rules of a site's robots.txt (RFC 9309), whatever it has in it.

A file is split into its groups here, and when an agent asks, `protego` is given the rules that are for that agent.
Given whole files, it makes a rule of its own for each agent of a group: a thousand agents above a thousand rules take
it a second, ten times as many of both a hundred, and gigabytes. And matching takes time in proportion to the URL and
to the rules with wildcards: half a second for 30 kB and half a megabyte of them. So there is a bound to the rules for
an agent, and one to the work for a URL.

What cannot be told is forbidden: because there are too many rules, because the URL takes too much work, or because
`protego` raises. A file that a site has made so by mistake may well forbid it, and one that is made so on purpose does.

Only `Allow` and `Disallow` end the names of a group. Records that RFC 9309 does not know do not (section 2.2.4), and
neither do `Crawl-delay` and `Request-rate`, which are two of them; Google's parser (github.com/google/robotstxt) has it
so too. So rules hold for all names above them, whatever stands in between.

For whom a `Crawl-delay` is meant, no standard says. It is of the time in which a blank line ended a record, and written
so: one for each of several crawlers, each with a blank line below it, and the rules for all in the end. Meant for the
whole group it would slow down everybody by what was asked of a few. So it is for the names of its own part of the
group: a blank line between a `Crawl-delay` and the next name begins another part.
"""

from __future__ import annotations

import re

import attrs
from protego import Protego

__all__ = ["MOST_BYTES", "Rules", "had", "read"]

MOST_BYTES = 500 * 1024
"""The bytes that are read of a robots.txt (RFC 9309, section 2.5)."""
_MOST_RULES = 20_000
"""Rules for one agent. Half a megabyte of lines of a common length has 13,000 of them."""
_MOST_WORK = 2**25
"""The characters of a URL times those of the rules with wildcards; 10 ms at most."""
_MOST_AGENTS = 8
_KEPT = 24 * 3600.0
_NOT_HAD = 60.0
_LONGEST_DELAY = 300.0

_AGENT, _ALLOW, _DISALLOW, _DELAY, _RATE = "User-agent", "Allow", "Disallow", "Crawl-delay", "Request-rate"
_FIELDS = {
    "user-agent": _AGENT,
    "user agent": _AGENT,
    "useragent": _AGENT,
    "allow": _ALLOW,
    "disallow": _DISALLOW,
    "dissallow": _DISALLOW,
    "dissalow": _DISALLOW,
    "disalow": _DISALLOW,
    "disallaw": _DISALLOW,
    "diasllow": _DISALLOW,
    "crawl-delay": _DELAY,
    "crawl delay": _DELAY,
    "request-rate": _RATE,
    "request rate": _RATE,
}
"""The fields that names are read as. RFC 9309, section 2.2.2, allows leniency with errors of spelling."""
_RECORD = re.compile(
    rf"^[ \t]*({'|'.join(_FIELDS)})(?:[ \t]*:|[ \t]+(?=[^ \t#\n]+[ \t]*(?:#|$)))([^#\n]*)",
    re.ASCII | re.IGNORECASE | re.MULTILINE,
)
"""A field and its value. Where the colon is missing the value is one word: else it is a sentence of somebody's."""
_NUMBERS = {
    _DELAY: re.compile(r"(?P<seconds>[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"),
    _RATE: re.compile(r"(?P<count>[0-9]{1,9})/(?P<seconds>[0-9]{1,9})(?P<unit>[smhd]?)(?:[ \t].*)?", re.IGNORECASE),
}
"""Numbers, strictly: Python has wider notions of them."""
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NO_BREAKS = {
    ord(each): "".join(f"%{byte:02X}" for byte in each.encode()) for each in "\v\f\x1c\x1d\x1e\x85\u2028\u2029"
}
"""Characters that are line breaks to `protego`, and none to RFC 9309."""
_BLANK = re.compile(r"\n[ \t]*\n")
_TOKEN = re.compile(r"[a-z0-9_.\-]*", re.ASCII)
_ANYONE = "*"
_FORBIDS = Protego.parse("User-agent: *\nDisallow: /")
_ALLOWS = Protego.parse("")


@attrs.frozen
class _Group:
    """The records below some `User-agent` lines."""

    agents: dict[str, set[int]] = attrs.field(factory=dict)
    """The parts of the group that name each agent."""
    rules: list[str] = attrs.field(factory=list)
    delays: list[tuple[int, float]] = attrs.field(factory=list)
    """The seconds between two requests that are asked for, each with its part."""

    def slowest(self, token: str) -> float:
        """Return the seconds between two requests that are asked of an agent that it names; 0: none are."""
        parts = self.agents[token]
        return max((seconds for part, seconds in self.delays if part in parts), default=0.0)


@attrs.frozen
class _Part:
    """The part of a file that is for one agent."""

    rules: Protego
    wildcards: int = 0
    """The characters of the rules with wildcards."""
    delay: float | None = None


@attrs.define(eq=False, repr=False)
class Rules:
    """The rules of one origin, read from its robots.txt."""

    until: float
    """Until when it may be used, in seconds of the clock that `read` was given."""
    size: int = 0
    """The bytes of the file that were read; what it takes in memory goes with them."""
    _groups: list[_Group] = attrs.field(factory=list)
    _otherwise: Protego = _ALLOWS
    """The rules for agents that no group is for."""
    lacking: str = ""
    """Why the file could not be had, in words; "" if it was. Nothing is allowed without it."""
    _parts: dict[str, _Part] = attrs.field(factory=dict, init=False)
    """By agent, for those that asked."""

    def __repr__(self) -> str:
        """Count its groups."""
        return f"<Rules {len(self._groups)} groups, {self.size} bytes>"

    def allows(self, url: str, agent: str) -> bool:
        """Say whether an agent may fetch a URL of the origin.

        Args:
            url: an absolute URL.
            agent: the product token that tells the crawler from others, such as `ExampleBot`; what follows it, as in
                `ExampleBot/1.0 (…)`, is ignored.

        Returns:
            Whether it may. False also if that cannot be told; the robots.txt itself is always allowed.
        """
        part = self._part(agent)
        if part.wildcards * len(url) > _MOST_WORK:
            return False
        try:
            return part.rules.can_fetch(url, _ANYONE)
        except Exception:  # noqa: BLE001 - whatever a URL does to it, it is not allowed
            return False

    def crawl_delay(self, agent: str) -> float | None:
        """Return the seconds between two requests that are asked of an agent, at most 300; None: nothing is.

        Of all `Crawl-delay` and `Request-rate` the slowest counts, at all times of day. RFC 9309 has neither.
        """
        return self._part(agent).delay

    def _part(self, agent: str) -> _Part:
        part = self._parts.get(agent)
        if part is None:
            if len(self._parts) >= _MOST_AGENTS:
                self._parts.clear()
            part = self._parts[agent] = self._read_for(_token(agent))
        return part

    def _read_for(self, token: str) -> _Part:
        """Read what is for an agent: all groups that name it, as one; or all that are for any (section 2.2.1)."""
        groups = [group for group in self._groups if token in group.agents]
        if not groups:
            return _Part(self._otherwise) if token == _ANYONE else self._part(_ANYONE)
        records = list(dict.fromkeys(rule for group in groups for rule in group.rules))
        if len(records) > _MOST_RULES:
            return _Part(_FORBIDS)
        try:
            rules = Protego.parse("\n".join([f"{_AGENT}: {_ANYONE}", *records]))
        except Exception:  # noqa: BLE001 - whatever a file does to it, nothing is allowed
            return _Part(_FORBIDS)
        delay = min(max(group.slowest(token) for group in groups), _LONGEST_DELAY)
        return _Part(rules, sum(len(record) for record in records if "*" in record), delay or None)


def had(status: int | None) -> bool:
    """Say whether an answer tells what is allowed: the file, or a 4xx, which says that there is none.

    Args:
        status: the status in the end, redirects followed; None: no answer came, or redirects did not end.
    """
    return status is not None and 200 <= status < 500 and not 300 <= status < 400 and status != 429


def read(status: int | None, body: bytes, *, now: float) -> Rules:
    """Return what the answer to a request for a robots.txt means (RFC 9309, section 2.3.1). Never raises.

    Args:
        status: the status in the end, redirects followed; None: no answer came, or redirects did not end.
        body: the body, or at least the first `MOST_BYTES` of it.
        now: the time, from which `Rules.until` counts.

    Returns:
        For 2xx what the file says, and for 4xx that all is allowed, for 24 h; for 429 and all else that nothing is,
        for 60 s, in which the site may come to.
    """
    if status is None or not had(status):
        why = "no answer came" if status is None else f"the answer was {status}"
        return Rules(now + _NOT_HAD, 0, [], _FORBIDS, why)
    if status < 300:
        return Rules(now + _KEPT, min(len(body), MOST_BYTES), _groups(_text(body)))
    return Rules(now + _KEPT)


def _text(body: bytes) -> str:
    """Decode what is read of a file. A line that was cut would say something else."""
    if len(body) >= MOST_BYTES:
        body = body[: max(body.rfind(b"\n", 0, MOST_BYTES), body.rfind(b"\r", 0, MOST_BYTES)) + 1]
    return body.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


def _groups(text: str) -> list[_Group]:
    """Split a file into its groups."""
    groups: list[_Group] = []
    naming, part = False, 0
    slowed: int | None = None  # up to where no blank line follows a delay of this part; None: it has no delay
    for found in _RECORD.finditer(text):
        field, value = _FIELDS[found[1].lower()], found[2].strip()
        if field == _AGENT:
            if not naming:
                groups.append(_Group())
                naming, part, slowed = True, 0, None
            elif slowed is not None and _BLANK.search(text, slowed, found.start()):
                part, slowed = part + 1, None
            elif slowed is not None:
                slowed = found.end()
            groups[-1].agents.setdefault(_token(value), set()).add(part)
        elif groups and field in _NUMBERS:
            slowed = found.end()
            groups[-1].delays.append((part, _seconds(field, value)))
        elif groups:
            naming = False
            groups[-1].rules.append(f"{field}: {value.translate(_NO_BREAKS)}")
    return groups


def _seconds(field: str, value: str) -> float:
    """Return the seconds between two requests that a record asks for; 0 if that cannot be told."""
    found = _NUMBERS[field].fullmatch(value)
    if found is None:
        return 0.0
    if field == _DELAY:
        return float(found["seconds"])
    count = int(found["count"])
    return int(found["seconds"]) * _UNITS[found["unit"].lower()] / count if count else 0.0


def _token(agent: str) -> str:
    """Return the product token that an agent begins with, in lower case; `*` stands for any."""
    bare = agent.strip().lower().lstrip("*")
    if not bare:
        return _ANYONE
    found = _TOKEN.match(bare)
    return "" if found is None else found[0]
