"""Each example is run as its user runs it, with small parameters, and held to what it prints."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from scrapeengine.testing import Answer, Site

ROOT = Path(__file__).parents[1]
CORPUS = ROOT.parent / "shared" / "corpus"
ENVIRONMENT = {**os.environ, "PYTHONUTF8": "1"}


def command(name, *arguments):
    """Return the command line of an example."""
    return [sys.executable, str(ROOT / "examples" / f"{name}.py"), *map(str, arguments)]


def output(name, *arguments):
    """Run an example, check that it ended well and complained of nothing, and return what it printed."""
    done = subprocess.run(
        command(name, *arguments), check=False, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout


def rows(printed):
    """Return the table that an example has printed: the first word of each line, and the rest."""
    return dict(line.split(maxsplit=1) for line in printed.rpartition("\n\n")[2].splitlines())


def numbers(text):
    """Return the numbers in a text."""
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def check_feeds(printed):
    """Check what is true of any run of 26 feeds, one of them none, and 36 articles."""
    table = rows(printed)
    found = [table[name] for name in ("outcomes", "feeds", "articles", "failures")]
    assert found == ["62", "25", "36", "1 (1 NotAFeed)"]
    assert len(re.findall(r"^ok  ", printed, re.MULTILINE)) == 61
    assert len(re.findall(r"^FAIL  .*NotAFeed: the answer is no feed", printed, re.MULTILINE)) == 1
    assert numbers(table["seconds"])[0] < numbers(table["latencies"])[0] / 2
    # The site sees when requests arrive, not when they start: each may be late, so two may seem closer than 2 s.
    requests, *_, closest = numbers(table["politeness"])
    assert requests == 3
    assert closest > 1


def test_feeds_that_are_invented():
    """All feeds are read but the one that is none, links that they share are followed once, a host is spared."""
    printed = output("feeds")
    check_feeds(printed)
    assert "Café" in printed  # the feeds are in ISO 8859-1


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the recorded documents are not beside the repository")
def test_feeds_that_were_recorded():
    """Of 26 recorded feeds and 36 recorded articles one is no feed, and each of them is read in its own encoding."""
    printed = output("feeds", "--corpus", CORPUS)
    check_feeds(printed)
    assert "Jornal de Notícias - Últimas Notícias" in printed  # ISO 8859-1
    assert "UOL Noticias" in printed  # Windows 1252, and says nothing of it
    assert "トレンドマイクロ" in printed  # UTF-8


def test_feeds_from_an_opml_file(tmp_path):
    """The feeds of an OPML file are read in any depth of its outline; relative links are followed too."""
    feed = (
        "<rss version='2.0'><channel><title>Feed {}</title><item><title>no link</title></item>"
        "<item><link>/shared</link></item><item><link>{}</link></item></channel></rss>"
    )
    asked = []

    async def handler(request):
        asked.append(request.path)
        if request.path.startswith("/feed"):
            return Answer(body=feed.format(*request.path[-1] * 2).encode(), headers={"Content-Type": "text/xml"})
        return Answer(body=f"<title>Page {request.path}</title>".encode())

    async def main():
        async with Site.open(handler) as site:
            file = tmp_path / "feeds.opml"
            file.write_text(
                f"<opml><body><outline xmlUrl='{site.url}/feed1'/><outline text='more'><outline text='and more'>"
                f"<outline xmlUrl='{site.url}/feed2'/></outline></outline></body></opml>"
            )
            arguments = command("feeds", "--opml", file)
            with trio.fail_after(60):
                return await trio.run_process(arguments, capture_stdout=True, capture_stderr=True, env=ENVIRONMENT)

    done = trio.run(main)
    assert done.stderr == b""
    table = rows(done.stdout.decode())
    assert [table[name] for name in ("outcomes", "feeds", "articles", "failures")] == ["5", "2", "3", "0"]
    assert sorted(asked) == ["/1", "/2", "/feed1", "/feed2", "/shared"]
    assert "Page /shared" in done.stdout.decode()


def test_odds():
    """All tasks succeed though one bookmaker goes away amid the run, and the third is asked no faster than it wants."""
    printed = output("odds", "--events", 120, "--latency", 0.05, "--away", 1)
    table = rows(printed)
    assert "outcomes    360 of 120 events" in printed
    assert "360 succeeded, 0 failed, 0 cancelled" in printed
    assert "event limit raised from 10 to 30" in printed
    assert "albion goes away for 1 s" in printed
    median, _, last = numbers(table["apart"].replace("p95", ""))
    assert 0 < median <= last
    asked = {name: numbers(table[name]) for name in ("albion", "borealis", "cardinal")}
    assert asked["albion"][0] > 120  # some were refused, and asked again
    assert asked["borealis"][0] == asked["cardinal"][0] == 120
    assert asked["cardinal"][1] <= 44  # 40 a second, but the first request may arrive late
    assert max(most for *_, most in asked.values()) <= 30


@pytest.mark.parametrize(("pages", "seconds", "all_fed"), [(1000, 0.5, False), (5, 30, True)])
def test_in_asyncio(pages, seconds, all_fed):
    """Each event that the run has taken has one outcome, whether it is stopped amid the feeding or after it."""
    printed = output("in_asyncio", "--pages", pages, "--seconds", seconds)
    fed, of = numbers(re.search(r"fed .* pages$", printed, re.MULTILINE)[0])
    assert (of, fed == of, "stopped before" in printed) == (pages, all_fed, not all_fed)
    assert sum(numbers(re.search(r".* succeeded, .*", printed)[0])) == fed > 0
    assert numbers(re.search(r"ticked .* times", printed)[0])[0] > 0
