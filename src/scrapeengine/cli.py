"""The command line: `python -m scrapeengine dashboard jobs.db`, and `… deliver refused.jsonl --into out.jsonl`.

Each command is a `Command`: what it takes, and what it does. What it needs and is not installed, what is not there, and
what a store says, is one line on stderr and an exit code of 1; what was written wrongly is 2, by argparse.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs
import trio

from scrapeengine.errors import ScrapeError
from scrapeengine.model.sink import Sink
from scrapeengine.model.urls import told
from scrapeengine.observe import Dashboard
from scrapeengine.observe.live.server import require
from scrapeengine.schedule.clock import Anchor
from scrapeengine.sinks.again import bring_in
from scrapeengine.sinks.functions import whole_sink
from scrapeengine.sinks.opening import open_sink
from scrapeengine.stores import open_store

__all__ = ["Command", "main"]

_INTERRUPTED = 130
"""What a shell has for a program that Ctrl-C has ended."""


@attrs.frozen
class Command:
    """One command."""

    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]
    """Does it, and returns the exit code. An `ImportError`, `OSError`, `ValueError` or `ScrapeError` of it says what to
    do instead."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code.

    Args:
        arguments: without the program's name; None: the process's.
    """
    parser = argparse.ArgumentParser(prog="python -m scrapeengine", description="Tools beside the library.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        command.add_arguments(commands.add_parser(name, help=command.help, description=command.help))
    given = parser.parse_args(arguments)
    try:
        return _COMMANDS[given.command].run(given)
    except (ImportError, OSError, ValueError, ScrapeError) as error:
        sys.stderr.write(f"scrapeengine {given.command}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:
        if not _is_of_database(error):
            raise
        # What follows the first line is the statement, and where to read about it.
        sys.stderr.write(f"scrapeengine {given.command}: {str(error).partition(chr(10))[0]}\n")
        return 1


def _is_of_database(error: Exception) -> bool:
    """Say whether SQLAlchemy has raised it, which is imported by then."""
    return "sqlalchemy" in sys.modules and isinstance(error, sys.modules["sqlalchemy"].exc.SQLAlchemyError)


def _dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", help="the file of a store that others serve, or its URL: jobs.db, sqlite:/srv/jobs.db")
    parser.add_argument(
        "--port", type=int, default=0, help="where to listen on loopback; 0 (the default): any free port"
    )


def _dashboard(given: argparse.Namespace) -> int:
    trio.run(_show, _url_of(given.store), given.port)
    return 0


async def _show(url: str, port: int) -> None:
    require()  # before a store is opened for nothing
    async with open_store(url) as store, Dashboard(store=store, port=port) as page:
        sys.stdout.write(page.url + "\n")
        sys.stdout.flush()
        sys.stderr.write("Whoever has this address can do all that the page can. Ctrl-C ends it.\n")
        await trio.sleep_forever()


def _url_of(store: str) -> str:
    """Return the URL of a store that is there: to open one in a file would make it."""
    path = store.removeprefix("sqlite:")
    if store.startswith("memory:"):
        raise ValueError("a store in memory is its own process's; write Dashboard(store=store) there")
    if "://" in store and not store.startswith("sqlite:"):
        return store
    path = path.removeprefix("///")
    if not Path(path).is_file() or not Path(path).stat().st_size:
        raise ValueError(f"there is no file {told(path)}, or nothing in it; give the path of a store, as in jobs.db")
    return f"sqlite:{path}"


def _deliver_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="the file that a sink's aside= names")
    parser.add_argument(
        "--into",
        required=True,
        help="where it is to go: the path of a file, as for se.sinks.open, or a sink of a module (jobs.sinks:save)",
    )
    parser.add_argument("--sink", help="only what the sink of this name has refused")


def _deliver(given: argparse.Namespace) -> int:
    sink = _sink_of(given.into)
    count = trio.run(partial(_bring_in, given.file, sink, given.sink))
    sys.stdout.write(f"{count:,} outcome{'s' * (count != 1)} brought in\n")
    return 0


async def _bring_in(file: str, sink: Sink[Any], name: str | None) -> int:
    anchor = Anchor.drop()
    return await bring_in(file, sink, lambda: anchor.wall(trio.current_time()), name)


def _sink_of(into: str) -> Sink[Any]:
    """Return the sink that is meant: of a module, of a file, or of the URL of a table."""
    module, colon, name = into.partition(":")
    if not colon or name.startswith("//"):
        return open_sink(into)
    try:
        return whole_sink(getattr(importlib.import_module(module), name))
    except (AttributeError, TypeError) as error:
        raise ValueError(f"{told(into)} is no sink ({error}); give module:name of an async function") from error


_COMMANDS = {
    "dashboard": Command("show a store live in a browser, and steer what it keeps", _dashboard_arguments, _dashboard),
    "deliver": Command("bring in again what a sink has refused and set aside", _deliver_arguments, _deliver),
}
