"""What the engine alone costs, beside its peers, each run in a process of its own.

    python -m benchmarks.engine [--runs 3]

Measured are the CPU time of a task and the most memory that its process ever held. The runs of all cases alternate, so
that a machine that slows down slows all of them. Ends with 3 if a promise is broken, or if nothing can be said of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping

from benchmarks.engine.cases import WAYS, Case, plan
from benchmarks.engine.measuring import AT_ONCE, Figures
from benchmarks.engine.printing import print_compared, print_hosts, print_memory, print_platforms, promises
from benchmarks.machine import choose_cores, heading, pinned
from benchmarks.peers import CHECKOUT, Peers
from benchmarks.tables import BROKEN, print_promises

LONGEST = 600
"""The seconds after which a run is given up."""


def name(case: Case) -> str:
    """Name a case."""
    job = case.job
    platforms = f" on {job.platforms} platforms" if job.platforms > 1 else ""
    hosts = f" on {job.hosts:,} hosts" if job.hosts else ""
    return f"{WAYS[case.way].title}, {job.events:,} events{platforms}{hosts}"


def measure_apart(peers: Peers, case: Case) -> Figures | str:
    """Measure a case in a process of its own, and return the figures, or why there are none."""
    way = WAYS[case.way]
    command = [str(peers.python), "-m", f"benchmarks.engine.{way.program}", json.dumps(case.job), way.option]
    try:
        done = subprocess.run(  # noqa: S603 - the programs beside this one
            command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return f"not done in {LONGEST} s"
    if done.returncode == 0:
        return Figures(*json.loads(done.stdout))
    said = done.stderr.split("\n") if done.stderr.strip() else [f"ended with {done.returncode}"]
    return next(line.strip() for line in reversed(said) if any(map(str.isalpha, line)))


def absent(found: Mapping[str, str], cases: Mapping[Case, int]) -> dict[Case, str]:
    """Find the cases that cannot be run, and why."""
    lacking = {case: [need for need in WAYS[case.way].needs if need not in found] for case in cases}
    return {case: f"{' and '.join(names)} could not be installed" for case, names in lacking.items() if names}


def measure_all(
    peers: Peers, core: int | None, cases: Mapping[Case, int], missing: dict[Case, str]
) -> dict[Case, list[Figures]]:
    """Measure each case as often as is asked for, in turns; what cannot be measured is added to what is missing."""
    results: dict[Case, list[Figures]] = {}
    runs = max(cases.values())
    for number in range(runs):
        for case in (case for case, rounds in cases.items() if number < rounds and case not in missing):
            print(f"run {number + 1} of {runs}: {name(case)}", file=sys.stderr, flush=True)
            with pinned(core):
                measured = measure_apart(peers, case)
            match measured:
                case Figures() as figures:
                    results.setdefault(case, []).append(figures)
                case why:
                    print(f"{name(case)}: {why}", file=sys.stderr, flush=True)
                    missing[case] = why
                    results.pop(case, None)
    return results


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks.engine", description="what the engine alone costs")
    parser.add_argument("--runs", type=int, default=3, help="how often the shorter cases are run (default: 3)")
    runs = max(parser.parse_args().runs, 1)
    peers, cores = Peers(), choose_cores()
    found = peers.versions("scrapeengine", "trio", "anyio", "aiometer")
    cases = plan(runs)
    missing = absent(found, cases)
    results = measure_all(peers, cores.client, cases, missing)
    pinning = cores.said if cores.client is None else f"each process on core {cores.client}"
    print("## The engine alone\n")
    print(heading(found))
    print(
        f"Limit {AT_ONCE}, event limit {AT_ONCE}; {pinning}; medians of {runs} runs in turns, and their range; of "
        "several platforms no more than two, of many events and of hosts one.\n"
    )
    kept = print_promises(promises(results))
    print_compared(results)
    print_platforms(results)
    print_memory(results)
    print_hosts(results)
    for case, why in missing.items():
        print(f"Not measured: {name(case)}: {why}.\n")
    return 0 if kept else BROKEN


if __name__ == "__main__":
    sys.exit(main())
