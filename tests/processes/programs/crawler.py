"""Crawls a site, and writes down the title of each page: python crawler.py URL STORE FILE."""

import json
import re
import sys

import trio

import scrapeengine as se

URL, STORE, FILE = sys.argv[1:]


async def scrape(task: se.Task) -> str:
    """Read a page, and follow its links."""
    page = await task.http.get(task.event.url)
    for link in re.findall(r'href="([^"]+)"', page.text):
        task.follow(se.Event(url=str(page.url.join(link))))
    return re.search("<title>(.*)</title>", page.text)[1]


async def save(outcomes: list[se.Outcome[str]]) -> None:
    """Write them down."""
    lines = [json.dumps([each.event.id, each.value]) + "\n" for each in outcomes if isinstance(each, se.Success)]
    with open(FILE, "a") as file:  # noqa: ASYNC230, PTH123
        file.write("".join(lines))


async def begin() -> None:
    """Begin with the first page, if that was not done before."""
    async with se.open_store(STORE) as store:
        await se.Engine(platforms).enqueue(store, [se.Event(url=f"{URL}/0")])


platforms = [se.Platform(se.host_of(URL), scrape, limit=4)]
trio.run(begin)
print(se.serve(platforms, STORE, sinks=[save], until="empty").outcomes)
