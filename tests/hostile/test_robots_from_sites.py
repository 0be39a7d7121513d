"""robots.txt, as sites have it: asked for once, whatever it is, and never stronger than the engine."""

import gzip
import itertools
import resource

import httpx
import pytest
import trio

import scrapeengine as se
from hostile.bombs import answer, bombs
from support.runs import on
from support.wire import OK

ONCE = se.Retry(attempts=1, patience=0)


async def played(answer_to, *, urls=("http://a.test/a",), took=0.0, runs=1, **policy):
    """Ask for some URLs in virtual time; return the outcomes, and what was asked for and when.

    `answer_to` makes the answer to a request for a robots.txt; all else is answered with 200.
    """
    asked = []

    async def carry(request):
        asked.append((str(request.url), trio.current_time() - begun[0]))
        await trio.sleep(took)
        return answer_to(request) if request.url.path == "/robots.txt" else httpx.Response(200, text="ok")

    async def scrape(task):
        return (await task.http.get(task.event.url)).text

    begun = []

    begun.append(trio.current_time())
    policies = {"robots": True, "retry": ONCE, "transport": httpx.MockTransport(carry), "limit": 50} | policy
    engine = se.Engine([se.Platform("A", scrape, **policies)], event_limit=50)
    outcomes = []
    for at in range(runs):
        events = [se.Event(f"{at}.{number}", url=url, platforms=("A",)) for number, url in enumerate(urls)]
        async with engine.stream(events) as run:
            outcomes += [outcome async for outcome in run]
    return sorted(outcomes, key=lambda outcome: outcome.event.id), asked


def saying(text, status=200, **headers):
    """Make the robots.txt."""
    return lambda _: httpx.Response(status, text=text, headers=headers)


def robots_in(asked):
    """Count the requests for a robots.txt."""
    return sum(url.endswith("/robots.txt") for url, _ in asked)


async def test_what_it_forbids_is_not_asked_for(autojump_clock):
    """And what it allows is; neither is tried again."""
    urls = ["http://a.test/private/x", "http://a.test/public"]
    (no, yes), asked = await played(saying("User-agent: *\nDisallow: /private"), urls=urls, retry=se.Retry(attempts=3))
    assert type(no) is se.Skipped
    assert no.reason == "robots.txt forbids it"
    assert isinstance(yes, se.Success)
    assert sorted(url for url, _ in asked) == ["http://a.test/public", "http://a.test/robots.txt"]


async def test_it_is_fetched_once_for_many_tasks(autojump_clock):
    """They wait for the one who fetches it; and the next run knows it still."""
    urls = [f"http://a.test/{number}" for number in range(40)]
    outcomes, asked = await played(saying(""), urls=urls, took=1.0, runs=2)
    assert {type(outcome) for outcome in outcomes} == {se.Success}
    assert len(outcomes) == 80
    assert robots_in(asked) == 1


async def test_each_origin_has_its_own(autojump_clock):
    """Another port and another scheme are other origins."""
    urls = ["http://a.test/x", "http://a.test:81/x", "https://a.test/x", "http://b.test/x", "http://a.test/y"]
    _, asked = await played(saying(""), urls=urls)
    assert robots_in(asked) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 418, 451])
async def test_where_there_is_none_all_is_allowed(autojump_clock, status):
    """RFC 9309, section 2.3.1.3."""
    [outcome], _ = await played(saying("User-agent: *\nDisallow: /", status))
    assert isinstance(outcome, se.Success)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599, 429])
async def test_where_the_site_is_not_well_nothing_is(autojump_clock, status):
    """RFC 9309, section 2.3.1.4; and who is asked too much already is not asked for more."""
    [outcome], asked = await played(saying("", status))
    assert type(outcome.error) is se.RobotsUnavailable
    assert (outcome.error.url, outcome.error.attempt) == ("http://a.test/a", 1)
    assert robots_in(asked) == len(asked) == 1


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("no route"), httpx.ReadError("lost"), httpx.RemoteProtocolError("what"), LookupError("x")],
)
async def test_where_it_cannot_be_had_nothing_is_allowed(autojump_clock, error):
    """Whatever has gone wrong."""

    def robots(_):
        raise error

    [outcome], asked = await played(robots)
    assert type(outcome.error) is se.RobotsUnavailable
    assert len(asked) == 1


async def test_a_robots_txt_that_does_not_come_is_given_up():
    """In the time that an attempt has; all who wait for it are told."""

    async def scrape(task):
        await task.http.get(task.event.id)

    async def serve(talk):
        await talk.request()
        await talk.drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"User-agent: *\n" * 1000)

    policy = {"robots": True, "timeout": se.Timeout(attempt=0.3), "retry": ONCE}
    seen = await on(serve, scrape, events=("/1", "/2", "/3"), **policy)
    assert [type(outcome.error) for outcome in seen.outcomes] == [se.RobotsUnavailable] * 3
    assert seen.server.targets == ["/robots.txt"]
    assert seen.took < 1


async def test_what_could_not_be_had_is_asked_for_again_later(autojump_clock):
    """Not for each task, and not never."""
    calls, found = [], []

    def carry(request):
        if request.url.path == "/robots.txt":
            calls.append(1)
            return httpx.Response(500 if len(calls) == 1 else 200)
        return httpx.Response(200)

    async def scrape(task):
        for wait in (0, 10, 3600):
            await trio.sleep(wait)
            try:
                found.append((await task.http.get("/x")).status_code)
            except se.RobotsUnavailable:
                found.append(None)

    policy = {"robots": True, "retry": ONCE, "transport": httpx.MockTransport(carry)}
    policy["timeout"] = se.Timeout(task=1e6)
    async with se.Engine([se.Platform("A", scrape, base_url="http://a.test", **policy)]).stream([se.Event("e")]) as run:
        assert [type(outcome) async for outcome in run] == [se.Success]
    assert found == [None, None, 200]
    assert len(calls) == 2


@pytest.mark.parametrize("hops", [1, 5])
async def test_redirects_to_it_are_followed(autojump_clock, hops):
    """Five, also to other hosts (RFC 9309, section 2.3.1.2); its rules are for the origin that was asked."""

    def robots(request):
        hop = int(request.url.params.get("hop", 0))
        if hop == hops:
            return httpx.Response(200, text="User-agent: *\nDisallow: /a")
        return httpx.Response(302, headers={"Location": f"http://h{hop}.test/robots.txt?hop={hop + 1}"})

    [outcome], asked = await played(robots)
    assert type(outcome) is se.Skipped
    assert len(asked) == hops + 1


async def test_a_loop_of_redirects_forbids(autojump_clock):
    """It has an end, and no one knows what it would have said."""
    [outcome], asked = await played(lambda _: httpx.Response(302, headers={"Location": "/robots.txt"}))
    assert type(outcome.error) is se.RobotsUnavailable
    assert len(asked) == 6


@pytest.mark.parametrize("location", ["file:///etc/passwd", "http://[::1", "javascript:x", "http://xn--a/"])
async def test_a_redirect_to_nowhere_forbids(autojump_clock, location):
    """As if there were no answer."""
    [outcome], asked = await played(lambda _: httpx.Response(302, headers={"Location": location}))
    assert type(outcome.error) is se.RobotsUnavailable
    assert len(asked) == 1


@pytest.mark.parametrize(("text", "seconds"), [("Crawl-delay: 3", 3), ("Request-rate: 1/5", 5)])
async def test_a_crawl_delay_slows_requests(autojump_clock, text, seconds):
    """It becomes a rate of at most that, for all that comes after it."""
    urls = [f"http://a.test/{number}" for number in range(6)]
    _, asked = await played(saying(f"User-agent: *\n{text}"), urls=urls)
    times = sorted(at for url, at in asked if not url.endswith("robots.txt"))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps[1:]) >= seconds - 0.01


@pytest.mark.parametrize("delay", ["-5", "nan", "inf", "1e9", "0x10", "soon", "99999999999999999999"])
async def test_no_crawl_delay_stops_the_engine(autojump_clock, delay):
    """What is no number is none, and what is too long is five minutes."""
    urls = [f"http://a.test/{number}" for number in range(3)]
    outcomes, asked = await played(
        saying(f"User-agent: *\nCrawl-delay: {delay}"), urls=urls, timeout=se.Timeout(task=1e6)
    )
    assert {type(outcome) for outcome in outcomes} == {se.Success}
    assert max(at for _, at in asked) <= 900


async def test_asking_for_it_takes_its_turn_in_the_rate(autojump_clock):
    """A robots.txt for each origin is a request like any other."""
    urls = [f"http://{name}.test/x" for name in "abcd"]
    _, asked = await played(saying(""), urls=urls, rate=se.Rate.every(2.0))
    times = sorted(at for _, at in asked)
    assert len(times) == 8
    assert min(later - earlier for earlier, later in itertools.pairwise(times)) >= 2 - 0.01


def serving(robots):
    """Make a real site with a robots.txt."""

    async def serve(talk):
        while request := await talk.request():
            if b" /robots.txt " in request:
                await robots(talk)
                return
            await talk.send(OK)

    return serve


@pytest.mark.parametrize("framing", [b"Content-Length: 100000000\r\n", b""])
async def test_of_a_hundred_megabytes_half_a_one_is_read(framing):
    """What stands at its beginning counts; the rest stays where it is."""

    async def robots(talk):
        await talk.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\nUser-agent: *\nDisallow: /no\n")
        await talk.flood(b"# a comment, and no end of them\n", pieces=1600)

    async def scrape(task):
        with pytest.raises(se.RobotsDisallowed):
            await task.http.get("/no")
        return (await task.http.get("/yes")).content

    seen = await on(serving(robots), scrape, robots=True)
    assert seen.value == b"ok"
    assert seen.server.sent < 9_000_000


async def test_rules_behind_half_a_megabyte_are_not_read(autojump_clock):
    """The parsing has an end (RFC 9309, section 2.5)."""
    text = "User-agent: *\nAllow: /\n" + "# x\n" * 128_000 + "Disallow: /a\n"
    [outcome], _ = await played(saying(text))
    assert isinstance(outcome, se.Success)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
async def test_a_bomb_is_read_no_further(coding):
    """A gigabyte of nothing that is allowed, half a megabyte of which is looked at."""

    async def robots(talk):
        await talk.send(answer(coding, bombs()[coding]))

    bombs()  # made before it is measured
    before = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    seen = await on(serving(robots), robots=True)
    assert seen.value == b"ok"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - before < 1


async def test_one_that_is_coded_is_read():
    """It is decoded as other answers are; one that is cut short forbids."""
    body = gzip.compress(b"User-agent: *\nDisallow: /a\n" + b"# x\n" * 1000)

    async def robots(talk):
        await talk.send(answer("gzip", body))

    async def cut(talk):
        await talk.send(answer("gzip", body[:-10]))

    assert type((await on(serving(robots), robots=True)).outcome) is se.Skipped
    assert type((await on(serving(cut), robots=True, retry=ONCE)).error) is se.RobotsUnavailable


@pytest.mark.parametrize(
    "text",
    [
        b"\xff\xfe\x00U\x00s\x00e\x00r",
        b"\0" * 100_000,
        b"User-agent: *\nDisallow: " + b"*" * 100_000,
        b"User-agent: *\nDisallow: /" + b"*a" * 50_000 + b"$",
        b"User-agent: *\n" + b"Disallow: /*x*y*z\n" * 30_000,
        b"User-agent: " + b"x" * 500_000,
        b"User-agent: a\n" * 30_000 + b"Disallow: /\n" * 5_000,
        b"<html><body>not found</body></html>" * 1000,
        b"\r" * 500_000,
        b"Disallow: /%\nAllow: /%zz\n" * 10_000,
    ],
)
async def test_no_robots_txt_holds_up_the_engine(text):
    """Whatever is in it, a task ends soon: it may go or it may not."""

    async def robots(talk):
        await talk.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(text) + text)

    seen = await on(serving(robots), robots=True, timeout=se.Timeout(attempt=5))
    assert isinstance(seen.outcome, se.Success | se.Skipped)
    assert seen.took < 1


BROWSER = {"User-Agent": "Mozilla/5.0 (compatible; MyBot/1.0; +https://x.test/bot)"}
FOR_SOME = "User-agent: mybot\nCrawl-delay: 7\nDisallow: /mine\n\nUser-agent: mozilla\nDisallow: /theirs\n"


@pytest.mark.parametrize(
    ("robots", "headers", "forbidden"),
    [
        ("MyBot", BROWSER, "/mine"),
        ("mybot", BROWSER, "/mine"),
        ("MyBot", {}, "/mine"),
        (True, BROWSER, "/theirs"),
        (True, {"User-Agent": "MyBot/1.0"}, "/mine"),
        ("Mozilla", {"User-Agent": "MyBot/1.0"}, "/theirs"),
        ("Another", BROWSER, None),
        (True, {}, None),
        (False, {"User-Agent": "MyBot/1.0"}, None),
    ],
)
async def test_by_which_name_it_is_asked(autojump_clock, robots, headers, forbidden):
    """By the one that the platform names, else by the one that the `User-Agent` begins with."""
    urls = ["http://a.test/mine", "http://a.test/theirs"]
    outcomes, asked = await played(saying(FOR_SOME), urls=urls, robots=robots, headers=headers)
    refused = [outcome.event.url for outcome in outcomes if isinstance(outcome, se.Skipped)]
    assert refused == ([] if forbidden is None else [f"http://a.test{forbidden}"])
    assert robots_in(asked) == (robots is not False)


async def test_the_named_robot_s_delay_is_kept_to(autojump_clock):
    """A `Crawl-delay` for the name that the platform goes by is its rate, whatever its `User-Agent`."""
    urls = [f"http://a.test/{number}" for number in range(4)]
    _, asked = await played(saying(FOR_SOME), urls=urls, robots="MyBot", headers=BROWSER)
    times = [time for url, time in asked if not url.endswith("/robots.txt")]
    assert all(later - earlier >= 7 - 1e-6 for earlier, later in itertools.pairwise(times[1:]))
    assert times[-1] >= 14


async def test_the_name_is_tuned_in_the_middle_of_a_run(autojump_clock):
    """From the next request on it is asked by the new one, without another look at the file."""

    async def carry(request):
        asked.append(request.url.path)
        text = FOR_SOME.replace("Crawl-delay: 7\n", "")
        return httpx.Response(200, text=text if request.url.path == "/robots.txt" else "ok")

    async def scrape(task):
        if task.event.id == "2":
            engine.tune("A", robots="MyBot")
        await task.http.get("/mine")

    asked = []
    policy = {"base_url": "http://a.test", "robots": "Another", "headers": BROWSER, "limit": 1, "retry": ONCE}
    engine = se.Engine([se.Platform("A", scrape, transport=httpx.MockTransport(carry), **policy)])

    async with engine.stream([se.Event(number) for number in range(4)]) as run:
        found = [type(outcome) async for outcome in run]
    assert found == [se.Success, se.Success, se.Skipped, se.Skipped]
    assert asked == ["/robots.txt", "/mine", "/mine"]
