"""A store of each kind."""

import threading

import apsw
import pytest


@pytest.fixture(params=["memory", "sqlite"])
def url(request, tmp_path):
    """Name a store that is empty."""
    return "memory:" if request.param == "memory" else f"sqlite:{tmp_path}/jobs.db"


@pytest.fixture
def path(tmp_path):
    """Name a file that is not there."""
    return tmp_path / "jobs.db"


@pytest.fixture
def hook():
    """Make what is done to each new connection."""
    added = []

    def add(function):
        added.append(function)
        apsw.connection_hooks.append(function)

    yield add
    for function in added:
        apsw.connection_hooks.remove(function)


@pytest.fixture(autouse=True)
def _no_thread_is_left():
    """Each connection's thread ends with its store, also where opening has failed."""
    yield
    threads = [thread for thread in threading.enumerate() if "apsw" in thread.name]
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)
