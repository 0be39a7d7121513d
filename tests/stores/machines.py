"""A machine whose clocks a test sets, and stores that are open on it."""

from __future__ import annotations

import attrs
from trio.testing import MockClock

from scrapeengine.stores.clock import Clock
from scrapeengine.stores.memory.store import in_memory
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.sqlite.policy import SqlitePolicy
from scrapeengine.stores.sqlite.store import in_file

__all__ = ["Machine"]


@attrs.define(eq=False)
class Machine:
    """Time passes here as it does by trio's simulated clock. Its wall clock can be set; it sleeps, and is rebooted."""

    trio: MockClock
    wall: float = 1.7e9
    """What its wall clock shows when trio's shows 0."""
    boot: int = 1
    booted: float = 0.0
    """When it was booted, by trio's clock."""
    slept: float = 0.0

    def set_clock(self, seconds: float) -> None:
        """Set its wall clock so much further."""
        self.wall += seconds

    def sleep(self, seconds: float) -> None:
        """Let it sleep: no process sees that time pass, but by the wall clock and the one that runs on."""
        self.slept += seconds
        self.wall += seconds

    def reboot(self, off: float = 0.0) -> None:
        """Boot it again, when it was off for so long by its wall clock, which may be wrong by then."""
        self.boot += 1
        self.booted = self.trio.current_time()
        self.slept = 0.0
        self.wall += off

    @property
    def clock(self) -> Clock:
        """What its processes of this boot read."""
        return self.clock_of(self.boot)

    def clock_of(self, boot: int) -> Clock:
        """Return that with another number of the boot."""
        booted = self.booted
        return Clock(
            boot,
            lambda: self.trio.current_time() - booted,
            lambda: self.slept,
            lambda: self.trio.current_time() + self.wall,
            booted,
        )

    def open(self, url: str, boot: int | None = None, **options):
        """Open a store here; to be used as `open_store` is."""
        clock = self.clock if boot is None else self.clock_of(boot)
        if url == "memory:":
            return in_memory(StorePolicy(**options), clock)
        return in_file(url.removeprefix("sqlite:"), SqlitePolicy(**options), clock)
