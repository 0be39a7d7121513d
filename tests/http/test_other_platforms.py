"""Requests that lead to another platform, by a redirect or an absolute URL: they take their turn there."""

import attrs
import httpx
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from support.ledger import rate_broken
from support.strategies import quarters, rates
from support.world import virtually

PLAIN = se.Retry(attempts=2, initial_wait=1.0)


@attrs.define(eq=False)
class Net:
    """Hosts that exist only here. Each request says in its query what it is answered, and after how long."""

    times: dict = attrs.field(factory=dict)
    """When requests came, by host, from the start of the run on."""
    paths: dict = attrs.field(factory=dict)
    """What they asked for, by host, in the same order."""
    closed_until: dict = attrs.field(factory=dict)
    broken: list = attrs.field(factory=list)
    """Requests on a host that was closed."""
    begun: float = 0.0

    async def answer(self, request):
        """Answer a request by its query: `to` (a redirect), or `status` and `after` (its `Retry-After`)."""
        host, asked, now = request.url.host, request.url.params, trio.current_time() - self.begun
        self.times.setdefault(host, []).append(now)
        self.paths.setdefault(host, []).append(request.url.path)
        if now < self.closed_until.get(host, now):
            self.broken.append(f"{host} at {now}, closed until {self.closed_until[host]}")
        await trio.sleep(float(asked.get("latency", 0)))
        if "to" in asked:
            return httpx.Response(302, headers={"location": asked["to"]})
        if "after" in asked:
            until = trio.current_time() - self.begun + float(asked["after"])
            self.closed_until[host] = max(until, self.closed_until.get(host, until))
        headers = {"retry-after": asked["after"]} if "after" in asked else {}
        return httpx.Response(int(asked.get("status", 200)), headers=headers)

    def platform(self, name, scrape, **policy):
        """Make a platform whose host is its name's."""
        policy = {"base_url": f"http://{name.lower()}.test", "retry": PLAIN} | policy
        return se.Platform(name, scrape, transport=httpx.MockTransport(self.answer), **policy)

    async def run(self, platforms, events, *, body=None, **options):
        """Run events to their end; return their outcomes by id. `body` is called with the engine and its run."""
        self.begun = trio.current_time()
        engine = se.Engine(platforms, **({"event_limit": 1000, "random": lambda: 1.0} | options))
        async with engine.stream(events) as run, trio.open_nursery() as nursery:
            if body is not None:
                nursery.start_soon(body, engine, run)
            outcomes = [outcome async for outcome in run]
        return {outcome.event.id: outcome for outcome in outcomes}


async def obey(task):
    """Do what the event says, one step after the other; return when each one was done."""
    for step in task.event.data or ["/"]:
        if isinstance(step, str):
            await task.http.get(step, check=False)
        else:
            await trio.sleep(step)
    return task.event.id


def on(platform, id, *steps):
    """Make an event of some steps: URLs to ask for, and seconds to sleep."""
    return se.Event(id, platforms=(platform,), data=steps or None)


def to_b(path="/x"):
    """Return the URL of A that redirects to B."""
    return f"/?to=http://b.test{path}"


def everyone(outcomes):
    """Say whether all have succeeded."""
    return all(isinstance(outcome, se.Success) for outcome in outcomes.values())


LED_TO_B = ["http://b.test/x", to_b()]


@pytest.mark.parametrize("url", LED_TO_B)
async def test_they_take_their_turn_in_the_rate_of_where_they_go(autojump_clock, url):
    """Three tasks of A that are led to B, and one of B's own, start there one each ten seconds; A has no rate."""
    net = Net()
    platforms = [net.platform("A", obey), net.platform("B", obey, rate=se.Rate.every(10))]
    assert everyone(await net.run(platforms, [*(on("A", f"a{n}", url) for n in range(3)), on("B", "b")]))
    assert net.times["b.test"] == [0, 10, 20, 30]
    assert set(net.times.get("a.test", [0])) == {0}


@pytest.mark.parametrize("url", LED_TO_B)
async def test_they_do_not_use_up_the_rate_of_where_they_come_from(autojump_clock, url):
    """What goes to B is no request on A: A's own go at A's pace, as if the visits were not."""
    net = Net()
    platforms = [net.platform("A", obey, rate=se.Rate.every(10)), net.platform("B", obey)]
    assert everyone(await net.run(platforms, [on("A", "a", url, "http://b.test/y", "http://b.test/z", "/end")]))
    first = 1 if url.startswith("/") else 0
    assert net.paths["a.test"] == ["/"] * first + ["/end"]
    assert net.times["a.test"][-1] == 10 * first
    assert net.times["b.test"] == [0, 0, 0]


HOSTS = ("a", "b", "c")
"""The third one has no platform of its own: the default serves it."""
statuses = st.one_of(
    st.just(""),
    st.sampled_from(["&status=404", "&status=500", "&status=503"]),
    st.tuples(st.sampled_from([429, 503]), st.integers(0, 5)).map(lambda it: f"&status={it[0]}&after={it[1]}"),
)


@st.composite
def urls(draw):
    """Draw an absolute URL with what it is answered, redirects to other hosts before that."""
    url = f"http://{draw(st.sampled_from(HOSTS))}.test/?latency={draw(quarters)}{draw(statuses)}"
    for _ in range(draw(st.sampled_from([0, 0, 1, 2]))):
        host, latency = draw(st.sampled_from(HOSTS)), draw(quarters)
        url = str(httpx.URL(f"http://{host}.test/", params={"latency": latency, "to": url}))
    return url


steps = st.lists(st.one_of(urls(), urls(), quarters), min_size=1, max_size=4)


@given(
    scripts=st.lists(st.tuples(st.sampled_from(["A", "B"]), steps), min_size=1, max_size=10),
    paces=st.fixed_dictionaries({host: st.none() | rates for host in HOSTS}),
    limits=st.tuples(st.integers(1, 3), st.integers(1, 3)),
)
def test_no_window_and_no_penalty_is_broken_whoever_asks(scripts, paces, limits):
    """Each host keeps its rate and its penalty under tasks of its own and visitors together; all end."""
    net = Net()
    platforms = [
        net.platform("A", obey, rate=paces["a"], limit=limits[0]),
        net.platform("B", obey, rate=paces["b"], limit=limits[1]),
    ]
    default = net.platform("*", obey, rate=paces["c"], base_url=None)
    events = [on(name, f"e{number}", *script) for number, (name, script) in enumerate(scripts)]
    assert everyone(virtually(net.run, platforms, events, default=default))
    assert not net.broken
    for host, rate in paces.items():
        if rate is not None:
            assert not rate_broken(net.times.get(f"{host}.test", []), rate)


@given(st.lists(st.tuples(st.sampled_from(["A", "B"]), steps), min_size=2, max_size=8), st.integers(1, 3), quarters)
def test_visitors_that_give_up_break_nothing(scripts, limit, patience):
    """Scopes of the scrapers' own end visits at any moment; rates hold, and all tasks end."""
    net = Net()

    async def impatient(task):
        for step in task.event.data:
            with trio.move_on_after(patience):
                if isinstance(step, str):
                    await task.http.get(step, check=False)
                else:
                    await trio.sleep(step)

    rate = se.Rate(2, per=1.0, burst=2)
    platforms = [net.platform(name, impatient, rate=rate, limit=limit) for name in "AB"]
    events = [on(name, f"e{number}", *script) for number, (name, script) in enumerate(scripts)]
    default = net.platform("*", impatient, rate=rate, base_url=None)
    assert everyone(virtually(net.run, platforms, events, default=default))
    assert not net.broken
    for times in net.times.values():
        assert not rate_broken(times, rate)


@pytest.mark.parametrize(("refuser", "other"), [("b", "a"), ("a", "b")])
@pytest.mark.parametrize("url", ["http://b.test/?status=429&after=60", to_b("/?status=429%26after=60")])
async def test_a_429_closes_where_it_came_from(autojump_clock, url, refuser, other):
    """The visitor and B's own tasks keep off B until then, and A's own requests go on; the other way round too."""
    net = Net()
    url = url.replace("b.test", f"{refuser}.test")
    platforms = [net.platform(name, obey) for name in "AB"]
    visiting = other.upper()
    events = [
        on(visiting, "visitor", url, "/after"),
        on(refuser.upper(), "own", 1.0, "/own"),
        on(visiting, "sibling", 1.0, "/sibling"),
    ]
    assert everyone(await net.run(platforms, events))
    assert not net.broken
    asked = dict(zip(net.paths[f"{refuser}.test"], net.times[f"{refuser}.test"], strict=True))
    assert asked["/own"] == 60
    here = dict(zip(net.paths[f"{other}.test"], net.times[f"{other}.test"], strict=True))
    assert here["/sibling"] == 1
    assert here["/after"] == 60


async def test_a_retry_that_starts_elsewhere_waits_for_the_platform_that_refused(autojump_clock):
    """The attempt after a 429 of B begins on A at once, and goes on to B when that opens."""
    net = Net()
    retry = se.Retry(attempts=2, initial_wait=0)
    platforms = [net.platform(name, obey, retry=retry) for name in "AB"]
    await net.run(platforms, [on("A", "a", to_b("/?status=429%26after=60"))])
    assert net.times == {"a.test": [0, 0], "b.test": [0, 60]}


async def test_a_visitor_that_waits_holds_no_slot(autojump_clock):
    """With a limit of 1, another task of A runs while the first one waits for B; the visitor takes its slot again."""
    net = Net()
    platforms = [net.platform("A", obey, limit=1), net.platform("B", obey, rate=se.Rate.every(100))]
    events = [on("B", "b"), on("A", "visitor", 1.0, to_b(), "/end"), on("A", "other", "/other")]
    outcomes = await net.run(platforms, events)
    assert list(zip(net.paths["a.test"], net.times["a.test"], strict=True)) == [("/", 1), ("/other", 1), ("/end", 100)]
    assert (outcomes["visitor"].parked, outcomes["visitor"].ran) == (99, 1)


async def test_a_visitor_s_wait_is_not_its_task_s_time(autojump_clock):
    """A task of 5 s may wait for 100 s in another platform's line, as in its own."""
    net = Net()
    timeout = se.Timeout(task=5)
    platforms = [net.platform("A", obey, timeout=timeout), net.platform("B", obey, rate=se.Rate.every(100))]
    assert everyone(await net.run(platforms, [on("B", "b"), on("A", "visitor", 1.0, to_b())]))


@pytest.mark.parametrize("limit", [1, 8])
async def test_a_stream_of_visitors_does_not_starve_the_platform_s_own_tasks(autojump_clock, limit):
    """With B's rate asked for by hundreds of visitors, B's own ten tasks are among the first hundred requests."""
    net = Net()
    platforms = [net.platform("A", obey, limit=limit), net.platform("B", obey, limit=2, rate=se.Rate.every(1))]
    foreign_requests = [on("A", f"v{n}", "http://b.test/visitor") for n in range(300)]
    own = [on("B", f"b{n}", "/own") for n in range(10)]
    assert everyone(await net.run(platforms, [*foreign_requests, *own]))
    assert len(net.times["b.test"]) == 310
    assert max(at for at, path in enumerate(net.paths["b.test"]) if path == "/own") < 100


@pytest.mark.parametrize("limit", [1, 8])
async def test_a_platform_s_own_tasks_do_not_starve_a_visitor(autojump_clock, limit):
    """With hundreds of B's own tasks in line, a few visitors are among the first hundred requests."""
    net = Net()
    platforms = [net.platform("A", obey, limit=8), net.platform("B", obey, limit=limit, rate=se.Rate.every(1))]
    foreign_requests = [on("A", f"v{n}", "http://b.test/visitor") for n in range(5)]
    own = [on("B", f"b{n}", "/own") for n in range(300)]
    assert everyone(await net.run(platforms, [*own, *foreign_requests]))
    assert max(at for at, path in enumerate(net.paths["b.test"]) if path == "/visitor") < 100


async def test_a_visitor_whose_own_platform_is_busy_gets_to_its_turn(autojump_clock):
    """Its booking on B lapses while it waits for its slot of A, where tasks take 5 s each. It must not go on so."""
    net = Net()
    platforms = [net.platform("A", obey, limit=1), net.platform("B", obey, rate=se.Rate.every(1))]
    foreign = on("A", "visitor", "http://b.test/visitor")
    events = [
        foreign,
        *(on("A", f"a{n}", 5.0) for n in range(60)),
        *(on("B", f"b{n}", "/own") for n in range(300)),
    ]
    assert everyone(await net.run(platforms, events))
    assert net.times["b.test"][net.paths["b.test"].index("/visitor")] < 60


async def test_a_visitor_that_waits_for_a_closed_platform_holds_no_slot(autojump_clock):
    """Its booking has lapsed, and it stands at the head of B's line when B closes: A's slot is another's then."""
    net = Net()
    platforms = [net.platform("A", obey, limit=1), net.platform("B", obey, rate=se.Rate.every(2))]
    own = [on("B", f"b{n}", f"/own/{n}?latency=1.5{'&status=429&after=100' if n == 1 else ''}") for n in range(8)]
    others = [on("A", f"a{n}", 5.0, f"/a{n}") for n in range(3)]
    outcomes = await net.run(platforms, [*own, on("A", "visitor", "http://b.test/visitor"), *others])
    assert everyone(outcomes)
    assert not net.broken
    assert dict(zip(net.paths["a.test"], net.times["a.test"], strict=True))["/a2"] < 100


async def test_a_closed_platform_is_waited_for_within_the_patience(autojump_clock):
    """Longer than B's patience is `PlatformClosed`, which names B and says for how long; the request before stands."""
    net = Net()
    platforms = [net.platform("A", obey), net.platform("B", obey, retry=se.Retry(attempts=1, patience=30))]
    events = [on("B", "b", "/?status=429&after=100"), on("A", "visitor", 1.0, to_b()), on("A", "late", 80.0, to_b())]
    outcomes = await net.run(platforms, events)
    assert type(outcomes["visitor"].error) is se.PlatformClosed
    assert "'B' asked not to be called" in str(outcomes["visitor"].error)
    assert outcomes["visitor"].error.seconds == 99
    assert isinstance(outcomes["late"], se.Success)
    assert net.times["b.test"] == [0, 100]


async def test_who_waits_is_told_when_the_wait_becomes_too_long(autojump_clock):
    """A visitor stands in line for the rate when B closes for longer than its patience."""
    net = Net()
    retry = se.Retry(attempts=1, patience=30)
    platforms = [net.platform("A", obey), net.platform("B", obey, rate=se.Rate.every(20), retry=retry)]
    events = [on("B", "b", "/?latency=5&status=429&after=100"), on("A", "visitor", 1.0, to_b(), "/never")]
    outcomes = await net.run(platforms, events)
    assert type(outcomes["visitor"].error) is se.PlatformClosed
    assert outcomes["visitor"].parked == 4


async def test_a_visitor_that_gives_up_leaves_the_line_and_has_booked_nothing(autojump_clock):
    """A scope of the scraper's own ends its wait; the next one in line takes the turn, when it would have come."""
    net = Net()

    async def impatient(task):
        with trio.move_on_after(5):
            await task.http.get(to_b("/given-up"))
        await trio.sleep(1)
        await task.http.get("/went-on")

    platforms = [net.platform("A", impatient), net.platform("B", obey, rate=se.Rate.every(10))]
    events = [on("B", "b", "/0", "/1", "/2"), on("A", "visitor")]
    assert everyone(await net.run(platforms, events))
    assert list(zip(net.paths["b.test"], net.times["b.test"], strict=True)) == [("/0", 0), ("/1", 10), ("/2", 20)]
    assert net.times["a.test"] == [0, 6]


async def test_who_gives_up_after_it_was_booked_sends_nothing(autojump_clock):
    """Booked on B, it waits for its slot of A when its scraper gives up: B is not asked, and waits for no one."""
    net = Net()

    async def scrape(task):
        if task.event.id == "visitor":
            with trio.move_on_after(15):
                await task.http.get("http://b.test/visitor")
        else:
            await trio.sleep(30)

    platforms = [net.platform("A", scrape, limit=1), net.platform("B", obey, rate=se.Rate.every(10))]
    events = [on("B", "b", "/0", 12.0, "/1"), on("A", "visitor"), on("A", "other")]
    assert everyone(await net.run(platforms, events))
    assert list(zip(net.paths["b.test"], net.times["b.test"], strict=True)) == [("/0", 0), ("/1", 20)]


@pytest.mark.parametrize("grace", [0, 10])
async def test_a_visitor_in_line_when_the_run_is_stopped(autojump_clock, grace):
    """It is `Cancelled` at once, has asked B for nothing, and left B's line; what runs has its grace."""
    net = Net()
    platforms = [net.platform("A", obey), net.platform("B", obey, rate=se.Rate.every(20))]
    lines = []

    async def stop(engine, run):
        await trio.sleep(5)
        lines.append(len(run._session.parts.scheduler.lanes["B"].foreign_requests))
        await run.stop(grace)
        lines.append(len(run._session.parts.scheduler.lanes["B"].foreign_requests))
        lines.append(trio.current_time() - net.begun)

    events = [on("B", "b", 8.0), on("A", "visitor", 1.0, to_b())]
    outcomes = await net.run(platforms, events, body=stop)
    assert lines == [1, 0, 8 if grace else 5]
    assert isinstance(outcomes["visitor"], se.Cancelled)
    assert isinstance(outcomes["b"], se.Success if grace else se.Cancelled)
    assert outcomes["visitor"].elapsed == 5
    assert "b.test" not in net.times


async def test_a_visitor_that_waits_for_its_slot_when_the_run_is_stopped_sends_nothing(autojump_clock):
    """It is booked on B, and A's only slot is another task's: cancelled, it holds none and makes no request."""
    net = Net()
    platforms = [net.platform("A", obey, limit=1), net.platform("B", obey, rate=se.Rate.every(2))]

    async def stop(engine, run):
        await trio.sleep(3)
        await run.stop(60)

    events = [on("B", "b", "/0"), on("A", "visitor", to_b("/visitor")), on("A", "other", 10.0)]
    outcomes = await net.run(platforms, events, body=stop)
    assert isinstance(outcomes["visitor"], se.Cancelled)
    assert isinstance(outcomes["other"], se.Success)
    assert net.paths["b.test"] == ["/0"]


async def test_a_paused_platform_does_not_hold_visitors_up(autojump_clock):
    """B's limit counts B's own tasks: with 0 they wait, and visitors pass at B's rate."""
    net = Net()
    platforms = [net.platform("A", obey), net.platform("B", obey, limit=0, rate=se.Rate.every(10))]

    async def resume(engine, run):
        await trio.sleep(100)
        engine.tune("B", limit=1)

    events = [on("B", "own", "/own"), *(on("A", f"v{n}", to_b()) for n in range(3))]
    assert everyone(await net.run(platforms, events, body=resume))
    assert list(zip(net.paths["b.test"], net.times["b.test"], strict=True)) == [
        ("/x", 0),
        ("/x", 10),
        ("/x", 20),
        ("/own", 100),
    ]


async def test_pausing_while_a_visitor_waits_does_not_hold_it_up(autojump_clock):
    """The pause comes when it is in line already."""
    net = Net()
    platforms = [net.platform("A", obey), net.platform("B", obey, rate=se.Rate.every(10))]

    async def pause(engine, run):
        await trio.sleep(5)
        engine.tune("B", limit=0)

    outcomes = await net.run(platforms, [on("B", "b"), on("A", "visitor", 1.0, to_b())], body=pause)
    assert everyone(outcomes)
    assert net.times["b.test"] == [0, 10]


async def test_a_rate_that_is_tuned_holds_for_who_is_in_line(autojump_clock):
    """B's visitors go at the new pace at once; what is owed of the old one, 0.95 of a request, is owed in requests."""
    net = Net()
    platforms = [net.platform("A", obey), net.platform("B", obey, rate=se.Rate.every(100))]

    async def hurry(engine, run):
        await trio.sleep(5)
        engine.tune("B", rate=se.Rate.every(2))

    assert everyone(await net.run(platforms, [on("A", f"v{n}", to_b()) for n in range(4)], body=hurry))
    assert net.times["b.test"] == pytest.approx([0, 6.9, 8.9, 10.9])


async def test_a_new_host_has_the_rate_of_the_default(autojump_clock):
    """Where any host is a platform, a redirect to one that has none of its own is paced as that host, by itself."""
    net = Net()
    platforms = [net.platform("A", obey)]
    default = net.platform("*", obey, rate=se.Rate.every(10), base_url=None)
    events = [on("A", f"{host}{n}", f"/?to=http://{host}.test/") for host in "cd" for n in range(3)]
    events.append(se.Event("own", url="http://c.test/own"))
    assert everyone(await net.run(platforms, events, default=default))
    assert net.times["c.test"] == [0, 10, 20, 30]
    assert net.times["d.test"] == [0, 10, 20]


@pytest.mark.parametrize("rate", [None, se.Rate.every(1)])
async def test_hosts_that_were_only_visited_are_forgotten(autojump_clock, rate):
    """A crawl that is led to five hundred hosts keeps no lane of them; its own platform's stays."""
    net, most = Net(), []

    async def watch(engine, run):
        while not run._session.shutdown.ended.is_set():
            most.append(len(run._session.parts.scheduler.lanes))
            await trio.sleep(1)

    default = net.platform("*", obey, rate=rate, base_url=None)
    urls = [f"/?to=http://h{n}.test/" for n in range(500)]
    events = [on("A", f"e{n}", *urls[n::5], 10.0) for n in range(5)]
    lanes = []

    async def both(engine, run):
        await watch(engine, run)
        lanes.extend(run._session.parts.scheduler.lanes)

    assert everyone(await net.run([net.platform("A", obey)], events, default=default, body=both))
    assert len(net.times) == 501
    assert lanes in ([], ["A"])
    assert max(most) <= 6


async def test_a_forgotten_host_is_closed_for_as_long_as_it_asked(autojump_clock):
    """The lane of a host goes when the visit is over; its penalty and its rate stay, and between runs too."""
    net = Net()
    once = se.Retry(attempts=1)
    default = net.platform("*", obey, rate=se.Rate.every(10), base_url=None)
    refused = on("A", "first", "http://c.test/?status=429&after=60", "http://d.test/")
    events = [refused, on("A", "second", 5.0, "http://c.test/", "http://d.test/")]
    assert everyone(await net.run([net.platform("A", obey, retry=once)], events, default=default))
    assert net.times["c.test"] == [0, 60]
    assert net.times["d.test"] == [0, 60]


async def test_a_retry_on_a_host_whose_lane_went_meanwhile(autojump_clock):
    """While a visit waits for its backoff, another one comes and goes, and the host's lane with it: it still ends."""
    net = Net()
    retry = se.Retry(attempts=2, initial_wait=5, max_wait=5)
    default = net.platform("*", obey, rate=se.Rate.every(10), base_url=None, retry=retry)
    events = [on("A", "first", "http://c.test/?status=500"), on("A", "second", 1.0, "http://c.test/second")]
    outcomes = await net.run([net.platform("A", obey, retry=retry)], events, default=default)
    assert everyone(outcomes)
    assert net.times["c.test"] == [0, 10, 20]
    assert outcomes["first"].elapsed <= 20


async def test_without_a_default_a_strange_host_counts_on_the_task_s_own_platform(autojump_clock):
    """No platform serves it, so it takes its turn where the task is from, and its 429 closes that."""
    net = Net()
    platforms = [net.platform("A", obey, rate=se.Rate.every(10)), net.platform("B", obey)]
    events = [on("A", "a", "/?to=http://z.test/", "http://z.test/?status=429&after=60", "/end")]
    assert everyone(await net.run(platforms, events))
    assert net.times["z.test"] == [10, 20, 80]
    assert net.times["a.test"] == [0, 140]
