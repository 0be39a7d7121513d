"""Traces of runs: spans by OpenTelemetry's API, seen by its SDK's exporter in memory."""

import httpx
import pytest
import structlog
import trio
from opentelemetry import baggage, trace
from opentelemetry.context import Context, attach, detach, get_value, set_value
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import (
    ALWAYS_OFF,
    Decision,
    ParentBased,
    Sampler,
    SamplingResult,
    TraceIdRatioBased,
)
from opentelemetry.trace import SpanKind, StatusCode

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.world import World


class Program:
    """A program with an SDK of its own."""

    def __init__(self, sampler=None):
        self.provider = TracerProvider(sampler=sampler)
        self._exporter = InMemorySpanExporter()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer = self.provider.get_tracer("program")

    def spans(self, start=""):
        """List the spans that have ended and whose name begins so."""
        return [span for span in self._exporter.get_finished_spans() if span.name.startswith(start)]

    def traces(self, **options):
        """Make the instrument."""
        return se.observe.Traces(self.provider, **options)


def seconds(span):
    """Return how long a span has lasted."""
    return (span.end_time - span.start_time) / 1e9


async def test_a_run_its_tasks_and_their_requests_are_spans(autojump_clock):
    """Each task in a trace of its own, with a link to its run; a request by HTTP's conventions; retries are events."""
    program = Program()
    scripts = {("x", "A"): [("request", 1, 500), ("sleep", 2)], ("y", "A"): [("raise", "error")]}
    world = World(scripts=scripts)
    retry = se.Retry(attempts=2, initial_wait=1, max_wait=1, budget=1)
    engine = world.engine([world.platform("A", retry=retry)], random=lambda: 1.0)
    with program.tracer.start_as_current_span("program") as outer:
        report = await engine.run([se.Event("x"), se.Event("y")], instruments=[program.traces()])
    [run] = program.spans("scrape run")
    assert run.parent.span_id == outer.get_span_context().span_id
    assert run.attributes["scrapeengine.outcomes.failed"] == report.outcomes.failed == 1
    assert seconds(run) == pytest.approx(report.elapsed, abs=1e-3) == pytest.approx(5, abs=1e-3)
    assert run.start_time / 1e9 == pytest.approx(report.started.timestamp(), abs=1e-3)
    y, x = program.spans("scrape A")
    for task in (x, y):
        assert task.parent is None
        assert task.kind is SpanKind.INTERNAL
        assert task.context.trace_id != run.context.trace_id
        assert [link.context.span_id for link in task.links] == [run.context.span_id]
    assert (x.attributes["scrapeengine.event.id"], x.attributes["scrapeengine.outcome"]) == ("x", "succeeded")
    assert (y.attributes["error.type"], y.status.status_code) == ("Trouble", StatusCode.ERROR)
    assert [event.name for event in x.events] == ["request retried", "parked", "resumed"]
    first, second = program.spans("GET")
    for number, request in enumerate((first, second)):
        assert request.parent.span_id == x.context.span_id
        assert request.kind is SpanKind.CLIENT
        said = dict(request.attributes)
        assert said["http.request.method"] == "GET"
        assert said["http.response.status_code"] == 500
        assert said["error.type"] == "500"
        assert (said["server.address"], said["server.port"]) == ("a.test", 80)
        assert said.get("http.request.resend_count", 0) == number
        assert said["url.full"].startswith("http://a.test/x?latency=")
        assert "500" not in said["url.full"]  # no value of a query
        assert seconds(request) == pytest.approx(1)
    assert len(program.spans()) == 6


async def test_a_platform_that_closes_is_an_event_of_the_run(autojump_clock):
    """And that it opens again."""
    program = Program()
    world = World(scripts={("x", "A"): [("request", 1, (429, 20))]})
    engine = world.engine([world.platform("A")])
    await engine.run([se.Event("x")], instruments=[program.traces()])
    [run] = program.spans("scrape run")
    assert [event.name for event in run.events][:2] == ["platform closed", "platform opened"]
    assert run.events[0].attributes["scrapeengine.seconds"] == pytest.approx(20)


async def test_a_scraper_sees_the_span_of_its_task(autojump_clock):
    """What it starts is a child of it, and no other task sees that."""
    program, seen = Program(), {}

    async def scrape(task):
        await trio.sleep(int(task.event.id) % 3)
        with program.tracer.start_as_current_span(f"own {task.event.id}"):
            seen[task.event.id] = trace.get_current_span()
            await trio.sleep(1)

    await se.Engine([se.Platform("A", scrape, limit=3)]).run(map(se.Event, range(12)), instruments=[program.traces()])
    tasks = {span.attributes["scrapeengine.event.id"]: span for span in program.spans("scrape A")}
    assert len(tasks) == 12
    for span in program.spans("own"):
        assert span.parent.span_id == tasks[span.name.removeprefix("own ")].context.span_id
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_site_that_is_to_know_gets_a_traceparent():
    """No other does."""
    program, came = Program(), {}

    async def answer(request):
        came[request.path] = request.headers.get("traceparent")
        return Answer(body=b"ok")

    async def scrape(task):
        await task.http.get(f"/{task.platform}")

    async with Site.open(answer) as site:
        platforms = [se.Platform(name, scrape, base_url=site.url) for name in ("ours", "theirs")]
        await se.Engine(platforms).run([se.Event(1)], instruments=[program.traces(propagate=["ours"])])
    assert came["/theirs"] is None
    [request] = [span for span in program.spans("GET") if span.attributes["url.full"].endswith("/ours")]
    assert came["/ours"][:-3] == f"00-{request.context.trace_id:032x}-{request.context.span_id:016x}"


@pytest.mark.parametrize("url", ["memory:", "sqlite:{}/jobs.db"])
async def test_the_trace_goes_on_from_who_has_enqueued_a_job(url, tmp_path):
    """Its task is a child of the span in which it was enqueued; of a job that recurs it is linked."""
    program = Program()
    engine = se.Engine([se.Platform("A", nothing)])
    async with se.open_store(url.format(tmp_path)) as store:
        with program.tracer.start_as_current_span("enqueues") as sender:
            context = se.observe.trace_context()
            await engine.enqueue(store, [se.Event("once")], context=context)
            cadence = se.Cadence(min_interval=3600)
            await engine.enqueue(store, [se.Event("again")], cadence=cadence, context=context)
        await engine.enqueue(store, [se.Event("alone")])
        sent = sender.get_span_context()
        async with engine.serve(store, until="idle", instruments=[program.traces()]) as run:
            async for _ in run:
                pass
    tasks = {span.attributes["scrapeengine.event.id"]: span for span in program.spans("scrape A")}
    assert tasks["once"].parent.span_id == sent.span_id
    assert tasks["once"].context.trace_id == sent.trace_id
    assert tasks["once"].kind is SpanKind.CONSUMER
    assert tasks["again"].parent is tasks["alone"].parent is None
    assert tasks["again"].links[-1].context.span_id == sent.span_id
    assert len(tasks["alone"].links) == 1


async def nothing(task):
    """Do nothing."""
    await trio.lowlevel.checkpoint()


@pytest.mark.parametrize(
    ("context", "error"),
    [({"a": 1}, TypeError), ("traceparent", TypeError), ({"a": "x" * 9000}, ValueError)],
)
async def test_what_cannot_come_with_a_job_is_refused(context, error):
    """Before anything is in the store."""
    async with se.open_store("memory:") as store:
        with pytest.raises(error, match=r"enqueue\(context=…\) takes"):
            await se.Engine([se.Platform("A", nothing)]).enqueue(store, [se.Event(1)], context=context)
        assert not await store.stats()


async def test_what_comes_with_a_job_is_told_and_nonsense_does_no_harm(autojump_clock):
    """Instruments hear of it as it is; what is no trace begins one of its own."""
    program, heard = Program(), []

    class Hears(se.Instrument):
        def job_claimed(self, details):
            heard.append((dict(details.context), details.recurs))

    engine = se.Engine([se.Platform("A", nothing)])
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(1)], context={"traceparent": "nonsense", "tenant": "ü"})
        await engine.poll(store, instruments=[program.traces(), Hears()])
    assert heard == [({"traceparent": "nonsense", "tenant": "ü"}, False)]
    assert program.spans("scrape A")[0].parent is None


async def test_what_a_sampler_leaves_out_costs_no_spans_of_requests(autojump_clock):
    """And a part of the tasks is sampled, not all or none of a run."""
    program = Program(TraceIdRatioBased(0.3))
    world = World(default=[("request", 1, 200)])
    report = await world.engine([world.platform("A")]).run(map(se.Event, range(300)), instruments=[program.traces()])
    assert report.outcomes.succeeded == 300
    tasks = program.spans("scrape A")
    assert 40 < len(tasks) < 140
    requests = program.spans("GET")
    assert {span.parent.span_id for span in requests} == {span.context.span_id for span in tasks}


async def test_what_a_task_begins_that_is_left_out_is_left_out_too():
    """Its context is that of its span, of which a site that is to know hears as well; no request has a span."""
    program, came = Program(ParentBased(TraceIdRatioBased(0.0))), []

    async def answer(request):
        came.append(request.headers["traceparent"])
        return Answer(body=b"ok")

    async def scrape(task):
        with program.tracer.start_as_current_span("own") as own:
            await task.http.get("/")
        return own.get_span_context()

    async with Site.open(answer) as site:
        engine = se.Engine([se.Platform("A", scrape, base_url=site.url)])
        async with engine.stream([se.Event(1)], instruments=[program.traces(propagate=["A"])]) as run:
            [own] = [outcome.value async for outcome in run]
    assert not program.spans()
    [said] = came
    assert said.startswith(f"00-{own.trace_id:032x}-")
    assert not int(said[-2:], 16) & 1  # not sampled


async def test_the_log_of_a_failure_belongs_to_its_task(autojump_clock):
    """The span is the current one until all is said; then it is that of nobody, and the next task has its own."""
    program, seen = Program(), []

    def note(logger, method, event):
        if "fail" in event["event"]:
            seen.append(trace.get_current_span().get_span_context().span_id)
        return event

    async def scrape(task):
        before = trace.get_current_span()
        await trio.sleep(1)
        assert trace.get_current_span() is before
        raise ValueError(task.event.id)

    configured = structlog.get_config()
    structlog.configure(processors=[note, structlog.processors.KeyValueRenderer()])
    try:
        engine = se.Engine([se.Platform("A", scrape, limit=1)])
        report = await engine.run(map(se.Event, range(3)), instruments=[program.traces()])
    finally:
        structlog.configure(**configured)
    assert report.outcomes.failed == 3
    assert seen
    assert set(seen) <= {span.context.span_id for span in program.spans("scrape A")}
    assert trace.get_current_span() is trace.INVALID_SPAN


async def test_a_scraper_has_the_context_of_the_program_too():
    """What stands in it when the run is opened (baggage, say) stands there in each task, traced or left out."""
    kept = {}

    async def scrape(task):
        kept[task.platform, task.event.id] = baggage.get_baggage("tenant"), get_value("suppress")
        attach(set_value("suppress", task.event.id))  # of this task alone, for it stays
        await trio.lowlevel.checkpoint()

    for name, sampler in {"all": None, "none": ALWAYS_OFF}.items():
        token = attach(set_value("suppress", "yes", baggage.set_baggage("tenant", "t1")))
        try:
            platform = se.Platform(name, scrape, limit=1)
            await se.Engine([platform]).run(map(se.Event, range(3)), instruments=[Program(sampler).traces()])
        finally:
            detach(token)
    assert len(kept) == 6
    assert set(kept.values()) == {("t1", "yes")}


async def test_a_request_is_a_child_of_the_span_around_it(autojump_clock):
    """Where that is of the task's trace; else of its task."""
    program = Program()

    async def scrape(task):
        await task.http.get("/task")
        with program.tracer.start_as_current_span("own"):
            await task.http.get("/own")
        with program.tracer.start_as_current_span("alone", context=Context()):
            await task.http.get("/alone")
        token = attach(Context())
        await task.http.get("/nowhere")
        detach(token)

    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    engine = se.Engine([se.Platform("A", scrape, base_url="http://a.test", transport=transport)])
    report = await engine.run([se.Event("x")], instruments=[program.traces()])
    assert report.outcomes.succeeded == 1
    names = {span.context.span_id: span.name for span in program.spans()}
    parents = {
        span.attributes["url.full"].rpartition("/")[2]: names[span.parent.span_id] for span in program.spans("GET")
    }
    assert parents == {"task": "scrape A", "own": "own", "alone": "scrape A", "nowhere": "scrape A"}


class Raises(Sampler):
    """A sampler that fails for the spans whose name begins so."""

    def __init__(self, name):
        self._name = name

    def should_sample(self, _, __, name, *___, **____):
        """Take all others."""
        if name.startswith(self._name):
            raise ZeroDivisionError(name)
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self):
        """Say what it is."""
        return "Raises"


class RaisesAtEnds(SpanProcessor):
    """What gets the spans fails at the end of each whose name begins so."""

    def __init__(self, name):
        self._name = name

    def on_end(self, span):
        """Fail."""
        if span.name.startswith(self._name):
            raise ZeroDivisionError(span.name)


@pytest.mark.parametrize("name", ["scrape A", "GET"])
@pytest.mark.parametrize("ends", [False, True])
async def test_an_sdk_that_fails_is_taken_out_and_the_run_goes_on(autojump_clock, name, ends, caplog):
    """Once, whatever is on its way; others are followed on."""
    program, other = Program(None if ends else Raises(name)), Program()
    if ends:
        program.provider.add_span_processor(RaisesAtEnds(name))
    world = World(default=[("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=4)])
    report = await engine.run(map(se.Event, range(12)), instruments=[program.traces(), other.traces()])
    assert report.outcomes.succeeded == 12
    assert caplog.text.count("an instrument has failed, and is taken out") == 1
    assert len(other.spans("scrape A")) == len(other.spans("GET")) == 12
    assert len(program.spans("scrape A")) < 12


class RaisesOnce(Sampler):
    """A sampler that fails once, for the second span of this name."""

    def __init__(self, name):
        self._name = name
        self.asked = 0

    def should_sample(self, _, __, name, *___, **____):
        """Take all others."""
        self.asked += name == self._name
        if name == self._name and self.asked == 2:
            raise ZeroDivisionError(name)
        return SamplingResult(Decision.RECORD_AND_SAMPLE)

    def get_description(self):
        """Say what it is."""
        return "RaisesOnce"


class Open(SpanProcessor):
    """Keeps the names of spans that have begun and not ended."""

    def __init__(self):
        self.spans = {}

    def on_start(self, span, parent_context=None):  # noqa: ARG002 - the name is the SDK's
        """One more."""
        self.spans[span.context.span_id] = span.name

    def on_end(self, span):
        """One less."""
        del self.spans[span.context.span_id]


@pytest.mark.parametrize("name", ["scrape A", "GET"])
async def test_a_sampler_that_fails_once_leaves_no_span_open(autojump_clock, name):
    """Nor is it asked again: the run's span ends there, those of tasks and requests on their way when these do."""
    program, still = Program(sampler := RaisesOnce(name)), Open()
    program.provider.add_span_processor(still)
    scripts = {(str(n), "A"): [("sleep", n), ("request", 5, 200), ("request", 1, 200)] for n in range(1, 5)}
    engine = (world := World(scripts=scripts)).engine([world.platform("A", limit=3)])
    report = await engine.run([se.Event(str(n)) for n in range(1, 5)], instruments=[program.traces()])
    assert report.outcomes.succeeded == 4
    assert not still.spans
    assert sampler.asked == 2
    [run] = program.spans("scrape run")
    if name == "scrape A":  # as the second task starts
        assert seconds(run) == 0
        assert len(program.spans("scrape A")) == 1
        assert not program.spans("GET")
    else:  # as the second task asks
        assert seconds(run) == pytest.approx(2)
        assert len(program.spans("scrape A")) == 3
        [request] = program.spans("GET")
        assert seconds(request) == pytest.approx(5)
        assert request.attributes["http.response.status_code"] == 200


async def test_who_joins_and_who_is_cut_off(autojump_clock):
    """Tasks that had begun before are left out; a request that is cut off ends with its task."""
    program = Program()
    world = World(default=[("request", 10, 200)])
    engine = world.engine([world.platform("A", limit=1)])
    async with engine.stream(map(se.Event, range(3))) as run:
        await trio.sleep(1)
        run.watch(program.traces())
        await trio.sleep(12)
        await run.stop(0)
    [task] = program.spans("scrape A")
    [request] = program.spans("GET")
    assert task.attributes["scrapeengine.outcome"] == "cancelled"
    assert request.attributes["error.type"] == "cancelled"
    assert seconds(task) == pytest.approx(3)
    assert program.spans("scrape run")[0].attributes["scrapeengine.stopped"]


def test_what_it_cannot_be_made_of_is_refused():
    """In words."""
    with pytest.raises(TypeError, match=r"Traces\(propagate=…\) takes names"):
        se.observe.Traces(propagate="ours")
    with pytest.raises(TypeError, match=r"Traces\(propagate=…\) takes names of platforms, got 7; write \[name\]"):
        se.observe.Traces(propagate=7)
    with pytest.raises(
        TypeError, match=r"takes a TracerProvider of OpenTelemetry's, got .*; write Traces\(TracerProvider"
    ):
        se.observe.Traces(["ours"])
    assert repr(se.observe.Traces(propagate=["a"])) == "<Traces, propagated to 1 platforms>"
    assert se.observe.trace_context() == {}
