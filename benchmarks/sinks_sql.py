"""What sinks in databases cost: one fed alone beside a bare writer, and an engine with it beside one without.

    python -m benchmarks.sinks_sql [--runs 7] [--rows 50000] [--tasks 40000] [--only SQLite]

A bare writer is the loop that a program would have instead: `executemany` of an upsert by the same driver, in batches
of the same size, each a transaction that is on the disk before the next one. Both run in turns, in one process. The
PostgreSQL is one of its own, on loopback. Ends with 3 if a promise is broken.
"""

from __future__ import annotations

import argparse
import os
import pwd
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import httpx
import psycopg
import trio

import scrapeengine as se
from benchmarks.machine import heading, versions
from benchmarks.sinks import Alone, acknowledge
from benchmarks.tables import BROKEN, Promise, print_promises, print_table, spread

SIZE = 500
LEAST_ALONE, LEAST_WITH = 0.7, 0.85
"""The promised rows a second of a sink, to those of a bare writer; and tasks of an engine with one, to one without."""
COLUMNS = {
    "event": "BIGINT",
    "bookmaker": "TEXT",
    "home": "DOUBLE PRECISION",
    "draw": "DOUBLE PRECISION",
    "away": "DOUBLE PRECISION",
    "title": "TEXT",
    "url": "TEXT",
    "live": "BOOLEAN",
}
MAKE = f"CREATE TABLE odds ({', '.join(map(' '.join, COLUMNS.items()))}, PRIMARY KEY (event, bookmaker))"
EMPTY = "DROP TABLE IF EXISTS odds"

Outcomes = list[se.Success[Any]]


class Kind(NamedTuple):
    """A database, and what it is measured against."""

    title: str
    url: str
    connect: Callable[[], Any]
    mark: str
    needs: tuple[str, ...]


class Figures(NamedTuple):
    """What one turn has measured: how many a second."""

    bare: float
    alone: float
    without: float
    beside: float


def outcomes_of(count: int) -> Outcomes:
    """Make up what a scraper of odds returns."""
    return [
        se.Success(
            event=se.Event(number),
            platform="bookmaker",
            value={
                "home": 1.5 + number % 7 / 10,
                "draw": 3.25,
                "away": 5.0 + number % 11 / 10,
                "title": f"Real Madrid - Atlético {number}",
                "url": f"https://example.org/football/spain/{number}?market=1x2",
                "live": number % 2 == 0,
            },
        )
        for number in range(count)
    ]


def row(outcome: se.Outcome[Any]) -> dict[str, Any]:
    """Make a row."""
    assert isinstance(outcome, se.Success)
    return {"event": int(outcome.event.id), "bookmaker": outcome.platform, **outcome.value}


def batches(outcomes: Outcomes) -> Iterator[Outcomes]:
    """Cut outcomes into batches."""
    return (outcomes[first : first + SIZE] for first in range(0, len(outcomes), SIZE))


def bare(kind: Kind, outcomes: Outcomes) -> None:
    """Write by hand."""
    rest = [name for name in COLUMNS if name not in {"event", "bookmaker"}]
    upsert = (
        f"INSERT INTO odds ({', '.join(COLUMNS)}) VALUES ({', '.join([kind.mark] * len(COLUMNS))}) "  # noqa: S608
        f"ON CONFLICT (event, bookmaker) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in rest)}"
    )
    with closing(kind.connect()) as connection:
        cursor = connection.cursor()
        for batch in batches(outcomes):
            cursor.executemany(upsert, [tuple(row(outcome).values()) for outcome in batch])
            connection.commit()


def sink_of(kind: Kind) -> Any:
    """Open the sink."""
    table = se.sinks.SqlTable("odds", ("event", "bookmaker"))
    return se.sinks.sql(kind.url, [table], lambda outcome: [row(outcome)], size=SIZE)


async def alone(sink: Any, outcomes: Outcomes) -> None:
    """Feed a sink alone."""
    try:
        await sink.open(Alone())
        for batch in batches(outcomes):
            await sink.write(batch)
            await sink.flush(acknowledge)
    finally:
        await sink.close()


async def nothing(outcomes: list[Any]) -> None:
    """Take outcomes, and do nothing."""


async def engine(tasks: int, sinks: list[Any]) -> None:
    """Run an engine whose tasks make one request each, which is answered at once."""
    found = [outcome.value for outcome in outcomes_of(1000)]

    async def scrape(task: se.Task) -> dict[str, Any]:
        await task.http.get("http://bookmaker.example/")
        return found[int(task.event.id) % 1000]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=b"x" * 1300, request=request)

    platform = se.Platform("bookmaker", scrape, limit=50, transport=httpx.MockTransport(answer))
    report = await se.Engine([platform]).run((se.Event(number) for number in range(tasks)), sinks=sinks)
    assert report.outcomes.succeeded == tasks


def timed(count: int, clock: Callable[[], float], function: Callable[..., Any], *arguments: Any) -> float:
    """Call, and return how many a second that were."""
    begun = clock()
    function(*arguments)
    return count / (clock() - begun)


def emptied(kind: Kind) -> None:
    """Make the table anew."""
    with closing(kind.connect()) as connection:
        connection.execute(EMPTY)
        connection.execute(MAKE)
        connection.commit()


def measure(kind: Kind, run: int, outcomes: Outcomes, tasks: int) -> Figures:
    """Measure each once, in an order that depends on the run."""
    wall, cpu = time.perf_counter, time.process_time
    turns: list[Callable[[], float]] = [
        lambda: timed(len(outcomes), wall, bare, kind, outcomes),
        lambda: timed(len(outcomes), wall, trio.run, alone, sink_of(kind), outcomes),
        lambda: timed(tasks, cpu, trio.run, engine, tasks, [nothing]),
        lambda: timed(tasks, cpu, trio.run, engine, tasks, [sink_of(kind)]),
    ]
    found = {}
    for place in range(4) if run % 2 == 0 else (1, 0, 3, 2):
        emptied(kind)
        found[place] = turns[place]()
    return Figures(*(found[place] for place in range(4)))


@contextmanager
def postgres() -> Iterator[str | None]:
    """Run a PostgreSQL in a folder of its own, and return how it is connected to; None: there is none here."""
    places = [os.environ["PATH"], *map(str, Path("/usr/lib/postgresql").glob("*/bin"))]
    initdb, program = (shutil.which(name, path=os.pathsep.join(places)) for name in ("initdb", "postgres"))
    if initdb is None or program is None:
        yield None
        return
    entry = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # it does not run as root
    user: dict[str, Any] = {} if entry is None else {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory() as folder:
        if entry is not None:
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        made = [initdb, "-D", "data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C"]
        subprocess.run(  # noqa: S603 - paths that were found
            made, check=True, cwd=folder, capture_output=True, **user
        )
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        command = [program, "-D", "data", "-h", "127.0.0.1", "-k", folder, "-p", str(port)]
        with (Path(folder) / "log").open("wb") as log:
            running = subprocess.Popen(  # noqa: S603 - as above
                command, cwd=folder, stdout=log, stderr=log, **user
            )
        try:
            where = f"postgresql://postgres@127.0.0.1:{port}/postgres"
            until = time.monotonic() + 30
            while True:
                try:
                    psycopg.connect(where).close()
                    break
                except psycopg.OperationalError:
                    if time.monotonic() > until:
                        raise
                    time.sleep(0.05)
            yield where
        finally:
            running.terminate()
            running.wait(30)


def main() -> int:
    """Measure, print, and return what the process is to end with."""
    parser = argparse.ArgumentParser(description="what sinks in databases cost")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--tasks", type=int, default=40_000)
    parser.add_argument("--directory", help="where SQLite writes its file")
    parser.add_argument("--only", help="the title of one kind")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder, postgres() as server:
        path = Path(folder) / "odds.db"
        kinds = [Kind("SQLite", f"sqlite:///{path}", lambda: sqlite3.connect(path), "?", ())]
        if server is not None:
            kinds.append(Kind("PostgreSQL", server, lambda: psycopg.connect(server), "%s", ("psycopg",)))
        kinds = [kind for kind in kinds if options.only in {None, kind.title}]
        print("## Sinks in databases\n")
        print(heading(versions("scrapeengine", "trio", "sqlalchemy", *(name for kind in kinds for name in kind.needs))))
        print(
            f"{options.rows:,} rows of eight columns, in batches of {SIZE}, each on the disk before the next one; "
            f"{options.tasks:,} tasks, 50 in flight. {options.runs} runs, in turns. SQLite {sqlite3.sqlite_version}.\n"
        )
        outcomes = outcomes_of(options.rows)
        figures = {kind: [measure(kind, run, outcomes, options.tasks) for run in range(options.runs)] for kind in kinds}
    promises = []
    for kind, found in figures.items():
        for what, ratios, least in (
            ("a sink fed alone : a bare writer", [each.alone / each.bare for each in found], LEAST_ALONE),
            (
                "an engine with it : without, requests a second of CPU",
                [each.beside / each.without for each in found],
                LEAST_WITH,
            ),
        ):
            kept = median(ratios) >= least
            promises.append(Promise(f"{kind.title}: {what}", spread(ratios, ".2f"), f"≥ {least}", kept=kept))
    kept = print_promises(promises)
    print_table(
        ("", "bare writer, rows/s", "sink alone, rows/s", "engine without, requests/s", "engine with it"),
        [(kind.title, *(spread(column) for column in zip(*found, strict=True))) for kind, found in figures.items()],
    )
    return 0 if kept else BROKEN


if __name__ == "__main__":
    sys.exit(main())
