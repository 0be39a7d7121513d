"""Reads feeds, and writes down their entries: python reader.py URL STORE FILE."""

import json
import sys

import trio

import scrapeengine as se

URL, STORE, FILE = sys.argv[1:]
FEEDS = [f"{URL}/feeds/{number}" for number in range(12)]


async def scrape(task: se.Task) -> list[str]:
    """Ask for a feed, if it has changed."""
    answer = await task.http.get(task.event.url, conditional=True)
    task.skip_unchanged(answer)
    return answer.json()


async def main() -> None:
    """Read them until it is stopped."""
    engine = se.Engine([se.Platform(se.host_of(URL), scrape, limit=4)])
    async with se.open_store(STORE) as store:
        cadence = se.Cadence(min_interval=0.1, max_interval=0.2)
        await engine.enqueue(store, [se.Event(url=url) for url in FEEDS], cadence=cadence)
        async with engine.serve(store) as run:
            async for outcome in run:
                if isinstance(outcome, se.Success):
                    lines = [json.dumps([outcome.event.id, entry]) + "\n" for entry in outcome.value]
                    with open(FILE, "a") as file:  # noqa: ASYNC230, PTH123
                        file.write("".join(lines))


trio.run(main)
