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


def _database(request, kind):
    if kind == "sqlite":
        return databases.SqliteFile(request.getfixturevalue("tmp_path") / "odds.db")
    return databases.ServerDatabase(
        request.getfixturevalue("postgres" if kind == "postgresql" else "mariadb"), f"test{next(_NUMBERS)}"
    )


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def database(request):
    """Return a database that is empty."""
    return _database(request, request.param)


@pytest.fixture(params=["postgresql", "mariadb"])
def served(request):
    """Return a database that is empty, of a server."""
    return _database(request, request.param)


@pytest.fixture
def of_postgresql(request):
    """Return a database of PostgreSQL that is empty."""
    return _database(request, "postgresql")


@pytest.fixture
def of_mariadb(request):
    """Return a database of MariaDB that is empty."""
    return _database(request, "mariadb")
