"""What a store keeps at most, and how it says that there is no room, in memory and in a file alike."""

import pytest

from scrapeengine.errors import StoreFull
from scrapeengine.model.validators import Validator
from stores.harness import claimed, done, job, run


def test_the_oldest_validators_go_first(url, monkeypatch):
    """Only so many URLs are kept; what was written again is not old."""
    monkeypatch.setattr("scrapeengine.stores.rules.beside._MOST_PAGES", 3)

    async def scenario(store, clock):
        await store.enqueue([job(str(number)) for number in range(6)])
        one = Validator('"1"')
        for ticket, found in zip(await claimed(store), "abcade", strict=True):
            await store.complete([done(ticket, validators={found: one})])
        assert [found for found in "abcde" if await store.recall("p", found)] == ["a", "d", "e"]

    run(url, scenario)


def test_validators_of_too_long_urls_are_not_kept(url):
    """4,096 characters are a URL, one more is none that anybody asks for again."""

    async def scenario(store, clock):
        await store.enqueue([job("a")])
        one = Validator('"1"')
        await store.complete([done(*await claimed(store), validators={"x" * 4097: one, "x" * 4096: one})])
        assert [await store.recall("p", "x" * length) for length in (4096, 4097)] == [one, None]

    run(url, scenario)


def test_a_full_store_says_what_to_do(url):
    """Wait for room, or open it otherwise; or cut up what never has room."""

    async def scenario(store, clock):
        await store.enqueue([job("a"), job("b", delay=5)])
        with pytest.raises(StoreFull, match="full='wait' or with a larger max_pending"):
            await store.enqueue([job("c"), job("d")])
        with pytest.raises(StoreFull, match="cut it up"):
            await store.enqueue([job(str(number)) for number in range(4)])

    run(url, scenario, max_pending=3)


@pytest.mark.parametrize("url", ["memory", "sqlite"], indirect=True)
def test_a_store_shows_how_much_is_pending(url):
    """Its `repr` counts, as of its last call, and asks nobody."""

    async def scenario(store, clock):
        assert repr(store).endswith(": 0 pending>")
        await store.enqueue([job(str(number)) for number in range(1200)])
        await store.cancel("p", "0")
        assert repr(store).startswith(f"<Store {url.partition(':')[0]}")
        assert repr(store).endswith(": 1,199 pending>")

    run(url, scenario)
