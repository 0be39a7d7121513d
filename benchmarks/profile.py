"""Where the time of a request goes: `python -m benchmarks.profile [--requests 60000]`.

The engine is interrupted again and again, and the function that runs then is counted. What is written in C counts for
the function in Python that has called it: sending and receiving for `streams.py`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

from benchmarks.http.cases import PLACES, SIZES
from benchmarks.http.measuring import Job
from benchmarks.http.serving import server
from benchmarks.machine import choose_cores, heading, heed_termination, pinned
from benchmarks.peers import CHECKOUT, Peers
from benchmarks.tables import print_table

TASKS = 50


def main() -> int:
    """Measure, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.profile", description="where the time of a request goes")
    parser.add_argument("--requests", type=int, default=60_000, help="how many are looked at (default: 60000)")
    options = parser.parse_args()
    heed_termination()
    cores, peers = choose_cores(), Peers()
    with server(cores.server, peers) as running, pinned(cores.client):
        job = Job(running.url(PLACES[0]), SIZES["small"], TASKS, 0, options.requests)
        command = [str(peers.python), "-m", "benchmarks.looking", json.dumps(job)]
        said = subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.PIPE).stdout  # noqa: S603 - itself
        title = running.title
    rooms: dict[str, float] = json.loads(said)
    total = sum(rooms.values())
    print(f"## Where the time goes\n\n{heading(peers.versions('scrapeengine', 'trio', 'httpx', 'httptools'))}")
    print(
        f"CPU time of a request by where it is spent, 1.3 kB in the clear from {title}, {TASKS} at once; "
        f"{options.requests:,} requests, with a look at each tick of the system's clock. What was done about it is in "
        f"[docs/design.md](../docs/design.md).\n"
    )
    print_table(
        ("", "CPU, µs a request", "of all"),
        [
            *((room, f"{cost:.1f}", f"{cost / total:.0%}") for room, cost in rooms.items()),
            ("all", f"{total:.1f}", "100%"),
        ],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
