"""How costs are counted: what a run of 2 n tasks has more than one of n, so that no start-up is in it.

Nothing is timed. Time stands still, the scheduler's coin falls on one side only, and the site answers in step with the
loop (`costs.lockstep`): what is counted is the same each time, on each machine.
"""

import gc
import pathlib
import signal
import sys
from collections import Counter
from contextlib import contextmanager

import attrs
import pytest
import trio

import scrapeengine as se

__all__ = ["Calls", "Steps", "a_task", "blocks_left", "run"]

_OURS = str(pathlib.Path(se.__file__).parent)
_TOO_LONG = 20
"""Seconds after which a run that has come to a stop fails."""


class _Still(trio.abc.Clock):
    """A clock that stands still, so that nothing depends on how fast a machine is."""

    def start_clock(self):
        """Do nothing."""

    def current_time(self):
        """Return the one time that it ever is."""
        return 0.0

    def deadline_to_sleep_time(self, deadline):
        """Wait for what else may happen."""
        return deadline


class _Coin:
    """In place of the one by which trio turns the order of the tasks that are ready around, or not."""

    def random(self):
        """Leave the order as it is."""
        return 1.0


def run(main, *args, clock=None, instruments=()):
    """Run an async function without chance, and in a time that stands still if no clock is given.

    Raises:
        TimeoutError: it has come to a stop.
    """

    async def limited():
        with trio.CancelScope() as scope:
            token = trio.lowlevel.current_trio_token()
            signal.signal(signal.SIGALRM, lambda *_: token.run_sync_soon(scope.cancel))
            signal.alarm(_TOO_LONG)
            return await main(*args)
        raise TimeoutError(f"a run in which no time passes took {_TOO_LONG} s")

    before = signal.getsignal(signal.SIGALRM)
    try:
        with pytest.MonkeyPatch.context() as patch:
            # Where hypothesis is loaded trio sorts and shuffles what is ready, which would be counted.
            patch.setattr("trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING", False)
            patch.setattr("trio._core._run._r", _Coin())
            return trio.run(limited, clock=clock or _Still(), instruments=instruments)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def a_task(count, n, *, warm=None):
    """Return how much of each thing there is a task.

    Args:
        count: returns what a run of so many tasks has of each thing.
        n: how many.
        warm: how many tasks go before, unseen, so that caches are filled; None: 2 n.
    """
    count(warm or 2 * n)
    more, less = count(2 * n), count(n)
    return {name: (more[name] - less[name]) / n for name in more}


@attrs.define(eq=False)
class Steps(trio.abc.Instrument):
    """Counts the steps of the scheduler, the tasks of trio's that are spawned, and the turns of the loop."""

    found: Counter = attrs.field(factory=Counter)

    def before_task_step(self, _):
        """Count it."""
        self.found["steps"] += 1

    def task_spawned(self, _):
        """Count it."""
        self.found["spawned"] += 1

    def before_io_wait(self, _):
        """Count it."""
        self.found["turns"] += 1


@attrs.define(eq=False)
class Calls:
    """Counts the calls of this thread. A coroutine that is resumed counts as called."""

    by_code: Counter = attrs.field(factory=Counter)
    """Those of functions in Python."""
    in_c: int = 0
    """Those of all others."""

    @contextmanager
    def counted(self):
        """Count what is called inside, but for finalizers of what the collector would find there."""
        gc.collect()
        gc.disable()
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)
            gc.enable()

    @property
    def ours(self):
        """Those of our own functions."""
        return sum(n for code, n in self.by_code.items() if _is_ours(code.co_filename))

    def of(self, function):
        """Count those of one function."""
        return self.by_code[function.__code__]

    def in_file(self, name):
        """Count those of a file of ours."""
        path = str(pathlib.Path(_OURS, name))
        return sum(n for code, n in self.by_code.items() if code.co_filename == path)

    def _note(self, frame, event, _):
        if event == "call":
            self.by_code[frame.f_code] += 1
        elif event == "c_call":
            self.in_c += 1


def _is_ours(file):
    """Say whether code is ours, or what attrs writes for us."""
    return file.startswith(_OURS) or (file.startswith("<attrs generated") and " scrapeengine." in file)


@contextmanager
def blocks_left(found):
    """Put the blocks of memory that are left of what is done inside into `found`, the collector being off."""
    gc.collect()
    gc.disable()
    before = sys.getallocatedblocks()
    try:
        yield
        found["blocks"] = sys.getallocatedblocks() - before
    finally:
        gc.enable()
