"""The command line: `python -m scrapeengine dashboard jobs.db`.

Each command is a `Command`: what it takes, and what it does. What it needs and is not installed, what is not there, and
what a store says, is one line on stderr and an exit code of 1; what was written wrongly is 2, by argparse.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import attrs
import trio

from scrapeengine.errors import ScrapeError
from scrapeengine.model.urls import told
from scrapeengine.observe import Dashboard
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


def _dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("store", help="the file of a store that others serve, or its URL: jobs.db, sqlite:/srv/jobs.db")
    parser.add_argument(
        "--port", type=int, default=0, help="where to listen on loopback; 0 (the default): any free port"
    )


def _dashboard(given: argparse.Namespace) -> int:
    trio.run(_show, _url_of(given.store), given.port)
    return 0


async def _show(url: str, port: int) -> None:
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
    if not Path(path).is_file():
        raise ValueError(f"there is no file {told(path)}; give the path of a store, as in jobs.db")
    return f"sqlite:{path}"


_COMMANDS = {
    "dashboard": Command("show a store live in a browser, and steer what it keeps", _dashboard_arguments, _dashboard),
}
