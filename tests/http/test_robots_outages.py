"""A robots.txt that cannot be had closes its platform for a while; what a rule forbids is skipped."""

import itertools

import httpx
import pytest
import trio

import scrapeengine as se

FORBIDDING = "User-agent: *\nDisallow: /private"


async def get(task):
    """Ask for the event's URL."""
    return (await task.http.get(task.event.url)).status_code


class Site:
    """A site whose robots.txt is lacking for some time; it writes down when it is asked for what."""

    def __init__(self, ill_for, *, status=500, text=""):
        self.asked = []
        self._begun = trio.current_time()
        self._ill_for, self._status, self._text = ill_for, status, text

    @property
    def now(self):
        """The seconds since the test began."""
        return round(trio.current_time() - self._begun, 2)

    def robots_at(self):
        """List when the robots.txt was asked for."""
        return [at for at, path in self.asked if path == "/robots.txt"]

    def answer(self, request):
        """Answer as the site does at this time."""
        self.asked.append((self.now, request.url.path))
        if request.url.path != "/robots.txt":
            return httpx.Response(200)
        return httpx.Response(self._status) if self.now < self._ill_for else httpx.Response(200, text=self._text)

    def platform(self, name="a.test", **policy):
        """Make a platform of it."""
        transport = httpx.MockTransport(self.answer)
        return se.Platform(name, get, **({"robots": True, "transport": transport} | policy))


def events(count, host="a.test", first=0):
    """Make events of a host."""
    return [se.Event(number, url=f"http://{host}/{number}") for number in range(first, first + count)]


async def test_one_500_fails_nobody(autojump_clock):
    """A thousand tasks wait two seconds for the robots.txt, and all go on."""
    site = Site(1.0)
    report = await se.Engine([site.platform()]).run(events(1000))
    assert report.outcomes.succeeded == 1000
    assert site.robots_at() == [0, 2]


async def test_it_is_asked_for_again_ever_more_seldom(autojump_clock):
    """Twice as late each time, up to a minute; nothing else is asked for before it is there."""
    site = Site(100.0)
    report = await se.Engine([site.platform()]).run(events(50))
    assert report.outcomes.succeeded == 50
    assert site.robots_at() == [0, 2, 6, 14, 30, 62, 122]
    assert min(at for at, path in site.asked if path != "/robots.txt") == 122


@pytest.mark.parametrize(("asked", "said"), [(7, [7, 7]), (3, [3, 4]), (None, [2, 4])])
async def test_the_log_says_when_it_is_asked_for_again(autojump_clock, caplog, asked, said):
    """The later of what the site asks for and of our own wait."""
    at = []

    def answer(request):
        if request.url.path == "/robots.txt":
            at.append(trio.current_time())
            if len(at) <= 2:
                return httpx.Response(503, headers={} if asked is None else {"Retry-After": str(asked)})
        return httpx.Response(200)

    platform = se.Platform("a.test", get, robots=True, transport=httpx.MockTransport(answer))
    assert (await se.Engine([platform]).run(events(3))).outcomes.succeeded == 3
    lines = [line for line in caplog.messages if "robots.txt could not be had" in line]
    assert [float(line.rpartition("again_in=")[2].split()[0]) for line in lines] == said
    assert [later - sooner for sooner, later in itertools.pairwise(at)] == pytest.approx(said)


async def test_they_fail_when_the_patience_is_over(autojump_clock):
    """With an error that is not the one for a ban, and not before; for a minute nobody is asked again."""
    site = Site(1e9)
    async with se.Engine([site.platform(retry=se.Retry(patience=20))]).stream(events(30)) as run:
        outcomes = [(outcome, site.now) async for outcome in run]
    assert {type(outcome.error) for outcome, _ in outcomes} == {se.RobotsUnavailable}
    assert {at for _, at in outcomes} == {20.0}
    assert site.robots_at() == pytest.approx([0, 2, 6, 14, 20], abs=0.01)
    text = str(outcomes[0][0].error)
    assert "the answer was 500" in text
    assert "Retry(patience=…)" in text


async def test_after_that_minute_patience_begins_anew(autojump_clock):
    """What comes later waits as long as the first ones did."""
    site = Site(30.0)
    engine = se.Engine([site.platform(retry=se.Retry(patience=5))], wall_time=trio.current_time)
    assert (await engine.run(events(3))).outcomes.failed == 3
    assert (await engine.run(events(3, first=3))).outcomes.failed == 3
    assert len(site.robots_at()) == 3
    await trio.sleep(61)
    assert (await engine.run(events(3, first=6))).outcomes.succeeded == 3


async def test_who_waits_is_parked_and_other_platforms_go_on(autojump_clock):
    """No task holds a token or an event slot while the platform is closed, and no new one starts (laws 6 and 7)."""
    site, well = Site(1.0), Site(0.0)
    seen = []

    async with se.Engine([site.platform(limit=2), well.platform("b.test")], event_limit=2).stream(
        [*events(20), *events(20, "b.test", first=20)]
    ) as run:
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def look():
                await trio.sleep(1.5)
                seen.append(run.statistics())

            outcomes = [(outcome, site.now) async for outcome in run]
    assert {type(outcome) for outcome, _ in outcomes} == {se.Success}
    assert max(at for outcome, at in outcomes if outcome.platform == "b.test") == 0
    platform = seen[0].platforms["a.test"]
    assert (platform.running, platform.opens_in) == (0, 0.5)
    assert 1 <= platform.parked <= 4
    assert seen[0].in_progress == 0


async def test_who_fetches_may_be_cancelled(autojump_clock):
    """Another one goes on with the same waits."""
    site = Site(10.0)
    cut = []

    async def scrape(task):
        if task.event.id == "0":
            with trio.move_on_after(1):
                await get(task)
            cut.append(site.now)
            return 0
        return await get(task)

    platform = se.Platform("a.test", scrape, robots=True, transport=httpx.MockTransport(site.answer))
    assert (await se.Engine([platform]).run(events(5))).outcomes.succeeded == 5
    assert cut
    assert site.robots_at() == [0, 2, 6, 14]


async def test_a_host_that_no_platform_serves_closes_none(autojump_clock):
    """Its robots.txt is waited for as long, by who needs it; all else of the platform goes on."""
    well, ill = Site(0.0), Site(1.0)

    def answer(request):
        return (ill if request.url.host == "elsewhere.test" else well).answer(request)

    async def scrape(task):
        return (await task.http.get(task.event.data)).status_code, well.now

    platform = se.Platform(
        "A", scrape, base_url="http://a.test", robots=True, transport=httpx.MockTransport(answer), limit=4
    )
    given = [se.Event("away", data="http://elsewhere.test/x"), *[se.Event(n, data=f"/{n}") for n in range(9)]]
    async with se.Engine([platform]).stream(given) as run:
        values = {outcome.event.id: outcome.value async for outcome in run}
    assert values.pop("away") == (200, 2.0)
    assert set(values.values()) == {(200, 0.0)}


async def test_a_ban_that_leaves_the_scraper_is_a_skip(autojump_clock):
    """What a site forbids is no failure of anybody's; also where it leaves in a group."""
    site = Site(0.0, text=FORBIDDING)

    async def scrape(task):
        if task.event.id == "plain":
            await task.http.get("/private/x")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(task.http.get, "/private/y")
            nursery.start_soon(task.http.get, "/private/z")

    platform = se.Platform(
        "A", scrape, base_url="http://a.test", robots=True, transport=httpx.MockTransport(site.answer)
    )
    async with se.Engine([platform]).stream([se.Event("plain"), se.Event("group")]) as run:
        outcomes = [outcome async for outcome in run]
    assert [type(outcome) for outcome in outcomes] == [se.Skipped] * 2
    assert {outcome.reason for outcome in outcomes} == {"robots.txt forbids it"}
    assert [path for _, path in site.asked] == ["/robots.txt"]


async def test_beside_a_failure_a_ban_is_nothing(autojump_clock):
    """In one group failures count more."""
    site = Site(0.0, text=FORBIDDING)

    async def scrape(task):
        try:
            await task.http.get("/private/x")
        except se.RobotsDisallowed as ban:
            raise ExceptionGroup("both", [ban, ValueError("mine")]) from None

    platform = se.Platform(
        "A", scrape, base_url="http://a.test", robots=True, transport=httpx.MockTransport(site.answer)
    )
    async with se.Engine([platform]).stream([se.Event("e")]) as run:
        outcome = await anext(run)
    assert [type(error) for error in outcome.error.exceptions] == [ValueError]


async def test_a_403_is_a_failure(autojump_clock):
    """It says who asked, not what may be asked."""

    async def scrape(task):
        await task.http.get("/x")

    answers = httpx.MockTransport(lambda request: httpx.Response(404 if request.url.path == "/robots.txt" else 403))
    platform = se.Platform("A", scrape, base_url="http://a.test", robots=True, transport=answers)
    async with se.Engine([platform]).stream([se.Event("e")]) as run:
        outcome = await anext(run)
    assert type(outcome.error) is se.StatusError


async def test_a_stop_ends_the_wait(autojump_clock):
    """Who is parked for a robots.txt is cancelled at once, and so is who fetches it."""
    site = Site(1e9)
    async with se.Engine([site.platform(limit=3)]).stream(events(10)) as run:
        await trio.sleep(3)
        await run.stop()
        outcomes = [outcome async for outcome in run]
    assert [type(outcome) for outcome in outcomes] == [se.Cancelled] * 10
    assert site.now == 3


async def test_jobs_of_a_store_wait_too(autojump_clock):
    """None is failed by one 500; what a rule forbids is skipped in the store as well."""
    site = Site(1.0, text=FORBIDDING)
    engine = se.Engine([site.platform()])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [*events(20), se.Event("no", url="http://a.test/private/x")])
        async with engine.serve(store) as run:
            kinds = [type(await anext(run)) for _ in range(21)]
        assert kinds.count(se.Success) == 20
        job = await store.get("a.test", "no")
    assert job is not None
    assert (job.status, job.error) == (se.JobStatus.SKIPPED, "robots.txt forbids it")
    assert site.robots_at() == [0, 2]
