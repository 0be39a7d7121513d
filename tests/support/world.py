"""Simulated platforms in virtual time: scrapers that follow a script, and a wire that answers by it.

A script is a list of steps, one tuple each:

    ("sleep", seconds)               the scraper works
    ("stall", seconds)               it blocks the whole loop (virtual time jumps)
    ("request", latency, answer)     it makes a request; the answer is a status, (status, Retry-After), or "redirect";
                                     a fourth element is its cost
    ("raise", kind)                  it raises: "error", "group", "mixed" (a group of groups), or what is no Exception:
                                     "panic", "panics" (a group with one in it)
    ("retry", seconds)               it calls task.retry, once; the second attempt goes on behind it
    ("skip",)                        it calls task.skip
    ("follow", id)                   it follows an event
    ("give up after", seconds)       the next request is abandoned by a scope of the scraper's own
"""

import contextlib

import attrs
import httpx
import trio
import trio._core._run as trio_run
from trio.testing import MockClock

import scrapeengine as se
from scrapeengine.http.wire.connector import ForeignConnector
from support.deadlines import deadline
from support.ledger import Ledger


class Trouble(Exception):
    """What scrapers raise."""


class Panic(BaseException):
    """What an extension in Rust raises."""


@attrs.define(eq=False)
class World:
    """Platforms that exist only here. `scripts` holds the steps of each task by (event's id, platform)."""

    scripts: dict = attrs.field(factory=dict)
    default: list = attrs.field(factory=list)
    """The script of those that have none."""
    ledger: Ledger = attrs.field(factory=Ledger)

    def platform(self, name, **policy):
        """Make a platform whose scraper follows the scripts."""
        self.ledger.limits.setdefault(name, policy.get("limit", 8))
        policy.setdefault("retry", se.Retry(attempts=2, initial_wait=1.0))
        return se.Platform(name, self.scrape, base_url=f"http://{name.lower()}.test", **policy)

    def engine(self, platforms, **options):
        """Make an engine whose requests end here."""
        engine = se.Engine(platforms, connector=ForeignConnector(Wire(self.ledger)), **options)
        self.ledger.event_limit = engine._plan.event_limit
        return engine

    async def scrape(self, task):
        """Follow the script."""
        event, platform = task.event.id, task.platform
        self.ledger.start(event, platform)
        try:
            return await self._follow_script(task, self.scripts.get((event, platform), self.default))
        finally:
            self.ledger.end(event, platform)

    async def _follow_script(self, task, script):
        patience = None
        for step in script:
            match step:
                case ("sleep", seconds):
                    await trio.sleep(seconds)
                case ("stall", seconds):
                    trio.lowlevel.current_clock().jump(seconds)
                case ("request", latency, answer, *cost):
                    await self._request(task, latency, answer, patience, *cost)
                    patience = None
                case ("give up after", seconds):
                    patience = seconds
                case ("retry", seconds):
                    if task.attempt == 1:
                        task.retry(after=seconds)
                case ("raise", kind):
                    raise {
                        "error": Trouble("as the script says"),
                        "group": ExceptionGroup("two", [Trouble(), ValueError()]),
                        "mixed": ExceptionGroup("nested", [ExceptionGroup("inner", [Trouble()]), KeyError()]),
                        "panic": Panic("index out of bounds"),
                        "panics": BaseExceptionGroup("two", [Trouble(), BaseExceptionGroup("inner", [Panic()])]),
                    }[kind]
                case ("skip",):
                    task.skip("as the script says")
                case ("follow", id):
                    task.follow(se.Event(id))
                case _:
                    raise AssertionError(step)
        return task.event.id

    async def _request(self, task, latency, answer, patience, cost=1):
        event, platform = task.event.id, task.platform
        asked = {"latency": latency, "status": 200, "hops": 0, "cost": cost}
        match answer:
            case "redirect":
                asked["hops"] = 1
            case (status, after):
                asked |= {"status": status, "after": after}
            case status:
                asked["status"] = status
        self.ledger.leave(event, platform)
        try:
            with trio.move_on_after(patience) if patience is not None else contextlib.nullcontext():
                await task.http.get(f"/{event}", params=asked, check=False, cost=cost)
        finally:
            self.ledger.enter(event, platform)


@attrs.define(eq=False)
class Wire(httpx.AsyncBaseTransport):
    """Answers requests as their scripts say."""

    ledger: Ledger

    async def handle_async_request(self, request):
        """Wait for the latency, and answer."""
        ledger, asked = self.ledger, request.url.params
        platform, event = request.url.host.partition(".")[0].upper(), request.url.path.strip("/")
        status, after, hops = int(asked["status"]), asked.get("after"), int(asked["hops"])
        closed_for = None
        ledger.request(platform, int(asked.get("cost", 1)))
        ledger.enter(event, platform)
        try:
            await trio.sleep(float(asked["latency"]))
            if status == 429 or (status == 503 and after is not None):
                closed_for = float(after or 0)
        finally:
            ledger.leave(event, platform)
            ledger.answered(platform, closed_for)
        if hops:
            onward = request.url.copy_set_param("hops", str(hops - 1))
            return httpx.Response(302, headers={"location": str(onward)}, request=request)
        headers = {} if after is None else {"retry-after": str(after)}
        return httpx.Response(status, headers=headers, request=request)


@contextlib.contextmanager
def scheduled_alike():
    """Have trio schedule tasks that are ready in the same order each time, so that two runs can be held together."""
    before, trio_run._ALLOW_DETERMINISTIC_SCHEDULING = trio_run._ALLOW_DETERMINISTIC_SCHEDULING, True
    trio_run._r.seed(0)
    try:
        yield
    finally:
        trio_run._ALLOW_DETERMINISTIC_SCHEDULING = before


def virtually(main, *args, **options):
    """Run an async function in virtual time, within a deadline, where a test cannot be async: under `given`."""

    async def within_its_time():
        with deadline():
            return await main(*args, **options)

    return trio.run(within_its_time, clock=MockClock(autojump_threshold=0))


async def outcomes_of(engine, events, **options):
    """Run events, and return all outcomes and the report."""
    async with engine.stream(events, **options) as run:
        outcomes = [outcome async for outcome in run]
    return outcomes, run.report
