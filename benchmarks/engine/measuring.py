"""What the programs that run tasks have in common: what they are to do, and how it is measured."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from benchmarks.machine import peak_megabytes

__all__ = ["AT_ONCE", "BUFFER", "Figures", "Job", "Work", "measure", "read_job", "read_way"]

AT_ONCE = 50
"""How many events are in progress at once, and how many tasks of a platform."""
BUFFER = 100
"""How many results may wait for their consumer, where there is a channel: what the engine has by default."""


class Job(NamedTuple):
    """What a process is to do."""

    events: int
    platforms: int = 1
    """On how many platforms each event is run."""
    hosts: int = 0
    """How many hosts the URLs of the events are spread over; 0: they have none."""

    @property
    def tasks(self) -> int:
        """How many tasks there are, and so results."""
        return self.events * self.platforms


Work = Callable[[Job], Awaitable[int]]
"""Does a job, and returns how many results came out of it."""


class Figures(NamedTuple):
    """What a job took."""

    microseconds: float
    """CPU time of the process for each task."""
    megabytes: float
    """The most memory that the process held, in 10^6 bytes."""


async def measure(job: Job, work: Work) -> None:
    """Do a job in this process, which is then good for no other, and print the figures.

    Raises:
        RuntimeError: there are not as many results as tasks.
    """
    before = time.process_time()
    count = await work(job)
    taken = time.process_time() - before
    if count != job.tasks:
        raise RuntimeError(f"{job.tasks} tasks gave {count} results")
    print(json.dumps(Figures(taken / job.tasks * 1e6, peak_megabytes())))


def read_job() -> Job:
    """Read the job from the command line."""
    return Job(*json.loads(sys.argv[1]))


def read_way() -> str:
    """Read, from the command line, which of a program's ways is measured."""
    return sys.argv[2]
