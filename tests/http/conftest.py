"""Two ways to see the client of a task at work: on real sockets, and in virtual time on a wire that is played."""

import email.utils
import functools

import attrs
import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.http.client.clients import HttpClients
from scrapeengine.http.features.keeping import Keeping
from scrapeengine.http.wire.connector import ForeignConnector
from scrapeengine.testing import Answer, Site
from support.world import virtually

ONCE = se.Retry(attempts=1)


@attrs.define(eq=False)
class Seen:
    """What came of a run: how its tasks ended, and what the sites were asked."""

    outcomes: list
    asked: list
    """Of the platform's own site: requests, in order."""
    abroad: list
    """Of the other site, which is another origin."""

    @property
    def outcome(self):
        """The only outcome."""
        [outcome] = self.outcomes
        return outcome

    @property
    def value(self):
        """What the only scraper returned."""
        assert isinstance(self.outcome, se.Success), self.outcome
        return self.outcome.value

    @property
    def error(self):
        """What the only scraper raised."""
        assert isinstance(self.outcome, se.Failure), self.outcome
        return self.outcome.error


@pytest.fixture
def on_sites():
    """Return a function that runs one scraper against two sites on loopback, `{here}` (the platform's) and `{there}`.

    `answers` are `Answer`s or async handlers by path; what is not named is answered with 200. `{here}` and `{there}`
    in headers of answers become the sites' URLs, which the scraper finds in `task.event.data`.
    """

    def run(scrape, answers=None, *, below="", **policy):
        urls, asked = {}, {"here": [], "there": []}

        async def answer(name, request):
            asked[name].append(request)
            given = (answers or {}).get(request.path, Answer())
            if not isinstance(given, Answer):
                return await given(request)
            return attrs.evolve(given, headers={key: text.format(**urls) for key, text in given.headers.items()})

        async def main():
            async with (
                Site.open(functools.partial(answer, "here")) as here,
                Site.open(functools.partial(answer, "there")) as there,
            ):
                urls.update(here=here.url, there=there.url)
                platform = se.Platform("A", scrape, base_url=here.url + below, **({"retry": ONCE} | policy))
                async with se.Engine([platform]).stream([se.Event("e", data=urls)]) as run:
                    return [outcome async for outcome in run]

        with_deadline = functools.partial(_within, 10, main)
        return Seen(trio.run(with_deadline), asked["here"], asked["there"])

    return run


async def _within(seconds, main):
    with trio.fail_after(seconds):
        return await main()


@attrs.define(eq=False)
class Played:
    """What a wire that is played has carried, and how the tasks ended."""

    requests: list = attrs.field(factory=list)
    times: list = attrs.field(factory=list)
    """When each request was sent, from the start of the run on."""
    begun: float = 0.0
    outcomes: dict = attrs.field(factory=dict)
    """By the event's id."""

    @property
    def outcome(self):
        """The only outcome."""
        [outcome] = self.outcomes.values()
        return outcome

    @property
    def error(self):
        """What the only scraper raised."""
        assert isinstance(self.outcome, se.Failure), self.outcome
        return self.outcome.error

    @property
    def value(self):
        """What the only scraper returned."""
        assert isinstance(self.outcome, se.Success), self.outcome
        return self.outcome.value


@pytest.fixture
def play():
    """Return a function that runs a scraper in virtual time on a wire that gives one answer after the other.

    Events are ids (the engine is their `data`), or made by the test.

    An answer is a status, `(status, headers)`, an exception to raise, or "never"; the last one stays. A function gives
    the answer to a request by itself. Each takes `latency` seconds.
    """

    def run(scrape, *answers, events=("e",), latency=0.0, draw=1.0, base_url="http://a.test", **policy):
        played, left = Played(), list(answers)

        class Wire(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request):
                played.requests.append(request)
                played.times.append(trio.current_time() - played.begun)
                answer = left.pop(0) if len(left) > 1 else left[0]
                return await _answered(request, answer, latency)

        async def main():
            played.begun = trio.current_time()
            engine = se.Engine([se.Platform("A", scrape, base_url=base_url, **policy)])
            engine._plan.clients = lambda _: HttpClients(Keeping(), ForeignConnector(Wire()))
            engine._plan.draw = lambda: draw
            async with engine.stream([_event(each, engine) for each in events]) as run:
                async for outcome in run:
                    played.outcomes[outcome.event.id] = outcome

        virtually(main)
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
