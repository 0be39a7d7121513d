"""A process that serves a store into a database dies at each step in turn, and is followed by one that lives.

    dying_sql.py FOLDER URL FIRST STRIDE MOST

Steps are before and after each statement, each commit, and what tells the store; MOST of them are tried. Prints at how
many it died; `halves` has two rows for each of `numbers` whenever a process has died.
"""

import itertools
import json
import os
import sys
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import default

from scrapeengine.sinks.database import sink as sinks
from support import sqljobs

JOBS, DIED = 9, 9


class Steps:
    """Counts steps, and dies at one of them."""

    def __init__(self, dies_at):
        self.left = dies_at

    def step(self):
        """Die, if it is time."""
        self.left -= 1
        if not self.left:
            os._exit(DIED)

    def around(self, owner, name):
        """Count a step before a method, and one after it."""
        plain = getattr(owner, name)

        def call(*args, **options):
            self.step()
            answer = plain(*args, **options)
            self.step()
            return answer

        async def acall(*args):
            self.step()
            await plain(*args)
            self.step()

        setattr(owner, name, acall if name == "flush" else call)

    def install(self):
        """Count what sinks do, and what they tell the store."""
        self.around(sa.Connection, "exec_driver_sql")
        self.around(default.DefaultDialect, "do_commit")
        self.around(sinks.SqlSink, "flush")


async def serve(folder, url, dies_at):
    """Work until all is done."""
    if dies_at is not None:
        Steps(dies_at).install()
    await sqljobs.enqueue(folder, JOBS)
    await sqljobs.serve(folder, url, "empty", 3)


def counts(url):
    """Count the rows of both tables."""
    url = url.replace("postgresql:", "postgresql+psycopg:").replace("mariadb:", "mariadb+pymysql:")
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            there = sa.inspect(connection).get_table_names()
            if "halves" not in there or "numbers" not in there:
                return 0, 0
            return tuple(
                connection.exec_driver_sql(f"SELECT count(*) FROM {name}").scalar_one()
                for name in ("numbers", "halves")
            )
    finally:
        engine.dispose()


def child(dies_at, folder, url):
    """Run a child; return whether it died."""
    code = sqljobs.wait(sqljobs.fork(serve, folder, url, dies_at))
    assert code in {0, DIED}, code
    return code == DIED


def main(folder, url, first, stride, most):
    """Try steps; each begins with no table."""
    died = 0
    for number in itertools.islice(itertools.count(int(first), int(stride)), int(most)):
        place = Path(folder) / str(number)
        place.mkdir()
        here = f"{url}{number}.db" if url.startswith("sqlite") else url
        dies = child(number, place, here)
        numbers, halves = counts(here)
        assert halves == 2 * numbers, (number, numbers, halves)
        assert not child(None, place, here)
        assert counts(here) == (JOBS, 2 * JOBS), (number, counts(here))
        if not dies:
            break
        died += 1
        if here == url:
            engine = sa.create_engine(
                url.replace("postgresql:", "postgresql+psycopg:").replace("mariadb:", "mariadb+pymysql:")
            )
            with engine.begin() as connection:
                for name in ("halves", "numbers", "parities"):
                    connection.exec_driver_sql(f"DROP TABLE {name}")
            engine.dispose()
    print(json.dumps(died))


main(*sys.argv[1:])
