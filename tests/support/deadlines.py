"""Deadlines of tests: one that hangs fails, in real time and in virtual time."""

import contextlib
import signal

import trio
from trio.testing import MockClock

VIRTUAL = 10 * 86_400.0
"""Virtual seconds after which what waits without end fails."""
SPINNING = 15
"""Seconds that a test in virtual time may take, which takes none: it spins without end."""
REAL = 150
"""Seconds that one on the real clock may take; most have a shorter deadline of their own."""


@contextlib.contextmanager
def deadline(times=1):
    """Fail what takes too long in this trio run, by its own clock and by the real one; `times` gives more of both."""
    virtual = isinstance(trio.lowlevel.current_clock(), MockClock)
    with alarm(times * (SPINNING if virtual else REAL + 5)), trio.fail_after(times * (VIRTUAL if virtual else REAL)):
        yield


@contextlib.contextmanager
def alarm(seconds):
    """Raise `TimeoutError` wherever the main thread is after some real seconds."""
    before = signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _too_long(*_):
    raise TimeoutError("this has taken too long by the real clock: it spins, or never comes back to its loop")
