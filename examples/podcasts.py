"""Watch podcasts: a round each three minutes that asks every one of them whether it is live.

    python examples/podcasts.py                            50 podcasts on loopback, for ever; Ctrl-C ends it
    python examples/podcasts.py --store sqlite:podcasts.db what is due, and was found last, outlives the program
    python examples/podcasts.py --virtual                  a simulated day, in some seconds

At most ten are asked at once. Podcast 0 never answers: it fails after `--timeout` seconds in each round, and holds up
nobody but itself. Printed is a line for each round, and one for each podcast that goes live or off the air; with
`--each` one for each check. `--report FILE` writes a page about the last round.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import httpx
import trio
from trio.testing import MockClock

import scrapeengine as se
from scrapeengine.testing import Answer, Request, Site
from sites import latency

DAY = 86_400
AT_ONCE = 10


async def is_live(task: se.Task) -> bool:
    """Ask a podcast whether it is live."""
    response = await task.http.get(f"/podcasts/{task.event.id}")
    live: bool = response.json()["live"]
    return live


class Podcasts:
    """Simulated podcasts, each live for some hours of the day; podcast 0 takes a request, and never answers it."""

    def __init__(self, live_seconds: float = 7200.0) -> None:
        """Make podcasts that are each live for so many seconds a day."""
        self.asked: Counter[str] = Counter()
        """How often each was asked."""
        self.most_at_once = 0
        """The most that were ever asked at once."""
        self._began = trio.current_time()
        self._at_once = 0
        self._live_seconds = live_seconds

    async def answer(self, path: str) -> bytes:
        """Answer whether the podcast of a path is live, after a latency like the web's."""
        name = path.rpartition("/")[2]
        self.asked[name] += 1
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if name == "0":
                await trio.sleep_forever()
            await trio.sleep(latency(f"{name} {self.asked[name]}"))
        finally:
            self._at_once -= 1
        since = (trio.current_time() - self._began + int(name) * 3571) % DAY
        return json.dumps({"live": since < self._live_seconds}).encode()

    @asynccontextmanager
    async def open(self, *, virtual: bool) -> AsyncIterator[tuple[str, httpx.AsyncBaseTransport | None]]:
        """Serve them: on loopback, or where no socket is, for a clock that jumps. Gives a URL, and a way there."""
        if virtual:

            async def respond(request: httpx.Request) -> httpx.Response:
                return httpx.Response(200, content=await self.answer(request.url.path))

            yield "http://podcasts.test", httpx.MockTransport(respond)
            return

        async def answer(request: Request) -> Answer:
            return Answer(body=await self.answer(request.path), headers={"Content-Type": "application/json"})

        async with Site.open(answer) as site:
            yield site.url, None


class Journal:
    """What the checks have found: a sink, which gets their outcomes before the round is over."""

    def __init__(self, *, each: bool) -> None:
        """Make a journal that prints changes, and with `each` every check."""
        self.live: set[str] = set()
        """The podcasts that were live when they were asked last."""
        self.reports: list[se.Report] = []
        """The rounds, by what they have done."""
        self._each = each
        self._began = trio.current_time()

    async def __call__(self, outcomes: Sequence[se.Outcome[bool]]) -> None:
        """Take what some checks have found."""
        for outcome in outcomes:
            name = outcome.event.id
            if self._each:
                self.print(f"podcast {name:4}  {found(outcome)}  {outcome.queued:.2f} + {outcome.ran:.2f} s")
            # What could not be asked is believed to be as it was.
            if isinstance(outcome, se.Success) and outcome.value != (name in self.live):
                self.live ^= {name}
                self.print(f"podcast {name:4}  {'goes live' if outcome.value else 'is off the air'}")

    def end_round(self, report: se.Report) -> None:
        """Take what a round has done."""
        self.reports.append(report)
        errors = "".join(f", {number} {kind}" for kind, number in report.errors.items())
        late = f"; {report.overran:.1f} s too long" if report.overran else ""
        self.print(
            f"round {len(self.reports):6}  {report.outcomes.total} checked in {report.elapsed:.2f} s, "
            f"{len(self.live)} live{errors}{late}"
        )

    def print(self, text: str) -> None:
        """Print a line with the time since the beginning."""
        print(f"{timedelta(seconds=int(trio.current_time() - self._began))!s:>16}  {text}", flush=True)


def found(outcome: se.Outcome[bool]) -> str:
    """Say what a check has found, in a word."""
    match outcome:
        case se.Success(value=value):
            return "live" if value else "silent"
        case se.Failure(error=error):
            return type(error).__name__
        case se.Skipped(reason=reason) | se.Cancelled(reason=reason):
            return reason


async def watch(options: argparse.Namespace) -> None:
    """Make the rounds, and print what came of them."""
    podcasts = Podcasts()
    journal = Journal(each=options.each)
    async with podcasts.open(virtual=options.virtual) as (url, transport), se.open_store(options.store) as store:
        platform = se.Platform(
            "podcasts",
            is_live,
            base_url=url,
            transport=transport,
            limit=AT_ONCE,
            timeout=se.Timeout(attempt=options.timeout),
            retry=se.Retry(attempts=1),  # the next round is soon enough
        )
        engine = se.Engine([platform], event_limit=AT_ONCE)
        events = [se.Event(number) for number in range(options.podcasts)]
        await engine.enqueue(store, events, cadence=se.Cadence(min_interval=options.every, max_interval=options.every))
        recording = [se.observe.Recording()] if options.report else []
        async for report in engine.rounds(store, every=options.every, sinks=[journal], instruments=recording):
            journal.end_round(report)
            if options.report:
                report.write_html(options.report)
            if len(journal.reports) == options.rounds:
                break
    print_table(journal, podcasts)


def print_table(journal: Journal, podcasts: Podcasts) -> None:
    """Print what all rounds came to."""
    checks = sum(report.outcomes.total for report in journal.reports)
    failed: Counter[str] = Counter()
    for report in journal.reports:
        failed.update(report.errors)
    seconds = [report.elapsed for report in journal.reports]
    print()
    print(f"rounds      {len(seconds)}: median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s")
    print(f"checks      {checks}: {podcasts.asked.total()} requests, {podcasts.most_at_once} at once at most")
    print(f"failures    {failed.total()}: {', '.join(f'{number} {kind}' for kind, number in failed.items()) or 'none'}")


def main() -> None:
    """Read the command line, and watch."""
    parser = argparse.ArgumentParser(description="Watch whether podcasts are live, in rounds.")
    parser.add_argument("--podcasts", type=int, default=50, metavar="N", help="how many podcasts, at least 1")
    parser.add_argument("--timeout", type=float, default=10.0, metavar="S", help="how long one may take to answer")
    parser.add_argument(
        "--every", type=float, default=180.0, metavar="S", help="from one round's beginning to the next"
    )
    parser.add_argument("--rounds", type=int, metavar="N", help="how many rounds; else a day of them, or no end")
    parser.add_argument("--store", default="memory:", metavar="URL", help="such as sqlite:podcasts.db")
    parser.add_argument("--virtual", action="store_true", help="simulate clock and podcasts")
    parser.add_argument("--report", metavar="FILE", help="write a page about the last round there")
    parser.add_argument("--each", action="store_true", help="print each check")
    options = parser.parse_args()
    if options.podcasts < 1 or (options.rounds is not None and options.rounds < 1):
        parser.error("it takes at least 1 podcast, and 1 round")
    if not options.virtual:
        with suppress(KeyboardInterrupt):
            trio.run(watch, options)
        return
    if options.store != "memory:":
        parser.error("a simulated clock does not know of files: --virtual goes with the store in memory only")
    if options.rounds is None:
        options.rounds = int(DAY / options.every)
    trio.run(watch, options, clock=MockClock(autojump_threshold=0))


if __name__ == "__main__":
    main()
