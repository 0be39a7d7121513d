"""Stores in virtual time, and what goes wrong with them."""

import pytest

import scrapeengine as se
from support.serving import Flaky


@pytest.fixture
async def store():
    """Open a store in memory that can be made to fail."""
    async with se.open_store("memory:") as store:
        yield Flaky(store)
