"""What an import costs, with the first plain run, beside that of what it stands on: each in a process of its own.

    python -m benchmarks.imports [--runs 11]

Ours is `from scrapeengine import Engine, Platform, Event` and a run of one task; beside it stands `import httpx, trio`
and one `trio.run`. They run in turns, from bytecode that is there, and
without rich: it is an extra, and where it is installed structlog imports it.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
from statistics import median

from benchmarks.machine import choose_cores, heading, pinned, versions
from benchmarks.tables import Promise, print_promises, print_table, spread

MOST = 1.5
"""The ratio that is aimed at."""
WITHOUT_EXTRAS = "import sys\nsys.modules['rich'] = None\n"
PROGRAMS = {
    "scrapeengine, and a run of one task": (
        "import trio\n"
        "from scrapeengine import Engine, Event, Platform\n"
        "async def scrape(task): pass\n"
        "trio.run(Engine([Platform('A', scrape)]).run, [Event(1)])"
    ),
    "httpx and trio, and one trio.run": ("import httpx, trio\nasync def main(): pass\ntrio.run(main)"),
    "Python alone": "",
}


def take(program: str) -> float:
    """Run a program, and return the seconds of CPU time that it took: others on the machine do not count."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, "-c", WITHOUT_EXTRAS + program], check=True, env=environment)  # noqa: S603 - the programs above
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure(runs: int) -> dict[str, list[float]]:
    """Run all programs in turns; the first round, which may write bytecode, does not count."""
    taken: dict[str, list[float]] = {name: [] for name in PROGRAMS}
    for number in range(runs + 1):
        for name, program in PROGRAMS.items():
            seconds = take(program)
            if number:
                taken[name].append(seconds)
    return taken


def judge(taken: dict[str, list[float]]) -> Promise:
    """Say how the first stands to the second, without what Python itself takes."""
    ours, theirs, python = taken.values()
    alone = median(python)
    ratios = [(mine - alone) / (other - alone) for mine, other in zip(ours, theirs, strict=True)]
    return Promise(
        "import and a first run, of httpx and trio",
        f"{spread(ratios, '.2f')} times",
        aim=f"≤ {MOST:g} times",
        kept=median(ratios) <= MOST,
    )


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks.imports", description="what an import costs")
    parser.add_argument("--runs", type=int, default=11, help="how many rounds (default: 11)")
    options = parser.parse_args()
    with pinned(choose_cores().client):
        taken = measure(options.runs)
    print(f"## Import\n\n{heading(versions('scrapeengine', 'trio', 'httpx'))}")
    print(f"CPU time of a process, {options.runs} rounds in turns; the ratio is without what Python takes alone.\n")
    print_promises([judge(taken)])
    print_table(("", "ms"), [(name, spread((1000 * each for each in found), ".0f")) for name, found in taken.items()])
    return 0


if __name__ == "__main__":
    sys.exit(main())
