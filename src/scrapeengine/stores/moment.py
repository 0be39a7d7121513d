"""The time of a store: an axis of its own, on which all that is written down stands, and which only goes forward.

    awake   as trio's clock goes: leases, locks, slots, start times, penalties
    now     = awake + what the machine has slept: due times, `keep`, and when things have happened
    Unix    = now + `unix`: what is shown

Within a boot `awake` and `now` follow clocks that nobody can set, from where the first who opened the file has put
them, for all its processes. Where the wall clock steps only `unix` changes: one number, and no instant is touched.

In another boot (or by another clock) they go on from wall time, less what it was ahead; but never from before the last
moment that was written down. So whatever has happened to the clock meanwhile: each instant was written with a length
that began no later than the present moment, and so none lies further ahead than by its own length. A wall clock that is
ahead then makes things due too early, one that is behind lets what was left of them pass once more.

A boot is another one if its number is, or where a clock that only goes forward has gone back. Where a system has no
such number, a reboot may go unnoticed until then; what a lease has left may pass once more.

Rejected: instants as Unix times, moved or cut down where a step is seen. Each step would rewrite all rows, by whichever
process sees it first; what cannot be seen to have stepped (a clock that was ahead from the beginning) would stay.
Rejected too: each instant with its length beside it, believed up to that from now on. It would be asked in each query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from scrapeengine.stores.clock import Reading

__all__ = ["BEGINNING", "Moment", "is_of", "later", "restarted"]

_STEP = 0.5
"""Seconds by which the wall clock, or the time slept, differs from what it was before that counts as a step. What is
less may be an interruption between the readings of two clocks."""


class Moment(NamedTuple):
    """One moment on that axis, and how the clocks stood to it."""

    clock: int
    """The boot that it is in, as in `Reading`."""
    offset: float
    """How far `awake` is ahead of what that clock shows."""
    asleep: float
    """How far `now` is ahead of `awake`."""
    unix: float
    """How far Unix time is ahead of `now`."""
    awake: float

    @property
    def now(self) -> float:
        """The time that runs on while the machine sleeps."""
        return self.awake + self.asleep

    def shown(self, at: float) -> float:
        """Return the Unix time of an instant by `now`."""
        return at + self.unix

    def by_now(self, at: float) -> float:
        """Return when by `now` it is an instant by `awake`, if the machine does not sleep before."""
        return at + self.asleep

    @classmethod
    def of(cls, numbers: Mapping[str, float]) -> Moment:
        """Read what was written down of it; what is missing is as in the beginning."""
        clock, *rest = (numbers.get(name, value) for name, value in zip(cls._fields, BEGINNING, strict=True))
        return cls(int(clock), *map(float, rest))


BEGINNING = Moment(-1, 0.0, 0.0, 0.0, 0.0)
"""That of a store in which nothing was ever written down; its clock is nobody's."""


def is_of(moment: Moment, reading: Reading) -> bool:
    """Say whether a clock is the one by which a moment was written down."""
    clocks = {moment.clock, reading.clock}
    unknown = 0 in clocks and min(clocks) >= 0
    return (len(clocks) == 1 or unknown) and reading.awake + moment.offset >= moment.awake


def later(moment: Moment, reading: Reading) -> Moment:
    """Return the present moment, by the same clock."""
    awake = reading.awake + moment.offset
    asleep = reading.slept if reading.slept > moment.asleep + _STEP else moment.asleep
    unix = reading.wall - (awake + asleep)
    if abs(unix - moment.unix) <= _STEP:
        unix = moment.unix
    return Moment(reading.clock or moment.clock, moment.offset, asleep, unix, awake)


def restarted(moment: Moment, reading: Reading) -> Moment:
    """Return the present moment, by another clock. What was written down by `awake` has to be moved, or is over."""
    wall = reading.wall - moment.unix
    offset = max(wall, moment.now) - reading.slept - reading.awake
    awake = reading.awake + offset
    unix = moment.unix if wall >= moment.now else reading.wall - (awake + reading.slept)
    return Moment(reading.clock, offset, reading.slept, unix, awake)
