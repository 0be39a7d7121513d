"""How users write it, for the type checkers: this file is checked, not run."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, assert_never, assert_type

import attrs
import httpx
import trio

import scrapeengine as se
from scrapeengine import stores
from scrapeengine.testing.stores import StoreSuite


async def odds(task: se.Task) -> dict[str, float]:
    """Scrape one match."""
    response = await task.http.get(f"/events/{task.event.id}", params={"market": "1x2"})
    if response.status_code == 204:
        task.skip("no odds yet")
    prices: dict[str, float] = await task.in_thread(response.json)
    task.follow(se.Event(url="https://example.com/next", priority=1))
    return prices


def events() -> Iterator[se.Event]:
    """Name some matches."""
    yield from (se.Event(number) for number in range(10))


async def more_events() -> AsyncIterator[se.Event]:
    """Name them as they come."""
    yield se.Event("one", platforms=("betpawa",))


async def keep(outcomes: list[se.Outcome[dict[str, float]]]) -> None:
    """Keep outcomes."""
    assert outcomes


class Kept:
    """Validators of the program's own."""

    async def recall(self, platform: str, url: str) -> se.Validator | None:
        """Know nothing."""
        assert platform, url
        return None

    async def remember(self, platform: str, found: Mapping[str, se.Validator | None]) -> None:
        """Forget it."""
        assert platform, found


async def page(task: se.Task) -> dict[str, float]:
    """Use the client."""
    response = await task.http.get("/", conditional=True)
    task.skip_unchanged(response)
    assert_type(response, httpx.Response)
    assert_type(await task.http.post("/", json={}), httpx.Response)
    async with task.http.stream("GET", "/large", cap=1e9) as answer:
        assert_type(answer.status_code, int)
        async for part in answer:
            assert_type(part, bytes)
        assert_type(await answer.save("large"), int)
        assert_type(await answer.save(b"large"), int)
    return {}


CAREFUL = se.Platform(
    "careful", page, caps=se.Caps(wire=1e6, body=1e7, redirects=3), robots=True, cookies=True, block_private=True
)
THROUGH_A_PROXY = se.Platform("proxied", page, transport=httpx.AsyncHTTPTransport(http2=True))

PLATFORMS = [
    se.Platform("betpawa", odds, base_url="https://a.example", limit=50),
    se.Platform("bet9ja", odds, limit=15, rate=se.Rate.every(0.025), retry=se.Retry(attempts=5, budget=0.5)),
    se.Platform("polite", odds, robots="MyBot", headers={"User-Agent": "Mozilla/5.0 (compatible; MyBot/1.0)"}),
]


async def pages(task: se.Task) -> AsyncIterator[int]:
    """Yield items."""
    task.emit({"any": "thing"})
    yield 1


GENERATING = se.Platform[None]("pages", pages)
SINKS = [
    se.sinks.of(keep, name="kept", size=10, on_error="retry"),
    se.sinks.sql(
        "sqlite:///odds.db",
        [se.sinks.SqlTable("odds", key="event", types={"price": float})],
        {"event": lambda outcome: outcome.event.id, "price": "home"},
        create=True,
    ),
    se.sinks.where(se.sinks.open("out.jsonl.gz", rotate_bytes=1e6), se.sinks.only(se.Failure)),
]


async def main() -> None:
    """Use it all."""
    engine = se.Engine(PLATFORMS, event_limit=10, default=se.Platform("*", odds, timeout=se.Timeout(attempt=10)))
    async with engine.stream(events(), sinks=[keep]) as run:
        async for outcome in run:
            match outcome:
                case se.Success(value=value):
                    assert_type(value, dict[str, float])
                case se.Failure(error=error):
                    assert_type(error, Exception)
                case se.Skipped(reason=reason) | se.Cancelled(reason=reason):
                    assert_type(reason, str)
                case _:
                    assert_never(outcome)
        assert_type(run.statistics(), se.Statistics)
        run.stop_soon()
        await run.stop(grace=1)
    assert_type(await engine.run(more_events()), se.Report)
    engine.tune("betpawa", limit=0)
    assert_type(engine.settings(), se.Settings)
    assert_type(engine.settings().platforms["betpawa"].rate, tuple[se.Rate, ...])
    assert_type(await se.Engine([CAREFUL, THROUGH_A_PROXY], validators=Kept()).run([]), se.Report)
    async with httpx.AsyncClient(transport=se.Transport(block_private=True)) as client:
        assert_type(await client.get("https://a.example"), httpx.Response)


async def on_stores() -> None:
    """Open stores with options, and one of the program's own."""
    async with se.open_store("memory:", keep=60, max_kept=10, max_pending=100, full="wait") as store:
        assert_type(store, stores.CheckedStore)
        assert_type(await store.get("A", 7), se.StoredJob | None)
        assert_type(await store.retry(ids=[7, "8"]), int)
        assert_type(await store.stats(), dict[str, se.QueueStatistics])
        (known,) = await store.enqueue([stores.NewJob("betpawa", "1", "{}", delay=5, interval=60)], replace=True)
        assert_type(known.replaced, bool)
        assert_type(known, se.Known)
        for claimed in await store.claim("betpawa", 1, "me", 30, ids={"1"}):
            completion = stores.Completion(ticket=claimed.ticket, status=se.JobStatus.DONE)
            assert_type(await store.complete([completion]), list[stores.Reply])
    async with se.open_store("memory:") as store:
        page = await store.jobs(platform="betpawa", status=se.JobStatus.FAILED, limit=10)
        assert_type(page, list[se.StoredJob])
        assert_type(await store.jobs(status={se.JobStatus.DONE}, after=page[-1].key), list[se.StoredJob])
        assert_type(await store.retry(platform="betpawa", ids=["1"]), int)
        assert_type(await store.retry(events=[se.Event(1)]), int)
        assert_type(await store.forget(platform=se.host_of("https://a.example/x")), int)
        await store.close("betpawa", 3600)
        await store.reopen("betpawa")
    engine = se.Engine(PLATFORMS)
    engine.close("betpawa", 60)
    engine.reopen("betpawa")
    se.open_store("sqlite:jobs.db", durability="normal", busy_timeout=1)
    se.open_store("memory:", most_kept=1)  # type: ignore[call-arg]
    se.open_store("memory:", full="block")  # type: ignore[arg-type]


@attrs.frozen(kw_only=True)
class RemotePolicy(stores.StorePolicy):
    """Options of a store of the program's own."""

    connections: int = 4


@asynccontextmanager
async def open_remote(url: str, policy: RemotePolicy) -> AsyncIterator[stores.Store]:
    """Open it; in truth, one in memory."""
    assert url
    assert policy.connections
    async with se.open_store("memory:", keep=policy.keep) as store:
        yield stores.CheckedStore(store)


stores.register("remote", open_remote, RemotePolicy, example="remote://host/jobs")
stores.register("wrong", open_remote, stores.StorePolicy)  # type: ignore[arg-type]


class TestRemote(StoreSuite):
    """Put it through the kit."""

    def open(self, **options: Any) -> AbstractAsyncContextManager[stores.Store]:
        """Open an empty one."""
        return se.open_store("remote://host/jobs", **options)


REPORT = se.run(PLATFORMS, events(), instruments=[se.observe.Recording(hosts=10)])
assert_type(REPORT.ok(max_failures=0.01), bool)
assert_type(REPORT.exit_code(), int)
assert_type(REPORT.to_dict(), dict[str, Any])
assert_type(REPORT.to_json(indent=2), str)
REPORT.write_html("report.html")
se.collect(PLATFORMS, [], progress=True)
if REPORT.figures is not None:
    assert_type(REPORT.figures.platforms["betpawa"].head.p99, float)
    assert_type(REPORT.figures.held["betpawa"].sentence, str)


class Ends(se.Instrument):
    """An instrument with one hook: the others need not be there."""

    def task_ended(self, details: Any, /) -> None:
        """Write it down."""


METRICS = se.observe.Prometheus()
MEASURED = se.run(PLATFORMS, events(), instruments=[METRICS, Ends()])


async def measured() -> None:
    """Serve metrics beside a run."""
    async with trio.open_nursery() as nursery:
        assert_type(await nursery.start(se.observe.serve_metrics, 0, METRICS), Any)


async def looked_at(store: se.Store) -> None:
    """Serve live pages."""
    engine = se.Engine(PLATFORMS)
    async with engine.serve(store) as run, se.observe.Dashboard(run, engine, store, port=8765) as page:
        print(page.url)
    async with se.observe.Dashboard(store=store):
        await store.pause("betpawa")


COOKIES = se.Engine(PLATFORMS).cookies("shop.test")
COOKIES.set("session", "x", domain="shop.test", expires=2e9)
COOKIES.from_json(COOKIES.to_json())
assert_type(COOKIES.get("session"), str | None)
assert_type(list(COOKIES), list[se.Cookie])

assert_type(se.collect(PLATFORMS, events(), event_limit=3), list[se.Outcome[dict[str, float]]])
assert_type(se.run(PLATFORMS, events(), sinks=[keep], lookahead=10), se.Report)
