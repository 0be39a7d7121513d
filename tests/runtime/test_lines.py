"""What a run says in the log of failures, retries, and platforms that close and open: enough, and not too much."""

import ast
import pathlib
import re
import subprocess
import sys
from itertools import pairwise

import attrs
import httpx
import pytest
import structlog
import trio

import scrapeengine as se
from scrapeengine.observe.lines import Lines
from support.world import World, outcomes_of

ROOT = pathlib.Path(__file__).parent.parent.parent
SOURCE = pathlib.Path(se.__file__).parent


@pytest.fixture
def lines():
    """Capture the lines of the engine as structlog has them, but for that of each run's end."""
    with structlog.testing.capture_logs() as captured:
        structlog.get_config()["processors"].insert(0, but_the_end)
        yield captured


def but_the_end(_, __, line):
    """Leave out the line of a run's end."""
    if line["event"] == "the run is over":
        raise structlog.DropEvent
    return line


async def test_at_its_end_a_run_says_how_long_a_loop_would_have_taken(autojump_clock):
    """One line, which has how its tasks have ended; why it was stopped, if it was. The report says the same."""
    world = World(scripts={("3", "A"): [("sleep", 1), ("raise", "error")]}, default=[("sleep", 2), ("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=10)])
    with structlog.testing.capture_logs() as captured:
        report = await engine.run(map(se.Event, range(20)))
        async with engine.stream(map(se.Event, range(20))) as run:
            await trio.sleep(0.5)
            await run.stop(0)
    first, second = [line for line in captured if line["event"] == "the run is over"]
    assert report.one_by_one == pytest.approx(19 * 3 + 1)
    assert first == {
        "event": "the run is over",
        "log_level": "info",
        "succeeded": 19,
        "failed": 1,
        "skipped": 0,
        "cancelled": 0,
        "seconds": 6.0,
        "one_by_one": 58.0,
    }
    assert (second["cancelled"], second["seconds"], second["one_by_one"]) == (20, 0.5, 5.0)
    assert second["why"] == run.report.stopped


def of(lines, what):
    """List the lines of one event."""
    return [line for line in lines if line["event"] == what]


# -- failures


BUGGY = """if True:
    import scrapeengine as se

    async def first(task):
        if task.event.id == "7":
            raise KeyError("odds")
        raise KeyError("price")

    async def second(task):
        raise ValueError(task.event.id)

    report = se.run([se.Platform("first", first), se.Platform("second", second)], map(se.Event, range(50)))
    print(report.outcomes.failed)
"""


def test_a_buggy_scraper_shows_the_first_traceback_of_each_kind_once(tmp_path):
    """On stderr, as it is read, in a program that configures nothing; and nothing else."""
    file = tmp_path / "buggy.py"
    file.write_text(BUGGY)
    result = subprocess.run([sys.executable, file], capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stdout) == (0, "100\n")
    assert result.stderr.count("a task has failed") == result.stderr.count("Traceback") == 3
    for text in ("KeyError: 'odds'", "KeyError: 'price'", r"ValueError: \d+"):
        assert len(re.findall(f"^{text}$", result.stderr, re.MULTILINE)) == 1
    assert f'\n  File "{file}", line 6, in first\n' in result.stderr


async def test_a_kind_is_told_once_a_second_with_how_many_were_left_out(autojump_clock):
    """A kind is a platform and a class of errors; each of the others has its own second."""
    begun = trio.current_time()
    stamped = []

    def stamp(_, __, line):
        stamped.append((trio.current_time() - begun, dict(line)))
        raise structlog.DropEvent

    structlog.configure(processors=[stamp])

    async def scrape(task):
        if int(task.event.id) % 2:
            raise ValueError(task.event.id)
        raise KeyError(task.event.id)

    engine = se.Engine([se.Platform(name, scrape, rate=se.Rate(10)) for name in "AB"])
    report = await engine.run(map(se.Event, range(100)))
    assert report.outcomes.failed == 200
    kinds = {}
    for at, line in stamped:
        if line["event"] == "a task has failed":
            kinds.setdefault((line["platform"], line["error"]), []).append((at, line))
    rest = {(line["platform"], line["error"]): line["left_out"] for _, line in stamped if "of" in line}
    assert len(kinds) == 4
    for kind, told in kinds.items():
        assert 8 <= len(told) <= 10
        assert all(later - earlier >= 1 - 1e-9 for (earlier, _), (later, _) in pairwise(told))
        assert sum(1 + line.get("left_out", 0) for _, line in told) + rest.get(kind, 0) == 50
    shown = [line["error"] for _, line in stamped if "exc_info" in line]
    assert sorted(shown) == ["KeyError", "ValueError"]  # both platforms have one scraper: it is one bug


async def test_a_failure_says_what_it_was(autojump_clock, lines):
    """The first of its kind is a warning with the error; a later one is for those who look at infos."""
    world = World(default=[("raise", "error")])
    outcomes, _ = await outcomes_of(
        world.engine([world.platform("A", limit=1, rate=se.Rate(0.5))]), map(se.Event, "xy")
    )
    first, second = of(lines, "a task has failed")
    assert first.pop("exc_info") is outcomes[0].error
    assert (first.pop("log_level"), second.pop("log_level")) == ("warning", "info")
    said = {"event": "a task has failed", "platform": "A", "error": "Trouble", "reason": "as the script says"}
    assert first == {**said, "id": "x", "attempts": 1}
    assert second == {**said, "id": "y", "attempts": 1}


async def test_what_never_ran_has_no_traceback(autojump_clock, lines):
    """And is told all the same."""
    world = World()
    await outcomes_of(world.engine([world.platform("A")]), [se.Event(1, platforms=["nowhere"])])
    (line,) = lines
    assert (line["event"], line["error"], line["platform"]) == ("a task has failed", "UnknownPlatform", "nowhere")
    assert "exc_info" not in line


async def test_what_a_site_has_done_has_no_traceback(autojump_clock, lines):
    """Its text says all of it; the first of its kind is a warning all the same."""
    world = World(default=[("request", 1, 200)])

    async def scrape(task):
        await task.http.get("/x", params={"latency": 1, "status": 404, "hops": 0})

    engine = world.engine([attrs.evolve(world.platform("A"), scrape=scrape)])
    await engine.run([se.Event(1)])
    (line,) = lines
    assert (line["log_level"], line["error"]) == ("warning", "StatusError")
    assert "404" in line["reason"]
    assert "exc_info" not in line


async def test_what_is_said_already_is_not_said_twice(autojump_clock, lines):
    """A poisonous job is an error in the log where it is set aside."""
    told = Lines(frozenset("A"), "")
    for error in (se.PoisonousJob("it kills", deaths=3), ValueError("it does not")):
        told.failed(se.Failure(event=se.Event(1), platform="A", error=error))
    assert [line["error"] for line in lines] == ["ValueError"]


async def test_a_text_without_end_is_cut(autojump_clock, lines):
    """An error may quote a whole page, and its text may not even be there."""

    class Odd(Exception):
        def __str__(self):
            raise ZeroDivisionError

    async def scrape(task):
        raise Odd if task.event.id == "2" else ValueError("x" * 10_000)

    await se.Engine([se.Platform("A", scrape)]).run(map(se.Event, [1, 2]))
    assert {line["reason"] for line in lines} == {"x" * 500, "(its text could not be made)"}


async def test_a_run_without_trouble_says_nothing(autojump_clock, lines):
    """At no level."""
    world = World(default=[("request", 1, 200), ("skip",)])
    _, report = await outcomes_of(world.engine([world.platform("A")]), map(se.Event, range(20)))
    assert report.outcomes.skipped == 20
    assert lines == []


async def test_hosts_are_one_kind_and_are_named(autojump_clock, lines):
    """However many there are: kinds are bounded, and so are lines."""

    async def scrape(task):
        await task.http.get(task.event.url)

    def answer(_):
        return httpx.Response(404)

    engine = se.Engine([], default=se.Platform("*", scrape), connector=httpx.MockTransport(answer))
    report = await engine.run([se.Event(url=f"http://h{number}.test/") for number in range(50)])
    assert report.outcomes.failed == 50
    first, rest = lines
    assert re.fullmatch(r"h\d+\.test", first["platform"])
    assert rest == {
        "event": "more was left out",
        "log_level": "info",
        "of": "a task has failed",
        "platform": "*",
        "error": "StatusError",
        "left_out": 49,
    }


async def test_what_the_programs_own_processors_raise_harms_no_run(autojump_clock, caplog):
    """The line is lost, and that is said."""

    def broken(*_):
        raise ZeroDivisionError("mine")

    structlog.configure(processors=[broken])
    world = World(default=[("raise", "error")])
    outcomes, report = await outcomes_of(world.engine([world.platform("A")]), map(se.Event, range(3)))
    assert len(outcomes) == report.outcomes.failed == 3
    assert "a log line could not be written" in caplog.text
    assert "ZeroDivisionError: mine" in caplog.text


# -- retries


async def test_requests_and_tasks_that_are_tried_again_are_told(autojump_clock, lines):
    """With what has led to it, and after how long; at info."""
    scripts = {("x", "A"): [("request", 1, 500)], ("y", "A"): [("retry", 3)]}
    world = World(scripts=scripts)
    engine = world.engine([world.platform("A", retry=se.Retry(attempts=2, initial_wait=1))], random=lambda: 1.0)
    await outcomes_of(engine, map(se.Event, "xy"))
    (request,), (task,) = of(lines, "a request is tried again"), of(lines, "a task is tried again")
    assert request.pop("url").startswith("http://a.test/x")
    assert request.pop("reason")
    common = {"log_level": "info", "platform": "A", "attempt": 1}
    assert request == common | {
        "event": "a request is tried again",
        "id": "x",
        "method": "GET",
        "error": "StatusError",
        "after": 1.0,
    }
    assert task == common | {"event": "a task is tried again", "id": "y", "after": 3.0}


# -- platforms that close


class Moody:
    """A site that refuses as it is told, by the number of the request."""

    def __init__(self, *answers):
        self.answers = list(answers)

    async def answer(self, _):
        """Take a second, and answer."""
        await trio.sleep(1)
        after = self.answers.pop(0) if self.answers else None
        return httpx.Response(200) if after is None else httpx.Response(429, headers={"Retry-After": str(after)})

    def engine(self, **policy):
        """Make an engine for it."""

        async def scrape(task):
            await task.http.get(task.event.url or "/")

        policy = {"base_url": "http://p.test", "retry": se.Retry(attempts=9, initial_wait=0.001)} | policy
        connector = httpx.MockTransport(self.answer)
        wall = {"wall_time": lambda: 1_800_000_000.0}
        return se.Engine([se.Platform("p", scrape, **policy)], connector=connector, **wall)


def told(lines):
    """List what was said of platforms."""
    return [
        (line["event"], line["platform"], line.get("seconds"))
        for line in lines
        if line["event"].startswith("a platform")
    ]


async def test_a_platform_that_closes_and_opens_is_two_lines(autojump_clock, lines):
    """However many refusals that is: they are one incident, and may move its end."""
    engine = Moody(20, 30, 10).engine(limit=3)
    await engine.run(map(se.Event, range(3)))
    assert told(lines) == [("a platform is closed", "p", 20), ("a platform is open again", "p", 30)]
    assert of(lines, "a platform is closed")[0]["until"] == "2027-01-15T08:00:21+00:00"


async def test_each_incident_is_told(autojump_clock, lines):
    """One after the other."""
    engine = Moody(5, 7).engine(limit=1)
    await engine.run([se.Event(1)])
    assert [(what, seconds) for what, _, seconds in told(lines)] == [
        ("a platform is closed", 5),
        ("a platform is open again", 5),
        ("a platform is closed", 7),
        ("a platform is open again", 7),
    ]


async def test_one_that_is_closed_for_long_is_a_warning_and_no_second_line(autojump_clock, lines):
    """Where it was closed shortly before, the warning is news all the same."""
    engine = Moody(10_000).engine(limit=1)
    await engine.run([se.Event(1)])
    assert [line["log_level"] for line in lines if line["event"].startswith("a platform")] == ["warning"]
    lines.clear()
    engine = Moody(5, 10_000).engine(limit=2)
    await engine.run(map(se.Event, range(2)))
    closed = [(line["log_level"], line["seconds"]) for line in lines if line["event"].startswith("a platform")]
    assert closed == [("info", 5), ("warning", 10_000)]


async def test_what_the_program_closes_and_reopens_is_told(autojump_clock, lines):
    """Also where nothing of it runs; and an end that was moved is waited for."""
    engine = Moody().engine()
    async with engine.stream([se.Event(1)]) as run:
        await run.wait()
        engine.close("p", 50)
        await trio.sleep(10)
        engine.reopen("p")
        engine.reopen("p")
        engine.close("p", 5)
        await trio.sleep(3)
        engine.close("p", 5)
    closed, opened, again = told(lines)
    assert (closed, opened) == (("a platform is closed", "p", 50), ("a platform is open again", "p", 10))
    assert again == ("a platform is closed", "p", 5)


async def test_a_host_without_work_opens_too(autojump_clock, lines):
    """Its lane is gone by then."""

    async def scrape(task):
        if task.event.id == "wait":
            await trio.sleep(60)
        else:
            await task.http.get(task.event.url, check=False)

    site = Moody(20)
    platforms = [se.Platform("slow", scrape)]
    default = se.Platform("*", scrape, retry=se.Retry(attempts=1))
    engine = se.Engine(platforms, default=default, connector=httpx.MockTransport(site.answer))
    await engine.run([se.Event("wait", platforms=["slow"]), se.Event(url="http://h.test/")])
    assert told(lines) == [("a platform is closed", "h.test", 20), ("a platform is open again", "h.test", 20)]


async def test_what_others_reopen_is_told(autojump_clock, lines):
    """Another program on the store has said so."""
    engine = Moody().engine(retry=se.Retry(patience=1000))
    async with se.open_store("memory:") as store:
        await engine.enqueue(store, [se.Event(1)])
        async with engine.serve(store, until="empty") as run, trio.open_nursery() as nursery:
            nursery.start_soon(run.wait)
            engine.close("p", 500)
            await trio.sleep(5)
            await store.reopen("p")
            await run.wait()
    assert [what for what, _, _ in told(lines)] == ["a platform is closed", "a platform is open again"]
    assert told(lines)[1][2] < 30


# -- the vocabulary

LEVELS = {"debug", "info", "warning", "error"}
IMPLIED = {
    # what each way to log adds to what is written there
    "self.say": {"platform", "left_out"},
    "lines.say": {"platform", "left_out"},
    "trouble.say": {"error", "left_out", "traceback"},
    ".log": {"id", "platform"},
}


def logged():
    """List what the source logs: the event, its levels, and its fields."""
    for path in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            called = ast.unparse(node.func)
            way = next((way for way in IMPLIED if called.endswith(way) or f"{way}." in called), None)
            if way is None and not re.search(r"\blogger\(\)\.\w+$", called):
                continue
            fields = {each.arg: each.value for each in node.keywords if each.arg is not None}
            level = called.rpartition(".")[2] if called.rpartition(".")[2] in LEVELS else None
            if level is None and "level" in fields:
                levels = {each.value for each in ast.walk(fields["level"]) if isinstance(each, ast.Constant)}
            else:
                levels = {level or ("warning" if way == "trouble.say" else "info")}
            names = {"traceback" if name == "exc_info" else name for name in fields} - {"level", "must"}
            if way in {"self.say", "lines.say"} and len(node.args) > 2:
                names |= {"error", "reason"}
            yield node.args[0].value, levels, names | IMPLIED.get(way, set())


def test_each_line_is_in_the_guide_with_its_level_and_fields():
    """And the guide has no other."""
    page = (ROOT / "docs/guide.md").read_text("utf-8").partition("\n## Log lines\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| ([\w, ]+) \| (.*?) \|$", page, re.MULTILINE)
    listed = {what: (set(levels.split(", ")), set(re.findall(r"`(\w+)`", fields))) for what, levels, fields in rows}
    assert len(listed) == len(rows)
    found = {}
    for what, levels, fields in logged():
        assert what not in found, what
        found[what] = (levels, fields)
    dynamic = {
        # lines whose fields are put together where they are written
        "a hook of an instrument is slow, and all tasks wait for it": ({"warning"}, {"instrument", "hook", "seconds"}),
        "the run is over": (
            {"info"},
            {"succeeded", "failed", "skipped", "cancelled", "seconds", "one_by_one", "why"},
        ),
        "more was left out": ({"info"}, {"of", "platform", "error", "left_out"}),
        "nothing can run here now; the run waits until the store is empty": ({"info"}, {"ready", "delayed", "leased"}),
    }
    assert listed == found | dynamic
