"""The clocks that a store reads: the machine's clocks, or a simulated one in place of all of them.

Three things are asked, and no one clock of a machine knows them all:

- what holds for the processes that run now (leases, locks, slots, start times, penalties) goes by a clock that stands
  still while the machine sleeps, as their own does: trio's is CLOCK_MONOTONIC, which all processes of a boot share.
  By one that runs on, a lease would end for the store while its holder still counts on it;
- what is due at a time of day goes by one that runs on in sleep (CLOCK_BOOTTIME). Nobody can set either;
- what outlives the boot, and what is shown, needs wall time, which anybody can set.

A simulated clock is all three: it never sleeps, and wall time goes on with it from what the machine's clock showed when
it was seen first. Where it jumps to the next deadline as soon as no task can run (`autojump_threshold`), it has to be
told that a thread is at work: `Standstill`.
"""

from __future__ import annotations

import random
import time
import uuid
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import attrs
import trio

__all__ = ["Clock", "Reading"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TRIES = 20


class Reading(NamedTuple):
    """The clocks at one instant. All of it is seconds, but for the first."""

    clock: int
    """The number of the clock that counts the seconds: the boot's; 0 if the system does not tell its boots apart; less
    than -1: a simulated one's."""
    awake: float
    """From an instant that only this clock knows, as trio's clock goes."""
    slept: float
    """By how much the clock that runs on in sleep is ahead of that."""
    wall: float
    """Unix time."""


@attrs.frozen
class Clock:
    """Clocks to read, from any thread."""

    id: int
    awake: Callable[[], float]
    slept: Callable[[], float]
    wall: Callable[[], float]
    trio: float
    """The time by trio's clock when `awake` showed 0."""

    @classmethod
    def of_this_run(cls) -> Clock:
        """Take the clocks that the current trio run goes by."""
        clock = trio.lowlevel.current_clock()
        if _is_the_systems(clock):
            return cls(_boot(), time.perf_counter, _slept, _wall, _trio_when_awake_was_0())
        number, ahead = _simulated(clock)
        return cls(number, clock.current_time, float, lambda: clock.current_time() + ahead, 0.0)

    def read(self) -> Reading:
        """Return what they show now."""
        return Reading(self.id, self.awake(), self.slept(), self.wall())


def _is_the_systems(clock: trio.abc.Clock) -> bool:
    """Say whether a clock is trio's own, whose class has no public name."""
    kind = type(clock)
    return kind.__module__.partition(".")[0] == "trio" and kind.__name__ != "MockClock"


def _trio_when_awake_was_0() -> float:
    """Compare trio's clock with the one behind it, as exactly as can be: this thread may be held up at any point."""
    widths = []
    for _ in range(_TRIES):
        before, shown, after = time.perf_counter(), trio.current_time(), time.perf_counter()
        widths.append((after - before, shown - (before + after) / 2))
    return min(widths)[1]


def _wall() -> float:
    return time.time()


def _slept() -> float:
    """Return how long this boot has slept; never more than it has, whatever holds this thread up in between."""
    # On macOS CLOCK_MONOTONIC is the one that runs on (clock_gettime(3)); where no clock does, or each, it is nothing.
    runs_on = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))
    return 0.0 if runs_on is None else time.clock_gettime(runs_on) - time.perf_counter()


def _boot() -> int:
    """Return a number of this boot, which no other has; 0 where the system has none."""
    try:
        return 1 + (uuid.UUID(_BOOT.read_text().strip()).int >> 68)
    except (OSError, ValueError):
        return 0


_SIMULATED: dict[int, tuple[int, float]] = {}
"""The numbers of simulated clocks, by their identities: a program's own may equal others, or have no hash."""

_KEPT: list[trio.abc.Clock] = []
"""Those whose end nobody can be told of: their identities must not become others'."""


def _simulated(clock: trio.abc.Clock) -> tuple[int, float]:
    """Return the number of a simulated clock, and how far Unix time is ahead of it: the same for all who ask."""
    found = _SIMULATED.get(id(clock))
    if found is None:
        number = -2 - random.SystemRandom().getrandbits(60)
        found = _SIMULATED[id(clock)] = number, _wall() - clock.current_time()
        try:
            weakref.finalize(clock, _SIMULATED.pop, id(clock)).atexit = False
        except TypeError:
            _KEPT.append(clock)
    return found
