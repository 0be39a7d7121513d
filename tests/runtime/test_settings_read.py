"""Settings that are read from plain values, files and the environment, and applied whole."""

import json
import math
import os
import signal
import sys
import threading

import attrs
import httpx
import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.model.options import EngineKnobs
from support.world import World


async def nothing(task):
    """Do nothing."""


def engine_of(**policy):
    """Make an engine with a platform, a shop with a long name, and a default."""
    platforms = [se.Platform("A", nothing, **policy), se.Platform("shop.example", nothing)]
    return se.Engine(platforms, default=se.Platform("*", nothing, limit=4))


TOML = """
event_limit = 20
buffer = 7

[platforms.A]
limit = 3
rate = [{count = 10}, {count = 1000, per = 3600.0}]
robots = "MyBot"
base_url = "http://a.test"
heed = false

[platforms.A.timeout]
attempt = 2

[platforms."shop.example"]
rate = {count = 5, burst = 2}
retry = {attempts = 7, statuses = [503]}
cadence = {min_interval = 60}

[platforms."*"]
caps = {body = 1000}

[platforms."Other.Example"]
limit = 1
"""


def test_a_file_says_some_and_the_rest_stays(tmp_path):
    """Tables change the fields that they name; a host of the default gets settings of its own."""
    engine = engine_of(timeout=se.Timeout(attempt=9, task=8), cookies=True, cadence=se.Cadence(growth=3))
    path = tmp_path / "knobs.toml"
    path.write_text(TOML, "utf-8")
    before = engine.settings()
    read = before.with_toml(path)
    assert engine.settings() == before
    changed = engine.apply(read)
    assert engine.settings() == read
    a = read.platforms["A"]
    assert (read.event_limit, read.effective_event_limit, read.buffer, read.lookahead) == (20, 20, 7, 1000)
    assert a.rate == (se.Rate(10), se.Rate(1000, per=3600))
    assert a.timeout == se.Timeout(attempt=2, task=8)
    assert (a.limit, a.robots, a.base_url, a.cookies, a.heed) == (3, "MyBot", "http://a.test", True, False)
    assert a.cadence == se.Cadence(growth=3)
    shop = read.platforms["shop.example"]
    assert shop.rate == (se.Rate(5, burst=2),)
    assert (shop.retry, shop.cadence) == (se.Retry(attempts=7, statuses={503}), se.Cadence(min_interval=60))
    assert read.platforms["*"].caps.body == 1000
    assert read.platforms["other.example"].limit == 1
    assert {(each.platform, each.knob) for each in changed} == {
        *((None, knob) for knob in ("event_limit", "buffer")),
        *(("A", knob) for knob in ("limit", "rate", "robots", "base_url", "heed", "timeout")),
        *(("shop.example", knob) for knob in ("rate", "retry", "cadence")),
        *(("*", "caps"), ("other.example", "limit")),
    }
    assert str(changed[0]) == "event_limit None -> 20"
    assert "A: limit 8 -> 3" in map(str, changed)
    assert engine.apply(before)
    assert engine.settings() == before  # the host is the default's again
    assert engine.apply(before) == ()


def test_typed_values_and_none_are_taken():
    """As a program writes them, and as JSON has them."""
    engine = engine_of(rate=se.Rate(3), base_url="http://a.test", cadence=se.Cadence())
    given = {"base_url": None, "rate": "none", "cadence": "none", "timeout": se.Timeout(task=5)}
    read = engine.settings().with_values({"event_limit": None, "lease": 4, "platforms": {"A": given}})
    a = read.platforms["A"]
    assert (a.base_url, a.rate, a.cadence, a.timeout.task, read.lease) == (None, (), None, 5, 4)
    mixed = {"platforms": {"A": {"rate": [se.Rate(2), {"count": 3}], "caps": {"items": "inf"}}}}
    a = read.with_values(mixed).platforms["A"]
    assert (a.rate, a.caps.items) == ((se.Rate(2), se.Rate(3)), math.inf)


WRONG = [
    ({"event_limt": 3}, "there is no setting 'event_limt'; did you mean 'event_limit'?"),
    ({"xyz": 3}, "there is no setting 'xyz'; there are event_limit, "),
    ({"event_limit": 0}, "Engine(event_limit=…) must be at least 1, got 0"),
    ({"buffer": "many"}, "Engine(buffer=…) must be a whole number, got 'many'"),
    ({"lease": "inf"}, "Engine(lease=…) must be finite"),
    ([], "settings must be a table, such as {event_limit = …}, got []"),
    ({"platforms": 3}, "platforms must be a table, such as {name = …}, got 3"),
    ({"platforms": {"a": {}}}, "no platform is named 'a'; there are "),
    ({"platforms": {"shop-example": {}}}, "did you mean 'shop.example'?"),
    ({"platforms": {3: {}}}, "no platform is named 3"),
    ({"platforms": {"A": 3}}, "platforms.A must be a table, such as {base_url = …}, got 3"),
    ({"platforms": {"A": {"limt": 3}}}, "there is no setting 'limt' in platforms.A; did you mean 'limit'?"),
    ({"platforms": {"A": {"headers": {}}}}, "there is no setting 'headers' in platforms.A"),
    ({"platforms": {"A": {"limit": -1}}}, "platforms.A: Platform(limit=…) must be at least 0"),
    ({"platforms": {"A": {"robots": "no such"}}}, "platforms.A: the robots of platform 'A' must be a name"),
    ({"platforms": {"A": {"rate": 10}}}, "platforms.A.rate must be a table, such as {count = …}, got 10"),
    ({"platforms": {"A": {"rate": {"count": 0}}}}, "platforms.A.rate: Rate(count=…) must be more than 0"),
    (
        {"platforms": {"A": {"timeout": {"attempts": 3}}}},
        "no setting 'attempts' in platforms.A.timeout; did you mean 'a",
    ),
    ({"platforms": {"A": {"retry": {"errors": []}}}}, "no setting 'errors' in platforms.A.retry"),
    ({"platforms": {"A": {"base_url": "a.test"}}}, "must be an http or https URL"),
]


@pytest.mark.parametrize(("values", "says"), WRONG)
def test_what_is_wrong_is_said_with_its_place(values, says):
    """And with what is meant, where that can be told."""
    with pytest.raises(ValueError) as caught:
        engine_of().settings().with_values(values)
    assert says in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path):
    """No TOML, or none at all."""
    path = tmp_path / "knobs.toml"
    path.write_text("limit = ", "utf-8")
    with pytest.raises(ValueError, match=r"knobs.toml: Invalid value"):
        engine_of().settings().with_toml(path)
    with pytest.raises(FileNotFoundError):
        engine_of().settings().with_toml(tmp_path / "none.toml")


def test_the_environment():
    """Variables of ours are read, all others left alone."""
    read = (
        engine_of()
        .settings()
        .with_environment(
            {
                "HOME": "/",
                "SCRAPEENGINE_EVENT_LIMIT": "20",
                "SCRAPEENGINE_PLATFORMS__A__LIMIT": "3",
                "SCRAPEENGINE_PLATFORMS__A__ROBOTS": "MyBot",
                "SCRAPEENGINE_PLATFORMS__A__TIMEOUT": "{task = 7}",
                "SCRAPEENGINE_PLATFORMS__A__TIMEOUT__ATTEMPT": "2.5",
                "SCRAPEENGINE_PLATFORMS__SHOP_EXAMPLE__COOKIES": "true",
                "SCRAPEENGINE_PLATFORMS__DEFAULT__RATE": "[{count = 10}, {count = 9}]",
                "SCRAPEENGINE_PLATFORMS__A__BASE_URL": "http://a.test",
            }
        )
    )
    a = read.platforms["A"]
    assert (read.event_limit, a.limit, a.robots, a.base_url) == (20, 3, "MyBot", "http://a.test")
    assert a.timeout == se.Timeout(attempt=2.5, task=7)
    assert read.platforms["shop.example"].cookies
    assert read.platforms["*"].rate == (se.Rate(10), se.Rate(9))


def test_the_environment_of_the_process(monkeypatch):
    """It is what is read if nothing is given."""
    for name in [name for name in os.environ if name.startswith("SCRAPEENGINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SCRAPEENGINE_BUFFER", "9")
    assert engine_of().settings().with_environment().buffer == 9


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"EVENT_LIMT": "3"}, "SCRAPEENGINE_EVENT_LIMT names no setting; did you mean 'SCRAPEENGINE_EVENT_LIMIT'?"),
        ({"PLATFORMS__A": "3"}, "SCRAPEENGINE_PLATFORMS__A names no setting"),
        ({"PLATFORMS__B__LIMIT": "3"}, "SCRAPEENGINE_PLATFORMS__B__LIMIT names no platform; there are DEFAULT, A, "),
        ({"PLATFORMS__SHOP_EXAMPL__LIMIT": "3"}, "names no platform; did you mean 'SHOP_EXAMPLE'?"),
        ({"PLATFORMS__A__LIMT": "3"}, "there is no setting 'limt' in platforms.A; did you mean 'limit'?"),
        ({"PLATFORMS__A__RATE": "5", "PLATFORMS__A__RATE__BURST": "2"}, "what another one says whole; leave one out"),
        ({"BUFFER": "3\nlease = 2"}, "must be a whole number"),
        ({"BUFFER": "many"}, "must be a whole number, got 'many'"),
    ],
)
def test_wrong_variables(variables, says):
    """They are named, with what is meant."""
    with pytest.raises(ValueError) as caught:
        engine_of().settings().with_environment({f"SCRAPEENGINE_{name}": text for name, text in variables.items()})
    assert says in str(caught.value)


def test_a_variable_that_may_mean_two_platforms():
    """It is refused, for it is not said which."""
    engine = se.Engine([se.Platform("a-b", nothing), se.Platform("a.b", nothing)])
    with pytest.raises(ValueError, match=r"may mean 'a-b' or 'a\.b'; say that in a file"):
        engine.settings().with_environment({"SCRAPEENGINE_PLATFORMS__A_B__LIMIT": "3"})


seconds = st.floats(0.1, 1e6)
POLICIES = st.fixed_dictionaries(
    {
        "limit": st.integers(0, 99),
        "rate": st.lists(st.builds(se.Rate, seconds, seconds, st.integers(1, 9)), max_size=3),
        "timeout": st.builds(se.Timeout, seconds, st.sampled_from([math.inf, 3.0])),
        "retry": st.builds(se.Retry, st.integers(1, 9), statuses=st.sets(st.integers(400, 599))),
        "caps": st.builds(se.Caps, body=st.sampled_from([math.inf, 9])),
        "robots": st.sampled_from([True, False, "MyBot"]),
        "cookies": st.booleans(),
        "heed": st.booleans(),
        "cadence": st.none() | st.builds(se.Cadence, min_interval=st.floats(1, 100)),
        "base_url": st.sampled_from([None, "http://a.test/v1"]),
        "block_private": st.booleans(),
    }
)


@given(policy=POLICIES, other=POLICIES, buffer=st.integers(1, 99))
def test_what_is_written_is_read_again(policy, other, buffer):
    """Through JSON, over any other settings; and what differs is what has changed."""
    settings = se.Engine([se.Platform("A", nothing, **policy)], buffer=buffer).settings()
    engine = se.Engine([se.Platform("A", nothing, **other)])
    before = engine.settings()
    read = before.with_values(json.loads(json.dumps(settings.values(), allow_nan=False)))
    assert read == settings
    changed = engine.apply(read)
    assert changed == before.changes(settings)
    assert engine.settings() == settings
    old, new = before.platforms["A"].knobs(), settings.platforms["A"].knobs()
    differs = {knob for knob, value in old.items() if new[knob] != value}
    assert {each.knob for each in changed if each.platform} == differs


def test_users_and_passwords_are_not_shown():
    """Not in what is written, nor in what has changed; and reading that leaves them as they are."""
    engine = se.Engine([se.Platform("A", nothing, base_url="http://user:hunter2@a.test")])
    before = engine.settings()
    assert "hunter2" not in json.dumps(before.values())
    assert before.with_values(before.values()) == before
    [change] = before.changes(before.with_values({"platforms": {"A": {"base_url": "http://b.test"}}}))
    assert str(change) == "A: base_url 'http://a.test' -> 'http://b.test'"


def test_apply_is_all_or_nothing():
    """What is refused leaves all as it was: wrong values, settings of another engine, what can't be changed."""
    engine = engine_of(transport=httpx.MockTransport(nothing))
    before = engine.settings()
    a = before.platforms["A"]
    wrong = [
        attrs.evolve(before, buffer=0),
        attrs.evolve(before, buffer=3, platforms={**before.platforms, "A": attrs.evolve(a, limit=-1)}),
        before.with_values({"buffer": 3, "platforms": {"A": {"block_private": True}}}),  # with a transport of its own
        attrs.evolve(before, dedupe=True),
        attrs.evolve(before, buffer=3, platforms={"A": a, "*": before.platforms["*"]}),
        attrs.evolve(before, buffer=3, default=None),
        attrs.evolve(before, platforms={"A": a, "shop.example": a}),
    ]
    for settings in wrong:
        with pytest.raises(ValueError):
            engine.apply(settings)
        assert engine.settings() == before
    lonely = se.Engine([se.Platform("A", nothing)])
    settings = lonely.settings()
    with pytest.raises(se.UnknownPlatform):
        lonely.apply(attrs.evolve(settings, platforms={**settings.platforms, "B": a}))
    with pytest.raises(ValueError, match="no platform is named 'B'; there are A"):
        settings.changes(attrs.evolve(settings, platforms={**settings.platforms, "B": a}))
    with pytest.raises(TypeError, match=r"apply takes Settings, got 'x\.toml'; write engine\.apply"):
        engine.apply("x.toml")


async def test_apply_counts_in_a_run(autojump_clock):
    """All that it says, at once, as if it had been tuned."""
    world = World(default=[("sleep", 4)])
    engine = world.engine([world.platform("A", limit=1), world.platform("B", limit=2)])
    begun = trio.current_time()
    async with engine.stream(map(se.Event, range(4))) as run, trio.open_nursery() as nursery:

        @nursery.start_soon
        async def _():
            await trio.sleep(1)
            engine.apply(engine.settings().with_values({"platforms": {"A": {"limit": 4}, "B": {"limit": 4}}}))

        async for _ in run:
            pass
    starts = {"A": [], "B": []}
    for (_, platform), time in world.ledger.starts.items():
        starts[platform].append(time - begun)
    assert starts == {"A": [0, 1, 1, 1], "B": [0, 0, 1, 1]}


async def test_a_thousand_settings_from_a_thread_break_no_law():
    """Limits that are applied from a thread while a run goes on: never more at once than the largest, one outcome each.

    Two threads turn other knobs meanwhile, and none of theirs is lost.
    """
    at_once, most = {"A": 0, "B": 0}, {"A": 0, "B": 0}

    async def scrape(task):
        at_once[task.platform] += 1
        most[task.platform] = max(most[task.platform], at_once[task.platform])
        await trio.sleep(0.0005)
        at_once[task.platform] -= 1

    def apply():
        base = engine.settings()
        for n in range(1000):
            limits = {"A": {"limit": 1 + n % 4, "heed": bool(n % 2)}, "B": {"limit": n % 3}}
            engine.apply(base.with_values({"event_limit": 1 + n % 7, "buffer": 1 + n % 5, "platforms": limits}))
        engine.tune("B", limit=2)
        over.set()

    over = threading.Event()
    engine = se.Engine([se.Platform("A", scrape), se.Platform("B", scrape)])
    engine.apply(engine.settings().with_values({"platforms": {"A": {"limit": 1}, "B": {"limit": 1}}}))

    def source():
        number = 0
        while not over.is_set():
            yield se.Event(number)
            number += 1

    outcomes = []
    with trio.fail_after(60):
        async with engine.stream(source()) as run, trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, apply)
            async for outcome in run:
                outcomes.append((outcome.event.id, outcome.platform))
    assert len(outcomes) == len(set(outcomes)) == run.report.tasks
    assert most["A"] <= 4
    assert most["B"] <= 2
    assert run.report.outcomes.succeeded == len(outcomes)


def test_what_two_threads_tune_at_once_is_all_kept():
    """Each turns a knob of its own of one platform; the last value of both is there."""
    often = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    engine = se.Engine([se.Platform("A", nothing)])

    lost = []

    def turn(knob, values):
        for value in values:
            engine.tune("A", **{knob: value})
            if getattr(engine.settings().platforms["A"], knob) != value:
                lost.append(value)

    threads = [
        threading.Thread(target=turn, args=("limit", range(1, 300))),
        threading.Thread(target=turn, args=("timeout", [se.Timeout(n) for n in range(1, 300)])),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.setswitchinterval(often)
    a = engine.settings().platforms["A"]
    assert not lost
    assert (a.limit, a.timeout) == (299, se.Timeout(299))


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
async def test_a_file_is_read_again_at_a_signal(tmp_path):
    """What it says counts, a line that is gone is as at the beginning, and a file that is wrong changes nothing."""
    engine, path = engine_of(limit=5), tmp_path / "knobs.toml"
    seen = trio.Event()

    def heard(_, __, line):
        nonlocal seen
        lines.append(line)
        seen.set()
        seen = trio.Event()
        raise structlog.DropEvent

    async def again(text):
        path.write_text(text, "utf-8")
        waits = seen
        os.kill(os.getpid(), signal.SIGHUP)
        await waits.wait()
        return lines.pop()

    lines = []
    path.write_text("buffer = 3\n", "utf-8")
    with trio.fail_after(20), structlog.testing.capture_logs():
        structlog.get_config()["processors"].insert(0, heard)
        async with trio.open_nursery() as nursery:
            [change] = await nursery.start(se.reread, engine, path)
            assert str(change) == "buffer 100 -> 3"
            line = await again("[platforms.A]\nlimit = 2\n")
            assert sorted(line["changed"]) == ["A: limit 5 -> 2", "buffer 3 -> 100"]
            assert engine.settings().platforms["A"].limit == 2
            line = await again("[platforms.A]\nlimt = 2\n")
            assert line["event"] == "settings could not be read again, and all stays as it was"
            assert line["error"].endswith("there is no setting 'limt' in platforms.A; did you mean 'limit'?")
            assert engine.settings().platforms["A"].limit == 2
            await again("")
            assert engine.settings().platforms["A"].limit == 5
            nursery.cancel_scope.cancel()


async def test_what_is_wrong_as_the_reading_begins_leaves(tmp_path):
    """At once, to whoever has started it."""
    with pytest.raises(FileNotFoundError):
        await se.reread(engine_of(), tmp_path / "none.toml", on=signal.SIGTERM)
    with pytest.raises(RuntimeError, match="has no SIGHUP; say which signal"):
        await se.reread(engine_of(), tmp_path / "none.toml", on=None)


def test_each_knob_of_the_engine_can_be_read():
    """None is left out."""
    values = engine_of().settings().values()
    assert values.keys() >= EngineKnobs.__annotations__.keys()
