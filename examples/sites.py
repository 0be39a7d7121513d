"""The web that the examples read: sites on loopback, as slow as the real ones."""

from __future__ import annotations

import math
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import trio

from scrapeengine.testing import Answer, Request, Site

__all__ = ["Page", "Web", "invented_feeds", "recorded_feeds"]

_TYPES = {".atom": "application/atom+xml", ".rss": "application/rss+xml", ".html": "text/html; charset=utf-8"}
"""Feeds name no charset here: each says itself how it is encoded."""


@attrs.frozen
class Page:
    """A document of the web."""

    body: bytes = attrs.field(repr=False)
    """What is sent."""
    kind: str
    """Its content type."""

    @classmethod
    def of(cls, path: Path) -> Page:
        """Read a recorded document."""
        return cls(path.read_bytes(), _TYPES.get(path.suffix, "application/xml"))


class Web:
    """Some sites, a port each, and the pages on them. Each page has a latency of its own, drawn from the seed."""

    def __init__(self, sites: Sequence[Site], pages: dict[str, Page]) -> None:
        """Take sites that serve `pages`; `open` makes them."""
        self.sites = sites
        self.pages = pages
        """By URL; to be filled before the pages are asked for."""
        self.latencies: list[float] = []
        """How long each request was made to wait, in seconds."""

    @classmethod
    @asynccontextmanager
    async def open(cls, sites: int, seed: int) -> AsyncIterator[Web]:
        """Serve that many sites for as long as the `async with` lasts."""
        async with AsyncExitStack() as stack:

            async def answer(request: Request) -> Answer:
                return await web.answer(request, latency(f"{seed} {request.path}"))

            web = cls([await stack.enter_async_context(Site.open(answer)) for _ in range(sites)], {})
            yield web

    async def answer(self, request: Request, seconds: float) -> Answer:
        """Answer with the page of the URL that was asked for, after its latency."""
        self.latencies.append(seconds)
        await trio.sleep(seconds)
        page = self.pages.get(f"http://{request.headers['host']}{request.target}")
        if page is None:
            return Answer(404)
        return Answer(body=page.body, headers={"Content-Type": page.kind})


def latency(name: str, median: float = 0.55) -> float:
    """Draw a latency, in seconds, always the same for one name: mostly near the median, at times much longer."""
    draw = random.Random(name).lognormvariate(math.log(median), 0.5)  # noqa: S311 - no secret hangs on it
    return min(max(draw, median / 3), median * 3)


def recorded_feeds(web: Web, directory: Path) -> tuple[list[str], list[str]]:
    """Put the recorded documents of a directory on the web.

    Args:
        web: where to put them. Each ninth feed goes to its last site, all else round the others.
        directory: has `feeds/*` and `articles/*.html`.

    Returns:
        The URLs of the feeds and of the articles, in the order of their names.
    """
    feeds = {f"/{path.name}": Page.of(path) for path in sorted(directory.glob("feeds/*"))}
    articles = {f"/{path.name}": Page.of(path) for path in sorted(directory.glob("articles/*.html"))}
    return _placed(web, feeds), _placed(web, articles, ninth=False)


def _placed(web: Web, pages: Mapping[str, Page], *, ninth: bool = True) -> list[str]:
    """Put pages on sites, and return their URLs."""
    *others, last = web.sites
    urls = []
    for number, (path, page) in enumerate(pages.items()):
        site = last if ninth and number % 9 == 7 else others[number % len(others)]
        urls.append(site.url + path)
        web.pages[urls[-1]] = page
    return urls


_WORDS = """river stone amber window morning letter garden copper harbour lantern willow thunder market violin paper
orchard winter compass feather mountain saddle kettle meadow anchor ribbon candle"""


def invented_feeds(web: Web, seed: int, feeds: int = 26, articles: int = 36) -> list[str]:
    """Put feeds and articles with invented text on the web.

    The entries of feeds overlap, as they do where feeds quote one another; some have no link; one feed has moved, and
    answers with a page that says so.

    Returns:
        The URLs of the feeds.
    """
    rng = random.Random(seed)  # noqa: S311 - no secret hangs on it
    links = _placed(web, {f"/articles/{number}": _article(rng) for number in range(articles)}, ninth=False)
    pages = {}
    for number in range(feeds):
        entries = [links[(2 * number + step) % articles] for step in range(4)]
        pages[f"/feeds/{number}"] = _feed(rng, ["", *entries])
    pages[f"/feeds/{feeds - 6}"] = Page(b"<html><h1>Moved</h1>This feed has moved.</html>", _TYPES[".html"])
    return _placed(web, pages)


def _feed(rng: random.Random, links: Sequence[str]) -> Page:
    entries = "".join(
        f"<item><title>{_phrase(rng, 4)}</title>{link and f'<link>{link}</link>'}</item>" for link in links
    )
    text = (
        '<?xml version="1.0" encoding="iso-8859-1"?>'
        f'<rss version="2.0"><channel><title>Café {_phrase(rng, 2)}</title>{entries}</channel></rss>'
    )
    return Page(text.encode("iso-8859-1"), _TYPES[".rss"])


def _article(rng: random.Random) -> Page:
    paragraphs = "".join(f"<p>{_phrase(rng, rng.randint(20, 80))}.</p>" for _ in range(rng.randint(3, 12)))
    text = (
        f"<!doctype html><title>{_phrase(rng, 4)}</title><script>let tracked = true</script>"
        f"<nav><a href='/'>Home</a></nav><article>{paragraphs}</article>"
    )
    return Page(text.encode(), _TYPES[".html"])


def _phrase(rng: random.Random, words: int) -> str:
    return " ".join(rng.choices(_WORDS.split(), k=words)).capitalize()
