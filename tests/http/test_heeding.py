"""A site of so many requests in so many seconds that says so: it refuses none, and nearly all that it lets are made."""

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.testing import Answer
from scrapeengine.testing import Site as RealSite
from support.stating import EPOCH, FORMS, Windows


async def one_request(task):
    """Ask once."""
    await task.http.get(f"http://a.test/{task.event.id}")


async def asked(site, seconds, **policy):
    """Have an engine ask a site for so long."""
    platform = se.Platform("A", one_request, transport=httpx.MockTransport(site.answer), **policy)
    engine = se.Engine([platform], wall_time=lambda: EPOCH + trio.current_time(), event_limit=100)
    with trio.move_on_after(seconds):
        async with engine.stream(se.Event(n) for n in range(100_000)) as run:
            async for _ in run:
                pass


@pytest.mark.parametrize(("form", "limit"), [*((form, 8) for form in FORMS), ("RateLimit", 1), ("RateLimit", 30)])
async def test_a_site_that_states_its_limit_refuses_nothing_and_is_used(autojump_clock, form, limit):
    """100 requests in 10 s, in each form of the headers: no 429, and 95 % of three windows at least."""
    site, begin = Windows(form), (trio.current_time() // 10 + 1) * 10
    await asked(site, 40, limit=limit)
    assert not site.refused
    assert site.used(begin, 3) >= 0.95


async def test_the_own_rate_holds_all_the_same(autojump_clock):
    """A site that lets more than the rate is asked no faster."""
    site = Windows("RateLimit")
    await asked(site, 30, rate=se.Rate(5))
    assert not site.refused
    assert 45 <= sum(10 <= at < 20 for at in site.served) <= 51


async def test_heeding_can_be_left(autojump_clock):
    """Then the site is asked until it refuses."""
    site = Windows("RateLimit")
    await asked(site, 1, heed=False, limit=30, retry=se.Retry(attempts=1))
    assert site.refused


@pytest.mark.parametrize(("reset", "wait"), [(3600 * 24 * 365, 60), (10**9, 0)])
async def test_a_site_that_lies_is_waited_for_no_longer_than_patience(autojump_clock, reset, wait):
    """Nothing left for a year: it is asked again after a minute, and nothing fails. In 31 years: not believed."""
    asked_at = []

    def answer(_):
        asked_at.append(trio.current_time())
        return httpx.Response(200, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(reset)})

    retry = se.Retry(patience=60)
    platform = se.Platform("A", one_request, transport=httpx.MockTransport(answer), limit=1, retry=retry)
    outcomes = []
    async with se.Engine([platform], wall_time=lambda: 0.0).stream([se.Event(n) for n in range(4)]) as run:
        outcomes = [outcome async for outcome in run]
    assert all(isinstance(outcome, se.Success) for outcome in outcomes)
    assert [at - asked_at[0] for at in asked_at] == pytest.approx([0, wait, 2 * wait, 3 * wait])


async def test_what_a_host_states_that_no_platform_serves_leaves_the_platform_alone(autojump_clock):
    """Nor an answer from a cache; by what it states itself the platform is held all the same."""
    times = []

    def answer(request):
        at_home, age = request.url.host == "a.test", request.url.path == "/old"
        times.append(trio.current_time())
        headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600.0" if not at_home or age else "5.0"}
        return httpx.Response(200, headers=headers | ({"Age": "60"} if age else {}))

    async def scrape(task):
        for path in ("/old", "http://elsewhere.test/", "/", "/"):
            await task.http.get(path)

    platform = se.Platform("A", scrape, base_url="http://a.test", transport=httpx.MockTransport(answer))
    report = await se.Engine([platform], wall_time=lambda: 0.0).run([se.Event(1)], sinks=[])
    assert report.ok()
    assert [at - times[0] for at in times] == pytest.approx([0, 0, 0, 5])


async def test_a_task_that_a_stop_lets_end_waits_for_a_reset(autojump_clock):
    """As for a rate, as long as its grace lasts: the site has refused nothing."""

    def answer(_):
        return httpx.Response(200, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1.0"})

    async def scrape(task):
        for _ in range(3):
            await task.http.get("http://a.test/")
            await trio.sleep(0.1)

    platform = se.Platform("A", scrape, transport=httpx.MockTransport(answer))
    async with se.Engine([platform]).stream([se.Event(1)]) as run:
        await trio.sleep(0.05)
        await run.stop(grace=30)
        outcomes = [outcome async for outcome in run]
    assert [type(outcome) for outcome in outcomes] == [se.Success]


async def test_a_redirect_lets_the_platform_that_stated_it_be_heeded(autojump_clock):
    """The limit of the platform that a redirect has led to is that one's, and the own one is asked on."""
    times = {"a.test": [], "b.test": []}

    def answer(request):
        times[request.url.host].append(trio.current_time())
        if request.url.host == "a.test":
            return httpx.Response(302, headers={"Location": "http://b.test/"})
        return httpx.Response(200, headers={"RateLimit": "x;r=9;t=10"})

    transport = httpx.MockTransport(answer)
    platforms = [se.Platform(f"{name}.test", one_request, transport=transport, limit=1) for name in "ab"]
    async with se.Engine(platforms).stream([se.Event(n, platforms=["a.test"]) for n in range(6)]) as run:
        async for _ in run:
            pass
    assert len(times["b.test"]) == 6
    assert times["b.test"][-1] - times["b.test"][0] >= 3.5


@pytest.mark.parametrize(
    ("form", "quota", "period", "least"),
    [
        ("X-RateLimit-", 20, 1.0, 0.7),  # what a busy machine does at the end of a window is much of so short a one
        pytest.param("RateLimit", 100, 10.0, 0.95, marks=pytest.mark.slow),
        pytest.param("X-RateLimit-, Unix time", 100, 10.0, 0.95, marks=pytest.mark.slow),
    ],
)
async def test_a_real_site_on_loopback_refuses_nothing_and_is_used(form, quota, period, least):
    """The same over sockets, in true time."""
    site = Windows(form, quota=quota, period=period)

    async def handler(_):
        status, headers = site.ask()
        return Answer(status, headers=headers)

    async with RealSite.open(handler) as real:

        async def scrape(task):
            await task.http.get(f"/{task.event.id}")

        platform = se.Platform("A", scrape, base_url=real.url, limit=8)
        engine = se.Engine([platform], wall_time=lambda: EPOCH + trio.current_time(), event_limit=20)
        begin = (trio.current_time() // period + 1) * period
        with trio.move_on_at(begin + 2 * period):
            async with engine.stream(se.Event(n) for n in range(100_000)) as run:
                async for _ in run:
                    pass
    assert not site.refused
    assert site.used(begin, 2) >= least


async def test_an_hour_is_spread_over_an_hour_and_the_next_run_goes_on_from_it(autojump_clock):
    """However long that is beside `Retry.patience`; a host that is not to be heeded any more forgets it."""
    site = Windows("RateLimit", quota=720, period=7200.0)
    await trio.sleep(7200 - trio.current_time() % 7200)
    platform = se.Platform("*", one_request, transport=httpx.MockTransport(site.answer), limit=1)
    engine = se.Engine([], default=platform)

    async def asked_in(events):
        begin = trio.current_time()
        async with engine.stream([se.Event(n, url="http://a.test/") for n in range(events)]) as run:
            async for _ in run:
                pass
        return trio.current_time() - begin

    assert await asked_in(11) == pytest.approx(100, abs=2)
    assert await asked_in(2) == pytest.approx(20, abs=2)
    engine.tune("*", heed=False)
    assert await asked_in(3) <= 1
