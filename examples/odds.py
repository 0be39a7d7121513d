"""Compare odds: each event is scraped on three bookmakers, and its three outcomes come close together.

    python examples/odds.py                    1,311 events, on loopback; takes three quarters of a minute
    python examples/odds.py --events 100 --report odds.html    and writes a page about the run; progress needs `rich`
    python examples/odds.py --into sqlite:///odds.db           and writes the odds into three tables; or postgresql://…

The third bookmaker wants 25 ms between two requests. The first one goes away for a while when half of the events have
been asked for: it answers 503 with `Retry-After: 3`, and nobody asks it again before that. When a third of the
outcomes have come, the event limit is raised from 10 to 30.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from pathlib import Path

import trio

import scrapeengine as se
from scrapeengine.sinks import SqlTable
from scrapeengine.testing import Answer, Request, Site

Odds = dict[str, float]
TABLES = [
    SqlTable("events", key="number"),
    SqlTable("bookmakers", key="name"),
    SqlTable(
        "prices",
        key=("event_id", "bookmaker_id", "result"),
        references={"event_id": "events", "bookmaker_id": "bookmakers"},
    ),
]


async def odds(task: se.Task) -> Odds:
    """Scrape the odds of one event from one bookmaker."""
    response = await task.http.get(f"/events/{task.event.id}")
    prices: Odds = response.json()["odds"]
    return prices


def price_rows(outcome: se.Outcome[Odds]) -> Iterator[tuple[str, dict[str, object]]]:
    """Make a row of each price; the sink puts the ids of event and bookmaker where their keys are."""
    if isinstance(outcome, se.Success):
        of = {"event_id": int(outcome.event.id), "bookmaker_id": outcome.platform}
        for result, price in outcome.value.items():
            yield "prices", {**of, "result": result, "price": price}


async def compare(options: argparse.Namespace) -> None:
    """Scrape all events, and print what came of it."""
    async with AsyncExitStack() as stack:
        bookmakers = [
            Bookmaker("albion", options, leaves_at=options.events // 2),
            Bookmaker("borealis", options),
            Bookmaker("cardinal", options),
        ]
        first, second, third = [await stack.enter_async_context(Site.open(each.answer)) for each in bookmakers]
        engine = se.Engine(
            [
                se.Platform("albion", odds, base_url=first.url, limit=10),
                se.Platform("borealis", odds, base_url=second.url, limit=10),
                se.Platform("cardinal", odds, base_url=third.url, limit=10, rate=se.Rate.every(0.025)),
            ],
            event_limit=10,
        )
        outcomes: list[se.Outcome[Odds]] = []
        events = [se.Event(number) for number in range(options.events)]  # a list: progress knows its length
        recording = [se.observe.Recording()] if options.report else []
        sinks = [se.sinks.sql(options.into, TABLES, price_rows, create=True)] if options.into else []
        async with engine.stream(events, instruments=recording, sinks=sinks) as run, progress(run):
            async for outcome in run:
                outcomes.append(outcome)
                if len(outcomes) == options.events:  # a third of them: each event has three
                    engine.tune(event_limit=30)
                    print(f"at {run.report.elapsed:5.1f} s  event limit raised from 10 to 30", flush=True)
        if options.report:
            run.report.write_html(options.report)
        print_report(run.report, outcomes)
        for bookmaker, site in zip(bookmakers, (first, second, third), strict=True):
            print(f"{bookmaker.name:12}{pace(site)}")


def progress(run: se.Run[Odds]) -> AbstractAsyncContextManager[object]:
    """Show how far a run is, where somebody sees it."""
    return se.observe.Progress(run) if sys.stderr.isatty() else nullcontext()


def print_report(report: se.Report, outcomes: Sequence[se.Outcome[Odds]]) -> None:
    """Print how the tasks ended, and how far apart those of one event did."""
    apart = sorted(spreads(outcomes))
    counts = report.outcomes
    print()
    print(f"outcomes    {counts.total} of {report.events} events in {report.elapsed:.1f} s")
    print(f"            {counts.succeeded} succeeded, {counts.failed} failed, {counts.cancelled} cancelled")
    for kind, number in report.errors.items():
        print(f"            {number} {kind}")
    print(
        f"apart       median {statistics.median(apart):.2f} s, p95 {apart[len(apart) * 95 // 100]:.2f} s, "
        f"max {apart[-1]:.2f} s between the first and the last outcome of one event"
    )


def spreads(outcomes: Sequence[se.Outcome[Odds]]) -> list[float]:
    """Return, for each event, the seconds between its first outcome and its last.

    All tasks of an event are accepted at one instant, from which `elapsed` counts.
    """
    ends = defaultdict(list)
    for outcome in outcomes:
        ends[outcome.event.id].append(outcome.elapsed)
    return [max(each) - min(each) for each in ends.values()]


def pace(site: Site) -> str:
    """Say how a site was asked, by its own ledger."""
    ledger = site.ledger
    seconds = ledger.arrivals[-1] - ledger.arrivals[0] or math.inf
    return (
        f"{ledger.requests} requests, {(ledger.requests - 1) / seconds:.1f}/s, {ledger.most_in_flight} at once at most"
    )


class Bookmaker:
    """One simulated bookmaker: it answers with invented odds, after latencies like the web's."""

    def __init__(self, name: str, options: argparse.Namespace, leaves_at: float = math.inf) -> None:
        """Make a bookmaker that goes away, for as long as `options.away` says, after `leaves_at` answers."""
        self.name = name
        self._latency: float = options.latency
        self._away: float = options.away
        self._answers_left = leaves_at
        self._began = trio.current_time()
        self._back_at = -math.inf
        self._random = random.Random(f"{options.seed} {name}")  # noqa: S311 - no secret hangs on it

    async def answer(self, request: Request) -> Answer:
        """Answer a request; the handler of the site."""
        await trio.sleep(self._latency * self._random.lognormvariate(0, 0.3))
        now = trio.current_time()
        if self._answers_left == 0:
            self._answers_left = math.inf
            self._back_at = now + self._away
            print(f"at {now - self._began:5.1f} s  {self.name} goes away for {self._away:g} s", flush=True)
        if now < self._back_at:
            return Answer(503, headers={"Retry-After": str(math.ceil(self._away))})
        self._answers_left -= 1
        prices = {result: round(self._random.uniform(1.1, 6), 2) for result in ("home", "draw", "away")}
        body = json.dumps({"event": request.path.rpartition("/")[2], "odds": prices})
        return Answer(body=body.encode(), headers={"Content-Type": "application/json"})


def main() -> None:
    """Read the command line, and compare."""
    parser = argparse.ArgumentParser(description="Compare the odds of many events on three bookmakers.")
    parser.add_argument("--events", type=int, default=1311, metavar="N", help="how many events, at least 3")
    parser.add_argument("--latency", type=float, default=0.3, metavar="S", help="median seconds of an answer")
    parser.add_argument(
        "--away", type=float, default=3.0, metavar="S", help="seconds for which one bookmaker goes away"
    )
    parser.add_argument("--seed", type=int, default=1, help="of latencies and odds")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page about the run, for a browser")
    parser.add_argument("--into", metavar="URL", help="the URL of a database for the odds, such as sqlite:///odds.db")
    options = parser.parse_args()
    if options.events < 3:
        parser.error("it takes at least 3 events")
    trio.run(compare, options)


if __name__ == "__main__":
    main()
