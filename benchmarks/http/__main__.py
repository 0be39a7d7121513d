"""What HTTP costs by the engine, beside what it costs by its peers.

    python -m benchmarks.http [--runs 5] [--tasks 10 50 200 1000] [--places 0 1 2 3] [--requests N] [--only NAME ...]

The server has one core and the client another, each run is a process of its own, and the runs of all cases alternate,
so that a machine that slows down slows all of them. What promises are made for is measured in each round, all else in
each third one. Ends with 3 if a promise is broken, or if nothing can be said of it: a peer is missing, or rates and
CPU times disagree.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from benchmarks.http.cases import CASES, HEADLINE, PLACES, SHOWN, TASKS, Place, too_slow
from benchmarks.http.judging import judge
from benchmarks.http.running import Key, Results, Runner, middle
from benchmarks.http.serving import server
from benchmarks.machine import allow_many_files, choose_cores, heading, heed_termination
from benchmarks.peers import Peers
from benchmarks.tables import BROKEN, print_promises, print_table, spread

FULL = 0.9
"""How much of its core a client has that waits for nothing."""


def plan(options: argparse.Namespace) -> list[list[Key]]:
    """Say what is run in each round."""
    places = [PLACES[number] for number in options.places]
    keys = [
        Key(name, tasks, place)
        for place in places
        for tasks in options.tasks
        for name in options.only
        if not too_slow(name, tasks, place)
    ]
    promised = [key for key in keys if key.place == HEADLINE[0] and key.tasks in HEADLINE[1]]
    rounds = [promised if number % 3 else keys for number in range(options.runs)]
    # Each second round backwards: what comes late in a round is not always the same.
    return [keys[::-1] if number % 2 else keys for number, keys in enumerate(rounds)]


def print_costs(results: Results, place: Place, tasks: Sequence[int]) -> None:
    """Print what was measured at a place: a table for each number of tasks."""
    for count in tasks:
        rows = []
        for name, case in CASES.items():
            key = Key(name, count, place)
            if too_slow(name, count, place):
                rows.append((case.title, "left out: minutes for each run", "", "", "", "", "", ""))
            elif why := results.missing.get(key):
                rows.append((case.title, f"none: {why}", "", "", "", "", "", ""))
            elif taken := results.taken.get(key):
                rows.append((case.title, *columns(results, key), str(len(taken))))
        if rows:
            print(f"### {place.title}, {count} at once\n")
            head = (
                "",
                "requests/s",
                "engine's over it",
                "CPU, µs a request",
                "of a core",
                "p99, ms",
                "peak MB",
                "runs",
            )
            print_table(head, rows)


def columns(results: Results, key: Key) -> tuple[str, ...]:
    """Write the figures of a case."""
    taken = results.taken[key]
    figures = middle(taken)
    ours = results.taken.get(key._replace(name="engine"))
    return (
        spread(one.rate for one in taken),
        f"{middle(ours).rate / figures.rate:.2f}" if ours else "",
        spread(one.microseconds for one in taken),
        f"{figures.busy:.0%}",
        f"{figures.p99:,.1f}",
        f"{figures.megabytes:,.0f}",
    )


def print_section(results: Results, options: argparse.Namespace, about: str) -> bool:
    """Print the part's section, and return whether all promises are kept."""
    print(f"## HTTP\n\n{about}\n")
    print(
        f"Medians of as many runs as the last column says, with the least and the most; each run makes up to "
        f"{options.requests:,} requests, slow peers fewer. *Everything on* is a rate, retries, robots.txt, validators "
        "and jobs in a store in a file, synced. Where a client had far less than its core, it waited for the "
        "server or the disk, and its requests/s say less than its CPU time does.\n"
    )
    kept = print_promises(list(judge(results, [count for count in HEADLINE[1] if count in options.tasks])))
    for place in PLACES:
        print_costs(results, place, options.tasks)
    return kept


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks.http", description="what HTTP costs, beside the peers")
    parser.add_argument("--runs", type=int, default=5, help="how many rounds (default: 5)")
    parser.add_argument(
        "--tasks", type=int, nargs="+", default=TASKS, help="requests at once (default: 10 50 200 1000)"
    )
    parser.add_argument("--requests", type=int, default=12_000, help="of a run; slow peers make fewer (default: 12000)")
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="which to measure (default: all)")
    numbers = range(len(PLACES))
    titles = "; ".join(f"{number}: {PLACES[number].title}" for number in numbers)
    parser.add_argument("--places", type=int, nargs="+", choices=numbers, default=numbers, help=f"where ({titles})")
    options = parser.parse_args()
    heed_termination()
    allow_many_files()
    cores, peers = choose_cores(), Peers()
    versions = peers.versions(*SHOWN)
    with server(cores.server, peers) as running:
        about = f"{heading(versions)} Server: {running.title} over loopback, connections kept; {cores.said}."
        results = Runner(peers, running, cores.client, versions).run_all(plan(options), options.requests)
    return 0 if print_section(results, options, about) else BROKEN


if __name__ == "__main__":
    sys.exit(main())
