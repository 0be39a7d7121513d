"""The share of time in which each platform was held back, by the reason. Pure accounting of what was heard.

At each instant one reason holds a platform back: the one that `decide/holding.py` names as long as work waits there, or
else the way that work comes (`Coming`), or who takes outcomes too slowly, for which no work is asked for. So the shares
of a platform sum to 1.

How work comes is the same for all platforms. So it has one account for all, and a platform on which no work waits notes
how that stood when it began to: what the source does costs nothing for each platform.

Hosts that share a label have one account: the time in which work waited there, host by host. Of each host no more is
kept than the reason that holds it now; of one without work nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

import attrs

from scrapeengine.decide.holding import Holdup

__all__ = ["Binding", "Coming", "sentence"]


class Coming(enum.Enum):
    """How work comes."""

    READ = "source"
    """The source, or the store, gives none yet."""
    UNREAD = "lookahead"
    """The source is not read on: `lookahead` or `max_pending` is reached."""
    NONE = Holdup.NOTHING.value
    """No more comes."""


@attrs.define(eq=False)
class _Account:
    """Seconds by reason, of which one holds at each instant."""

    reason: str
    since: float
    _spent: dict[str, float] = attrs.field(factory=dict, init=False)

    def turn(self, reason: str, now: float) -> None:
        """Let another reason hold from now on."""
        self.add(self.reason, now - self.since)
        self.reason, self.since = reason, now

    def add(self, reason: str, seconds: float) -> None:
        """Count seconds for a reason."""
        self._spent[reason] = self._spent.get(reason, 0.0) + seconds

    def spent(self, now: float) -> dict[str, float]:
        """Return the seconds so far. From any thread."""
        spent, reason = self._spent.copy(), self.reason
        spent[reason] = spent.get(reason, 0.0) + max(0.0, now - self.since)
        return spent


@attrs.define(eq=False)
class _Platform:
    """The account of one platform."""

    held: _Account
    before: Mapping[str, float]
    """How the account of what comes stood when work last ceased to wait here."""
    idle: dict[str, float] = attrs.field(factory=dict)
    """The seconds in which no work waited here, until it last did, by how it came then."""

    def turn(self, by: str, coming: _Account, now: float) -> None:
        """Let something else hold it back from now on."""
        if self.held.reason == Holdup.NOTHING.value:
            self.idle = self._idle(coming, now)
        if by == Holdup.NOTHING.value:
            self.before = coming.spent(now)
        self.held.turn(by, now)

    def spent(self, coming: _Account, now: float) -> dict[str, float]:
        """Return the seconds so far, by reason. From any thread."""
        spent = self.held.spent(now)
        spent.pop(Holdup.NOTHING.value, None)
        idle = self._idle(coming, now) if self.held.reason == Holdup.NOTHING.value else self.idle
        for reason, seconds in idle.items():  # who takes outcomes too slowly may hold back what waits and what comes
            spent[reason] = spent.get(reason, 0.0) + seconds
        return spent

    def _idle(self, coming: _Account, now: float) -> dict[str, float]:
        since = {reason: seconds - self.before.get(reason, 0.0) for reason, seconds in coming.spent(now).items()}
        return {reason: seconds + self.idle.get(reason, 0.0) for reason, seconds in since.items()}


@attrs.define(eq=False)
class _Hosts:
    """The account of the hosts that share a label."""

    past: _Account
    now: dict[str, tuple[str, float]] = attrs.field(factory=dict)
    """The hosts where work waits, each with what holds it back, and since when."""

    def turn(self, host: str, by: str, now: float) -> None:
        """Let something else hold a host back from now on."""
        if host in self.now:
            reason, since = self.now.pop(host)
            self.past.add(reason, now - since)
        if by != Holdup.NOTHING.value:
            self.now[host] = by, now

    def spent(self, now: float) -> dict[str, float]:
        """Return the seconds so far, by reason. From any thread."""
        spent = self.past.spent(self.past.since)  # of its own it has no time
        for reason, since in self.now.copy().values():
            spent[reason] = spent.get(reason, 0.0) + max(0.0, now - since)
        return spent


class Binding:
    """The accounts of one run."""

    def __init__(self, platforms: Iterable[str], now: float) -> None:
        """Open them.

        Args:
            platforms: those that are there from the beginning.
            now: when that is.
        """
        self._coming = _Account(Coming.READ.value, now)
        self._platforms = {name: self._platform(now) for name in platforms}
        self._hosts: dict[str, _Hosts] = {}
        self._limited = _Account(Holdup.NOTHING.value, now)
        """Whether the event limit holds any platform back."""
        self._number = 0
        """How many it does."""

    def comes(self, how: Coming | Holdup, now: float) -> None:
        """Hear how work comes from now on, or who takes outcomes too slowly, for which none is asked for."""
        if how.value != self._coming.reason:
            self._coming.turn(how.value, now)

    def held(self, platform: str, label: str, by: str, now: float) -> None:
        """Hear what holds a platform back from now on.

        Args:
            platform: its name.
            label: the name under which it is counted.
            by: the value of a `Holdup`.
            now: the time.
        """
        if label == platform:
            account = self._platforms.get(platform)
            if account is None:
                account = self._platforms[platform] = self._platform(now)
            before = account.held.reason
            account.turn(by, self._coming, now)
        else:
            hosts = self._hosts.get(label)
            if hosts is None:
                hosts = self._hosts[label] = _Hosts(_Account(Holdup.NOTHING.value, now))
            before, _ = hosts.now.get(platform, (Holdup.NOTHING.value, now))
            hosts.turn(platform, by, now)
        limit = Holdup.EVENTS.value
        self._number += (by == limit) - (before == limit)
        self._limited.turn(limit if self._number else Holdup.NOTHING.value, now)

    def seconds(self, now: float) -> dict[str, dict[str, float]]:
        """Return the seconds by platform and reason; of hosts that share a label all their seconds. From any thread."""
        spent = {name: account.spent(self._coming, now) for name, account in self._platforms.copy().items()}
        return spent | {label: hosts.spent(now) for label, hosts in self._hosts.copy().items()}

    def shares(self, now: float) -> dict[str, dict[str, float]]:
        """Return the shares of time by platform and reason, each platform's with the sum 1. From any thread."""
        return {name: _shares(each) for name, each in sorted(self.seconds(now).items())}

    def event_limit(self, now: float) -> float:
        """Return the share of time in which the event limit held any platform back. From any thread."""
        return _shares(self._limited.spent(now)).get(Holdup.EVENTS.value, 0.0)

    def _platform(self, now: float) -> _Platform:
        return _Platform(_Account(Holdup.NOTHING.value, now), self._coming.spent(now))

    def __repr__(self) -> str:
        """Count the accounts."""
        return f"<Binding of {len(self._platforms)} platforms>"


def _shares(spent: Mapping[str, float]) -> dict[str, float]:
    whole = sum(spent.values())
    if whole <= 0:
        return {Holdup.NOTHING.value: 1.0}
    return {reason: seconds / whole for reason, seconds in sorted(spent.items()) if seconds > 0}


_LITTLE = 0.01
"""The share of time that is not worth a word."""
_LIMIT, _RATE, _EVENTS = Holdup.LIMIT.value, Holdup.RATE.value, Holdup.EVENTS.value
_KNOBS = {_LIMIT: "its limit", _RATE: "its rate", _EVENTS: "the event limit"}
"""What a program may turn, and is told about where it would not help."""
_NO_ADVICE = {Holdup.PARKED.value, Holdup.PAUSE.value}
"""The reasons that another limit would end, though it is not what holds the platform back."""


def sentence(name: str, shares: Mapping[str, float], limit: int, interval: float) -> str:
    """Say in a sentence what held a platform back most of the time.

    Args:
        name: the platform's name, as it is to be shown.
        shares: the shares of time by reason.
        limit: its limit.
        interval: the seconds between two requests; 0: it has no rate.
    """
    held = {reason: share for reason, share in shares.items() if reason != Holdup.NOTHING.value and share >= _LITTLE}
    if not held:
        return f"{name}: nothing held it back"
    most = max(held, key=lambda reason: held[reason])
    said = f"{name}: {_words(most, limit, interval)} held it back {held[most] * 100:.0f} % of the time"
    beside = {knob: held[each] for each, knob in _KNOBS.items() if each in held and each != most}
    if beside:
        return ", ".join([said, *(f"{knob} another {share * 100:.0f} %" for knob, share in beside.items())])
    if most in _NO_ADVICE:
        return said
    own = [_KNOBS[each] for each in (_LIMIT, _RATE) if each != most and (each != _RATE or interval)]
    return f"{said}; raising {' or '.join(own or [_KNOBS[_EVENTS]])} would not help"


def _words(reason: str, limit: int, interval: float) -> str:
    """Return words for what has held a platform back."""
    match reason:
        case Holdup.LIMIT.value:
            return f"its limit of {limit}"
        case Holdup.RATE.value:
            return f"its rate ({interval:.3g} s between requests)"
        case Holdup.PARKED.value:
            return f"its bound of {2 * limit} tasks, running and parked,"
        case _:
            return _WORDS[reason]


_WORDS = {
    Holdup.PAUSE.value: "a pause (a limit of 0, or in the store)",
    Holdup.PENALTY.value: "a penalty, for it had asked not to be called,",
    Holdup.SHARE.value: "the share that other engines on the store left it",
    Holdup.CONSUMER.value: "the consumer, which did not read outcomes in time,",
    Holdup.SINKS.value: "the sinks, which did not take outcomes in time,",
    Holdup.STORE.value: "the store, which did not accept outcomes in time,",
    Holdup.EVENTS.value: "the event limit",
    Coming.READ.value: "the source, or the store, which gave no work,",
    Coming.UNREAD.value: "the lookahead or max_pending, for which the source was not read on,",
}
