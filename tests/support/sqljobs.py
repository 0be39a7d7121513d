"""Jobs whose outcomes go to tables of a database: a program that processes are forked for, to be killed."""

import os
import traceback

import trio

import scrapeengine as se
from scrapeengine.sinks import SqlTable

TABLES = [
    SqlTable("numbers", "job", {"parity": "parities"}),
    SqlTable("halves", ("job", "part")),
    SqlTable("parities", "name"),
]


async def scrape(task):
    """Take a moment."""
    await trio.sleep(0.01)
    return int(task.event.id)


def rows(outcome):
    """Make one row, and two that belong to it."""
    yield "numbers", {"job": outcome.value, "parity": "even" if outcome.value % 2 == 0 else "odd"}
    for part in range(2):
        yield "halves", {"job": outcome.value, "part": part, "of": outcome.platform}


def sink(url, size):
    """Open the tables."""
    return se.sinks.sql(url, TABLES, rows, name="numbers", create=True, size=size, linger=0.02)


async def enqueue(folder, count):
    """Put jobs there."""
    async with se.open_store(f"sqlite:{folder}/jobs.db", durability="normal") as store:
        await se.Engine([se.Platform("a", scrape)]).enqueue(store, map(se.Event, range(count)))


async def serve(folder, url, until, size):
    """Work."""
    async with se.open_store(f"sqlite:{folder}/jobs.db", durability="normal") as store:
        engine = se.Engine([se.Platform("a", scrape, limit=6)])
        async with engine.serve(store, sinks=[sink(url, size)], until=until) as run:
            await run.wait()


def fork(function, *arguments):
    """Run an async function in a child; return its id."""
    number = os.fork()
    if not number:
        code = 1
        try:
            trio.run(function, *arguments)
            code = 0
        except BaseException as error:
            traceback.print_exception(error)
            raise
        finally:
            os._exit(code)
    return number


def wait(number):
    """Wait for a child; return its code."""
    _, status = os.waitpid(number, 0)
    return os.waitstatus_to_exitcode(status)
