"""Stores in virtual time, and what goes wrong with them."""

import pytest

import scrapeengine as se
from support.serving import Flaky
from support.world import virtually


@pytest.fixture
def on_store():
    """Return a function that runs an async one in virtual time, with a store in memory that can be made to fail."""

    def run(main, **options):
        async def with_store():
            async with se.open_store("memory:", **options) as store:
                return await main(Flaky(store))

        return virtually(with_store)

    return run
