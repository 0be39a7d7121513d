"""What the processes that make requests have in common: what they are to do, and how it is measured.

All are measured in the same way: from one response in the middle of the work to another one, while all tasks have work.
So what a framework does at its start and at its end is counted for none, and nothing is measured of a cold connection.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Figures", "Job", "Meter", "pinned", "read_job"]


class Job(NamedTuple):
    """What a process is to do."""

    url: str
    """Where the server is: `http://127.0.0.1:port`."""
    length: int
    """The bytes of each body."""
    tasks: int
    """How many requests are in flight at once."""
    warm: int
    """The responses before those that are measured."""
    counted: int
    """The responses that are measured."""

    def numbers(self) -> Iterator[int]:
        """Return the numbers of all requests: enough that all tasks have work until the measured ones have ended."""
        return iter(range(self.warm + self.counted + self.tasks))

    def urls(self) -> Iterator[str]:
        """Return the URLs of all requests, no two the same."""
        return (f"{self.url}/{number}" for number in self.numbers())


class Figures(NamedTuple):
    """What a run of a case took."""

    rate: float
    """Responses in a second."""
    microseconds: float
    """CPU time of the process for each response, in all its threads."""
    busy: float
    """CPU time over wall time, where 1.0 is a core in full.

    Far less: something else took the core, or the server kept the client waiting.
    """


class Meter:
    """Counts responses, and reads both clocks at the first and the last of those that are measured."""

    def __init__(self, job: Job) -> None:
        """Make one for a job."""
        self._length = job.length
        self._first = job.warm
        self._last = job.warm + job.counted
        self._count = 0
        self._marks: list[tuple[float, float]] = []

    def got(self, body: bytes) -> None:
        """Count a response.

        Raises:
            ValueError: its body is not what the server sends.
        """
        if len(body) != self._length:
            raise ValueError(f"a body of {len(body)} bytes came, not of {self._length}")
        self._count += 1
        if self._count in (self._first, self._last):
            self._marks.append((time.perf_counter(), time.process_time()))

    def tell(self) -> None:
        """Print the figures, for the process that started this one.

        Raises:
            RuntimeError: fewer responses came than were to be measured.
        """
        if len(self._marks) != 2:
            raise RuntimeError(f"{self._count} responses came, not {self._last}")
        (began, began_cpu), (ended, ended_cpu) = self._marks
        seconds, cpu, count = ended - began, ended_cpu - began_cpu, self._last - self._first
        print(json.dumps(Figures(count / seconds, cpu / count * 1e6, cpu / seconds)))


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Have the processes that the block starts run on one core, with all their threads; None: on any.

    From outside, and so before they begin: a thread that an import has started would stay where it is.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def read_job() -> Job:
    """Read the job from the command line."""
    return Job(*json.loads(sys.argv[1]))
