"""Two ways to see the client of a task at work: on real sockets, and in virtual time on a wire that is played."""

import email.utils
import functools

import attrs
import httpx
import pytest
import trio
from trio.testing import MockClock

import scrapeengine as se
from scrapeengine.http.client.clients import HttpClients
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.wire.connector import ForeignConnector
from scrapeengine.testing import Answer, Site
from support.runs import ONCE, Ended, Seen


@pytest.fixture
def on_sites():
    """Return a function that runs one scraper against two sites on loopback, `{here}` (the platform's) and `{there}`.

    `answers` are `Answer`s or async handlers by path; what is not named is answered with 200. `{here}` and `{there}`
    in headers of answers become the sites' URLs, which the scraper finds in `task.event.data`.
    """

    async def run(scrape, answers=None, *, below="", **policy):
        urls, asked = {}, {"here": [], "there": []}

        async def answer(name, request):
            asked[name].append(request)
            given = (answers or {}).get(request.path, Answer())
            if not isinstance(given, Answer):
                return await given(request)
            return attrs.evolve(given, headers={key: text.format(**urls) for key, text in given.headers.items()})

        with trio.fail_after(10):
            async with (
                Site.open(functools.partial(answer, "here")) as here,
                Site.open(functools.partial(answer, "there")) as there,
            ):
                urls.update(here=here.url, there=there.url)
                platform = se.Platform("A", scrape, base_url=here.url + below, **({"retry": ONCE} | policy))
                async with se.Engine([platform]).stream([se.Event("e", data=urls)]) as run:
                    outcomes = [outcome async for outcome in run]
        return Seen(outcomes, asked["here"], asked["there"])

    return run


@attrs.define(eq=False)
class Played(Ended):
    """What a wire that is played has carried, and how the tasks ended."""

    requests: list
    times: list
    """When each request was sent, from the start of the run on."""


@pytest.fixture
def play():
    """Return a function that runs a scraper in virtual time on a wire that gives one answer after the other.

    Events are ids (the engine is their `data`), or made by the test.

    An answer is a status, `(status, headers)`, an exception to raise, or "never"; the last one stays. A function gives
    the answer to a request by itself. Each takes `latency` seconds.
    """

    async def run(scrape, *answers, events=("e",), latency=0.0, draw=1.0, base_url="http://a.test", **policy):
        assert isinstance(trio.lowlevel.current_clock(), MockClock), "the test is to have the autojump_clock"
        played, left, begun = Played([], [], []), list(answers), trio.current_time()

        class Wire(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                played.requests.append(request)
                played.times.append(trio.current_time() - begun)
                answer = left.pop(0) if len(left) > 1 else left[0]
                return await _answered(request, answer, latency)

        engine = se.Engine([se.Platform("A", scrape, base_url=base_url, **policy)])
        engine._plan.clients = lambda _: HttpClients(Keeping(), ForeignConnector(Wire()))
        engine._plan.draw = lambda: draw
        async with engine.stream([_event(each, engine) for each in events]) as run:
            played.outcomes += [outcome async for outcome in run]
        return played

    return run


def _event(given, engine):
    return given if isinstance(given, se.Event) else se.Event(given, data=engine)


async def _answered(request, answer, latency):
    await trio.sleep(latency)
    if callable(answer):
        answer = answer(request)
    match answer:
        case "never":
            await trio.sleep_forever()
        case Exception():
            raise answer
        case (status, headers):
            return httpx.Response(status, headers=headers, request=request)
    return httpx.Response(answer, request=request)


@pytest.fixture
def http_date():
    """Return a function that writes Unix time as an HTTP date."""
    return functools.partial(email.utils.formatdate, usegmt=True)
