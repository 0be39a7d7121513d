"""What Prometheus is told of runs: what the site's ledger says, in names that it can read, and not too many of them."""

import gzip
import json
import math
import pathlib
import re
import sys
import threading
from functools import partial

import httpx
import pytest
import trio
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read

import scrapeengine as se
from scrapeengine.testing import Answer, Site
from support.world import World

PAGE = b"<html>" * 1000
CODED = gzip.compress(PAGE)


@pytest.fixture
def metrics():
    """Make metrics in a registry of their own."""
    return se.observe.Prometheus(CollectorRegistry())


def samples(metrics):
    """Return what Prometheus reads: values by the name and the labels of each sample."""
    found = {}
    for family in read(generate_latest(metrics.registry).decode()):
        for sample in family.samples:
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def total(found, name, *labels):
    """Add up all samples of a name that have these labels."""
    return sum(value for key, value in found.items() if key[0] == f"scrapeengine_{name}" and set(labels) <= set(key))


async def test_all_adds_up_to_the_ledger_of_the_site(metrics):
    """Outcomes, requests, and the bytes of bodies that were read to their end; what was cut off is counted apart."""
    sent = {"whole": 0, "plain": 0, "requests": 0}

    async def answer(request):
        sent["requests"] += 1
        match request.path:
            case "/gone":
                sent["whole"] += 4
                sent["plain"] += 4
                return Answer(status=404, body=b"gone")
            case "/hangs":
                await trio.sleep_forever()
            case "/breaks":
                return Answer(body=b"x" * 10, headers={"content-length": "100", "connection": "close"})
        sent["whole"] += len(CODED)
        sent["plain"] += len(PAGE)
        return Answer(body=CODED, headers={"content-encoding": "gzip"})

    async def scrape(task):
        number = int(task.event.id)
        await task.http.get("/")
        await task.http.get("/gone", check=False)
        if number % 3 == 1:
            await task.http.get("/breaks")
        if number % 3 == 2:
            with trio.move_on_after(0.05):
                await task.http.get("/hangs")
            task.skip("nothing new")

    async with Site.open(answer) as site:
        platforms = [se.Platform(name, scrape, base_url=site.url, retry=se.Retry(attempts=1)) for name in "AB"]
        for _ in range(2):  # two runs, whose counts are added up
            report = await se.Engine(platforms).run(map(se.Event, range(9)), instruments=[metrics])
    found = samples(metrics)
    for kind in ("succeeded", "failed", "skipped", "cancelled"):
        assert total(found, "outcomes_total", kind) == 2 * getattr(report.outcomes, kind)
        assert total(found, "outcomes_total", kind, "A") == 2 * getattr(report.platforms["A"], kind)
    assert total(found, "requests_total") == sent["requests"] == site.ledger.requests == 2 * 2 * (18 + 3 + 3)
    assert total(found, "requests_total", "4xx") == 2 * 2 * 9
    assert total(found, "requests_total", "none") == total(found, "requests_unfinished_total", "cut_off") == 12
    assert total(found, "requests_unfinished_total", "failed") == 12
    assert total(found, "received_bytes_total", "whole") == sent["whole"]
    assert total(found, "received_bytes_total", "cut_off") == 12 * 10
    assert total(found, "decoded_bytes_total") == sent["plain"]
    assert total(found, "connections_total") == site.ledger.connections
    assert total(found, "failures_total") == 12
    assert total(found, "request_duration_seconds_count") == total(found, "requests_total") - 24
    assert total(found, "queue_seconds_count", "A") == 18
    assert total(found, "runs") == total(found, "requests_in_flight") == 0


async def test_a_run_that_goes_on_is_seen_as_it_stands(metrics, autojump_clock):
    """Limits, rates, running, parked and waiting tasks, requests on their way, penalties, and the buffer."""
    world = World(scripts={("0", "B"): [("request", 1, (429, 100))]}, default=[("request", 10, 200)])
    platforms = [world.platform("A", limit=2, rate=se.Rate(4)), world.platform("B", limit=5)]
    engine = world.engine(platforms, event_limit=20)
    events = [*(se.Event(n, platforms=["A"]) for n in range(7)), se.Event(0, platforms=["B"])]
    async with engine.stream(events, instruments=[metrics]) as run:
        await trio.sleep(5)
        found = samples(metrics)
        expected = {
            ("runs",): 1,
            ("event_limit",): 20,
            ("outcomes_buffered",): 0,
            ("tasks_running", "A"): 2,
            ("tasks_waiting", "A"): 5,
            ("tasks_parked", "B"): 1,
            ("requests_in_flight", "A"): 2,
            ("requests_in_flight", "B"): 0,
            ("limit", "B"): 5,
            ("utilisation_ratio", "A"): 1,
            ("rate_requests_per_second", "A"): 4,
            ("rate_requests_per_second", "B"): math.inf,
            ("closed", "A"): 0,
            ("closed", "B"): 1,
            ("closed_until_timestamp_seconds", "A"): 0,
        }
        assert {key: found[f"scrapeengine_{key[0]}", *key[1:]] for key in expected} == expected
        until = run.report.started.timestamp() + 101
        assert found["scrapeengine_closed_until_timestamp_seconds", "B"] == pytest.approx(until, abs=1)
        assert found["scrapeengine_held_back_seconds_total", "A", "limit"] == pytest.approx(4.75, abs=0.3)
        assert total(found, "held_back_seconds_total", "A") == pytest.approx(5)
        assert total(found, "requests_total") == 1
        await run.stop(0)
    found = samples(metrics)
    assert total(found, "outcomes_total", "A", "cancelled") == 7
    assert total(found, "requests_unfinished_total", "cut_off") == 2
    assert run.report.figures.platforms["A"].cut_off == 2


async def visit(task):
    """Make one request."""
    await task.http.get(task.event.url)


@pytest.mark.parametrize("apart", [0, 3])
async def test_hundreds_of_hosts_are_one_label_unless_asked_for(apart, autojump_clock):
    """Each metric has as many samples as for one host; while they run, too."""
    metrics = se.observe.Prometheus(CollectorRegistry(), hosts=apart)
    most = asked = 0

    async def answer(_):
        nonlocal most, asked
        asked += 1
        await trio.sleep(1)
        if asked % 60 == 0:
            most = max(most, len({key[1] for key in samples(metrics) if len(key) > 1 and "platform" not in key[0]}))
        return httpx.Response(200)

    engine = se.Engine([], default=se.Platform("*", visit), connector=httpx.MockTransport(answer), event_limit=20)
    events = [se.Event(url=f"http://h{n}.test/") for n in range(300)]
    await engine.run(events, instruments=[metrics])
    found = samples(metrics)
    assert {key[1] for key in found if key[0] == "scrapeengine_requests_total"} == {
        "*",
        *(f"h{n}.test" for n in range(apart)),
    }
    assert total(found, "requests_total") == total(found, "outcomes_total") == 300
    assert len(found) < 160 + 120 * apart
    assert most < 40


async def test_names_and_text_are_prometheus_own(metrics, autojump_clock):
    """Both texts pass their parsers. Names have a prefix and a unit, counters `_total`; each says what it is."""

    async def scrape(task):
        raise ValueError(task.event.id)

    await se.Engine([se.Platform('a"b', scrape)]).run([se.Event(1)], instruments=[metrics])
    families = list(read(generate_latest(metrics.registry).decode()))
    assert len(families) == len(list(read_openmetrics(openmetrics(metrics.registry).decode())))
    assert len(families) > 30
    for family in families:
        assert re.fullmatch("scrapeengine_[a-z][a-z_]*[a-z]", family.name)
        assert family.documentation
        assert not re.search("_(ms|milliseconds|minutes|kb|total|count|sum|bucket)$", family.name)
        assert {sample.name for sample in family.samples} <= {
            "counter": {f"{family.name}_total", f"{family.name}_created"},
            "histogram": {f"{family.name}_{end}" for end in ("bucket", "count", "sum")},
            "gauge": {family.name},
        }[family.type]
        for sample in family.samples:
            assert set(sample.labels) <= {"platform", "kind", "status", "reason", "body", "error", "state", "le"}
    assert total(samples(metrics), "failures_total", "ValueError") == 1


async def test_runs_at_once_are_added_up_and_none_is_lost_between(metrics, autojump_clock):
    """Counters never go back, whoever looks whenever."""
    world = World(default=[("request", 1, 200)])
    seen, done = [], False

    async def look():
        while not done:
            found = samples(metrics)
            seen.append((total(found, "outcomes_total"), total(found, "requests_total"), found["scrapeengine_runs",]))
            await trio.sleep(0.25)

    async def one(number):
        await trio.sleep(number)
        engine = world.engine([world.platform("A", limit=2)])
        await engine.run([se.Event(f"{number}.{n}") for n in range(6)], instruments=[metrics])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(look)
        async with trio.open_nursery() as runs:
            for number in range(3):
                runs.start_soon(one, number)
        done = True
    assert [counts[:2] for counts in seen] == sorted(counts[:2] for counts in seen)
    assert max(counts[2] for counts in seen) == 3
    found = samples(metrics)
    assert total(found, "outcomes_total", "succeeded") == total(found, "requests_total", "2xx") == 18


async def test_another_thread_may_ask_while_all_changes(metrics, autojump_clock):
    """Nothing is raised, and no count goes back."""
    ended, looked = threading.Event(), []

    def look():
        try:
            while not ended.wait(0.001):
                looked.append(total(samples(metrics), "requests_total"))
        except BaseException as error:  # noqa: BLE001 - for the test to see
            looked.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        connector = httpx.MockTransport(lambda _: httpx.Response(200))
        engine = se.Engine([], default=se.Platform("*", visit), connector=connector)
        for start in (0, 400):
            events = [se.Event(url=f"http://h{n}.test/") for n in range(start, start + 400)]
            await engine.run(events, instruments=[metrics])
    finally:
        sys.setswitchinterval(before)
        ended.set()
        thread.join()
    assert all(isinstance(each, float | int) for each in looked), looked
    assert looked == sorted(looked)
    assert total(samples(metrics), "requests_total") == 800


async def test_a_run_that_was_joined_is_counted_from_then_on(metrics, autojump_clock):
    """Its outcomes are all there, for the report has them."""
    world = World(default=[("request", 1, 200)])
    async with world.engine([world.platform("A", limit=1)]).stream(map(se.Event, range(4))) as run:
        await trio.sleep(1.5)
        run.watch(metrics)
        async for _ in run:
            pass
    found = samples(metrics)
    assert total(found, "outcomes_total") == 4
    assert total(found, "requests_total") == 2
    assert total(found, "held_back_seconds_total", "A") == pytest.approx(2.5)


async def ask(port, request):
    """Send a request, and return the whole answer."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(request)
        return b"".join([part async for part in stream])


async def test_they_are_served_on_loopback(metrics):
    """At one path, in the form that is asked for; with the jobs of a store, and how late the loop is."""
    async with se.open_store("memory:") as store, trio.open_nursery() as nursery:
        engine = se.Engine([se.Platform("A", visit)], default=se.Platform("*", visit))
        await engine.enqueue(store, [se.Event(n, url=f"http://h{n}.test/", platforms=["A"]) for n in range(3)])
        await engine.enqueue(store, [se.Event(url=f"http://h{n}.test/") for n in range(5)])
        await engine.run([], instruments=[metrics])
        serve = se.observe.serve_metrics
        port = await nursery.start(lambda task_status: serve(0, metrics, store=store, task_status=task_status))
        with trio.fail_after(20):
            while not metrics.lag.count:
                await trio.sleep(0.01)
        head, _, body = (await ask(port, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=")
        assert f"Content-Length: {len(body)}".encode() in head
        found = {(s.name, *s.labels.values()): s.value for family in read(body.decode()) for s in family.samples}
        assert found["scrapeengine_store_jobs", "A", "ready"] == 3
        assert found["scrapeengine_store_jobs", "*", "ready"] == 5
        assert found["scrapeengine_store_oldest_seconds", "A"] >= 0
        assert found["scrapeengine_loop_lag_seconds_count",] >= 1
        accept = b"Accept: application/openmetrics-text; version=1.0.0\r\n"
        _, _, body = (await ask(port, b"GET /metrics?x=1 HTTP/1.1\r\n%b\r\n" % accept)).partition(b"\r\n\r\n")
        assert len(list(read_openmetrics(body.decode()))) > 30
        head, _, body = (await ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK")
        assert not body
        assert (await ask(port, b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 404 Not Found")
        assert (await ask(port, b"POST /metrics HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 405 Method Not Allowed")
        assert (await ask(port, b"x" * 20_000)).startswith(b"HTTP/1.1 405")
        nursery.cancel_scope.cancel()
    with pytest.raises(OSError, match=r".*"):
        await trio.open_tcp_stream("127.0.0.1", port)


@pytest.mark.parametrize(
    ("host", "hosts", "asked", "served"),
    [
        ("127.0.0.1", (), "127.0.0.1:9100", True),
        ("127.0.0.1", (), "LOCALHOST", True),
        ("127.0.0.1", (), "[::1]:9100", True),
        ("127.0.0.1", (), "evil.example:9100", False),  # a page whose name leads to loopback (DNS rebinding)
        ("127.0.0.1", ["scraper.example"], "Scraper.Example", True),
        ("127.0.0.1", ["scraper.example"], "evil.example", False),
        ("127.0.0.1", (), "127.0.0.1\r\nHost: evil.example", False),
        ("127.0.0.1", (), "", False),
        ("127.0.0.1", (), "localhost.:9100", True),
        ("127.0.0.1", (), "[0:0:0:0:0:0:0:1]:9100", True),
        ("127.0.0.1", ["scraper.example.:9100", "[FD00::1]", "fd00::2"], "scraper.example", True),
        ("127.0.0.1", ["scraper.example.:9100", "[FD00::1]", "fd00::2"], "[fd00::1]:80", True),
        ("127.0.0.1", ["scraper.example.:9100", "[FD00::1]", "fd00::2"], "[fd00:0::2]", True),
        ("127.0.0.1", [":9100", ""], "", False),
        ("0x7f.1", (), "evil.example", False),  # loopback, however it is spelled
        ("0x7f.1", (), "localhost", True),
        (None, (), "evil.example", True),
        (None, ["scraper.example"], "evil.example", False),
        ("0.0.0.0", (), "scraper.example:9100", True),  # all who can connect may
        ("0.0.0.0", ["scraper.example"], "evil.example", False),
    ],
)
async def test_a_foreign_name_that_leads_here_is_not_served(metrics, host, hosts, asked, served):
    """On loopback, or where names are given."""
    serve = partial(se.observe.serve_metrics, 0, metrics, host=host, hosts=hosts)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(lambda task_status: serve(task_status=task_status))
        answer = await ask(port, f"GET /metrics HTTP/1.1\r\nHost: {asked}\r\n\r\n".encode())
        nursery.cancel_scope.cancel()
    assert answer.startswith(b"HTTP/1.1 200 OK" if served else b"HTTP/1.1 403 Forbidden")
    assert (b"scrapeengine_runs" in answer) is served


async def test_a_store_that_fails_takes_no_metrics_with_it(metrics, caplog):
    """It is logged, and its jobs are not there."""

    class Broken:
        async def stats(self):
            raise se.StoreError("the disk is gone")

    async with trio.open_nursery() as nursery:
        serve = se.observe.serve_metrics
        port = await nursery.start(lambda task_status: serve(0, metrics, store=Broken(), task_status=task_status))
        assert b"\nscrapeengine_runs 0.0\n" in await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        nursery.cancel_scope.cancel()
    assert "the jobs of the store could not be counted" in caplog.text


def test_the_text_is_written_in_a_thread(metrics):
    """For many platforms it takes long."""
    threads = []

    class Slow:
        def collect(self):
            threads.append(threading.current_thread())
            return []

    async def main():
        async with trio.open_nursery() as nursery:
            port = await nursery.start(se.observe.serve_metrics, 0, metrics)
            await ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
            nursery.cancel_scope.cancel()

    metrics.registry.register(Slow())
    threads.clear()
    trio.run(main)
    assert threads
    assert threading.main_thread() not in threads


def test_what_it_cannot_be_made_of_is_refused(metrics):
    """In words that say what to write."""
    with pytest.raises(TypeError, match=r"write Prometheus\(CollectorRegistry\(\)\)"):
        se.observe.Prometheus("registry")
    with pytest.raises(ValueError, match="give that one to all runs"):
        se.observe.Prometheus(metrics.registry)
    with pytest.raises(ValueError, match=r"Prometheus\(hosts=…\) must be"):
        se.observe.Prometheus(CollectorRegistry(), hosts=-1)
    with pytest.raises(TypeError, match=r"serve_metrics\(host=…\) is an address, got 7; leave it out for loopback"):
        trio.run(partial(se.observe.serve_metrics, 0, metrics, host=7))
    with pytest.raises(TypeError, match=r"serve_metrics\(hosts=…\) must be a list of names; write"):
        trio.run(partial(se.observe.serve_metrics, 0, metrics, hosts="scraper.example"))
    with pytest.raises(TypeError, match=r"write serve_metrics\(9100, metrics\)"):
        trio.run(se.observe.serve_metrics, 0, "metrics")
    assert repr(metrics) == "<Prometheus of 0 runs>"


def test_the_dashboard_asks_for_what_there_is(metrics):
    """Each metric and each label that a panel of docs/grafana.json names is told, and panels do not overlap."""
    page = json.loads(pathlib.Path(__file__, "../../../docs/grafana.json").resolve().read_text("utf-8"))
    told = {}
    for family in metrics.describe():
        ends = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "gauge": [""]}[family.type]
        told |= {f"{family.name}{end}": {*family._labelnames, "le"} for end in ends}
    taken = set()
    for panel in page["panels"]:
        at = panel["gridPos"]
        squares = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not squares & taken, panel["title"]
        assert max(x for x, _ in squares) < 24
        taken |= squares
        for target in panel["targets"]:
            names = re.findall(r"scrapeengine_\w+", target["expr"])
            assert names
            known = set().union(*(told[name] for name in names))
            used = re.findall(r"(\w+)=~?\"|(\w+)!=\"", target["expr"]) + re.findall(
                r"{{()(\w+)}}", target["legendFormat"]
            )
            assert {label for pair in used for label in pair if label} <= known, panel["title"]
    assert len(page["panels"]) > 15


async def test_runs_at_once_on_one_platform_are_closed_once(metrics, autojump_clock):
    """The time at which it opens is no sum of two times, and a share is one of all that may run."""
    world = World(default=[("request", 0, (429, 300)), ("sleep", 9)])
    async with trio.open_nursery() as nursery:
        for number in range(2):
            engine = world.engine([world.platform("A", limit=2), world.platform(f"B{number}", limit=4)])
            events = [se.Event(f"{number}", platforms=["A"]), se.Event(f"b{number}", platforms=[f"B{number}"])]
            nursery.start_soon(lambda engine=engine, events=events: engine.run(events, instruments=[metrics]))
        await trio.sleep(1)
        seen = samples(metrics)
        nursery.cancel_scope.cancel()
    assert seen["scrapeengine_closed", "A"] == 1
    assert seen["scrapeengine_closed_until_timestamp_seconds", "A"] < 3e9
    assert 0 <= seen["scrapeengine_utilisation_ratio", "A"] <= 1


async def test_seconds_that_were_said_never_become_fewer(metrics, autojump_clock):
    """Also of hosts that share a label, some of which are done with."""
    world = World(default=[("sleep", 1)])
    hosts = [se.Event(f"{n}", url=f"http://h{n % 5}.test/") for n in range(40)]
    engine = se.Engine([], default=world.platform("*", limit=1))
    said = []
    async with engine.stream(hosts, instruments=[metrics]) as run:
        async for _ in run:
            said.append(samples(metrics).get(("scrapeengine_held_back_seconds_total", "*", "limit"), 0.0))
            await trio.sleep(0.1)
    said.append(samples(metrics)["scrapeengine_held_back_seconds_total", "*", "limit"])
    assert said == sorted(said)
    assert said[-1] == pytest.approx(5 * 7)  # five hosts: the last of eight tasks of each waits for seven


class Broken:
    """A collector of somebody else's."""

    def describe(self):
        """List nothing."""
        return []

    def collect(self):
        """Fail."""
        raise RuntimeError("none of yours")


async def test_a_collector_that_fails_is_an_answer(metrics, caplog):
    """Neither the page nor the program ends by it."""
    metrics.registry.register(Broken())
    async with trio.open_nursery() as nursery:
        port = await nursery.start(se.observe.serve_metrics, 0, metrics)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            for accept in ("*/*", "application/openmetrics-text;version=x"):
                assert (await client.get("/metrics", headers={"Accept": accept})).status_code == 500
        nursery.cancel_scope.cancel()
    assert "the metrics could not be written" in caplog.text
    with pytest.raises(ValueError, match="at most 65535, got 70000"):
        await se.observe.serve_metrics(70_000, metrics)


async def test_two_platforms_whose_names_are_shortened_alike_stay_two(metrics, autojump_clock):
    """And what no text can have in it breaks none."""
    world = World(default=[("sleep", 1)])
    engine = world.engine([se.Platform(name, world.scrape) for name in ("shop?a=1", "shop?a=2")])
    await engine.run([se.Event(n) for n in range(3)], instruments=[metrics])
    text = openmetrics(metrics.registry).decode()
    found = [
        sample.labels["platform"]
        for each in read_openmetrics(text)
        for sample in each.samples
        if sample.name == "scrapeengine_outcomes_total" and sample.labels["kind"] == "succeeded"
    ]
    assert len(set(found)) == len(found) == 2


async def test_figures_are_those_of_who_keeps_a_timeline(metrics, autojump_clock):
    """Whatever the order in which instruments are given."""
    world = World(default=[("request", 0, 200)])
    for instruments in ([metrics, se.observe.Recording()], [se.observe.Recording(), metrics]):
        report = await world.engine([world.platform("A")]).run([se.Event(1)], instruments=instruments)
        assert report.figures.history is not None
