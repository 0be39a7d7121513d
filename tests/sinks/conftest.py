"""Databases for the tests of sinks: each server is started once, when a test first asks for it."""

import itertools

import pytest

from support import databases

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres():
    """Run a PostgreSQL."""
    with databases.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb():
    """Run a MariaDB."""
    with databases.mariadb() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request, tmp_path):
    """Return a database that is empty."""
    if request.param == "sqlite":
        return databases.SqliteFile(tmp_path / "odds.db")
    server = request.getfixturevalue("postgres" if request.param == "postgresql" else "mariadb")
    return databases.ServerDatabase(server, f"test{next(_NUMBERS)}")
