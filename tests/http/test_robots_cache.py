"""The rules of many origins: fetched once, by one task at a time, whoever is cancelled."""

from __future__ import annotations

import attrs
import pytest
import trio
import trio.testing

from scrapeengine.http.features.robots import MOST_BYTES, Rules
from scrapeengine.http.features.robots_cache import RobotsCache

FORBIDDING = b"User-agent: *\nDisallow: /"


@attrs.define
class Site:
    """A site whose robots.txt takes a second, and counts how often it is asked for it."""

    status: int | None = 200
    body: bytes = FORBIDDING
    error: Exception | None = None
    asked: int = 0
    at_once: int = 0
    most_at_once: int = 0

    async def fetch(self) -> tuple[int | None, bytes]:
        """Fetch it."""
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await trio.sleep(1)
            if self.error is not None:
                raise self.error
            return self.status, self.body
        finally:
            self.at_once -= 1

    async def ask(self, cache: RobotsCache, origin: str = "https://x.test") -> Rules:
        """Ask a cache for its rules."""
        return await cache.rules(origin, self.fetch, trio.current_time)


async def test_many_who_ask_at_once_fetch_once(autojump_clock) -> None:
    """One fetches, the others wait for it, and all get the same rules."""
    site, cache = Site(), RobotsCache()
    got = []

    async def one() -> None:
        got.append(await site.ask(cache))

    async with trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(one)
    assert trio.current_time() == 1.0
    assert site.asked == 1
    assert len(got) == 50
    assert len(set(map(id, got))) == 1


@pytest.mark.parametrize(("status", "kept"), [(200, 86400.0), (404, 86400.0), (500, 60.0), (None, 60.0)])
async def test_rules_are_kept_as_long_as_they_may(autojump_clock, status: int | None, kept: float) -> None:
    """What is known is returned at once, without a checkpoint; what is too old is fetched anew."""
    site, cache = Site(status), RobotsCache()

    first = await site.ask(cache)
    await trio.sleep(kept - 0.001)
    with trio.testing.assert_no_checkpoints():
        assert await site.ask(cache) is first
    await trio.sleep(0.001)
    assert await site.ask(cache) is not first
    assert site.asked == 2


async def test_origins_do_not_wait_for_each_other(autojump_clock) -> None:
    """Each origin has a file of its own, and its own fetch."""
    site, cache = Site(), RobotsCache()

    async with trio.open_nursery() as nursery:
        for origin in ("https://x.test", "http://x.test", "https://x.test:81", "https://y.test"):
            nursery.start_soon(site.ask, cache, origin)
    assert trio.current_time() == 1.0
    assert site.asked == site.most_at_once == 4


async def test_who_waits_takes_over_when_the_fetcher_is_cancelled(autojump_clock) -> None:
    """A cancelled fetch harms only who was cancelled: one of the others fetches, the rest go on waiting."""
    site, cache = Site(), RobotsCache()
    got = []

    async def one() -> None:
        got.append((await site.ask(cache), trio.current_time()))

    async with trio.open_nursery() as nursery:
        with trio.move_on_after(0.5):
            async with trio.open_nursery() as doomed:
                doomed.start_soon(site.ask, cache)
                await trio.testing.wait_all_tasks_blocked()
                for _ in range(5):
                    nursery.start_soon(one)
                await trio.sleep_forever()
    assert (site.asked, site.most_at_once) == (2, 1)
    assert [at for _, at in got] == [1.5] * 5
    assert len({id(rules) for rules, _ in got}) == 1


async def test_who_is_cancelled_while_it_waits_changes_nothing(autojump_clock) -> None:
    """The fetch goes on for the others."""
    site, cache = Site(), RobotsCache()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(site.ask, cache)
        await trio.testing.wait_all_tasks_blocked()
        with trio.move_on_after(0.5) as scope:
            await site.ask(cache)
        assert scope.cancelled_caught
    assert await site.ask(cache) is await site.ask(cache)
    assert site.asked == 1


async def test_an_error_is_of_its_own_fetch_only(autojump_clock) -> None:
    """What one fetch raises leaves that call; those who wait fetch for themselves, one after the other."""
    site, cache = Site(error=LookupError("no")), RobotsCache()
    failed = []

    async def one() -> None:
        try:
            await site.ask(cache)
        except LookupError:
            failed.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one)
    site.error = None
    await site.ask(cache)
    assert failed == [1.0, 2.0, 3.0]
    assert (site.asked, site.most_at_once) == (4, 1)


@pytest.mark.parametrize("step", range(6))
async def test_cancelled_at_any_step_it_is_as_if_it_had_not_been(autojump_clock, step: int) -> None:
    """At whichever checkpoint the fetcher is cancelled, the others get their rules, and nothing is left behind."""
    cache, asked, got = RobotsCache(), [], []

    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:

            async def fetch() -> tuple[int | None, bytes]:
                asked.append(trio.lowlevel.current_task())
                if len(asked) == 1:
                    for _ in range(3):
                        nursery.start_soon(one)
                for n in range(6):
                    if n == step and len(asked) == 1:
                        scope.cancel()
                    await trio.lowlevel.checkpoint()
                return 200, FORBIDDING

            async def one() -> None:
                got.append(await cache.rules("x", fetch, trio.current_time))

            await one()
        assert scope.cancelled_caught
    assert len(asked) == 2
    assert len(got) == 3
    assert len(set(map(id, got))) == 1
    assert repr(cache) == "<RobotsCache 1 origins, 25 bytes, 0 being fetched>"


async def test_no_more_origins_are_kept_than_may_be(autojump_clock) -> None:
    """The least recently used one goes first."""
    site, cache = Site(status=404), RobotsCache(most=3)

    for origin in ("a", "b", "c", "a", "d"):
        await site.ask(cache, origin)
    assert site.asked == 4
    for origin in ("a", "c", "d"):
        await site.ask(cache, origin)
    assert site.asked == 4
    await site.ask(cache, "b")
    assert site.asked == 5
    assert repr(cache).startswith("<RobotsCache 3 origins")


async def test_a_few_giant_files_push_out_no_others(autojump_clock) -> None:
    """Where the files are too large together, the largest go, and what is used counts for nothing there."""
    small, giant, cache = Site(), Site(body=b"#" * MOST_BYTES), RobotsCache(most_bytes=2 * MOST_BYTES + 100)

    for n in range(3):
        await small.ask(cache, f"small-{n}")
    for n in range(10):
        await giant.ask(cache, f"giant-{n}")
        assert cache._bytes <= 2 * MOST_BYTES + 100
    for n in range(3):
        await small.ask(cache, f"small-{n}")
    assert (small.asked, giant.asked) == (3, 10)
    assert repr(cache).startswith("<RobotsCache 5 origins")


async def test_a_file_is_replaced_by_the_next_one(autojump_clock) -> None:
    """What is too old is not counted any more once it was fetched anew."""
    site, cache = Site(), RobotsCache()

    await site.ask(cache)
    await trio.sleep(86400)
    site.body = b""
    await site.ask(cache)
    assert repr(cache) == "<RobotsCache 1 origins, 0 bytes, 0 being fetched>"
