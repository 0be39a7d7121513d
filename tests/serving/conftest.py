"""Stores in virtual time, and what goes wrong with them."""

import attrs
import pytest

import scrapeengine as se
from support.world import virtually


@attrs.define(eq=False)
class Flaky:
    """A store of which some calls fail, for as long as they are named in `down`; it counts the calls."""

    store: object
    down: set = attrs.field(factory=set)
    calls: list = attrs.field(factory=list)

    def __getattr__(self, name):
        """Pass a call on."""
        value = getattr(self.store, name)
        if name in {"now", "shared"}:
            return value

        async def call(*args, **options):
            self.calls.append(name)
            if name in self.down:
                raise se.StoreError("the disk is full")
            return await value(*args, **options)

        return call


@pytest.fixture
def on_store():
    """Return a function that runs an async one in virtual time, with a store in memory that can be made to fail."""

    def run(main, **options):
        async def with_store():
            async with se.open_store("memory:", **options) as store:
                return await main(Flaky(store))

        return virtually(with_store)

    return run
