"""An id may be a URL, with a user, a password and tokens in it: nothing that the library says has them.

What the source says is looked at too: each log call, and each text that is put together, shows ids and URLs by the one
function that leaves secrets out.
"""

import ast
import functools
import gc
import logging
import pathlib
import re
import threading
import traceback
from collections import Counter

import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.decide.routing import Routes
from scrapeengine.model.job import Claimed, Completion, Delivery, JobStatus, Kept, NewJob, Ticket
from scrapeengine.model.urls import named, told
from support.serving import Flaky, serve_all
from support.world import Panic

PACKAGE = pathlib.Path(se.__file__).parent


def secret(of):
    """Make a secret, so that it stands in no line of source that a traceback would show."""
    return f"{of}-{'s3cr' + '3t'}"


USER, TOKEN = f"{secret('user')}:{secret('password')}", secret("token")
ALL = [secret(of) for of in ("user", "password", "token")]

URLS = {
    "plain": f"https://{USER}@a.test/feed?token={TOKEN}",
    "in capitals": f"HTTPS://{USER}@a.test/feed?page=1&token={TOKEN}",
    "with a port and a fragment": f"http://{USER}@a.test:8080/#access_token={TOKEN}",
    "a value without a name": f"https://{USER}@a.test/?{TOKEN}",
    "of another scheme": f"ftp://{USER}@a.test/x;type=i?token={TOKEN}",
    "without a scheme": f"//{USER}@a.test/feed?token={TOKEN}",
    "without slashes": f"https:{USER}@a.test/feed?token={TOKEN}",
    "with one slash": f"https:/{USER}@a.test/feed?token={TOKEN}",
    "with backslashes": f"https:\\\\{USER}@a.test\\feed?token={TOKEN}",
    "behind a space": f" https://{USER}@a.test/feed?token={TOKEN}",
    "in two lines": f"https://{USER}@a.test/\nfeed?token={TOKEN}",
    "a host only": f"{USER}@a.test/feed?token={TOKEN}",
    "without a host": f"a.test/feed?token={TOKEN}",
    "behind a name": f"feed 7: https://{USER}@a.test/?token={TOKEN}",
    "behind a name and a colon": f"podcast:https://{USER}@a.test/?token={TOKEN}",
    "within another": f"https://proxy.test/https://{USER}@a.test/feed?token={TOKEN}",
    "in the query of another": f"https://proxy.test/?to=https://{USER}@a.test/feed",
    "malformed": f"https://{USER}@[::1/feed?token={TOKEN}",
    "with a slash in the password": f"https://{secret('user')}:{secret('password')}/x@a.test/?token={TOKEN}",
    "international": f"https://{USER}@bücher.example/größe?token={TOKEN}",
    "two of them": f"https://{USER}@a.test/?token={TOKEN},https://{USER}@b.test/?token={TOKEN}",
}


def found(texts):
    """List the secrets that stand in any of some texts, with the text."""
    return [(each, text) for text in texts for each in ALL if each in text]


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_the_function_leaves_secrets_out(url):
    """Whatever the URL looks like; as the text itself, as bytes, and in what holds it."""
    texts = [
        named(url),
        *map(told, (url, url.encode(), [url], {"url": url}, (1, url), se.Event(url), Ticket("A", url, 1))),
    ]
    assert not found(texts)
    assert all(texts)


@pytest.mark.parametrize(
    "id", ["m1", "match-17", "17", "a b", "größe", "x/y", "12:30", "a@b", "#5", "50 %", "sku=4", "a:b", ""]
)
def test_an_id_that_is_none_stays_as_it_is(id):
    """What holds no secret by its looks is shown whole."""
    assert named(id) == id
    assert told(id) == repr(id)
    assert told(id.encode("latin-1", "ignore")).startswith("b'")


@pytest.mark.parametrize("given", [7, 1.5, None, ["m1"], {"a": 1}, (), len])
def test_what_else_is_given_is_told_by_its_repr(given):
    """As errors have it anywhere."""
    assert told(given) == repr(given)


def raised(function):
    """Return the text of what a call raises."""
    try:
        function()
    except Exception as error:  # noqa: BLE001 - whatever it is
        return f"{error} {error!r} {''.join(traceback.format_exception(error))}"
    raise AssertionError("nothing was raised")


async def nothing(_):
    """Scrape nothing."""


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_no_refusal_tells_it(url):
    """Each error about a wrong argument shows what it got, and that may be a URL."""
    platform = se.Platform("A", nothing)

    def storing(call):
        async def main():
            async with se.open_store("memory:") as store:
                await call(se.Engine([platform]), store)

        return lambda: trio.run(main)

    async def follow(task, given):
        task.follow(given)

    def following(given):
        [outcome] = se.collect([se.Platform("A", functools.partial(follow, given=given))], [se.Event(1)])
        raise outcome.error

    async def following_stored(engine, store):
        await engine.enqueue(store, [se.Event(1)])
        follower = se.Engine([se.Platform("A", functools.partial(follow, given=url))])
        [outcome] = (await serve_all(follower, store, count=1))[0]
        raise outcome.error

    calls = [
        lambda: se.Event(url=url.encode()),
        lambda: se.Event(url=httpx.URL("https://x.test", params={"token": TOKEN})),
        lambda: se.Event([url]),
        lambda: se.Event(url.encode()),
        lambda: se.Event(1, platforms=url),
        lambda: se.Event(1, platforms=(url, url)),
        lambda: se.Platform(url.encode(), nothing),
        lambda: se.Platform("A", functools.partial(len, url)),
        lambda: se.Platform("A", url),
        lambda: se.Platform("A", nothing, base_url=url.encode()),
        lambda: se.Platform("A", nothing, base_url=f"{url}?token={TOKEN}"),
        lambda: se.Engine([url]),
        lambda: se.Engine([platform]).tune(url, limit=1),
        lambda: se.Engine([platform]).stream([], sinks=[url]),
        lambda: se.Engine([platform]).stream(url),
        lambda: se.collect([platform], [url]),
        lambda: se.collect([platform], [{"url": url}]),
        lambda: se.open_store(url),
        lambda: se.open_store(f"postgres://{USER}@db.test/jobs"),
        lambda: se.open_store(url.encode()),
        lambda: following(url),
        lambda: following([url]),
        storing(following_stored),
        storing(lambda engine, store: engine.enqueue(store, [url])),
        storing(lambda engine, store: engine.enqueue(store, url)),
        storing(lambda engine, _: engine.enqueue(url, [])),
        storing(lambda engine, store: engine.enqueue(store, [se.Event(url, data=object())])),
        storing(lambda engine, store: engine.enqueue(store, [se.Event(url, priority=2**63)])),
        storing(lambda engine, store: engine.enqueue(store, [se.Event(f"{url}\ud800")])),
        storing(lambda engine, store: engine.enqueue(store, [se.Event(1, platforms=(url,))])),
        storing(lambda engine, store: engine.poll(store, ids=url)),
        storing(lambda engine, store: engine.poll(store, ids=url.encode())),
        storing(lambda _, store: store.enqueue([url])),
        storing(lambda _, store: store.enqueue([NewJob("A", url, "{}", delay=-1)])),
        storing(lambda _, store: store.complete([Completion(ticket=url, status=JobStatus.DONE)])),
        storing(lambda _, store: store.complete([Ticket("A", url, 1)])),
        storing(lambda _, store: store.release([url], 0)),
        storing(lambda _, store: store.cancel("A", url.encode())),
    ]
    assert not found(map(raised, calls))


@pytest.mark.parametrize("url", URLS.values(), ids=URLS)
def test_no_repr_tells_it(url):
    """Of events, outcomes, jobs and all that stores hand out."""
    event = se.Event(url, platforms=("A",))
    both = se.Event(f"{url}&a=1", url=url)
    ticket = Ticket("A", url, 3)
    job = NewJob("A", url, f'{{"url": "{url}"}}')
    route = Routes({"A": se.Platform("A", nothing)}, hosts=False)
    things = [event, both, ticket, Delivery("A", url, 1), job, Kept(Delivery("A", url, 1), url)]
    things += [Claimed(ticket, url, 0, 1, 0.0, None, None), route.of(se.Event(1, platforms=(url,))), route.of(both)]
    things += [Completion(ticket=ticket, status=JobStatus.DONE, follow_ups=(job,), outcome=url)]
    things += [
        se.Skipped(event=event, platform="A", reason="r"),
        se.Failure(event=both, platform="A", error=ValueError()),
    ]
    assert not found([text for thing in things for text in (repr(thing), str(thing), f"{thing}")])


# -- in runs


class Undelivered(Flaky):
    """A store with an outcome that nobody can read."""

    def __getattr__(self, name):
        """Hand it out once."""
        if name == "undelivered" and not self.calls.count(name):

            async def undelivered(*_):
                self.calls.append(name)
                return [Kept(Delivery("A", self.refuses, 7), "garbage")]

            return undelivered
        return super().__getattr__(name)


def living():
    """Show all objects of the library that are alive, by their `repr`."""
    gc.collect()
    for thing in gc.get_objects():
        home = str(type(thing).__module__)
        if home.startswith("scrapeengine.") and not home.startswith("scrapeengine.testing"):
            yield repr(thing)


async def plain_run(url):
    """Have events end in all ways, and be logged in all ways; return what was shown."""
    texts = []
    in_thread, shielded, given_up, blocked = trio.Event(), trio.Event(), trio.Event(), threading.Event()

    def held(_):
        trio.from_thread.run_sync(in_thread.set)
        blocked.wait(10)

    async def scrape(task):
        texts.append(repr(task))
        task.log.warning("seen")
        kind = task.event.data
        match kind:
            case "look":
                texts.extend(living())
            case "fail":
                raise ValueError("no odds")
            case "crash":
                raise Panic("no odds")
            case "skip":
                task.skip("nothing there", again_after=100)
            case "follow":
                task.follow(se.Event(f"{task.event.id}&more=1", platforms=("nowhere",)))
            case "thread":
                await task.in_thread(functools.partial(held, task.event.url or task.event.id))
            case "shield":
                with trio.CancelScope(shield=True):
                    shielded.set()
                    await given_up.wait()

    kinds = ["look", "fail", "crash", "skip", "follow", "thread", "shield", "success"]
    events = [se.Event(f"{url}&n={kind}", data=kind, platforms=("A",)) for kind in kinds]
    events += [se.Event(f"{url}&n=u", platforms=("B", url)), se.Event(f"{url}&n=v", url=url)]

    async def skipped(engine):
        async with engine.stream([se.Event(f"{url}&n=skip", data="skip", platforms=("A",))]) as run:
            async for outcome in run:
                yield outcome

    try:
        engine = se.Engine([se.Platform("A", scrape)], event_limit=20)
        async with engine.stream(events) as run:
            await in_thread.wait()
            await shielded.wait()
            await run.stop(0)
            given_up.set()
            outcomes = [outcome async for outcome in run]
            texts.extend(map(repr, [engine, run, run.report, run.statistics(), *outcomes]))
        texts.extend(map(str, outcomes))
        texts.extend(str(getattr(outcome, "error", "")) for outcome in outcomes)
        again = [outcome async for outcome in skipped(engine)]
        texts.extend(map(repr, again))
    finally:
        blocked.set()
    return texts


async def served_run(url):
    """The same on a store that has its troubles; and what the store shows of its jobs."""
    texts = []

    async def scrape(task):
        task.log.warning("seen")
        if task.event.data == "look":
            texts.extend(living())
        if task.event.data == "fail":
            raise ValueError("no odds")
        if task.event.data == "odd":
            return float("nan")
        return None

    async def sink(batch):
        texts.extend(map(repr, batch))

    engine = se.Engine([se.Platform("A", scrape)])
    async with se.open_store("memory:") as store:
        kinds = ["look", "fail", "odd", "fine"]
        events = [se.Event(f"{url}&n={kind}", data=kind) for kind in kinds]
        texts.extend(map(repr, await engine.enqueue(store, events, cadence=None)))
        await store.enqueue([NewJob("A", f"{url}&n=unreadable", "garbage")])
        troubled = Undelivered(store, refuses=f"{url}&n=fine")
        outcomes, report = await serve_all(engine, troubled, count=3, sinks=[sink])
        texts.extend(map(repr, [*outcomes, report, store, await store.stats()]))
        for kind in kinds:
            job = await store.get("A", f"{url}&n={kind}")
            texts.extend([repr(job), job.error or ""])
    return texts


async def logged(run, url, caplog):
    """Make a run with all its log lines; return what was logged, and all texts."""
    with caplog.at_level(logging.DEBUG):
        texts = await run(url)
    return [record.getMessage() for record in caplog.records], [*texts, caplog.text]


SOME = ["plain", "a host only", "within another", "behind a name"]


@pytest.mark.parametrize("kind", SOME)
async def test_no_run_tells_it(kind, caplog):
    """Log lines, outcomes, errors, reports, and every object of the library that is alive in the middle of it."""
    lines, texts = await logged(plain_run, URLS[kind], caplog)
    assert not found(texts)
    assert any("shields itself" in line for line in lines)
    assert any("worker thread" in line for line in lines)


@pytest.mark.parametrize("kind", SOME)
async def test_no_run_on_a_store_tells_it(autojump_clock, kind, caplog):
    """Neither where its ends cannot be stored, nor where an outcome of an earlier run cannot be read."""
    lines, texts = await logged(served_run, URLS[kind], caplog)
    assert not found(texts)
    assert any("cannot be read, and is dropped" in line for line in lines)
    assert any("the end of a job cannot be stored" in line for line in lines)


async def test_a_thread_is_named_by_its_function_alone(caplog):
    """Of a `partial`, and of an object that can be called, the arguments are nobody's business."""

    def held():
        trio.from_thread.run_sync(scopes[-1].cancel)
        blocked.wait(10)

    class Parser:
        def __init__(self, url):
            self.url = url

        def __call__(self):
            held()

        def __repr__(self):
            return f"Parser({self.url})"

    async def main(function):
        async def scrape(task):
            await task.in_thread(function)

        with trio.CancelScope() as scope:
            scopes.append(scope)
            await se.Engine([se.Platform("A", scrape)]).run([se.Event(1)])

    def parse(url):
        held()
        return url

    scopes, blocked = [], threading.Event()
    for function in (functools.partial(parse, URLS["plain"]), Parser(URLS["plain"])):
        with caplog.at_level(logging.DEBUG):
            await main(function)
    blocked.set()
    assert not found([caplog.text])
    assert "locals>.parse" in caplog.text
    assert "Parser" in caplog.text


# -- in the source

LEVELS = {"debug", "info", "warning", "error", "exception", "critical", "log", "msg", "bind"}
TELLING = {
    "id",
    "ids",
    "url",
    "event",
    "events",
    "ticket",
    "payload",
    "headers",
    "request",
    "response",
    "given",
    "name",
}
"""What may hold a secret, by its name."""
SAFE = {"shown", "named", "told", "host_of", "type", "len", "round"}
"""What takes it away."""


def trees():
    """Parse the library."""
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE).as_posix(), ast.parse(path.read_text())


def tells(node):
    """List what an expression shows that may hold a secret."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in SAFE:
        return []
    if isinstance(node, ast.Attribute):
        return [ast.unparse(node)] if node.attr in TELLING else tells(node.value) if node.attr == "value" else []
    if isinstance(node, ast.Name):
        return [node.id] if node.id in TELLING else []
    return [each for child in ast.iter_child_nodes(node) for each in tells(child)]


def log_calls():
    """List the calls of loggers with the file that they stand in."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in LEVELS:
                owner = ast.unparse(node.func.value)
                handed_on = name == "served/trouble.py"  # what `say` was given, which is looked at where that is called
                if (owner.endswith(("logger()", ".log")) or owner == "log") and not handed_on:
                    yield name, node
            elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(
                ("trouble.say", "lines.say", "self.say")
            ):
                yield name, node


def test_every_log_call_shows_ids_without_secrets():
    """Its line is a constant; what is bound to it goes through the function if it is an id, a URL, or holds one."""
    calls = Counter()
    for name, call in log_calls():
        calls[call.func.attr] += 1
        for text in call.args[:1] if call.func.attr == "say" else call.args:  # others are the platform, and the error
            assert isinstance(text, ast.Constant), f"{name}: {ast.unparse(call)}"
        for keyword in call.keywords:
            if keyword.arg == "exc_info":
                continue
            assert keyword.arg is not None, f"{name}: {ast.unparse(call)}"
            if ast.unparse(keyword.value) == "name" and name == "run/session.py":
                continue  # a function's, see above
            assert not tells(keyword.value), f"{name}: {ast.unparse(call)}"
    assert calls["warning"] >= 5
    assert calls["say"] >= 10
    assert calls["error"] >= 4
    assert calls["bind"] == 1


def test_nothing_else_logs():
    """No logger is had but by the one function, and nothing is printed or warned of."""
    for name, tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                called = ast.unparse(node.func)
                assert called not in {"print", "warnings.warn", "logging.warning"}, f"{name}: {ast.unparse(node)}"
                assert not called.endswith(("getLogger", "get_logger")) or name == "observe/log.py"


PUT_TOGETHER = {
    # where URLs and requests are made, and not shown
    "http/wire/call.py",
    "http/wire/prepared.py",
    "http/wire/requests.py",
    "http/features/robots.py",
    "http/features/cookies.py",
    "http/transport/sending.py",
    "testing/site.py",
    "model/event.py",
    "model/urls.py",
    "sinks/rows.py",  # lines of JSON, which are data
}
NAMES = re.compile(r"(.*\.)?name")
"""Names of platforms, fields and classes."""


def test_every_text_that_is_put_together_shows_ids_without_secrets():
    """In f-strings an id or a URL stands inside of the function; an `Event` may show itself."""
    looked = 0
    for name, tree in trees():
        if name in PUT_TOGETHER:
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.FormattedValue):
                looked += 1
                shown = [each for each in tells(node.value) if not NAMES.fullmatch(each)]
                if shown == ["event"] and name in {"decide/records.py", "served/enqueueing.py"}:
                    continue  # it is an `Event` there
                assert not shown, f"{name}:{node.lineno}: {ast.unparse(node.value)}"
    assert looked > 200
