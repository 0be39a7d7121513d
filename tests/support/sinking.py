"""Sinks of databases, given batches without a run, and what is in their tables."""

import datetime as dt
import json

import sqlalchemy as sa
import trio

from scrapeengine import Event
from scrapeengine.model.outcome import Success

NOW = 1_700_000_000.0


class PlainRun:
    """A run without a store. Implements `model.sink.SinkRun`."""

    keeps = False

    def now(self):
        """Return a Unix time."""
        return NOW


async def acknowledge(position=None):
    """Take it that it is so."""
    return True


def success(value, id=1, platform="A", items=()):
    """Return an outcome."""
    return Success(event=Event(id), platform=platform, value=value, items=tuple(items))


async def put(sink, *batches):
    """Have a sink write batches of outcomes, and leave it open."""
    await sink.open(PlainRun())
    for batch in batches:
        await sink.write(list(batch))
        await sink.flush(acknowledge)


def write(sink, *batches):
    """Have a sink write batches of outcomes, and close it."""

    async def main():
        try:
            await put(sink, *batches)
        finally:
            await sink.close()

    trio.run(main)


def engine_of(sink):
    """Return the engine of a sink."""
    return sink._writer._connections._engine


def read(database, name):
    """List the rows of a table as mappings, with values as a program would read them."""
    url = database.url.replace("postgresql:", "postgresql+psycopg:").replace("mariadb:", "mariadb+pymysql:")
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            if database.kind != "sqlite":  # whose drivers know the types
                found = connection.exec_driver_sql(f"SELECT * FROM {engine.dialect.identifier_preparer.quote(name)}")
            else:
                found = connection.execute(sa.select(sa.Table(name, sa.MetaData(), autoload_with=connection)))
            rows = [dict(row) for row in found.mappings()]
    finally:
        engine.dispose()
    return [{column: _plain(database, value) for column, value in row.items()} for row in rows]


def _plain(database, value):
    # What has no zone is of UTC, as the sink says.
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC) if value.tzinfo else value.replace(tzinfo=dt.UTC)
    return value


def from_json(database, value):
    """Return a value of a column of JSON, which is a text for MariaDB."""
    return json.loads(value) if database.kind == "mariadb" and value is not None else value
