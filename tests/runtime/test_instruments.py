"""What those who listen to a run hear: each thing that happens, in its order, and nothing that would change the run."""

import contextvars
import pathlib
import re

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import scrapeengine as se
from scrapeengine.observe.instruments import HOOKS
from scrapeengine.testing import Answer, Site
from support.runs import ONCE
from support.strategies import cases, requests, scripts, sleeps, troubles
from support.world import World, outcomes_of, scheduled_alike, virtually


def listening(*hooks):
    """Make an instrument that writes down what it hears; of some hooks, or of all."""
    heard = []

    def hook(name):
        return lambda _, details: heard.append((name, details))

    listener = type("Listener", (se.Instrument,), {name: hook(name) for name in hooks or HOOKS})()
    listener.heard = heard
    return listener


def of(listener, hook):
    """List the details of one hook."""
    return [details for name, details in listener.heard if name == hook]


def timeline(listener, *, but=("lane_held", "source_waiting", "task_entered")):
    """Draw what was heard, one line for each thing: its time, its hook, and what it is about."""
    begun = listener.heard[0][1].time
    return [
        f"{details.time - begun:6.2f} {name} {about(details)}".rstrip()
        for name, details in listener.heard
        if name not in but
    ]


def about(details):
    """Say what a thing is about."""
    outcome = getattr(details, "outcome", None)
    event = getattr(details, "event", None) or getattr(outcome, "event", None)
    platform = getattr(details, "platform", None) or getattr(outcome, "platform", None)
    more = [str(getattr(details, name)) for name in ("attempt", "status", "by", "limit") if hasattr(details, name)]
    return " ".join([*([] if event is None else [event.id]), *([] if platform is None else [platform]), *more])


async def test_a_run_draws_its_timeline(autojump_clock):
    """One task with two requests, beside one of another platform."""
    scripts = {
        ("x", "A"): [("request", 1, 500), ("request", 1, 200)],
        ("y", "B"): [("sleep", 0.5), ("request", 1, 200)],
    }
    world = World(scripts=scripts)
    engine = world.engine([world.platform(name, retry=se.Retry(attempts=1)) for name in "AB"])
    listener = listening()
    events = [se.Event("x", platforms=["A"]), se.Event("y", platforms=["B"])]
    outcomes, report = await outcomes_of(engine, events, instruments=[listener])
    assert len(outcomes) == report.outcomes.succeeded == 2
    assert timeline(listener) == [
        "  0.00 run_started",
        "  0.00 event_accepted x",
        "  0.00 task_started x A",
        "  0.00 event_accepted y",
        "  0.00 task_started y B",
        "  0.00 source_ended",
        "  0.00 request_begun x A 1",
        "  0.50 request_begun y B 1",
        "  1.00 request_ended x A 1 500",
        "  1.00 request_begun x A 1",
        "  1.50 request_ended y B 1 200",
        "  1.50 task_ended y B",
        "  1.50 outcome_delivered y B",
        "  2.00 request_ended x A 1 200",
        "  2.00 task_ended x A",
        "  2.00 outcome_delivered x A",
        "  2.00 run_ended",
    ]
    assert of(listener, "run_ended")[0].report == report
    assert [details.outcome for details in of(listener, "task_ended")] == outcomes


async def test_a_refusal_and_what_comes_of_it(autojump_clock):
    """The platform closes, the request is to be tried again, its task is parked, and goes on when it opens."""
    world = World(scripts={("x", "A"): [("request", 1, (429, 20))]})
    engine = world.engine([world.platform("A", retry=se.Retry(attempts=2, initial_wait=1))], random=lambda: 1.0)
    listener = listening()
    await outcomes_of(engine, [se.Event("x")], instruments=[listener])
    lines = [line for line in timeline(listener) if line[7:].split()[0] not in {"run_started", "event_accepted"}]
    assert lines[:10] == [
        "  0.00 task_started x A",
        "  0.00 source_ended",
        "  0.00 request_begun x A 1",
        "  1.00 platform_shut A",
        "  1.00 request_ended x A 1 429",
        "  1.00 retry_decided x A 1",
        "  1.00 task_parked x A",
        " 21.00 platform_opened A",
        " 21.00 task_resumed x A",
        " 21.00 request_begun x A 2",
    ]
    [shut] = of(listener, "platform_shut")[:1]
    assert shut.until - shut.time == 20
    [resumed] = of(listener, "task_resumed")
    assert resumed.parked == 20
    [retry] = of(listener, "retry_decided")
    assert isinstance(retry.error, se.StatusError)
    assert retry.after == 1.0


async def test_a_scraper_that_runs_again_is_heard(autojump_clock):
    """With the attempt that has ended so, and after how long the next one comes."""
    world = World(scripts={("x", "A"): [("sleep", 1), ("retry", 7)]})
    listener = listening("task_retried", "task_ended")
    await outcomes_of(world.engine([world.platform("A")]), [se.Event("x")], instruments=[listener])
    [retried], [ended] = of(listener, "task_retried"), of(listener, "task_ended")
    assert (retried.event.id, retried.platform, retried.attempt, retried.after) == ("x", "A", 1, 7)
    assert (ended.outcome.attempts, ended.time - retried.time) == (2, 8)


async def test_what_is_set_as_a_task_is_entered_is_that_tasks_own(autojump_clock):
    """Its scraper sees it, also where another one ran in the same trio task before."""
    variable, seen = contextvars.ContextVar("variable", default=None), []

    class Sets(se.Instrument):
        def task_entered(self, details):
            assert variable.get() is None
            variable.set(details.event.id)

    async def scrape(task):
        await trio.sleep(1)
        seen.append((task.event.id, variable.get()))

    engine = se.Engine([se.Platform("A", scrape, limit=2)])
    listener = listening("task_started", "task_entered", "task_ended")
    await engine.run(map(se.Event, range(6)), instruments=[Sets(), listener])
    assert sorted(seen) == [(str(n), str(n)) for n in range(6)]
    assert variable.get() is None
    of_first = [name for name, details in listener.heard if about(details).startswith("0 A")]
    assert of_first == ["task_started", "task_entered", "task_ended"]


async def test_tuning_is_heard(autojump_clock):
    """Another limit, another rate; what does not change is not told."""
    world = World(default=[("sleep", 10)])
    engine = world.engine([world.platform("A", limit=2), world.platform("B")])
    listener = listening("limit_changed", "rate_changed")
    async with engine.stream([se.Event(n) for n in range(4)], instruments=[listener]) as run:
        await trio.sleep(1)
        engine.tune("A", limit=1)
        engine.tune("A", rate=se.Rate(2))
        engine.tune("A", cookies=True)
        engine.tune("B", limit=0)
        async for _ in run:
            engine.tune("B", limit=8)
    heard = [(name, details.platform) for name, details in listener.heard]
    assert heard == [("limit_changed", "A"), ("rate_changed", "A"), ("limit_changed", "B"), ("limit_changed", "B")]
    limits = [(details.limit, details.reason) for details in of(listener, "limit_changed")]
    assert limits == [(1, "limit"), (0, "limit"), (8, "limit")]
    assert [details.interval for details in of(listener, "rate_changed")] == [0.5]


HELD = {
    "limit": ({"limit": 1}, {}),
    "rate": ({"rate": se.Rate.every(5)}, {}),
    "event limit": ({}, {"event_limit": 1}),
    "pause": ({"limit": 0}, {}),
}


@pytest.mark.parametrize("by", HELD)
async def test_what_holds_a_platform_back_is_heard_and_explained(by, autojump_clock):
    """Each change of it, and in a sentence at any instant."""
    policy, options = HELD[by]
    world = World(default=[("sleep", 10)])
    engine = world.engine([world.platform("A", **policy)], **options)
    listener = listening("lane_held")
    async with engine.stream([se.Event(n) for n in range(3)], instruments=[listener]) as run:
        await trio.sleep(1)
        assert listener.heard[-1][1].by == by
        words = {"pause": "it is paused", "event limit": "the event limit of 1 holds it back"}
        assert words.get(by, f"its {by}") in run.explain("A")
        assert run.explain("A") in run.explain()
        assert run.explain().startswith("the run: ")
        if by == "pause":
            engine.tune("A", limit=5)
        async for _ in run:
            pass
    assert listener.heard[-1][1].by == "nothing"


async def test_a_full_buffer_and_a_source_that_waits_are_heard(autojump_clock):
    """And explained: nobody reads."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=3)], buffer=2, lookahead=5)
    listener = listening("buffer_full", "source_waiting", "source_ended", "lane_held")
    async with engine.stream(map(se.Event, range(20)), instruments=[listener]) as run:
        await trio.sleep(5)
        assert [details.waiting for details in of(listener, "buffer_full")] == [2]
        assert of(listener, "source_waiting")
        assert of(listener, "lane_held")[-1].by == "consumer"
        assert "outcomes wait for the consumer to read them" in run.explain("A")
        outcomes = [outcome async for outcome in run]
    assert len(outcomes) == 20
    [ended] = of(listener, "source_ended")
    assert ended.error is None


async def test_explaining_a_platform_that_there_is_not(autojump_clock):
    """It is said which there are; a platform without work has nothing to explain."""
    world = World(default=[("sleep", 1)])
    async with world.engine([world.platform("A"), world.platform("B")]).stream([se.Event(1, platforms=["A"])]) as run:
        await trio.sleep(0.5)
        assert run.explain("B") == "B: no work waits there"
        assert "nothing holds it back" in run.explain("A")
        with pytest.raises(se.UnknownPlatform, match="'A', 'B'"):
            run.explain("C")


async def test_a_hook_may_add_headers(autojump_clock, caplog):
    """They go out in place of others of that name. What cannot be sent is left out, and logged."""
    seen = []

    async def answer(request):
        seen.append(request.headers)
        return httpx.Response(200)

    async def scrape(task):
        await task.http.get("/", headers={"X-Mine": "mine"})

    answers = [
        {"traceparent": "00-1-2-01", "x-mine": "theirs"},
        {"X": "a\r\nEvil: 1"},
        {"Host": "evil.test"},
        "nonsense",
        None,
    ]

    class Tracer(se.Instrument):
        def request_begun(self, details):
            return answers[int(details.event.id)]

    platform = se.Platform("A", scrape, base_url="http://a.test", transport=httpx.MockTransport(answer), limit=1)
    report = await se.Engine([platform]).run([se.Event(n) for n in range(5)], instruments=[Tracer()])
    assert report.outcomes.succeeded == 5
    assert (seen[0]["traceparent"], seen[0]["x-mine"]) == ("00-1-2-01", "theirs")
    assert all("traceparent" not in headers and headers["x-mine"] == "mine" for headers in seen[1:])
    assert all(headers["host"] == "a.test" and "evil" not in headers for headers in seen)
    assert caplog.text.count("cannot be sent") == 3


@given(cases(steps=scripts(sleeps, requests, troubles)))
def test_what_is_heard_is_what_happens_and_changes_nothing(case):
    """A replay of what was heard never has more tasks than the limit, and ends all; unheard, the run is the same."""
    runs = []
    for listener in (None, listening()):
        world, engine = case.build(random=lambda: 0.5)
        instruments = [] if listener is None else [listener]
        with scheduled_alike():
            outcomes, _ = virtually(outcomes_of, engine, case.events, instruments=instruments)
        runs.append(
            [(outcome.event.id, outcome.platform, type(outcome), outcome.ran, outcome.parked) for outcome in outcomes]
        )
    assert sorted(runs[0], key=repr) == sorted(runs[1], key=repr)
    running = set()
    for name, details in listener.heard:
        match name:
            case "task_started" | "task_resumed":
                task = details.event.id, details.platform
                assert task not in running
                running.add(task)
                assert sum(platform == task[1] for _, platform in running) <= case.limits[task[1]]
            case "task_parked":
                running.remove((details.event.id, details.platform))
            case "task_ended":
                running.discard((details.outcome.event.id, details.outcome.platform))
    assert not running
    assert len(of(listener, "task_ended")) == len(of(listener, "outcome_delivered")) == len(runs[1])
    begun, ended = of(listener, "request_begun"), of(listener, "request_ended")
    assert len(begun) == len(ended) == sum(map(len, world.ledger.requests.values()))


async def test_one_that_raises_is_logged_and_taken_out(autojump_clock, caplog):
    """Once; the others go on hearing, and the run goes on."""
    world = World(default=[("sleep", 1)])
    listener, calls = listening("task_started"), []

    class Broken(se.Instrument):
        def task_started(self, details):
            calls.append(details)
            raise LookupError("in a hook")

        def task_ended(self, details):
            calls.append(details)

    engine = world.engine([world.platform("A")])
    report = await engine.run([se.Event(n) for n in range(3)], instruments=[Broken(), listener])
    assert report.outcomes.succeeded == 3
    assert len(listener.heard) == 3
    assert len(calls) == 1
    assert caplog.text.count("in a hook") >= 1
    assert "Broken" in caplog.text


FOLLOWS = {
    "a path": lambda self, path: setattr(self, "path", path),
    "nothing": lambda _self: None,
    "anything": lambda _self, *_, **__: None,
    "no method": "a text",
}


@pytest.mark.parametrize("follow", FOLLOWS)
async def test_a_method_that_happens_to_be_called_follow_is_the_programs_own(follow, autojump_clock, caplog):
    """And is not called: it tails a file, say."""
    own = listening("task_ended")
    type(own).follow = FOLLOWS[follow]
    world = World(default=[("sleep", 1)])
    report = await world.engine([world.platform("A")]).run(map(se.Event, range(3)), instruments=[own])
    assert report.outcomes.succeeded == len(own.heard) == 3
    assert not caplog.text


@pytest.mark.parametrize("returned", [None, 7, "text"])
async def test_who_follows_tasks_and_returns_nothing_that_does_is_taken_out(returned, autojump_clock, caplog):
    """It is logged once, with what is lacking, and the run goes on."""
    calls = []

    class Follows(se.Instrument):
        def follow_task(self, *_):
            calls.append("follow_task")
            return returned

        def task_parked(self, _details):
            pass

        def taken_out(self, now):
            calls.append(now)
            raise LookupError

    world = World(default=[("request", 1, 200)])
    listener = listening("task_ended")
    begun = trio.current_time()
    report = await world.engine([world.platform("A")]).run(map(se.Event, range(3)), instruments=[Follows(), listener])
    assert report.outcomes.succeeded == len(listener.heard) == 3
    assert calls == ["follow_task", begun]
    assert caplog.text.count("an instrument has failed, and is taken out") == 1
    assert "follow_task returns what follows a task, got" in caplog.text


async def test_one_that_is_slow_is_named_with_its_time(autojump_clock, caplog):
    """Once, and again when it takes twice as long; one that is quick is not."""

    class Slow(se.Instrument):
        def task_ended(self, details):
            autojump_clock.jump({0: 0.02, 1: 0.03, 2: 0.009, 3: 0.05}[int(details.outcome.event.id)])

    class Quick(se.Instrument):
        def task_ended(self, _details):
            pass

    world = World()
    engine = world.engine([world.platform("A", limit=1)])
    await engine.run(map(se.Event, range(4)), instruments=[Slow(), Quick()])
    said = re.findall(r"instrument='(.*?)' hook='(\w+)' seconds=([\d.]+)", caplog.text)
    assert [(name.rpartition(".")[2], hook, seconds) for name, hook, seconds in said] == [
        ("Slow", "task_ended", "0.02"),
        ("Slow", "task_ended", "0.05"),
    ]


async def test_what_a_hook_changes_happens_after_the_step(autojump_clock):
    """It may tune and stop; the engine is in the middle of a step meanwhile."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A", limit=1)], event_limit=100)

    class Steering(se.Instrument):
        def task_started(self, details):
            if details.event.id == "0":
                engine.tune("A", limit=50)
                limits.append(run._session.parts.scheduler.lanes["A"].limit.now)

        def task_ended(self, _details):
            run.stop_soon(0)

    limits = []
    async with engine.stream([se.Event(n) for n in range(100)]) as run:
        run.watch(Steering())
        outcomes = [outcome async for outcome in run]
    assert limits == [1]
    assert sum(isinstance(outcome, se.Success) for outcome in outcomes) >= 40
    assert run.report.stopped


async def test_an_instrument_joins_a_run_that_goes_on(autojump_clock):
    """It hears that the run had begun, and what happens from then on."""
    world = World(default=[("sleep", 2)])
    engine = world.engine([world.platform("A", limit=1)])
    first, later = listening("run_started", "task_started"), listening("run_started", "task_started")
    async with engine.stream([se.Event(n) for n in range(2)], instruments=[first]) as run:
        await trio.sleep(1)
        run.watch(later)
        async for _ in run:
            pass
    assert [details.joined for details in of(first, "run_started")] == [False]
    assert [details.joined for details in of(later, "run_started")] == [True]
    assert [details.event.id for details in of(later, "task_started")] == ["1"]


class OfTrio(trio.abc.Instrument):
    """An instrument of trio's."""


REFUSED = {
    "trio's": (OfTrio(), "is an instrument of trio's; give it to trio.run"),
    "a class": (OfTrio, r"write OfTrio\(\)"),
    "no hook": (object(), "at least one hook"),
    "a text": ("nonsense", "at least one hook"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_what_is_no_instrument_is_refused_with_words(what, autojump_clock):
    """At once, in each of the ways to run."""
    given, words = REFUSED[what]
    world = World(default=[("sleep", 1)])
    engine = world.engine([world.platform("A")])
    with pytest.raises(TypeError, match=words):
        engine.stream([], instruments=[given])
    with pytest.raises(TypeError, match="takes a list of instruments"):
        engine.stream([], instruments=given)
    async with se.open_store("memory:") as store:
        with pytest.raises(TypeError, match=words):
            engine.serve(store, instruments=[given])
        with pytest.raises(TypeError, match=words):
            await engine.poll(store, instruments=[given])
    async with engine.stream([se.Event(1)]) as run:
        with pytest.raises(TypeError, match=words):
            run.watch(given)
        async for _ in run:
            pass


async def test_a_served_run_is_heard(autojump_clock):
    """Jobs are claimed, renewed and stored; their outcomes go to the sinks."""
    world = World(default=[("sleep", 25)])
    engine, listener, sunk = world.engine([world.platform("A")]), listening(), []

    async def sink(outcomes):
        sunk.extend(outcomes)

    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(n) for n in range(3)])
        await engine.poll(store, sinks=[sink], instruments=[listener], lease=30)
    assert len(sunk) == 3
    assert {details.id for details in of(listener, "job_claimed")} == {"0", "1", "2"}
    assert [details.jobs for details in of(listener, "jobs_renewed")] == [3, 3]
    assert len(of(listener, "job_stored")) == 3
    assert [details.to for details in of(listener, "outcome_delivered")].count("sinks") == 3
    assert not of(listener, "job_lost")


async def test_a_lost_lease_is_heard(autojump_clock):
    """The job is somebody else's."""
    world = World(default=[("sleep", 100)])
    engine, listener = world.engine([world.platform("A")]), listening("job_lost", "job_claimed")
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event("x")])
        async with engine.serve(store, instruments=[listener], lease=3) as run:
            await trio.sleep(0.5)
            assert await store.cancel("A", "x")
            await trio.sleep(5)
            await run.stop(0)
    assert [details.id for details in of(listener, "job_lost")] == ["x"]


async def test_requests_on_the_wire():
    """A connection is opened once; bytes and seconds are those of the wire, redirects and streams included."""

    async def answer(request):
        if request.path == "/moved":
            return Answer(status=302, headers={"location": "/page"})
        return Answer(body=b"x" * 1000)

    async def scrape(task):
        await task.http.get("/moved?secret=s3cr3t")
        async with task.http.stream("GET", "/page") as stream:
            async for _ in stream:
                pass

    async with Site.open(answer) as site:
        platform = se.Platform("A", scrape, base_url=site.url, limit=1)
        listener = listening("connection_opened", "request_begun", "request_ended")
        await se.Engine([platform]).run([se.Event("e")], instruments=[listener])
    assert [name for name, _ in listener.heard] == [
        "connection_opened",
        *("request_begun", "request_ended") * 3,
    ]
    [opened] = of(listener, "connection_opened")
    assert opened.host == "127.0.0.1"
    assert opened.seconds > 0
    ended = of(listener, "request_ended")
    assert [(each.status, each.received, each.error, each.cancelled) for each in ended] == [
        (302, 0, None, False),
        (200, 1000, None, False),
        (200, 1000, None, False),
    ]
    assert ended[0].connect == opened.seconds
    assert ended[1].connect == ended[2].connect == 0
    assert all(0 < each.head <= each.seconds for each in ended)
    assert not any("s3cr3t" in each.url for each in (*ended, *of(listener, "request_begun")))


async def test_a_request_that_is_cut_off_or_fails_is_heard(autojump_clock):
    """Whatever its end, it has one."""

    async def scrape(task):
        with trio.move_on_after(1):
            await task.http.get("/slow")
        await task.http.get("/broken")

    async def answer(request):
        if request.url.path == "/slow":
            await trio.sleep(10)
        raise httpx.ReadError("broken")

    transport, listener = httpx.MockTransport(answer), listening("request_begun", "request_ended")
    platform = se.Platform("A", scrape, base_url="http://a.test", transport=transport, retry=se.Retry(attempts=1))
    await se.Engine([platform]).run([se.Event(1)], instruments=[listener])
    slow, broken = of(listener, "request_ended")
    assert (slow.status, slow.cancelled, slow.error, slow.seconds) == (None, True, None, 1)
    assert (broken.status, broken.cancelled) == (None, False)
    assert isinstance(broken.error, se.TransportError)


async def _never_whole():
    yield b"first"
    await trio.sleep(100)


async def _gets(task):
    await task.http.get("/a")


async def _streams(task):
    async with task.http.stream("GET", "/a") as stream:
        async for _ in stream:
            pass


@pytest.mark.parametrize("scrape", [_gets, _streams])
async def test_a_body_that_is_cut_off_is_no_answer(scrape, autojump_clock):
    """Whether all of it is waited for, or it is read part by part."""

    class Body(httpx.AsyncByteStream):
        def __aiter__(self):
            return _never_whole()

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Body()))
    recording, listener = se.observe.Recording(), listening("request_ended")
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    platform = se.Platform(
        "A", scrape, base_url="http://a.test", transport=transport, timeout=se.Timeout(task=2), retry=ONCE
    )
    instruments = [recording, listener, se.observe.Traces(provider)]
    report = await se.Engine([platform]).run([se.Event(1)], instruments=instruments)
    found = report.figures.platforms["A"]
    assert (found.requests, found.answered, found.failed, found.cut_off) == (1, 0, 0, 1)
    [ended] = of(listener, "request_ended")
    assert (ended.cancelled, ended.error, ended.whole, ended.received) == (True, None, False, 5)
    [request] = [span for span in exporter.get_finished_spans() if span.name == "GET"]
    assert request.attributes["error.type"] == "cancelled"


def test_each_hook_is_heard_somewhere_here():
    """So that none is forgotten: the texts above name it."""
    text = pathlib.Path(__file__).read_text("utf-8")
    assert [name for name in HOOKS if f'"{name}"' not in text and f" {name} " not in text] == []
