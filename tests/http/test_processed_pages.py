"""Validators belong to what a task has processed: a whole page, got by GET, for a request with the same headers."""

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.http.features.validators import MemoryValidators
from support.serving import serve_all

ONCE = se.Retry(attempts=1)
STEADY = se.Cadence(min_interval=60, max_interval=60, jitter=0)


class Versions:
    """A site that shows one version of its page after the other, and answers 304 to who knows the present one."""

    def __init__(self, *versions, status=200):
        """Make it of (etag or None, body) pairs, or of (etag, body, further headers)."""
        self.versions = list(versions)
        self.status = status
        self.conditions = []
        self.methods = []

    async def answer(self, request):
        """Show the next version; the last one stays."""
        await trio.lowlevel.checkpoint()
        etag, body, *more = self.versions.pop(0) if len(self.versions) > 1 else self.versions[0]
        self.conditions.append(request.headers.get("if-none-match"))
        self.methods.append(request.method)
        headers = ({} if etag is None else {"ETag": etag}) | (more[0] if more else {})
        if etag is not None and self.conditions[-1] == etag:
            return httpx.Response(304, headers=headers)
        return httpx.Response(self.status, headers=headers, content=body)


async def poll(site, times, *, scrape=None, store=True, **policy):
    """Ask for the page so many times, one task after the other; return what each has processed."""
    processed = []

    async def default(task):
        response = await task.http.get("/page", conditional=True)
        processed.append(response.content if response.status_code != 304 else "unchanged")

    policy = {"base_url": "http://a.test", "retry": ONCE, "transport": httpx.MockTransport(site.answer)} | policy
    platform = se.Platform("A", scrape or default, **policy)

    engine = se.Engine([platform])
    if not store:
        for _ in range(times):
            async with engine.stream([se.Event("e")]) as run:
                async for outcome in run:
                    assert isinstance(outcome, se.Success), outcome.error
        return processed
    async with se.open_store("memory:") as kept:
        await engine.enqueue(kept, [se.Event("e")], cadence=STEADY)
        for _ in range(times):
            await engine.poll(kept, due_only=False)
    return processed


@pytest.mark.parametrize("store", [False, True])
async def test_a_page_that_comes_back_is_processed_again(autojump_clock, store):
    """A with an ETag, B without, A again: what was processed last is B, and A is no news that was missed."""
    site = Versions(('"a"', b"A"), (None, b"B"), ('"a"', b"A"), ('"a"', b"A"))
    assert await poll(site, 4, store=store) == [b"A", b"B", b"A", "unchanged"]
    assert site.conditions == [None, '"a"', None, '"a"']


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("status", [203, 206, 226, 299, 404, 410])
async def test_only_a_200_leaves_validators(autojump_clock, store, status):
    """Others are no whole page; and what is known of the page stays known."""

    async def scrape(task):
        await task.http.get("/page", conditional=True, check=False)

    site = Versions(('"a"', b"A"), status=status)
    await poll(site, 3, scrape=scrape, store=store)
    assert site.conditions == [None] * 3


@pytest.mark.parametrize("store", [False, True])
async def test_an_error_between_two_looks_forgets_nothing(autojump_clock, store):
    """A 404 that the scraper has put up with is no page that replaces the one before it."""
    site = Versions(('"a"', b"A"), (None, b"gone"), ('"a"', b"A"))

    async def scrape(task):
        site.status = 404 if len(site.conditions) == 1 else 200
        await task.http.get("/page", conditional=True, check=False)

    await poll(site, 3, scrape=scrape, store=store)
    assert site.conditions == [None, '"a"', '"a"']


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PURGE"])
async def test_other_methods_neither_leave_nor_use_any(autojump_clock, store, method):
    """Between two GETs they ask for all, and leave what is known as it is."""
    site = Versions(('"a"', b"A"), ('"b"', b"B"), ('"a"', b"A"))

    async def scrape(task):
        own = "GET" if len(site.conditions) != 1 else method
        await task.http.request(own, "/page", conditional=True)

    await poll(site, 3, scrape=scrape, store=store)
    assert site.conditions == [None, None, '"a"']


async def test_a_part_neither_leaves_nor_uses_any(autojump_clock):
    """A request with `Range` asks for a part, and tells nothing of whether the whole has changed."""
    site = Versions(('"a"', b"A"))

    async def scrape(task):
        headers = {"Range": "bytes=0-1"} if len(site.conditions) in {0, 2} else {}
        await task.http.get("/page", conditional=True, headers=headers)

    await poll(site, 4, scrape=scrape)
    assert site.conditions == [None, None, None, '"a"']


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize(
    ("vary", "first", "second", "asked"),
    [
        ("Accept-Language", {"Accept-Language": "de"}, {"Accept-Language": "en"}, False),
        ("Accept-Language", {"Accept-Language": "de"}, {"accept-language": "de"}, True),
        ("accept-encoding, Cookie", {"Cookie": "a=1"}, {"Cookie": "a=2"}, False),
        ("accept-encoding, Cookie", {"Cookie": "a=1"}, {}, False),
        ("Accept-Encoding", {"Cookie": "a=1"}, {}, True),
        (None, {"Accept-Language": "de"}, {"Accept-Language": "en"}, True),
        ("*", {}, {}, False),
    ],
)
async def test_a_page_is_another_where_its_headers_differ(autojump_clock, store, vary, first, second, asked):
    """By what its `Vary` names; and the page that was got last is the one that is known."""
    site = Versions(('"a"', b"A", {} if vary is None else {"Vary": vary}))
    given = [first, second, second]

    async def scrape(task):
        await task.http.get("/page", conditional=True, headers=given[len(site.conditions)])

    await poll(site, 3, scrape=scrape, store=store)
    assert site.conditions[1] == ('"a"' if asked else None)
    assert site.conditions[2] == (None if vary == "*" else '"a"')


async def test_a_page_that_hangs_on_the_platform_s_headers(autojump_clock):
    """They are headers of the request as well: tuned, they make another page."""
    site = Versions(('"a"', b"A", {"Vary": "User-Agent"}))
    engines = []

    async def scrape(task):
        await task.http.get("/page", conditional=True)

    transport = httpx.MockTransport(site.answer)
    engine = se.Engine([se.Platform("A", scrape, base_url="http://a.test", transport=transport)])
    engines.append(engine)
    for agent in ("one", "one", "two", "two"):
        engine.tune("A", headers={"User-Agent": agent})
        await engine.run([se.Event("e")])
    assert site.conditions == [None, '"a"', None, '"a"']


async def test_what_is_kept_of_headers_is_no_secret(autojump_clock):
    """A program's own validators get the names, and a hash of the values."""
    told = []

    class Kept(MemoryValidators):
        async def remember(self, platform, found):
            told.append((platform, found))

    site = Versions(('"a"', b"A", {"Vary": "Authorization"}))

    async def scrape(task):
        await task.http.get("/page", conditional=True, headers={"Authorization": "Bearer s3cret"})

    transport = httpx.MockTransport(site.answer)
    platform = se.Platform("A", scrape, base_url="http://a.test", transport=transport)
    await se.Engine([platform], validators=Kept()).run([se.Event("e")])
    [(_, found)] = told
    assert "authorization " in found["http://a.test/page"].vary
    assert "s3cret" not in repr(found)


async def test_in_a_file_too(tmp_path):
    """What was forgotten, and on which headers a page hangs, outlives the process."""
    seen = []

    for number in range(4):
        site = Versions((None if number == 1 else '"a"', b"x", {"Vary": "X-A"}))

        async def scrape(task):
            await task.http.get("/page", conditional=True, headers={"X-A": "2" if number == 3 else "1"})  # noqa: B023

        transport = httpx.MockTransport(site.answer)
        platform = se.Platform("A", scrape, base_url="http://a.test", transport=transport)
        async with se.open_store(f"sqlite:{tmp_path / 'jobs.db'}") as store:
            engine = se.Engine([platform])
            await engine.enqueue(store, [se.Event(f"e{number}")])
            await serve_all(engine, store, count=1)
        seen.extend(site.conditions)
    assert seen == [None, '"a"', None, None]


@pytest.mark.parametrize("store", [False, True])
@pytest.mark.parametrize("second", ['"b"', None])
async def test_the_page_that_a_task_got_last_is_what_it_has_processed(autojump_clock, store, second):
    """It asks twice, and the page changed meanwhile: what it knows is the second one, and not the first."""
    site = Versions(('"a"', b"A"), (second, b"B"), ('"a"', b"A"))

    async def scrape(task):
        for _ in range(2 if not site.conditions else 1):
            await task.http.get("/page", conditional=True)

    await poll(site, 2, scrape=scrape, store=store)
    assert site.conditions == [None, None, second]


@pytest.mark.parametrize("name", ["If-None-Match", "if-modified-since", "If-Match"])
async def test_the_program_s_own_conditions_go_first(autojump_clock, name):
    """It asks for what it wants to know, and nothing is put beside it."""
    site = Versions(('"a"', b"A"))
    asked = []

    async def answer(request):
        asked.append({key for key in request.headers if key.startswith("if-")})
        return await site.answer(request)

    async def scrape(task):
        headers = {} if len(asked) != 1 else {name: '"mine"'}
        await task.http.get("/page", conditional=True, headers=headers)

    await poll(site, 3, scrape=scrape, transport=httpx.MockTransport(answer))
    assert asked == [set(), {name.lower()}, {"if-none-match"}]
