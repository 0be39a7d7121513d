"""Run parts, show what they print, and keep it in `RESULTS.md` and its promises in `docs/promises.md`.

    python -m benchmarks [PART ...] [--runs N]

A part that is run replaces its own section; the others stay as they were measured. Ends with 1 if a promise is broken,
or a part has failed, whose section stays as it was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.machine import heed_termination
from benchmarks.results import PARTS, REPEATED, update
from benchmarks.tables import BROKEN

CHECKOUT = Path(__file__).resolve().parents[1]


def run(part: str, runs: int | None) -> tuple[str, int]:
    """Run a part, show what it prints as it comes, and return that, and what it ended with."""
    command = [sys.executable, "-u", "-m", f"benchmarks.{part}"]
    if runs is not None and part in REPEATED:
        command += ["--runs", str(runs)]
    printed = []
    with subprocess.Popen(command, cwd=CHECKOUT, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - ours
        assert process.stdout is not None
        try:
            for line in process.stdout:
                print(line, end="", flush=True)
                printed.append(line)
        except BaseException:
            process.terminate()  # and with it its server
            raise
    return "".join(printed), process.returncode


def main() -> int:
    """Run what was asked for, and return what the process is to end with."""
    parser = argparse.ArgumentParser(prog="benchmarks", description="what the engine costs, and its peers")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--runs", type=int, help="how often what is measured several times is run")
    options = parser.parse_args()
    if unknown := [part for part in options.parts if part not in PARTS]:
        parser.error(f"there is no part {unknown[0]!r}; there are {', '.join(PARTS)}")
    # "sinks" are all sinks, also those that are measured apart.
    chosen = [part for part in PARTS if any(f"{part}_".startswith(f"{each}_") for each in options.parts or PARTS)]
    heed_termination()
    failed = []
    for part in chosen:
        printed, status = run(part, options.runs)
        if status in (0, BROKEN):
            update(CHECKOUT, part, printed)
        if status:
            failed.append(f"{part} {'has broken promises' if status == BROKEN else f'ended with {status}'}")
    if failed:
        print(f"{'; '.join(failed)}", file=sys.stderr)
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
