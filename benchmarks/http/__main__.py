"""What HTTP costs by the engine, beside what it costs by its peers, each run in a process of its own.

    python benchmarks/http [--runs 5] [--tasks 50 200] [--requests N] [--only NAME ...] [--markdown]
    python benchmarks/http --profile 50

The server has one core and the client another. The runs of all cases alternate, so that a machine that slows down slows
all of them. Ends with 1 if a promise is broken, or if nothing can be said of it: a peer is missing, or rates and CPU
times disagree. The peers are installed into `.venv-peers`, by this program. It is a folder, and no `http.py`: beside
`engine.py`, that one would be what `import http` finds there.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from cases import CASES
from installing import install
from measuring import Figures, Job, pinned
from printing import Key, print_costs, print_heading, print_markdown, print_ratios
from serving import BODY, Server, server

LONGEST = 300
"""The seconds after which a run is given up."""
WARM = 5
"""The responses before those that are measured, for each task."""
PROFILED = 10_000
"""The requests that are profiled."""


def choose_cores() -> tuple[int | None, int | None, str]:
    """Choose a core for the client and one for the server, and say which."""
    if not hasattr(os, "sched_getaffinity"):
        return None, None, "this system does not say which core a process runs on: figures will vary"
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return None, None, "ONE CORE ONLY, for server and client together: the ratios say little"
    return cores[0], cores[-1], f"client on core {cores[0]}, server on core {cores[-1]}"


def make_job(url: str, key: Key, requests: int) -> Job:
    """Say what a case has to do; the connections are made before it is measured."""
    counted = max(round(requests * CASES[key.name].share), 1)
    return Job(url, len(BODY), key.tasks, WARM * key.tasks, counted)


def command(python: Path | str, job: Job, name: str, *options: str) -> list[str]:
    """Say how a case is run."""
    program = Path(__file__).with_name(CASES[name].program)
    return [str(python), str(program), json.dumps(job), *CASES[name].options, *options]


def measure_apart(python: Path, job: Job, name: str) -> Figures | str:
    """Run a case in a process of its own, and return the figures, or why there are none."""
    try:
        done = subprocess.run(  # noqa: S603 - the programs beside this one
            command(python, job, name), check=False, capture_output=True, text=True, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return f"not done in {LONGEST} s"
    if done.returncode == 0:
        return Figures(*json.loads(done.stdout.splitlines()[-1]))
    said = [line for line in done.stderr.splitlines() if any(map(str.isalpha, line))]  # a group ends with a rule
    return said[-1].strip() if said else f"ended with {done.returncode}"


def absent(versions: dict[str, str], keys: list[Key]) -> dict[Key, str]:
    """Find the cases that cannot be run, and why."""
    found = {}
    for key in keys:
        lacking = [need for need in CASES[key.name].needs if need not in versions]
        if lacking:
            found[key] = f"{' and '.join(lacking)} could not be installed"
    return found


def profile(tasks: int) -> int:
    """Run the engine alone, under cProfile, with the Python that runs this."""
    core, other, _ = choose_cores()
    with server(other) as running:
        job = make_job(running.url, Key("engine", tasks), PROFILED)
        with pinned(core):
            return subprocess.run(command(sys.executable, job, "engine", "--profile"), check=False).returncode  # noqa: S603


def measure_all(running: Server, core: int | None, options: argparse.Namespace) -> int:
    """Measure each case several times, in turns, print, and return what the process is to end with."""
    python, versions = install()
    keys = [Key(name, tasks) for tasks in options.tasks for name in CASES if name in options.only]
    missing = absent(versions, keys)
    print_heading(versions, running.title, options.cores, options.runs)
    results: dict[Key, list[Figures]] = defaultdict(list)
    for number in range(options.runs):
        for key in keys:
            if key in missing:
                continue
            title = f"{CASES[key.name].title}, {key.tasks} tasks"
            print(f"run {number + 1} of {options.runs}: {title}", file=sys.stderr, flush=True)
            job = make_job(running.url, key, options.requests)
            with pinned(core):
                measured = measure_apart(python, job, key.name)
            match measured:
                case Figures() as figures:
                    results[key].append(figures)
                case why:
                    print(f"{title}: {why}", file=sys.stderr, flush=True)
                    missing[key] = why
                    results.pop(key, None)
    print_costs(results)
    kept = print_ratios(results, options.tasks, missing)
    if options.markdown:
        about = f"{datetime.now(UTC):%Y-%m-%d}; {os.cpu_count()} cores; {running.title}; medians of {options.runs} runs"
        print_markdown(results, about)
    return 0 if kept else 1


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks/http", description="what HTTP costs, beside the peers")
    parser.add_argument("--runs", type=int, default=5, help="how often each case is run (default: 5)")
    parser.add_argument("--tasks", type=int, nargs="+", default=[50, 200], help="requests at once (default: 50 200)")
    parser.add_argument("--requests", type=int, default=20_000, help="of a run; slow peers make fewer (default: 20000)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="which to measure (default: all)")
    parser.add_argument("--markdown", action="store_true", help="print a table for the README too")
    parser.add_argument("--profile", type=int, metavar="TASKS", help="run the engine alone, under cProfile")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the server does not outlive this
    if options.profile:
        return profile(options.profile)
    core, other, options.cores = choose_cores()
    with server(other) as running:
        return measure_all(running, core, options)


if __name__ == "__main__":
    sys.exit(main())
