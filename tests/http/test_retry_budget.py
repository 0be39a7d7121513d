"""The law of the retry budget, as the platform sees it: one that fails is asked little more than it is asked anyway."""

import copy
import math
import pickle
import traceback

import attrs
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.world import virtually

AT_ONCE = se.Retry(attempts=4, initial_wait=0, max_wait=0)
REASON = "; not tried again: the platform's retries exceed {} % of its requests (Retry(budget={}) of {!r})"


@attrs.define(eq=False)
class Failing:
    """A site that always fails, and tells retries from first tries: no two tasks ask for the same path."""

    answer: object = 500
    tries: dict = attrs.field(factory=dict)
    """When each path was asked for, by host and path."""
    begun: float = 0.0

    def handle(self, request):
        """Take note, and fail."""
        key = request.url.host, request.url.path
        self.tries.setdefault(key, []).append(trio.current_time() - self.begun)
        if isinstance(self.answer, Exception):
            raise self.answer
        return httpx.Response(self.answer)

    @property
    def firsts(self):
        """List when paths were asked for the first time."""
        return sorted(times[0] for times in self.tries.values())

    @property
    def retries(self):
        """List when paths were asked for again."""
        return sorted(time for times in self.tries.values() for time in times[1:])

    def platform(self, scrape, name="A", **policy):
        """Make a platform on this site."""
        policy = {"base_url": f"http://{name.lower()}.test", "retry": AT_ONCE, "limit": 1000} | policy
        return se.Platform(name, scrape, transport=httpx.MockTransport(self.handle), **policy)

    async def run(self, engine, *batches):
        """Run an engine once for each batch of events; return all outcomes."""
        outcomes = []
        self.begun = trio.current_time()
        for events in batches:
            async with engine.stream(events) as run:
                outcomes += [outcome async for outcome in run]
        return outcomes


def asking(method="GET"):
    """Make a scraper that asks for its event's own path, at the time that the event says."""

    async def scrape(task):
        await trio.sleep(task.event.data or 0)
        await task.http.request(method, f"/{task.event.id}")

    return scrape


def at(seconds, count, label=""):
    """Make events that are asked for at a time."""
    return [se.Event(f"{label}{seconds}-{number}", data=seconds, platforms=("A",)) for number in range(count)]


batches = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), min_size=1, max_size=6)


def held(first, retries, share=0.2):
    """Name a retry for which the law does not hold; times are those of requests tried first, and of retries."""
    for end in retries:
        granted = sum(end - 60 <= time <= end for time in retries)
        asked = sum(end - 60 <= time <= end for time in first)
        if granted > (max(10, share * asked + 1e-9) if share else 0):
            return f"{granted} retries to {asked} requests in the minute before {end}"
    return None


@pytest.mark.parametrize("answer", [500, httpx.ReadError("lost")])
@pytest.mark.parametrize(("requests", "retries"), [(1, 3), (4, 10), (40, 10), (100, 20), (500, 100)])
async def test_a_site_that_always_fails_is_asked_little_more(autojump_clock, requests, retries, answer):
    """Ten times more, or a fifth, in place of the three times that the policy alone allows."""
    site = Failing(answer)
    engine = se.Engine([site.platform(asking())], event_limit=1000, buffer=1000)
    await site.run(engine, at(1, requests))
    assert (len(site.firsts), len(site.retries)) == (requests, retries)


@given(batches, st.integers(2, 5))
def test_no_minute_holds_more_retries_than_its_requests_allow(batches, attempts):
    """Whenever tasks come, the law of the budget holds at each retry; and the budget is not stingy either."""
    site = Failing()
    engine = se.Engine(
        [site.platform(asking(), retry=attrs.evolve(AT_ONCE, attempts=attempts))], event_limit=1000, buffer=1000
    )
    events = [event for number, batch in enumerate(batches) for event in at(*batch, label=f"{number}:")]
    outcomes = virtually(site.run, engine, events)
    assert len(site.firsts) == len(outcomes) == len(events)
    assert not held(site.firsts, site.retries)
    assert len(site.retries) >= min(10, len(events) * (attempts - 1))


@given(batches, st.floats(0, 40))
def test_with_a_backoff_as_many_in_all(batches, wait):
    """Retries are taken out of the budget before they wait: in a minute of failures there are no more of them."""
    site = Failing()
    retry = se.Retry(attempts=3, initial_wait=wait, max_wait=wait)
    engine = se.Engine([site.platform(asking(), retry=retry)], event_limit=1000, buffer=1000)
    events = [event for number, batch in enumerate(batches) for event in at(*batch, label=f"{number}:")]
    virtually(site.run, engine, events)
    begins = [(path, time) for path, times in site.tries.items() for time in times[:-1]]
    assert len(begins) == len(site.retries)
    # Each retry was granted when the try before it had failed, which takes no time here.
    assert not held(site.firsts, sorted(time for _, time in begins))


async def test_the_error_says_why_it_was_not_tried_again(autojump_clock):
    """In the text of those that had no retry for want of budget alone; not of those that had all their attempts."""
    site = Failing()
    engine = se.Engine([site.platform(asking(), limit=1)], event_limit=1000)
    outcomes = await site.run(engine, [se.Event(n) for n in range(6)])
    reason = REASON.format(20, 0.2, "A")
    texts = [str(outcome.error) for outcome in outcomes]
    assert [len(times) for times in site.tries.values()] == [4, 4, 4, 2, 1, 1]
    assert [text.endswith(reason) for text in texts] == [False, False, False, True, True, True]
    assert [text.count("not tried again") for text in texts] == [0, 0, 0, 1, 1, 1]
    assert [outcome.error.attempt for outcome in outcomes] == [4, 4, 4, 2, 1, 1]
    for text, outcome in zip(texts, outcomes, strict=True):
        assert str(pickle.loads(pickle.dumps(outcome.error))) == str(copy.copy(outcome.error)) == text
        assert "".join(traceback.format_exception(outcome.error)).count("not tried again") == text.count("not tried")


@pytest.mark.parametrize(
    ("budget", "said"), [(0, "0 % of its requests (Retry(budget=0)"), (0.125, "12.5 %"), (0.07, "7 %"), (3, "300 %")]
)
async def test_the_error_says_how_much_was_allowed(autojump_clock, budget, said):
    """In per cent, as it was given; an error that only lasts is another thing, and is told from it."""
    site = Failing(httpx.ConnectError("refused"))
    retry = attrs.evolve(AT_ONCE, budget=budget)
    outcomes = await site.run(
        se.Engine([site.platform(asking(), retry=retry, limit=1)], event_limit=1), [se.Event(n) for n in range(9)]
    )
    texts = [str(outcome.error) for outcome in outcomes]
    assert (said in texts[-1]) == (budget != 3)
    assert all(isinstance(outcome.error, se.ConnectFailed) for outcome in outcomes)


SHARES = [(0, 0), (0.01, 10), (0.1, 20), (0.2, 40), (0.29, 58), (1, 200), (2.5, 500), (math.inf, 600), (3, 600)]


@pytest.mark.parametrize(("budget", "retries"), SHARES)
async def test_the_budget_is_a_knob(autojump_clock, budget, retries):
    """200 requests that all fail, with three retries each if there are so many: the share of 200, and always ten."""
    site = Failing()
    engine = se.Engine(
        [site.platform(asking(), retry=attrs.evolve(AT_ONCE, budget=budget))], event_limit=1000, buffer=1000
    )
    await site.run(engine, at(1, 200))
    assert (len(site.firsts), len(site.retries)) == (200, retries)


@given(batches, st.one_of(st.sampled_from([0.0, 0.05, 0.2, 1.0, math.inf]), st.floats(0, 5)))
def test_whatever_it_is_the_law_holds(batches, budget):
    """At each retry; and it is not stingy: without the law as many as the attempts allow."""
    site = Failing()
    retry = attrs.evolve(AT_ONCE, budget=budget)
    engine = se.Engine([site.platform(asking(), retry=retry)], event_limit=1000, buffer=1000)
    events = [event for number, batch in enumerate(batches) for event in at(*batch, label=f"{number}:")]
    virtually(site.run, engine, events)
    assert not held(site.firsts, site.retries, budget)
    least = {0: 0, math.inf: 3 * len(events)}.get(budget, min(10, 3 * len(events)))
    assert len(site.retries) >= least


async def test_it_is_tuned_in_the_middle_of_a_run(autojump_clock):
    """Each platform's own: what A is given more, or nothing, changes from the next retry on; B stays as it is."""
    site = Failing()
    engine = se.Engine([site.platform(asking()), site.platform(asking(), "B")], event_limit=5000, buffer=5000)
    steps = [(0.2, 20), (1, 200), (0, 0), (0.5, 50)]

    async def tuner():
        begun = trio.current_time()
        for number, (budget, _) in enumerate(steps):
            await trio.sleep_until(begun + 70 * number + 0.5)
            engine.tune("A", retry=attrs.evolve(AT_ONCE, budget=budget))

    events = [
        se.Event(f"{number}-{n}", data=70 * number + 1, platforms=("A", "B"))
        for number in range(len(steps))
        for n in range(100 if number != 1 else 200)
    ]
    site.begun = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tuner)
        async with engine.stream(events) as run:
            assert len([outcome async for outcome in run]) == 2 * len(events)
    for host, expected in (("a.test", [retries for _, retries in steps]), ("b.test", [20, 40, 20, 20])):
        times = [time for (at, _), each in site.tries.items() if at == host for time in each[1:]]
        assert [sum(round(time) == 70 * number + 1 for time in times) for number in range(4)] == expected


def test_what_was_granted_is_counted_under_any_budget():
    """Retries that an endless budget has granted are held against a smaller one for a minute, in the next run too."""
    site = Failing()
    engine = se.Engine([site.platform(asking(), retry=attrs.evolve(AT_ONCE, budget=math.inf))], event_limit=1000)
    virtually(site.run, engine, at(0, 20, "a"))
    assert len(site.retries) == 60
    engine.tune("A", retry=AT_ONCE)
    virtually(site.run, engine, at(0, 20, "b"), at(70, 20, "c"))
    assert len(site.retries) == 60 + 10


async def test_a_budget_of_nothing_leaves_task_retry(autojump_clock):
    """It is the scraper's own decision, and another thing than `attempts=1`."""
    site = Failing()

    async def scrape(task):
        await task.http.get(f"/{task.attempt}", check=False)
        if task.attempt < 3:
            task.retry(after=0)

    [outcome] = await site.run(
        se.Engine([site.platform(scrape, retry=attrs.evolve(AT_ONCE, budget=0))]), [se.Event("e", platforms=("A",))]
    )
    assert isinstance(outcome, se.Success)
    assert (outcome.attempts, len(site.retries)) == (3, 0)


async def test_without_check_the_answer_stands(autojump_clock):
    """Who does not want errors gets the answer, as after the last attempt."""
    site = Failing(503)

    async def scrape(task):
        return [(await task.http.get(f"/{number}", check=False)).status_code for number in range(5)]

    [outcome] = await site.run(se.Engine([site.platform(scrape)]), [se.Event("e")])
    assert outcome.value == [503] * 5
    assert [len(times) for times in site.tries.values()] == [4, 4, 4, 2, 1]


async def test_a_minute_later_there_is_budget_again(autojump_clock):
    """What was granted is forgotten after 65 s at most."""
    site = Failing()
    await site.run(se.Engine([site.platform(asking())], event_limit=1000), [*at(1, 10), *at(67, 10)])
    assert len([time for time in site.retries if time == 1]) == 10
    assert len([time for time in site.retries if time == 67]) == 10


async def test_good_requests_earn_retries(autojump_clock):
    """A platform that is asked a thousand times has two hundred retries for those that fail."""
    site = Failing()

    def handle(request):
        failing = request.url.path.startswith("/bad")
        site.handle(request)
        return httpx.Response(500 if failing else 200)

    platform = se.Platform(
        "A",
        asking(),
        base_url="http://a.test",
        limit=2000,
        retry=AT_ONCE,
        transport=httpx.MockTransport(handle),
    )
    engine = se.Engine([platform], event_limit=2000, buffer=2000)
    await site.run(engine, [*at(1, 900, "good"), *at(2, 100, "bad")])
    assert len(site.retries) == 200


def test_the_budget_stays_with_the_engine():
    """What a run has used up, the next one that begins at once does not have; another engine has its own."""
    site = Failing()
    engine = se.Engine([site.platform(asking())], event_limit=1000)
    virtually(site.run, engine, at(0, 10, "a"), at(0, 10, "b"))
    assert (len(site.firsts), len(site.retries)) == (20, 10)
    virtually(site.run, se.Engine([site.platform(asking())], event_limit=1000), at(0, 10, "c"))
    assert len(site.retries) == 20


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_is_not_idempotent_uses_none_of_it(autojump_clock, method):
    """Posts are not tried again; as requests they earn retries for the others."""
    site = Failing()

    async def scrape(task):
        for number in range(100):
            await task.http.request(method, f"/post/{number}", check=False)
        for number in range(10):
            await task.http.get(f"/{number}", check=False)

    await site.run(se.Engine([site.platform(scrape)]), [se.Event("e")])
    assert len(site.firsts) == 110
    assert all(len(times) == 1 for (_, path), times in site.tries.items() if path.startswith("/post"))
    assert len(site.retries) == 22


async def test_each_platform_has_its_own(autojump_clock):
    """What A has used up does not concern B; a visit to B is a matter of B's."""
    site = Failing()

    async def scrape(task):
        for number in range(10):
            await task.http.get(f"/{number}", check=False)
        for number in range(10):
            await task.http.get(f"http://b.test/{number}", check=False)

    await site.run(se.Engine([site.platform(scrape), site.platform(asking(), "B")]), [se.Event("e", platforms=("A",))])
    used = {host: sum(len(times) - 1 for (at, _), times in site.tries.items() if at == host) for host, _ in site.tries}
    assert used == {"a.test": 10, "b.test": 10}


async def test_streams_take_of_it_too(autojump_clock):
    """Up to the head a stream is tried again like any request."""
    site = Failing()

    async def scrape(task):
        for number in range(10):
            async with task.http.stream("GET", f"/{number}", check=False) as answer:
                assert answer.status_code == 500

    [outcome] = await site.run(se.Engine([site.platform(scrape)]), [se.Event("e")])
    assert isinstance(outcome, se.Success)
    assert len(site.retries) == 10


async def test_runs_of_the_scraper_are_no_retries(autojump_clock):
    """`task.retry` is the scraper's own decision: its requests are first ones, each time."""
    site = Failing()

    async def scrape(task):
        await task.http.get(f"/{task.event.id}/{task.attempt}", check=False)
        if task.attempt < 4:
            task.retry(after=0)

    outcomes = await site.run(se.Engine([site.platform(scrape)], event_limit=1000), [se.Event(n) for n in range(50)])
    assert {outcome.attempts for outcome in outcomes} == {4}
    assert len(site.firsts) == 200
    assert not held(site.firsts, site.retries)


async def test_what_a_redirect_leads_to_is_spared_too(autojump_clock):
    """A's requests are led to B, which fails: B is asked again no more often than its own budget allows."""
    tries = []

    def handle(request):
        if request.url.host == "a.test":
            return httpx.Response(302, headers={"location": f"http://b.test{request.url.path}"})
        tries.append(request.url.path)
        return httpx.Response(500)

    # A's budget alone would allow more: 190 of its requests need no retry.
    def good_or_led_on(request):
        return httpx.Response(200) if request.url.path.startswith("/good") else handle(request)

    policy = {"retry": AT_ONCE, "limit": 1000, "transport": httpx.MockTransport(good_or_led_on)}
    platforms = [
        se.Platform("A", asking(), base_url="http://a.test", **policy),
        se.Platform("B", asking(), base_url="http://b.test", **policy),
    ]
    events = [*at(0, 190, "good"), *at(1, 10, "led")]

    async with se.Engine(platforms, event_limit=1000, buffer=1000).stream(events) as run:
        outcomes = [outcome async for outcome in run]
    assert len(outcomes) == 200
    assert len(tries) == 10 + 10
    texts = [str(outcome.error) for outcome in outcomes if isinstance(outcome, se.Failure)]
    assert {text.partition(";")[2] for text in texts if "not tried again" in text} == {REASON[1:].format(20, 0.2, "B")}


async def test_a_retry_that_one_budget_forbids_is_taken_out_of_none(autojump_clock):
    """A, which leads to B, has no budget: B's is whole for B's own requests afterwards, and the other way round."""
    for forbidding in ("A", "B"):
        site = Failing()

        def handle(request, site=site):
            if request.url.path.startswith("/led"):
                return httpx.Response(302, headers={"location": f"http://b.test/then{request.url.path}"})
            return site.handle(request)

        platforms = [
            se.Platform(
                name,
                asking(),
                base_url=f"http://{name.lower()}.test",
                transport=httpx.MockTransport(handle),
                limit=1000,
                retry=attrs.evolve(AT_ONCE, budget=0 if name == forbidding else 0.2),
            )
            for name in ("A", "B")
        ]
        events = at(0, 20, "led")
        events += [se.Event(f"own-{n}", data=1, platforms=("A", "B")) for n in range(20)]
        outcomes = await site.run(se.Engine(platforms, event_limit=1000, buffer=1000), events)
        led = [str(outcome.error) for outcome in outcomes if outcome.event.id.startswith("led")]
        assert len(led) == 20
        assert all(text.endswith(REASON.format(0, 0, forbidding)) for text in led)
        assert not [time for time in site.retries if time < 1]
        assert len(site.retries) == 10
