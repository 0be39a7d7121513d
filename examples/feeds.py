"""Read feeds, and the articles that they link to: two stages in one run.

    python examples/feeds.py                   26 invented feeds and 36 articles, on loopback
    python examples/feeds.py --corpus DIR      the recorded documents DIR/feeds/* and DIR/articles/*.html, on loopback
    python examples/feeds.py --opml FILE       the feeds that FILE lists, from the web
    python examples/feeds.py URL URL           these feeds, from the web

Ten events are in progress at once, and a host that asks for it (`--polite`) gets one request in 2 s. What was read goes
into `feeds.jsonl` and, where `pyarrow` is installed, `feeds.parquet`; `--out DIR` keeps them.
Progress is shown in a terminal; `--report FILE` writes a page about the run. Needs `feedparser`, `selectolax` and, for
progress, `rich`.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import feedparser
import trio
from selectolax.lexbor import LexborHTMLParser

import scrapeengine as se
from scrapeengine.testing import Site
from sites import Web, invented_feeds, recorded_feeds


class NotAFeed(Exception):
    """What a feed's URL answered is no feed."""


@attrs.frozen
class Feed:
    """What is used of a feed."""

    title: str
    links: tuple[str, ...]


@attrs.frozen
class Article:
    """What is used of an article."""

    title: str
    text: str = attrs.field(repr=False)


def parse_feed(body: bytes, headers: dict[str, str]) -> Feed:
    """Parse a feed. Its encoding is found by the response's headers and by what the feed says of itself.

    Raises:
        NotAFeed: it is none.
    """
    parsed = feedparser.parse(body, response_headers=headers)
    if not parsed.version:
        raise NotAFeed(f"the answer is no feed; it begins with {body[:40]!r}")
    links = (entry.get("link", "") for entry in parsed.entries)
    return Feed(parsed.feed.get("title", "(no title)"), tuple(link for link in links if link.startswith("http")))


def parse_article(html: str) -> Article:
    """Parse an article: its title, and the text of its paragraphs."""
    tree = LexborHTMLParser(html)
    title = tree.css_first("title")
    paragraphs = (node.text(strip=True) for node in tree.css("p"))
    return Article("(no title)" if title is None else title.text(strip=True), "\n".join(filter(None, paragraphs)))


class Reader:
    """The scraper of both stages: feeds lead to articles."""

    def __init__(self, articles: int, per_feed: int, address: Callable[[str, int], str]) -> None:
        """Make a reader.

        Args:
            articles: how many articles to follow in all.
            per_feed: how many of one feed at most.
            address: says where the article of a link is to be had; also gets its number, from 0.
        """
        self.followed = 0
        self._articles = articles
        self._per_feed = per_feed
        self._address = address

    async def scrape(self, task: se.Task) -> Feed | Article:
        """Scrape a feed, or an article."""
        assert task.event.url is not None
        response = await task.http.get(task.event.url)
        if task.event.data == "article":
            return await task.in_thread(parse_article, response.text)
        # Relative links are resolved by the feed's own URL.
        headers = {"content-type": response.headers.get("Content-Type", ""), "content-location": task.event.url}
        feed = await task.in_thread(parse_feed, response.content, headers)
        self._follow(task, feed)
        return feed

    def _follow(self, task: se.Task, feed: Feed) -> None:
        """Follow the first links of a feed that no feed before it had."""
        mine = 0
        for link in feed.links:
            if mine == self._per_feed or self.followed == self._articles:
                return
            # The link is the event's id: what two feeds link to is read once, and `follow` says whether it was new.
            if task.follow(se.Event(link, url=self._address(link, self.followed), data="article")):
                mine += 1
                self.followed += 1


@attrs.frozen
class Sources:
    """What to read, and where it is."""

    feeds: Sequence[str]
    """The URLs of the feeds."""
    polite: Sequence[str]
    """The hosts that get one request in 2 s."""
    address: Callable[[str, int], str] = lambda link, _: link
    """Where the article of a link is to be had."""
    web: Web | None = None
    """What serves them, if they are on loopback."""


@asynccontextmanager
async def open_sources(options: argparse.Namespace) -> AsyncIterator[Sources]:
    """Find out what to read; if it is on loopback, serve it."""
    urls = options.urls + (read_opml(options.opml) if options.opml else [])
    if urls:
        yield Sources(urls, options.polite)
        return
    async with Web.open(sites=7, seed=options.seed) as web:
        polite = [web.sites[-1].host]
        if options.corpus:
            feeds, articles = recorded_feeds(web, options.corpus)
            yield Sources(feeds, polite, lambda _, number: articles[number % len(articles)], web)
        else:
            yield Sources(invented_feeds(web, options.seed), polite, web=web)


def read_opml(path: Path) -> list[str]:
    """Return the URLs of the feeds that an OPML file lists, in any depth of its outline."""
    root = ET.fromstring(path.read_bytes())  # noqa: S314 - the user's own file
    return [url for outline in root.iter("outline") if (url := outline.get("xmlUrl"))]


def open_files(folder: Path) -> list[se.sinks.Sink[Feed | Article]]:
    """Open the files that all is written to: each anew, whole from when it is there.

    A file of Parquet has typed columns. They are given, for the first outcomes may all be of one kind.
    """
    sinks = [se.sinks.open(str(folder / "feeds.jsonl"), encode=attrs.asdict, replace=True)]
    try:
        arrow = importlib.import_module("pyarrow")
    except ImportError:
        print("feeds.parquet is not written: pip install 'scrapeengine[parquet]'", file=sys.stderr)
        return sinks
    schema = arrow.schema([("title", "string"), ("links", arrow.list_(arrow.string())), ("text", "string")])
    parquet = se.sinks.open(str(folder / "feeds.parquet"), schema=schema, replace=True)
    return [*sinks, se.sinks.mapped(parquet, attrs.asdict)]


async def read(options: argparse.Namespace) -> None:
    """Read everything, and print outcomes as they come and a table at the end."""
    kept: Any = nullcontext(options.out) if options.out else tempfile.TemporaryDirectory()
    with kept as folder:
        await read_into(Path(folder), options)


async def read_into(folder: Path, options: argparse.Namespace) -> None:
    """Read everything into files in a folder."""
    async with open_sources(options) as sources:
        reader = Reader(options.articles, options.per_feed, sources.address)
        engine = se.Engine(
            [se.Platform(host, reader.scrape, rate=se.Rate.every(2)) for host in sources.polite],
            default=se.Platform("*", reader.scrape),
            event_limit=10,
        )
        outcomes: list[se.Outcome[Feed | Article]] = []
        began = time.monotonic()
        events = [se.Event(url=url, data="feed") for url in sources.feeds]  # a list: progress knows its length
        recording = [se.observe.Recording(hosts=10)] if options.report else []
        # Progress is for who sees it, and is shown below what is printed.
        progress = se.observe.Progress if sys.stderr.isatty() else nullcontext
        stream = engine.stream(events, sinks=open_files(folder), instruments=recording)
        async with stream as run, progress(run):
            async for outcome in run:
                print(line(outcome), flush=True)
                outcomes.append(outcome)
        if options.report:
            run.report.write_html(options.report)
        print_table(outcomes, run.report, time.monotonic() - began, sources.web)
        print(f"written     {written(folder)}{f', in {folder}' if options.out else ''}")


def written(folder: Path) -> str:
    """Say which files were written."""
    return ", ".join(f"{file.name} ({file.stat().st_size:,} bytes)" for file in sorted(folder.glob("feeds.*")))


def line(outcome: se.Outcome[Feed | Article]) -> str:
    """Put an outcome into one line."""
    match outcome:
        case se.Success(value=value):
            kind, text = "ok", value.title
        case se.Failure(error=error):
            kind, text = "FAIL", f"{type(error).__name__}: {error}"
        case se.Skipped(reason=reason) | se.Cancelled(reason=reason):
            kind, text = "none", reason
    return f"{kind:4}  {outcome.platform:22}  {' '.join(text.split())[:60]:60}  {outcome.ran:5.2f} s"


def print_table(
    outcomes: Sequence[se.Outcome[Feed | Article]], report: se.Report, seconds: float, web: Web | None
) -> None:
    """Print what came of it all."""
    values = [outcome.value for outcome in outcomes if isinstance(outcome, se.Success)]
    feeds = sum(isinstance(value, Feed) for value in values)
    failures = ", ".join(f"{number} {kind}" for kind, number in report.errors.items())
    print()
    print(f"outcomes    {report.outcomes.total}")
    print(f"feeds       {feeds}")
    print(f"articles    {len(values) - feeds}")
    print(f"failures    {report.outcomes.failed}{failures and f' ({failures})'}")
    print(f"seconds     {seconds:.1f}")
    latencies = sum(outcome.ran for outcome in outcomes) if web is None else sum(web.latencies)
    print(f"latencies   {latencies:.1f} s: what a loop would have taken that makes one request after another")
    if web is not None:
        print(f"politeness  {paced(web.sites[-1])}")


def paced(site: Site) -> str:
    """Say how a site was asked, by its own ledger."""
    arrivals = site.ledger.arrivals
    closest = min((later - earlier for earlier, later in pairwise(arrivals)), default=0.0)
    return f"{len(arrivals)} requests on {site.host}, {closest:.1f} s apart at least"


def main() -> None:
    """Read the command line, then the feeds."""
    parser = argparse.ArgumentParser(description="Read feeds, and the articles that they link to.")
    parser.add_argument("urls", nargs="*", metavar="URL", help="a feed on the web")
    parser.add_argument("--opml", type=Path, metavar="FILE", help="read the feeds that an OPML file lists")
    parser.add_argument("--corpus", type=Path, metavar="DIR", help="serve recorded documents instead of invented ones")
    parser.add_argument("--polite", action="append", default=[], metavar="HOST", help="one request in 2 s to this host")
    parser.add_argument("--articles", type=int, default=36, metavar="N", help="how many links to follow in all")
    parser.add_argument("--per-feed", type=int, default=2, metavar="N", help="how many links of one feed to follow")
    parser.add_argument("--seed", type=int, default=1, help="of what is invented, latencies included")
    parser.add_argument("--out", type=Path, metavar="DIR", help="a folder for feeds.jsonl and feeds.parquet")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write a page about the run, for a browser")
    options = parser.parse_args()
    if options.corpus and not all((options.corpus / part).is_dir() for part in ("feeds", "articles")):
        parser.error(f"{options.corpus} has no feeds/ and articles/")
    trio.run(read, options)


if __name__ == "__main__":
    main()
