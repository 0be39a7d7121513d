"""What a live page shows and does: of a run, of a store, of both; for who is slow, and for who has gone."""

import socket
import subprocess
import sys

import pytest
import trio

import scrapeengine as se
from live.looking import Looker, following
from scrapeengine.observe.live import feed, server

HOSTILE = "</script><img src=x onerror=alert(1)>\u2028\x00'\""


async def scrape(task):
    """Take a while, or fail."""
    await trio.sleep(0.005)
    if task.event.data == "fail":
        raise ValueError(HOSTILE)


async def drain(run):
    """Read outcomes until the run is stopped."""
    async for _ in run:
        pass


async def until(what, seconds=20):
    """Wait until something is true."""
    with trio.fail_after(seconds):
        while not (await what() if callable(what) else what):
            await trio.sleep(0.01)


def endless():
    """Yield events without end."""
    return (se.Event(number) for number in range(10**9))


async def test_a_run_is_shown_and_steered():
    """Paused, resumed, tuned, closed, reopened and stopped; the frames say so."""
    started = []

    async def count(task):
        started.append(task)
        await trio.sleep(0.01)

    engine = se.Engine([se.Platform("p", count, limit=3, rate=se.Rate(1000, burst=5))])
    async with (
        engine.stream(endless(), instruments=[se.observe.Recording()]) as run,
        se.observe.Dashboard(run, engine) as page,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(drain, run)
        looker = Looker(page)
        assert looker.token not in repr(page)
        async with following(looker) as frame:
            first = await frame()
            assert first["can"] == {"run": True, "tune": True, "store": False}
            assert first["page"]["live"]
            assert first["page"]["timeline"] is not None
            assert first["knobs"] == {"p": {"limit": 3, "rate": 1000}}
            assert (await frame())["page"]["timeline"] is None
            assert (await looker.do("pause", platform="p")).json() == {"said": "p is paused"}
            await trio.sleep(0.1)
            count_then = len(started)
            while (now := await frame())["page"]["platforms"][0]["now"]["held_by"] != "pause":
                pass
            assert now["explain"][1].startswith("p: it is paused")
            await trio.sleep(0.1)
            assert len(started) == count_then
            assert (await looker.do("resume", platform="p")).status == 200
            assert engine.settings().platforms["p"].limit == 3
            assert (await looker.do("tune", platform="p", limit=2, rate=500)).status == 200
            knobs = engine.settings().platforms["p"]
            assert (knobs.limit, knobs.rate) == (2, (se.Rate(500, burst=5),))
            hourly = se.Rate(10_000, per=3600, burst=9000)
            engine.tune("p", rate=[hourly, se.Rate(700, burst=5)])
            assert (await looker.do("tune", platform="p", rate=600)).status == 200
            assert engine.settings().platforms["p"].rate == (se.Rate(600, burst=5), hourly)
            assert (await looker.do("tune", platform="p", rate=None)).status == 200
            assert engine.settings().platforms["p"].rate == (hourly,)  # which is a contract
            assert (await looker.do("close", platform="p", seconds=100)).status == 200
            assert run.statistics().closed["p"] == pytest.approx(100, abs=1)
            assert (await looker.do("reopen", platform="p")).status == 200
            assert run.statistics().closed == {}
            assert (await looker.do("stop", grace=1)).status == 200
            while not (now := await frame())["page"]["stopped"]:
                pass
            assert now["page"]["stopped"] == "it was stopped on the live page"


async def test_who_looks_costs_nothing_where_nobody_does(monkeypatch):
    """No frame is made; and of those who look at once all get the same."""
    made = []
    make = feed.Feed._make

    async def counted(self, **values):
        made.append(values)
        await make(self, **values)

    async def all_gone():
        return page._followers == 0

    monkeypatch.setattr(feed.Feed, "_make", counted)
    monkeypatch.setattr(feed, "_APART", 0.1)
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream(endless()) as run, se.observe.Dashboard(run, engine) as page:
        await trio.sleep(0.2)
        assert made == []
        looker = Looker(page)
        async with following(looker) as first, following(looker) as second:
            for _ in range(2):
                await first()
                await second()
            assert len(made) <= 5
        await until(all_gone)
        count = len(made)
        await trio.sleep(0.5)
        assert len(made) <= count + 1  # one may have been asked for before; as long as somebody looks there are five


async def test_who_takes_nothing_is_left_and_holds_nothing(monkeypatch):
    """A page that is asleep misses frames, keeps no memory, and its connection ends; others see all of it."""
    monkeypatch.setattr(server, "_PATIENCE", 0.3)
    monkeypatch.setattr(feed, "_APART", 0.01)
    engine = se.Engine([se.Platform(f"p{number}", scrape) for number in range(150)])
    async with engine.stream(endless()) as run, se.observe.Dashboard(run, engine) as page:
        looker = Looker(page)
        sleeper = socket.socket()
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.connect(("127.0.0.1", looker.port))
        sleeper.sendall(looker.request("GET", "/events"))
        await until(lambda: _is(page._followers, 1))
        async with following(looker) as frame:
            while page._followers == 2 or page._feed.number < 5:
                await frame()
            assert page._followers == 1
        sleeper.close()


async def _is(value, wanted):
    return value == wanted


async def test_who_takes_nothing_does_not_hold_up_the_end():
    """The end of the page, and with it of the program, waits for nobody."""
    engine = se.Engine([se.Platform(f"p{number}", scrape) for number in range(150)])
    async with engine.stream(endless()) as run:
        async with se.observe.Dashboard(run, engine) as page:
            looker = Looker(page)
            sleeper = socket.socket()
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sleeper.connect(("127.0.0.1", looker.port))
            sleeper.sendall(looker.request("GET", "/events"))
            await trio.sleep(1.2)  # until frames have filled what the system takes
            began = trio.current_time()
        assert trio.current_time() - began < 1
        sleeper.close()


async def test_no_more_pages_and_connections_than_so_many_are_open():
    """One more page is told so; one more connection is closed."""
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream(endless()) as run, se.observe.Dashboard(run, engine) as page:
        looker = Looker(page)
        streams = [await looker.connect() for _ in range(server.MOST)]
        for stream in streams[:16]:
            await stream.send_all(looker.request("GET", "/events"))
        await until(lambda: _is(page._followers, 16))
        await streams[16].send_all(looker.request("GET", "/events"))
        answer = b"".join([chunk async for chunk in streams[16]])
        assert answer.startswith(b"HTTP/1.1 503 ")
        await until(lambda: _is(page._followers, 16))
        for stream in streams:
            await stream.aclose()
        await until(lambda: _is(page._followers, 0))
        assert (await looker.ask("GET", "/")).status == 200


async def test_who_opens_connections_and_says_nothing_keeps_nobody_out():
    """The one that has been silent for longest makes room; who has asked does not."""
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream(endless()) as run, se.observe.Dashboard(run, engine) as page:
        looker = Looker(page)
        following = await looker.connect()
        await following.send_all(looker.request("GET", "/events"))
        await until(lambda: _is(page._followers, 1))
        silent = [await looker.connect() for _ in range(server.MOST - 1)]
        began = trio.current_time()
        assert (await looker.ask("GET", "/")).status == 200
        assert trio.current_time() - began < 5  # not the ten seconds that they have
        with trio.fail_after(5):
            assert not await silent[0].receive_some(1)  # closed
        await silent[1].send_all(looker.request("GET", "/"))
        assert (await silent[1].receive_some(12)) == b"HTTP/1.1 200"
        assert page._followers == 1
        for stream in (following, *silent):
            await stream.aclose()


async def test_a_million_hosts_are_a_bounded_page():
    """As many as are known to the run are counted, and 200 shown."""
    engine = se.Engine([], default=se.Platform("*", scrape), lookahead=5000)
    for number in range(2_000):
        engine.close(f"closed{number}.test", 1000)
    events = (se.Event(url=f"http://{'x' * 40}{number}.test/") for number in range(10**9))
    async with (
        engine.stream(events, instruments=[se.observe.Recording()]) as run,
        se.observe.Dashboard(run, engine) as page,
        following(Looker(page)) as frame,
    ):
        found = await frame()
        assert len(found["page"]["platforms"]) == 200
        assert found["page"]["more_platforms"] > 1_800
        assert len(found["explain"]) <= 51
        assert len(page._feed.latest) < 300_000


async def test_a_host_that_the_default_serves_has_its_limit_and_contracts():
    """Paused there it goes on with the default's limit, and tuned it keeps the rate of an hour."""
    hourly = se.Rate(1000, per=3600)
    engine = se.Engine([], default=se.Platform("*", scrape, limit=3, rate=[se.Rate(10, burst=5), hourly]))
    async with engine.stream([]) as run, se.observe.Dashboard(run, engine) as page:
        looker = Looker(page)
        assert (await looker.do("pause", platform="h.test")).status == 200
        assert (await looker.do("resume", platform="h.test")).status == 200
        assert (await looker.do("tune", platform="h.test", rate=5)).status == 200
    knobs = engine.settings().platforms["h.test"]
    assert (knobs.limit, knobs.rate) == (3, (se.Rate(5, burst=5), hourly))


async def test_a_store_is_shown_and_steered(tmp_path):
    """What others serve: counted, paused, closed, failed jobs run again and forgotten, others enqueued."""
    url = f"sqlite:{tmp_path}/jobs.db"
    engine = se.Engine([se.Platform("p", scrape)])
    async with se.open_store(url) as store:
        await engine.enqueue(store, [se.Event(f"{name}{HOSTILE}", data="fail") for name in "abc"])
        await engine.enqueue(store, [se.Event("later")], delay=1000)
        await engine.poll(store)
        async with se.observe.Dashboard(store=store) as page:
            looker = Looker(page)
            async with following(looker) as frame:
                first = await frame()
                assert first["can"] == {"run": False, "tune": False, "store": True}
                (row,) = first["queue"]["platforms"]
                assert (row["key"], row["failed"], row["delayed"], row["paused"]) == ("p", 3, 1, False)
                failed = first["queue"]["failed"]
                assert [each["key"] for each in failed] == [["p", f"{name}{HOSTILE}"] for name in "abc"]
                assert HOSTILE.replace("\x00", "") in failed[0]["error"].replace("\x00", "").replace("\\x00", "")
                assert "1 jobs" in (await looker.do("retry", platform="p", id=f"a{HOSTILE}")).json()["said"]
                assert "1 jobs" in (await looker.do("forget", platform="p", id=f"b{HOSTILE}")).json()["said"]
                assert "1 jobs" in (await looker.do("forget", platform="p")).json()["said"]
                assert (await store.stats())["p"].ready == 1
                assert (await looker.do("retry", platform="p")).json() == {"said": "0 jobs run again"}
                answer = await looker.do("enqueue", platform="q", id="1", url="http://q.test/", data={"a": [1]})
                assert answer.json() == {"said": "1 is enqueued"}
                assert (await looker.do("enqueue", platform="q", id="1")).json() == {"said": "1 is known: ready"}
                assert (await looker.do("enqueue", platform="q")).status == 400
                assert (await looker.do("store_pause", platform="p")).status == 200
                assert (await looker.do("close", platform="q", seconds=50)).status == 200
                counted = await store.stats()
                assert counted["p"].paused
                assert 49 < counted["q"].closed <= 50
                while not (now := await frame())["queue"]["platforms"][0]["paused"]:
                    pass
                assert {row["key"] for row in now["queue"]["platforms"]} == {"p", "q"}
                assert (await looker.do("reopen", platform="q")).status == 200
                assert (await looker.do("store_resume", platform="p")).status == 200
                assert not any(each.paused or each.closed for each in (await store.stats()).values())
                assert "no engine" in (await looker.do("pause", platform="p")).json()["error"]
                assert "stop those who serve it" in (await looker.do("stop")).json()["error"]
        (event,) = [each async for each in _events(store)]
        assert event == ("1", "http://q.test/", {"a": [1]})


async def _events(store):
    """Run what was enqueued on the page, as an engine reads it."""
    found = []

    async def keep(task):
        found.append((task.event.id, task.event.url, task.event.data))

    await se.Engine([se.Platform("q", keep)]).poll(store)
    for each in found:
        yield each


async def test_ids_are_shown_without_the_secrets_of_urls(tmp_path):
    """What is shown; what a button sends back is the id itself."""
    secret = "https://user:hunter2@shop.test/?token=hunter3"
    async with se.open_store(f"sqlite:{tmp_path}/jobs.db") as store:
        engine = se.Engine([se.Platform("p", scrape)])
        await engine.enqueue(store, [se.Event(secret, data="fail", platforms=["p"])])
        await engine.poll(store)
        async with se.observe.Dashboard(store=store) as page, following(Looker(page)) as frame:
            (job,) = (await frame())["queue"]["failed"]
            assert "hunter" not in job["id"] + job["error"]
            assert job["key"] == ["p", secret]


async def test_a_store_that_fails_is_told_and_no_end(tmp_path, caplog):
    """The page says that it could not be made, and goes on when it can."""
    async with se.open_store(f"sqlite:{tmp_path}/jobs.db") as store, se.observe.Dashboard(store=store) as page:
        stats, fails = store.stats, True

        async def failing():
            if fails:
                raise se.StoreError("the disk has gone")
            return await stats()

        store.stats = failing
        async with following(Looker(page)) as frame:
            assert (await frame())["trouble"] == "StoreError: the log of the program has more"
            assert "the live page could not be made" in caplog.text
            fails = False
            while "queue" not in await frame():
                pass


async def test_a_fault_of_ours_is_an_answer_and_a_line_in_the_log(monkeypatch, caplog):
    """And the page goes on."""

    async def fails(*_):
        raise RuntimeError("a bug")

    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream(endless()) as run, se.observe.Dashboard(run, engine) as page:
        looker = Looker(page)
        with monkeypatch.context() as patch:
            patch.setattr(page._commands, "do", fails)
            assert (await looker.do("pause", platform="p")).status == 500
        assert "the live page could not answer" in caplog.text
        assert (await looker.do("pause", platform="p")).status == 200
        assert (await looker.ask("GET", "/nothing")).status == 404
        assert (await looker.ask("HEAD", "/")).status == 405


async def test_who_does_not_come_to_an_end_is_left(monkeypatch):
    """Half a request, or none; who asks whether to go on is told to."""
    monkeypatch.setattr(server, "_PATIENCE", 0.1)
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream(endless()) as run, se.observe.Dashboard(run, engine) as page:
        looker = Looker(page)
        for data in (b"", b"GET / HTTP/1.1\r\nHost: local"):
            async with await looker.connect() as stream:
                if data:
                    await stream.send_all(data)
                with trio.fail_after(10):
                    assert [chunk async for chunk in stream] == []
        async with await looker.connect() as stream:
            await stream.send_eof()
            assert [chunk async for chunk in stream] == []
        monkeypatch.undo()
        async with await looker.connect() as stream:
            body = b'{"do": "pause", "platform": "p"}'
            headers = ["Content-Type: application/json", "Expect: 100-continue"]
            whole = looker.request("POST", "/do", headers=headers, body=body)
            await stream.send_all(whole.removesuffix(body))
            assert b" 100 " in await stream.receive_some()
            await stream.send_all(body)
            assert b" 200 " in b"".join([chunk async for chunk in stream]).split(b"\r\n")[0]


async def test_a_page_outlives_its_run():
    """Until it is left itself."""
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream([se.Event(1)]) as run:
        await drain(run)
    async with se.observe.Dashboard(run, engine) as page, following(Looker(page)) as frame:
        assert (await frame())["page"]["outcomes"]["succeeded"] == 1
        assert (await Looker(page).do("stop")).status == 200


async def test_what_the_body_raises_leaves_as_it_is():
    """In no group; and nobody listens any more."""
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream(endless()) as run:
        error = KeyError("x")
        with pytest.raises(KeyError) as caught:
            async with se.observe.Dashboard(run, engine) as page:
                looker = Looker(page)
                raise error
        assert caught.value is error
        with pytest.raises(OSError):
            await looker.connect()
        with trio.move_on_after(0.05) as scope:
            async with se.observe.Dashboard(run, engine):
                await trio.sleep_forever()
        assert scope.cancelled_caught


@pytest.mark.parametrize(
    ("make", "error", "why"),
    [
        (lambda _run, _engine: se.observe.Dashboard(), TypeError, r"Dashboard\(run, engine\)"),
        (lambda _run, engine: se.observe.Dashboard(engine), TypeError, "as run"),
        (lambda run, _engine: se.observe.Dashboard(run, run), TypeError, "Engine"),
        (lambda run, engine: se.observe.Dashboard(run, engine, store=3), TypeError, "open_store"),
        (lambda run, engine: se.observe.Dashboard(run, engine, port=-1), ValueError, "port"),
        (lambda run, engine: se.observe.Dashboard(run, engine, port=70_000), ValueError, "65535"),
        (lambda run, engine: se.observe.Dashboard(run, engine, hosts="a.test"), TypeError, "list"),
        (lambda run, engine: se.observe.Dashboard(run, engine, token="secret"), ValueError, "letters and digits"),
        (lambda run, engine: se.observe.Dashboard(run, engine).url, RuntimeError, "async with"),
    ],
)
async def test_what_is_no_page_is_refused(make, error, why):
    """At once, and with what to write instead."""
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream([]) as run:
        with pytest.raises(error, match=why):
            make(run, engine)


async def test_a_port_that_is_taken_is_an_error():
    """And the token is none of the log's business."""
    engine = se.Engine([se.Platform("p", scrape)])
    async with engine.stream([]) as run, se.observe.Dashboard(run, engine) as page:
        with pytest.raises(OSError):
            async with se.observe.Dashboard(run, engine, port=Looker(page).port):
                pass


def test_without_the_extra_it_says_what_to_install():
    """And the library is imported all the same."""
    program = """if True:
        import sys
        sys.modules["h11"] = None
        import scrapeengine as se
        assert not [name for name in sys.modules if name.startswith("scrapeengine.observe.live")]
        try:
            se.observe.Dashboard(store=1)
        except ImportError as error:
            print(error)
    """
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert result.stdout.endswith("pip install 'scrapeengine[dashboard]'\n"), result.stderr
