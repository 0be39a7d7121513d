"""Tracks prices: asks a shop for each item again and again, and writes them down: python tracker.py URL STORE FILE."""

import json
import sys

import trio

import scrapeengine as se

URL, STORE, FILE = sys.argv[1:]
ITEMS = range(12)


async def scrape(task: se.Task) -> int:
    """Ask for the price of an item."""
    return (await task.http.get(f"/items/{task.event.id}")).json()["price"]


async def save(outcomes: list[se.Outcome[int]]) -> None:
    """Write them down."""
    lines = [json.dumps([each.event.id, each.value]) + "\n" for each in outcomes if isinstance(each, se.Success)]
    with open(FILE, "a") as file:  # noqa: ASYNC230, PTH123
        file.write("".join(lines))


async def main() -> None:
    """Make rounds until it is stopped."""
    engine = se.Engine([se.Platform("shop", scrape, base_url=URL, limit=4)])
    async with se.open_store(STORE) as store:
        cadence = se.Cadence(min_interval=0.1, max_interval=0.2)
        await engine.enqueue(store, [se.Event(item) for item in ITEMS], cadence=cadence)
        async for report in engine.rounds(store, every=0.2, sinks=[save]):
            print(report.outcomes)


trio.run(main)
