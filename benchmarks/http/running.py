"""Runs cases: each in a process of its own, on a core of its own, in turns with all others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.http.cases import CASES, Case, Place
from benchmarks.http.cases import SIZES as LENGTHS
from benchmarks.http.measuring import Figures, Job
from benchmarks.http.serving import Server
from benchmarks.machine import pinned
from benchmarks.peers import CHECKOUT, Peers

__all__ = ["Key", "Results", "Runner", "make_job", "middle"]

LONGEST = 240
"""The seconds after which a run is given up."""
LONG = 20
"""The seconds of a run after which there is no second one of the same case."""
WARM = 5
"""The responses before those that are measured, for each task."""
MOST_WARM = 1000
"""The responses before those that are measured, but that each task has one at least."""


class Key(NamedTuple):
    """A case, with a number of tasks, at a place."""

    name: str
    tasks: int
    place: Place

    @property
    def title(self) -> str:
        """What it is called while it runs."""
        return f"{CASES[self.name].title}, {self.tasks} tasks, {self.place.title}"


class Results(NamedTuple):
    """What was measured."""

    taken: dict[Key, list[Figures]]
    missing: dict[Key, str]
    """What could not be measured, and why."""


def middle(taken: Iterable[Figures]) -> Figures:
    """Return the median of each figure."""
    return Figures(*map(median, zip(*taken, strict=True)))


def make_job(url: str, key: Key, requests: int) -> Job:
    """Say what a case has to do; the connections are made before it is measured."""
    warm = max(key.tasks, min(WARM * key.tasks, MOST_WARM))
    counted = max(round(requests * CASES[key.name].share * key.place.share), 100)
    return Job(url, LENGTHS[key.place.size], key.tasks, warm, counted)


class Runner:
    """Runs cases against a server."""

    def __init__(self, peers: Peers, running: Server, core: int | None, versions: Mapping[str, str]) -> None:
        """Make one for a server, a core for clients, and what is installed for them."""
        self._peers = peers
        self._server = running
        self._core = core
        self._versions = versions

    def run_all(self, rounds: Sequence[Sequence[Key]], requests: int) -> Results:
        """Run all cases of each round, one after the other; one that fails, or takes long, is not run again."""
        results = Results(defaultdict(list), {})
        done: set[Key] = set()
        for number, keys in enumerate(rounds, 1):
            for key in keys:
                if key in results.missing or key in done:
                    continue
                print(f"round {number} of {len(rounds)}: {key.title}", file=sys.stderr, flush=True)
                began = time.monotonic()
                match self._run(key, requests):
                    case Figures() as figures:
                        results.taken[key].append(figures)
                    case why:
                        print(f"{key.title}: {why}", file=sys.stderr, flush=True)
                        if key not in results.taken:
                            results.missing[key] = why
                        done.add(key)
                if time.monotonic() > began + LONG:
                    done.add(key)
        return results

    def _run(self, key: Key, requests: int) -> Figures | str:
        case = CASES[key.name]
        if lacking := [need for need in case.needs if need not in self._versions]:
            return f"{' and '.join(lacking)} could not be installed"
        if case.system and self._peers.system() is None:
            return "the system has no other Python of this version"
        job = make_job(self._server.url(key.place), key, requests)
        with pinned(self._core):
            return self._measure(job, case)

    def _measure(self, job: Job, case: Case) -> Figures | str:
        """Run a case in a process of its own, and return the figures, or why there are none."""
        python = self._peers.system() if case.system else self._peers.python
        command = [str(python), "-m", f"benchmarks.http.{case.program}", json.dumps(job), *case.options]
        # Beside what is installed, for files: there is a disk, where the usual folder may be none.
        with TemporaryDirectory(dir=self._peers.python.parents[1]) as folder:
            environment = {**os.environ, "SSL_CERT_FILE": str(self._server.authorities), "TMPDIR": folder}
            if case.system:
                environment["PYTHONPATH"] = self._peers.paths
            try:
                done = subprocess.run(  # noqa: S603 - the programs beside this one
                    command, cwd=CHECKOUT, env=environment, check=False, capture_output=True, text=True, timeout=LONGEST
                )
            except subprocess.TimeoutExpired:
                return f"not done in {LONGEST} s"
        if done.returncode == 0 and done.stdout:
            return Figures(*json.loads(done.stdout.splitlines()[-1]))
        said = [line for line in done.stderr.splitlines() if any(map(str.isalpha, line))]  # a group ends with a rule
        return said[-1].strip(" |+-") if said else f"ended with {done.returncode} before all responses had come"
