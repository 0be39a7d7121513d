"""Conditional requests: what was found is asked about again, once the task that found it has ended well."""

import attrs
import httpx
import pytest
import structlog.testing
import trio

import scrapeengine as se
from scrapeengine.http.features.validators import MemoryValidators
from scrapeengine.testing import Answer, Site

ETAG, DATE = '"v1"', "Sun, 06 Nov 1994 08:49:37 GMT"
BOTH = {"ETag": ETAG, "Last-Modified": DATE}
CONDITIONS = {"if-none-match": ETAG, "if-modified-since": DATE}
ONCE = se.Retry(attempts=1)


@attrs.define(eq=False)
class Store:
    """Validators of the program's own, which keep note of how they are used."""

    known: dict = attrs.field(factory=dict)
    recalled: list = attrs.field(factory=list)
    told: list = attrs.field(factory=list)
    fails_in: str = ""
    """The method that raises, or none."""

    async def recall(self, platform, url):
        """Return what is known."""
        await trio.lowlevel.checkpoint()
        self.recalled.append((platform, url))
        if self.fails_in == "recall":
            raise LookupError("the store is down")
        return self.known.get((platform, url))

    async def remember(self, platform, found):
        """Keep what was found."""
        await trio.lowlevel.checkpoint()
        self.told.append((platform, dict(found)))
        if self.fails_in == "remember":
            raise LookupError("the store is down")
        self.known |= {(platform, url): validator for url, validator in found.items()}


@attrs.define(eq=False)
class Pages:
    """A site whose pages have the same validators until they are changed."""

    asked: list = attrs.field(factory=list)
    headers: dict = attrs.field(factory=lambda: dict(BOTH))
    moved: dict = attrs.field(factory=dict)
    """Where paths lead."""

    async def answer(self, request):
        """Answer by 304 to who knows the page."""
        self.asked.append(request)
        await trio.lowlevel.checkpoint()
        etag = self.headers.get("ETag")
        if etag is not None and request.headers.get("if-none-match") == etag:
            return httpx.Response(304, headers=self.headers)
        if request.url.path in self.moved:
            return httpx.Response(302, headers={"location": self.moved[request.url.path]} | self.headers)
        return httpx.Response(200, headers=self.headers, content=b"page")

    @property
    def conditions(self):
        """List the conditions of each request."""
        return [{name: r.headers[name] for name in CONDITIONS if name in r.headers} for r in self.asked]

    def platform(self, scrape, name="A", **policy):
        """Make a platform on this site."""
        policy = {"base_url": f"http://{name.lower()}.test", "retry": ONCE} | policy
        return se.Platform(name, scrape, transport=httpx.MockTransport(self.answer), **policy)


async def runs(engine, *batches):
    """Run an engine once for each batch of events; return the outcomes of each run by id."""
    found = []
    for events in batches:
        made = [each if isinstance(each, se.Event) else se.Event(each) for each in events]
        async with engine.stream(made) as run:
            found.append({outcome.event.id: outcome async for outcome in run})
    return found


def ending(how):
    """Make a scraper that asks for a page on condition, and ends in some way."""

    async def scrape(task):
        response = await task.http.get("/page", conditional=True)
        match how:
            case "failure":
                raise ValueError("not processed")
            case "skip":
                task.skip("not wanted")
            case "retry":
                if task.attempt == 1:
                    task.retry(after=1)
        return response.status_code

    return scrape


async def test_what_was_found_is_asked_about_in_the_next_run(autojump_clock):
    """ETag and date come back as they were given; the 304 is the answer, without a body, and raises nothing."""
    pages = Pages()

    async def scrape(task):
        response = await task.http.get("/page?a=1", conditional=True)
        return response.status_code, response.content

    [first], [second] = (each.values() for each in await runs(se.Engine([pages.platform(scrape)]), ["e"], ["e"]))
    assert first.value == (200, b"page")
    assert second.value == (304, b"")
    assert pages.conditions == [{}, CONDITIONS]


@pytest.mark.parametrize(
    ("headers", "sent"),
    [
        ({"ETag": 'W/"x"'}, {"if-none-match": 'W/"x"'}),
        ({"Last-Modified": DATE}, {"if-modified-since": DATE}),
        ({"ETag": "unquoted"}, {"if-none-match": "unquoted"}),
        ({"ETag": "*"}, {}),
        ({}, {}),
    ],
)
async def test_what_is_sent_is_what_the_site_gave(autojump_clock, headers, sent):
    """One of the two, or none, as it came; what cannot be echoed is none."""
    pages = Pages(headers=headers)
    await runs(se.Engine([pages.platform(ending("success"))]), ["e"], ["e"])
    assert pages.conditions == [{}, sent]


@pytest.mark.parametrize(("how", "kept"), [("success", True), ("failure", False), ("skip", False)])
async def test_only_a_task_that_succeeds_has_processed_what_it_found(autojump_clock, how, kept):
    """After a failure or a skip the page is asked for as a whole again."""
    pages = Pages()
    await runs(se.Engine([pages.platform(ending(how))]), ["e"], ["e"])
    assert pages.conditions == [{}, CONDITIONS if kept else {}]


async def test_a_task_that_is_cancelled_has_processed_nothing(autojump_clock):
    """A run that is stopped, and a task that times out, leave the page to be asked for again."""
    pages, asked = Pages(), trio.Event()

    async def scrape(task):
        await task.http.get("/page", conditional=True)
        asked.set()
        if task.event.id != "last":
            await trio.sleep_forever()

    engine = se.Engine([pages.platform(scrape, timeout=se.Timeout(task=100))])
    async with engine.stream([se.Event("stopped")]) as run:
        await asked.wait()
        await run.stop(0)
        [stopped] = [outcome async for outcome in run]
    async with engine.stream([se.Event("too long")]) as run:
        [too_long] = [outcome async for outcome in run]
    await engine.run([se.Event("last")])
    assert isinstance(stopped, se.Cancelled)
    assert type(too_long.error) is se.TaskTimeout
    assert pages.conditions == [{}, {}, {}]


async def test_until_the_task_has_ended_it_asks_for_the_whole_page(autojump_clock):
    """A second request of the same task, and the second run of a scraper that retries, know nothing yet."""
    pages = Pages()

    async def twice(task):
        await task.http.get("/page", conditional=True)
        return (await task.http.get("/page", conditional=True)).status_code

    await runs(se.Engine([pages.platform(twice)]), ["e"])
    assert pages.conditions == [{}, {}]
    pages.asked.clear()
    await runs(se.Engine([pages.platform(ending("retry"), retry=se.Retry(attempts=2))]), ["e"])
    assert pages.conditions == [{}, {}]


async def test_without_asking_for_it_nothing_is_remembered_nor_sent(autojump_clock):
    """A plain request neither teaches nor uses the validators."""
    pages, store = Pages(), Store()

    async def scrape(task):
        await task.http.get("/page", conditional=task.event.id == "conditional")

    await runs(se.Engine([pages.platform(scrape)], validators=store), ["plain"], ["conditional"], ["plain"])
    assert pages.conditions == [{}, {}, {}]
    assert store.recalled == [("A", "http://a.test/page")]
    assert store.told == [("A", {"http://a.test/page": se.Validator(ETAG, DATE)})]


async def test_skip_unchanged(autojump_clock):
    """A 304 ends the task as `Skipped`; another answer lets it go on."""
    pages = Pages()

    async def scrape(task):
        response = await task.http.get("/page", conditional=True)
        task.skip_unchanged(response)
        return response.status_code

    first, second, third = (each["e"] for each in await runs(se.Engine([pages.platform(scrape)]), ["e"], ["e"], ["e"]))
    assert first.value == 200
    for skipped in (second, third):
        assert isinstance(skipped, se.Skipped)
        assert skipped.reason == "unchanged"
    assert pages.conditions[1:] == [CONDITIONS, CONDITIONS]


async def test_what_has_changed_is_remembered_anew(autojump_clock):
    """A page with another ETag comes whole, and is asked about by that one from then on."""
    pages = Pages()
    engine = se.Engine([pages.platform(ending("success"))])
    await runs(engine, ["e"])
    pages.headers = {"ETag": '"v2"'}
    await runs(engine, ["e"], ["e"])
    assert pages.conditions == [{}, CONDITIONS, {"if-none-match": '"v2"'}]


async def test_each_hop_of_a_redirect_is_asked_about_by_its_own_url(autojump_clock):
    """Only what answered well is remembered: the last URL; the redirect before it is asked as ever."""
    pages, store = Pages(moved={"/page": "/there"}), Store()
    store.known["A", "http://a.test/there"] = se.Validator(ETAG)
    outcomes = await runs(se.Engine([pages.platform(ending("success"))], validators=store), ["e"])
    assert outcomes[0]["e"].value == 304
    assert store.recalled == [("A", "http://a.test/page"), ("A", "http://a.test/there")]
    assert pages.conditions == [{}, {"if-none-match": ETAG}]
    assert not store.told
    store.known.clear()
    await runs(se.Engine([pages.platform(ending("success"))], validators=store), ["e"])
    assert store.told == [("A", {"http://a.test/there": se.Validator(ETAG, DATE)})]


async def test_the_condition_of_one_url_does_not_go_along_to_the_next(autojump_clock):
    """What is known of the first URL is not sent to where it leads, of which nothing is known."""
    pages, store = Pages(headers={}, moved={"/page": "/there"}), Store()
    store.known["A", "http://a.test/page"] = se.Validator('"old"', DATE)
    await runs(se.Engine([pages.platform(ending("success"))], validators=store), ["e"])
    assert pages.conditions == [{"if-none-match": '"old"', "if-modified-since": DATE}, {}]


async def test_a_condition_of_the_scraper_s_own_stands(autojump_clock):
    """Where nothing is known, its own header goes out; it may hold what it has kept itself."""
    pages = Pages()

    async def scrape(task):
        return (await task.http.get("/page", headers={"If-None-Match": ETAG}, conditional=True)).status_code

    [outcomes] = await runs(se.Engine([pages.platform(scrape)]), ["e"])
    assert outcomes["e"].value == 304


@pytest.mark.parametrize("status", [404, 500])
async def test_an_error_page_s_validators_are_not_kept(autojump_clock, status):
    """Though the scraper lives with it: what is not there has nothing to be processed."""

    def answer(request):
        return httpx.Response(status, headers=BOTH)

    async def scrape(task):
        return (await task.http.get("/page", conditional=True, check=False)).status_code

    store = Store()
    transport = httpx.MockTransport(answer)
    platform = se.Platform("A", scrape, base_url="http://a.test", transport=transport, retry=ONCE)
    [outcomes] = await runs(se.Engine([platform], validators=store), ["e"])
    assert outcomes["e"].value == status
    assert not store.told


async def test_platforms_know_each_their_own(autojump_clock):
    """The same URL by another platform's task is another page, for its scraper has not processed it."""
    pages = Pages()

    async def scrape(task):
        await task.http.get("http://both.test/page", conditional=True)

    engine = se.Engine([pages.platform(scrape, "A"), pages.platform(scrape, "B")])
    await runs(engine, [se.Event("e", platforms=("A",))], [se.Event("e", platforms=("B",))])
    assert pages.conditions == [{}, {}]


async def test_the_url_that_is_remembered_has_no_secret_but_its_query(autojump_clock):
    """Neither user, password nor fragment."""
    pages, store = Pages(), Store()

    async def scrape(task):
        await task.http.get("http://anna:hunter2@a.test/page?q=1#top", conditional=True)

    await runs(se.Engine([pages.platform(scrape)], validators=store), ["e"])
    assert list(store.told[0][1]) == ["http://a.test/page?q=1"]


async def test_a_store_that_cannot_remember_is_logged_and_the_success_stands(autojump_clock):
    """What was scraped was scraped."""
    store = Store(fails_in="remember")
    with structlog.testing.capture_logs() as logs:
        [outcomes] = await runs(se.Engine([Pages().platform(ending("success"))], validators=store), ["e"])
    assert isinstance(outcomes["e"], se.Success)
    log, over = logs
    assert over["event"] == "the run is over"
    assert (log["log_level"], log["event"]) == ("warning", "the validators of a task could not be kept")
    assert isinstance(log["exc_info"], LookupError)


async def test_a_store_that_cannot_recall_costs_the_whole_page(autojump_clock):
    """That is logged, and all is asked for."""
    pages, store = Pages(), Store(fails_in="recall")
    with structlog.testing.capture_logs() as logs:
        [outcomes] = await runs(se.Engine([pages.platform(ending("success"))], validators=store), ["e"])
    assert isinstance(outcomes["e"], se.Success)
    assert len(pages.asked) == 1
    assert [log["event"] for log in logs] == ["the validators of a URL could not be had", "the run is over"]


async def test_a_recall_is_made_before_each_attempt(autojump_clock):
    """What was remembered meanwhile is used by a retry."""
    store = Store()
    asked = []

    def answer(request):
        asked.append(request.headers.get("if-none-match"))
        store.known["A", "http://a.test/page"] = se.Validator(ETAG)
        return httpx.Response(503 if len(asked) == 1 else 304)

    transport = httpx.MockTransport(answer)
    platform = se.Platform("A", ending("success"), base_url="http://a.test", transport=transport)
    [outcomes] = await runs(se.Engine([platform], validators=store), ["e"])
    assert (outcomes["e"].value, asked) == (304, [None, ETAG])


async def test_concurrent_tasks_remember_each_what_they_found(autojump_clock):
    """Twenty tasks at once, each with a page of its own; in the next run all are known."""
    pages = Pages()

    async def scrape(task):
        return (await task.http.get(f"/{task.event.id}", conditional=True)).status_code

    first, second = await runs(se.Engine([pages.platform(scrape)]), range(20), range(20))
    assert {outcome.value for outcome in first.values()} == {200}
    assert {outcome.value for outcome in second.values()} == {304}


async def test_what_is_remembered_is_bounded(autojump_clock):
    """Of a hundred pages the ten that were used last are known."""
    pages = Pages()

    async def scrape(task):
        return (await task.http.get(f"/{task.event.id}", conditional=True)).status_code

    engine = se.Engine([pages.platform(scrape, limit=1)], validators=MemoryValidators(10))
    _, second = await runs(engine, range(100), reversed(range(100)))
    assert [id for id, outcome in second.items() if outcome.value == 304] == [str(n) for n in reversed(range(90, 100))]


async def test_on_the_wire():
    """Our own transport sends the conditions, and takes a 304 for the whole of an answer; the connection is kept."""
    asked = []

    async def answer(request):
        asked.append({name: request.headers[name] for name in CONDITIONS if name in request.headers})
        return Answer(304 if asked[-1] else 200, b"" if asked[-1] else b"page", BOTH)

    async def scrape(task):
        return (await task.http.get("/page?q=1", conditional=True)).status_code

    async with Site.open(answer) as site:
        engine = se.Engine([se.Platform("A", scrape, base_url=site.url, limit=1)])
        found = []
        for _ in range(2):
            async with engine.stream(map(se.Event, range(3))) as run:
                found.append([outcome.value async for outcome in run])
    connections = site.ledger.connections
    assert found == [[200, 304, 304], [304, 304, 304]]
    assert connections == 2
    assert asked == [{}] + [CONDITIONS] * 5
