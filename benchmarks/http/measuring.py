"""What the programs that make requests have in common: what they are to do, and how it is measured.

All are measured in the same way: from one response in the middle of the work to another one, while all tasks have work.
So what a framework does at its start and at its end is counted for none, and nothing is measured of a cold connection.
"""

from __future__ import annotations

import json
import os
import sys
import time
from array import array
from collections.abc import Iterator
from typing import NamedTuple, NoReturn

from benchmarks.machine import peak_megabytes

__all__ = ["Figures", "Job", "Meter", "below", "read_job"]

ONE = "--one" in sys.argv
"""Whether one URL is asked for again and again."""


class Job(NamedTuple):
    """What a process is to do."""

    url: str
    """What all URLs begin with: `http://localhost:port/small`."""
    length: int
    """The bytes of each body."""
    tasks: int
    """How many requests are in flight at once."""
    warm: int
    """The responses before those that are measured."""
    counted: int
    """The responses that are measured."""

    @property
    def requests(self) -> int:
        """How many requests there are: enough that all tasks have work until the measured ones have ended."""
        return self.warm + self.counted + self.tasks

    def urls(self) -> Iterator[str]:
        """Return the URLs of all requests, no two the same, but for `--one`."""
        return (f"{self.url}/{below(number)}" for number in range(self.requests))


def below(number: int | str) -> int | str:
    """Return the last part of the URL of a request; with `--one` all have the same, which some clients keep parsed."""
    return 0 if ONE else number


class Figures(NamedTuple):
    """What a run of a case took."""

    rate: float
    """Responses in a second."""
    microseconds: float
    """CPU time of the process for each response, in all its threads."""
    busy: float
    """CPU time over wall time, where 1.0 is a core in full.

    Far less: something else took the core, or the server or a disk kept the client waiting.
    """
    p99: float
    """The milliseconds from a request to its body that 99 of 100 do not exceed."""
    megabytes: float
    """The most memory that the process held until then, in 10^6 bytes."""


class Meter:
    """Counts responses, and reads both clocks at the first and the last of those that are measured."""

    def __init__(self, job: Job) -> None:
        """Make one for a job."""
        self._length = job.length
        self._first = job.warm
        self._last = job.warm + job.counted
        self._count = 0
        self._took = array("d")
        self._began = (0.0, 0.0)

    def took(self, seconds: float) -> None:
        """Note how long a request took, from when it was asked for to its whole body; before it is counted."""
        self._took.append(seconds)

    def got(self, body: bytes) -> None:
        """Count a response. With the last one that is measured, print the figures and end the process.

        Raises:
            ValueError: its body is not what the server sends.
        """
        if len(body) != self._length:
            raise ValueError(f"a body of {len(body)} bytes came, not of {self._length}")
        self._count += 1
        if self._count == self._first:
            del self._took[:]
            self._began = (time.perf_counter(), time.process_time())
        elif self._count == self._last:
            self._tell()

    def _tell(self) -> NoReturn:
        seconds, cpu = time.perf_counter() - self._began[0], time.process_time() - self._began[1]
        count = self._last - self._first
        took = sorted(self._took)
        p99 = took[int(0.99 * len(took))] * 1000
        print(json.dumps(Figures(count / seconds, cpu / count * 1e6, cpu / seconds, p99, peak_megabytes())), flush=True)
        os._exit(0)  # what is left to do would only be waited for


def read_job() -> Job:
    """Read the job from the command line."""
    return Job(*json.loads(sys.argv[1]))
