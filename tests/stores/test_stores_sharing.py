"""How a store lets engines share platforms, in memory and in a file alike."""

import pytest

from scrapeengine.model.job import Reply, ShareRequest
from scrapeengine.model.policy import Rate
from stores.harness import run

OK, ALREADY, LOST = Reply


def test_a_lock_has_one_owner_at_a_time(url):
    """It is kept by its owner, free once it is given back or its lease is over, and nobody else can give it back."""

    async def scenario(store, clock):
        assert await store.lock("x", "me", 5)
        assert not await store.lock("x", "you", 5)
        assert await store.lock("y", "you", 5)
        clock.jump(4)
        assert await store.lock("x", "me", 5)
        clock.jump(4)
        await store.unlock("x", "you")
        assert not await store.lock("x", "you", 5)
        clock.jump(1)
        assert await store.lock("x", "you", 5)
        await store.unlock("x", "you")
        assert await store.lock("x", "me", 5)

    run(url, scenario)


def share_request(wanted, held=0, limit=4, **values):
    """Make a request for a share."""
    return ShareRequest(**{"limit": limit, "wanted": wanted, "held": held, "rate": None, "requests": 0, **values})


def test_slots_are_shared(url):
    """Two that want all get half each once what is too much has ended; what lapses, or is given back, is free."""

    async def scenario(store, clock):
        async def slots(owner, *args):
            share = (await store.share(owner, {"p": share_request(*args)}, 5))["p"]
            return share.slots, share.contended

        assert await slots("a", 9) == (4, False)
        assert await slots("b", 9) == (0, True)
        assert await slots("a", 9, 4) == (2, True)
        assert await slots("b", 9) == (0, True)
        assert await slots("a", 9, 2) == (2, True)
        assert await slots("b", 9) == (2, True)
        assert await slots("b", 0, 0) == (0, False)
        assert await slots("a", 9, 2) == (4, False)
        clock.jump(5)
        assert await slots("b", 9) == (4, False)

    run(url, scenario)


def test_start_times_are_shared(url):
    """The times that all are given keep to the rate together, half a second of it at once."""

    async def scenario(store, clock):
        async def times(owner, rate, requests):
            found = (await store.share(owner, {"p": share_request(5, rate=rate, requests=requests)}, 5))["p"].times
            return pytest.approx([at - store.now() for at in found], abs=1e-5)

        assert await times("a", Rate(10), 99) == [0, 0.1, 0.2, 0.3, 0.4]
        assert await times("b", Rate(10), 2) == [0.5, 0.6]
        assert await times("a", Rate(10), 0) == []
        assert await times("a", None, 9) == []
        clock.jump(2)
        assert await times("a", Rate(1, per=60), 9) == [0]
        assert await times("b", Rate(1, per=60), 9) == [60]

    run(url, scenario)


def test_all_learn_that_a_platform_is_closed(url):
    """The latest of what all know holds, until it is over."""

    async def scenario(store, clock):
        async def closed(owner, until):
            return (await store.share(owner, {"p": share_request(1, closed_until=until)}, 5))["p"].closed_until

        start = store.now()
        assert await closed("a", None) is None
        assert await closed("a", start + 3) == start + 3
        assert await closed("b", None) == start + 3
        assert await closed("b", start + 2) == start + 3
        clock.jump(3)
        assert await closed("b", None) is None

    run(url, scenario)
