"""Each example is run as its user runs it, with small parameters, and held to what it prints."""

import contextlib
import hashlib
import json
import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pyarrow.parquet as pq
import pytest
import trio

from scrapeengine.testing import Answer, Site

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
ENVIRONMENT = {**os.environ, "PYTHONUTF8": "1"}
SILENT = "AttemptTimeout"


def command(name, *arguments):
    """Return the command line of an example."""
    return [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)]


def output(name, *arguments, failure=None):
    """Run an example, check that it ended well, with failures of this kind or none, and return what it printed."""
    done = subprocess.run(
        command(name, *arguments), check=False, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=120
    )
    told = re.findall(r"^event='a task has failed' .*error='(\w+)'", done.stderr, re.MULTILINE)
    assert (done.returncode, set(told)) == (0, {failure} if failure else set()), done.stderr
    assert failure or not done.stderr
    return done.stdout


def rows(printed):
    """Return the table that an example has printed: the first word of each line, and the rest."""
    return dict(line.split(maxsplit=1) for line in printed.rpartition("\n\n")[2].splitlines())


def numbers(text):
    """Return the numbers in a text."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def check_feeds(printed):
    """Check what is true of any run of 26 feeds, one of them none, and 36 articles."""
    table = rows(printed)
    found = [table[name] for name in ("outcomes", "feeds", "articles", "failures")]
    assert found == ["62", "25", "36", "1 (1 NotAFeed)"]
    assert len(re.findall(r"^ok  ", printed, re.MULTILINE)) == 61
    assert len(re.findall(r"^FAIL  .*NotAFeed: the answer is no feed", printed, re.MULTILINE)) == 1
    assert numbers(table["seconds"])[0] < numbers(table["latencies"])[0] / 2
    # The site sees when requests arrive, not when they start: each may be late, so two may seem closer than 2 s.
    requests, *_, closest = numbers(table["politeness"])
    assert requests == 3
    assert closest > 1


@pytest.mark.slow
def test_feeds_that_are_invented(tmp_path):
    """All feeds are read but the one that is none, links that they share are followed once, a host is spared."""
    printed = output("feeds", "--out", tmp_path, failure="NotAFeed")
    check_feeds(printed)
    assert "Café" in printed  # the feeds are in ISO 8859-1
    lines = [json.loads(line) for line in (tmp_path / "feeds.jsonl").read_text("utf-8").splitlines()]
    parts = pq.read_table(tmp_path / "feeds.parquet").to_pylist()
    assert sorted(row["id"] for row in lines) == sorted(row["id"] for row in parts)
    assert len(lines) == 62
    assert sum(row["text"] is not None for row in parts) == 36


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded documents are not beside the repository")
def test_feeds_that_were_recorded():
    """Of 26 recorded feeds and 36 recorded articles one is no feed, and each of them is read in its own encoding."""
    printed = output("feeds", "--corpus", CORPUS, failure="NotAFeed")
    check_feeds(printed)
    assert "Jornal de Notícias - Últimas Notícias" in printed  # ISO 8859-1
    assert "UOL Noticias" in printed  # Windows 1252, and says nothing of it
    assert "トレンドマイクロ" in printed  # UTF-8


async def test_feeds_from_an_opml_file(tmp_path):
    """The feeds of an OPML file are read in any depth of its outline; relative links are followed too."""
    feed = (
        "<rss version='2.0'><channel><title>Feed {}</title><item><title>no link</title></item>"
        "<item><link>/shared</link></item><item><link>{}</link></item></channel></rss>"
    )
    asked = []

    async def handler(request):
        asked.append(request.path)
        if request.path.startswith("/feed"):
            return Answer(body=feed.format(*request.path[-1] * 2).encode(), headers={"Content-Type": "text/xml"})
        return Answer(body=f"<title>Page {request.path}</title>".encode())

    async with Site.open(handler) as site:
        file = tmp_path / "feeds.opml"
        file.write_text(
            f"<opml><body><outline xmlUrl='{site.url}/feed1'/><outline text='more'><outline text='and more'>"
            f"<outline xmlUrl='{site.url}/feed2'/></outline></outline></body></opml>"
        )
        arguments = command("feeds", "--opml", file)
        with trio.fail_after(60):
            done = await trio.run_process(arguments, capture_stdout=True, capture_stderr=True, env=ENVIRONMENT)
    assert done.stderr == b""
    table = rows(done.stdout.decode())
    assert [table[name] for name in ("outcomes", "feeds", "articles", "failures")] == ["5", "2", "3", "0"]
    assert sorted(asked) == ["/1", "/2", "/feed1", "/feed2", "/shared"]
    assert "Page /shared" in done.stdout.decode()


def test_odds(tmp_path):
    """All tasks succeed though one bookmaker goes away amid the run, and the third is asked no faster than it wants."""
    page = tmp_path / "odds.html"
    into = ["--into", f"sqlite:///{tmp_path}/odds.db"]
    printed = output("odds", "--events", 120, "--latency", 0.05, "--away", 1, "--report", page, *into)
    assert "cardinal: its rate (0.025 s between requests) held it back" in page.read_text("utf-8")
    table = rows(printed)
    assert "outcomes    360 of 120 events" in printed
    assert "360 succeeded, 0 failed, 0 cancelled" in printed
    assert "event limit raised from 10 to 30" in printed
    assert "albion goes away for 1 s" in printed
    median, _, last = numbers(table["apart"].replace("p95", ""))
    assert 0 < median <= last
    asked = {name: numbers(table[name]) for name in ("albion", "borealis", "cardinal")}
    assert asked["albion"][0] > 120  # some were refused, and asked again
    assert asked["borealis"][0] == asked["cardinal"][0] == 120
    assert asked["cardinal"][1] <= 44  # 40 a second, but the first request may arrive late
    assert max(most for *_, most in asked.values()) <= 30
    with contextlib.closing(sqlite3.connect(tmp_path / "odds.db")) as connection:
        counts = [
            connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
            for name in ("events", "bookmakers", "prices")
        ]
        joined = """SELECT count(*) FROM prices p JOIN events e ON e.id = p.event_id
            JOIN bookmakers b ON b.id = p.bookmaker_id
            WHERE e.number BETWEEN 0 AND 119 AND b.name IN ('albion', 'borealis', 'cardinal')
            AND price BETWEEN 1.1 AND 6"""
        assert counts == [120, 3, 1080]
        assert connection.execute(joined).fetchone() == (1080,)


@pytest.mark.parametrize(("pages", "seconds", "all_fed"), [(1000, 0.5, False), (5, 30, True)])
def test_in_asyncio(pages, seconds, all_fed):
    """Each event that the run has taken has one outcome, whether it is stopped amid the feeding or after it."""
    printed = output("in_asyncio", "--pages", pages, "--seconds", seconds)
    fed, of = numbers(re.search(r"fed .* pages$", printed, re.MULTILINE)[0])
    assert (of, fed == of, "stopped before" in printed) == (pages, all_fed, not all_fed)
    assert sum(numbers(re.search(r".* succeeded, .*", printed)[0])) == fed > 0
    assert numbers(re.search(r"ticked .* times", printed)[0])[0] > 0


def test_podcasts_of_which_one_never_answers(tmp_path):
    """It takes its own ten seconds of a round, the other nine are done in one, and so it is in each round."""
    page = tmp_path / "round.html"
    options = ("--podcasts", 10, "--timeout", 10, "--rounds", 3, "--each", "--report", page)
    printed = output("podcasts", "--virtual", *options, failure=SILENT)
    assert "AttemptTimeout" in page.read_text("utf-8")
    table = rows(printed)
    rounds, median, longest = numbers(table["rounds"])
    assert (rounds, median) == (3, 10)
    assert longest < 11
    assert numbers(table["checks"]) == [30, 30, 10]
    assert table["failures"] == "3: 3 AttemptTimeout"
    assert re.findall(r"0:0[036]:10 .* round", printed)
    ran = [float(seconds) for seconds in re.findall(r"(?:live|silent) .* \+ (.*) s$", printed, re.MULTILINE)]
    assert len(ran) == 27
    assert max(ran) < 2


@pytest.mark.slow
def test_podcasts_for_a_day():
    """A simulated day takes seconds: 480 rounds, each asks all of them once, and no more than ten at once."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    printed = output("podcasts", "--virtual", failure=SILENT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime - before.ru_utime < 60  # of the processor: others may use the machine too
    table = rows(printed)
    rounds, _, longest = numbers(table["rounds"])
    assert rounds == 480
    assert longest < 20
    assert numbers(table["checks"]) == [24_000, 24_000, 10]
    assert table["failures"] == "480: 480 AttemptTimeout"
    assert printed.count(" round ") == printed.count("  50 checked in ") == 480
    assert "23:57:" in printed
    assert printed.count("goes live") >= 45  # each once a day, but for the one that never answers


@pytest.mark.slow
def test_podcasts_in_a_file(tmp_path):
    """On loopback, by the true clock, and what is due outlives the program."""
    store = f"sqlite:{tmp_path / 'podcasts.db'}"
    options = ("--podcasts", 12, "--timeout", 5, "--store", store)
    table = rows(output("podcasts", "--every", 1000, "--rounds", 1, *options, failure=SILENT))
    assert numbers(table["checks"])[0] == 12
    assert table["failures"] == "1: 1 AttemptTimeout"
    table = rows(output("podcasts", "--every", 1000, "--rounds", 1, *options))
    assert numbers(table["checks"])[:2] == [0, 0]


class Pages:
    """The site that jobs are scraped from: it answers some requests, and the others when it is told to."""

    def __init__(self, at_once):
        self.at_once = at_once
        self.asked = []
        self.released = trio.Event()

    async def answer(self, request):
        """Answer with a text that has the path in it."""
        job = request.path.rpartition("/")[2]
        self.asked.append(job)
        if len(self.asked) > self.at_once:
            await self.released.wait()
        return Answer(body=text_of(job))


def text_of(job):
    """Return the page of a job."""
    return f"the page of {job}".encode()


@asynccontextmanager
async def jobs_service(folder, *options):
    """Run the service on a port that is free; gives its process and a client of it."""
    line = command("jobs", "--port", 0, "--store", f"sqlite:{folder / 'jobs.db'}", *options)
    process = await trio.lowlevel.open_process(line, stdout=subprocess.PIPE, env=ENVIRONMENT)
    try:
        printed = b""
        while b"\n" not in printed:
            more = await process.stdout.receive_some()
            assert more, "the service has ended before it listened"
            printed += more
        address = printed.decode().splitlines()[0].removeprefix("listening on ")
        async with httpx.AsyncClient(base_url=address, timeout=60) as client:
            yield process, client
    finally:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            await process.stdout.aclose()


async def until_done(client, number):
    """Wait until so many jobs are done."""
    while (await client.get("/stats")).json()["site"]["done"] != number:
        await trio.sleep(0.05)


@asynccontextmanager
async def open_pages(at_once):
    """Open such a site, for two minutes at most; gives it and its URL."""
    pages = Pages(at_once)
    with trio.fail_after(120):
        async with Site.open(pages.answer) as site:
            yield pages, site.url


JOBS = [f"job-{number}" for number in range(40)]


async def test_jobs_outlive_their_process(tmp_path):
    """It is killed amid forty jobs: the next one does the rest, and asks again for those only that were being done."""
    async with open_pages(at_once=10) as (pages, url):
        options = ("--site", url, "--limit", 4, "--lease", 5)
        async with jobs_service(tmp_path, *options) as (process, client):
            reply = await client.post("/jobs", json=JOBS)
            assert reply.status_code == 202
            assert [(job["id"], job["new"]) for job in reply.json()["jobs"]] == [(job, True) for job in JOBS]
            await until_done(client, 10)
            while len(pages.asked) < 14:
                await trio.sleep(0.01)
            last = (await client.get("/jobs/job-39")).json()
            assert (last["state"], last["result"]) == ("ready", None)
            assert 15 < last["position"] < 30
            process.kill()
            await process.wait()
        pages.released.set()
        async with jobs_service(tmp_path, *options) as (process, client):
            reply = await client.post("/jobs", json=JOBS)
            assert not any(job["new"] for job in reply.json()["jobs"])
            await until_done(client, 40)
            for job in JOBS:
                page = text_of(job)
                shown = (await client.get(f"/jobs/{job}")).json()
                assert (shown["state"], shown["position"], shown["error"]) == ("done", None, None)
                assert shown["result"] == {"bytes": len(page), "sha256": hashlib.sha256(page).hexdigest()}
        assert sorted(set(pages.asked)) == sorted(JOBS)
        assert sorted(pages.asked) == sorted(JOBS + pages.asked[10:14])


async def test_jobs_end_by_a_deadline(tmp_path):
    """At SIGTERM jobs that do not end are given back, for the next process to do at once, whatever their lease."""
    async with open_pages(at_once=2) as (pages, url):
        options = ("--site", url, "--limit", 4, "--grace", 1, "--lease", 3600)
        async with jobs_service(tmp_path, *options) as (process, client):
            await client.post("/jobs", json=JOBS[:8])
            while len(pages.asked) < 6:
                await trio.sleep(0.01)
            await until_done(client, 2)
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert await process.wait() == 0
            assert 0.9 < time.monotonic() - begun < 20
            printed = b"".join([part async for part in process.stdout]).decode()
            assert re.search(r"^stopped: 2 jobs were done, [4-6] were given back$", printed, re.MULTILINE)
        pages.released.set()
        async with jobs_service(tmp_path, *options) as (process, client):
            await until_done(client, 8)
        assert len(pages.asked) == 12


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "says"),
    [
        ("POST", "/jobs", b'["a", ', 400, 'no JSON: .* write ["a", "b"]'),
        ("POST", "/jobs", b"[" * 100_000, 400, "no JSON: "),
        ("POST", "/jobs", b"\xff", 400, "no JSON: "),
        ("POST", "/jobs", b'{"id": "a"}', 422, 'a list of at least one id; write ["a", "b"]'),
        ("POST", "/jobs", b"[]", 422, "a list of at least one id"),
        ("POST", "/jobs", b'["a", 7]', 422, "7 is no id: write a string of 1 to 200 of"),
        ("POST", "/jobs", b'["a", "../b"]', 422, "'../b' is no id"),
        ("POST", "/jobs", b'["\\ud800"]', 422, "is no id"),
        ("POST", "/jobs", b'["' + b"a" * 300_000 + b'"]', 413, "may have 262144 bytes: post fewer jobs at once"),
        ("GET", "/jobs", b"", 405, "GET is not for /jobs: write POST /jobs, "),
        ("DELETE", "/jobs/a", b"", 405, "GET /jobs/ID"),
        ("GET", "/jobs/a", b"", 404, "there is no job 'a'"),
        ("GET", "/else", b"", 404, "there is nothing here: write POST /jobs, GET /jobs/ID or GET /stats"),
    ],
)
def test_jobs_that_are_none(service, method, path, body, status, says):
    """What is wrong with a request is said, nothing of it is taken, and the service goes on."""
    reply = httpx.request(method, service + path, content=body, timeout=60)
    assert reply.status_code == status
    assert re.search(re.escape(says).replace(r"\.\*", ".*"), reply.json()["error"])
    assert httpx.get(service + "/stats", timeout=60).json() == {}


@pytest.fixture(scope="module")
def service():
    """Run the service for all tests that only ask it; return its URL."""
    line = command("jobs", "--port", 0, "--store", "memory:")
    with subprocess.Popen(line, stdout=subprocess.PIPE, env=ENVIRONMENT, encoding="utf-8") as process:
        yield process.stdout.readline().strip().removeprefix("listening on ")
        process.terminate()
        assert process.wait(30) == 0


class Counter:
    """A bookmaker that counts how many requests are under way, and when they come; it answers after a tenth."""

    def __init__(self):
        self.running = self.most = 0
        self.times = []

    async def answer(self, _):
        """Answer with odds."""
        self.times.append(trio.current_time())
        self.running += 1
        self.most = max(self.most, self.running)
        await trio.sleep(0.1)
        self.running -= 1
        return Answer(body=b'{"odds": {"home": 2.0}}')

    async def until(self, reached):
        """Wait until, in a while that is three answers long, so many are under way at once, and no more."""
        while self.most != reached:
            self.most = 0
            await trio.sleep(0.3)


@asynccontextmanager
async def odds_service(*options):
    """Run the API on a port that is free, over three bookmakers of ours; gives its process, a client, and them."""
    sites = [Counter() for _ in range(3)]
    with trio.fail_after(60):
        async with (
            Site.open(sites[0].answer) as one,
            Site.open(sites[1].answer) as two,
            Site.open(sites[2].answer) as three,
        ):
            line = command("odds_api", "--port", 0, "--sites", one.url, two.url, three.url, *options)
            process = await trio.lowlevel.open_process(line, stdout=subprocess.PIPE, env=ENVIRONMENT)
            lines = Lines(process.stdout)
            try:
                address = (await lines.until("listening on ")).removeprefix("listening on ")
                async with httpx.AsyncClient(base_url=address, timeout=30) as client:
                    yield process, client, sites, lines
            finally:
                process.kill()
                with trio.CancelScope(shield=True):
                    await process.wait()
                    await process.stdout.aclose()


class Lines:
    """What a program prints, line by line."""

    def __init__(self, stream):
        self.stream = stream
        self.rest = b""

    async def until(self, beginning):
        """Read on, until a line begins so; return it."""
        while True:
            line, newline, rest = self.rest.partition(b"\n")
            if newline:
                self.rest = rest
                if line.startswith(beginning.encode()):
                    return line.decode()
                continue
            more = await self.stream.receive_some()
            assert more, f"it has ended before it printed {beginning!r}"
            self.rest += more


async def test_odds_are_tuned_over_http(tmp_path):
    """Each of the six settings, seen from the bookmakers; what is wrong is refused with the reason."""
    file = tmp_path / "odds.toml"
    file.write_text("buffer = 5\n", "utf-8")
    async with odds_service("--file", file) as (process, client, (albion, borealis, cardinal), lines):
        first = {"event_limit": 10, "delay": 0, "batch_size": 5}
        first |= {f"{name}_concurrency": 4 for name in ("albion", "borealis", "cardinal")}
        assert (await client.get("/settings")).json() == first
        await albion.until(4)
        limits = {"albion_concurrency": 1, "borealis_concurrency": 2, "cardinal_concurrency": 7, "event_limit": 20}
        reply = await client.put("/settings", json=limits)
        assert (reply.status_code, reply.json()["settings"]) == (200, first | limits)
        assert sorted(reply.json()["changed"]) == [
            "albion: limit 4 -> 1",
            "borealis: limit 4 -> 2",
            "cardinal: limit 4 -> 7",
            "event_limit 10 -> 20",
        ]
        await albion.until(1)
        await borealis.until(2)
        await cardinal.until(7)
        assert await lines.until("wrote ") == "wrote 5 outcomes"
        await client.put("/settings", json={"batch_size": 9})
        await lines.until("wrote 9 outcomes")

        wrong = [
            (
                {"delay": 3, "albion_concurrency": -1},
                "albion_concurrency: platforms.albion: Platform(limit=…) must",
            ),
            ({"event_limit": "many"}, "event_limit: Engine(event_limit=…) must be a whole number, got 'many'"),
            ({"batch_size": 0}, "batch_size: Engine(buffer=…) must be at least 1, got 0"),
            ({"delay": "long"}, "delay: platforms.albion.rate: Rate(per=…) must be a number, got 'long'"),
            ({"delay": False}, "delay: platforms.albion.rate: Rate(per=…) must be a number, got False"),
            ({"dellay": 3}, "there is no setting 'dellay'; did you mean 'delay'?"),
            ([], "the body must be an object with some of event_limit, albion_concurrency"),
        ]
        for given, says in wrong:
            reply = await client.put("/settings", json=given)
            assert reply.status_code == 422
            assert says in reply.json()["error"]
        assert (await client.put("/settings", content=b"{")).status_code == 400
        assert (await client.delete("/settings")).status_code == 405
        assert (await client.get("/else")).status_code == 404
        assert (await client.get("/settings")).json() == first | limits | {"batch_size": 9}

        await client.put("/settings", json={"delay": 0.25})
        await cardinal.until(1)
        seen = len(cardinal.times)
        while len(cardinal.times) < seen + 5:
            await trio.sleep(0.02)
        assert cardinal.times[-1] - cardinal.times[-5] > 4 * 0.25 - 0.2  # the first of them may have come late
        process.send_signal(signal.SIGHUP)  # the file says nothing of all this
        while (await client.get("/settings")).json() != first:
            await trio.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        assert int((await lines.until("stopped after ")).split()[2]) > 20


async def test_odds_of_a_file_that_is_wrong(tmp_path):
    """The program ends, and says what is meant."""
    file = tmp_path / "odds.toml"
    file.write_text("bufer = 5\n", "utf-8")
    done = await trio.run_process(
        command("odds_api", "--port", 0, "--file", file), check=False, capture_stderr=True, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert "there is no setting 'bufer'; did you mean 'buffer'?" in done.stderr.decode()
