"""The stores that are here, and one from outside, through the kit."""

import itertools

import pytest

import stores.plain  # noqa: F401 - it registers itself
from scrapeengine.stores import open_store
from scrapeengine.testing.stores import StoreSuite


class TestMemory(StoreSuite):
    """In memory."""

    def open(self, **options):
        """Open one."""
        return open_store("memory:", **options)


class TestSqlite(StoreSuite):
    """In a file."""

    @pytest.fixture(autouse=True)
    def _folder(self, tmp_path):
        self.files = (tmp_path / f"{number}.db" for number in itertools.count())

    def open(self, **options):
        """Open one."""
        return open_store(f"sqlite:{next(self.files)}", **options)


class TestPlain(StoreSuite):
    """On nothing of ours but the protocol."""

    def open(self, **options):
        """Open one."""
        return open_store("plain://me:secret@here", **options)
