"""A crawl ends, whatever the store forgets meanwhile: what it has seen it does not ask for again."""

import apsw
import pytest
import trio

import scrapeengine as se
from support.serving import serve_all


def web(pages, links):
    """Make an engine that crawls so many pages, each of which leads to some others, and what it has asked for."""
    asked = []

    async def scrape(task):
        asked.append(task.event.id)
        number = int(task.event.id)
        for step in links:
            task.follow(se.Event((number * step + 1) % pages))

    return se.Engine([se.Platform("p", scrape, limit=4)]), asked


OPTIONS = pytest.mark.parametrize(
    "options", [{"max_kept": 10}, {"max_kept": 0}, {"keep": 0}, {"keep": 0, "max_kept": 0}]
)


async def crawl_all(url, options):
    """Crawl, and see that each page was asked for once, but for the root, to which others lead."""
    engine, asked = web(200, [2, 3, 5])
    async with se.open_store(url, **options) as store:
        await engine.enqueue(store, [se.Event(0)])
        await serve_all(engine, store)
        assert len(set(asked)) == 200
        assert len(asked) <= 201
        stats = (await store.stats()).get("p")
        assert stats is None or stats.done <= options.get("max_kept", 100_000)


@OPTIONS
async def test_each_page_is_asked_for_once_in_memory(autojump_clock, options):
    """With room for a few ended jobs only, or time for none: all pages, and each of them once."""
    with trio.fail_after(1000):
        await crawl_all("memory:", options)


@OPTIONS
async def test_each_page_is_asked_for_once_in_a_file(tmp_path, options):
    """As in memory."""
    await crawl_all(f"sqlite:{tmp_path}/jobs.db", options)


async def test_two_roots_lead_to_one_page(autojump_clock):
    """What one root has led to is not asked for again when the other one leads there, while the crawl goes on."""
    asked = []

    async def scrape(task):
        asked.append(task.event.id)
        if task.event.id.startswith("root"):
            task.follow(se.Event("page"))
            task.follow(se.Event("slow"))
        if task.event.id == "slow":
            await trio.sleep(1000)
        if task.event.id == "root-2":
            await trio.sleep(10)

    engine = se.Engine([se.Platform("p", scrape, limit=4)])
    async with se.open_store("memory:", max_kept=0, keep=0) as store:
        await engine.enqueue(store, [se.Event("root-1"), se.Event("root-2", priority=-1)])
        await serve_all(engine, store)
    assert sorted(asked) == ["page", "root-1", "root-2", "slow"]


async def crawl_thrice(url):
    """Crawl again and again."""
    engine, asked = web(50, [2, 3])
    async with se.open_store(url, keep=0) as store:
        for crawl in (1, 2, 3):
            await engine.enqueue(store, [se.Event(0)])
            await serve_all(engine, store)
            assert len(asked) in range(crawl * 50, crawl * 51 + 1)
        await store.stats()


async def test_a_later_crawl_begins_anew_in_memory(autojump_clock):
    """Once nothing that was reached is pending, what was seen is forgotten."""
    await crawl_thrice("memory:")


async def test_a_later_crawl_begins_anew_in_a_file(tmp_path):
    """What was seen is cleared away by and by."""
    await crawl_thrice(f"sqlite:{tmp_path}/jobs.db")
    assert apsw.Connection(f"{tmp_path}/jobs.db").execute("SELECT count(*) FROM seen").fetchone() == (0,)


async def test_what_is_enqueued_is_asked_for_though_a_crawl_has_seen_it(autojump_clock):
    """The program asks for it itself: `keep` is what says for how long that is not done again."""
    asked = []

    async def scrape(task):
        asked.append(task.event.id)
        if task.event.id == "root":
            task.follow(se.Event("page"))
            task.follow(se.Event("slow"))
        elif task.event.id == "slow":
            await trio.sleep(100)

    engine = se.Engine([se.Platform("p", scrape)])
    async with se.open_store("memory:", keep=0) as store:
        await engine.enqueue(store, [se.Event("root")])
        async with engine.serve(store) as run, trio.open_nursery() as nursery:

            async def again():
                await trio.sleep(50)
                (known,) = await engine.enqueue(store, [se.Event("page")])
                assert known.new
                await trio.sleep(100)
                await run.stop(0)

            nursery.start_soon(again)
            async for _ in run:
                pass
    assert asked.count("page") == 2
