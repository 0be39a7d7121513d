"""Each program on the pages for users runs as printed, beside a site that answers, and prints what stands below it.

The blocks of a page are run from its top in one namespace, as if one file held them all. A block below
`<!-- not run: why -->` is compiled only. `test_…` functions are called.
"""

import functools
import inspect
import re
from pathlib import Path

import attrs
import httpx
import pytest
import trio

import scrapeengine as se
from scrapeengine.http.wire.connector import ForeignConnector
from support.deadlines import alarm

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/guide.md")
BLOCK = re.compile(
    r"(?:<!-- not run: (?P<why>.+?) -->\n)?```python\n(?P<code>.*?)```(?:\n\n```text\n(?P<out>.*?)```)?", re.DOTALL
)
SHOP = {
    "/": b'<a href="/items/tea">Tea</a> <a href="/items/gold">Gold</a> <a href="/">Home</a>',
    "/photos/tea": b"a photo",
}


@attrs.frozen
class Block:
    """A piece of Python on a page."""

    line: int
    """The line of the page that it begins on."""
    code: str
    printed: str | None
    """What it is said to print."""
    why_not: str | None
    """Why it is not run."""


def blocks(page):
    """List the pieces of Python on a page."""
    text = (ROOT / page).read_text("utf-8")
    found = [
        Block(text.count("\n", 0, match.start("code")), match["code"], match["out"], match["why"])
        for match in BLOCK.finditer(text)
    ]
    assert len(found) == text.count("```python"), "a block that is not read as one"
    assert len([block for block in found if block.why_not]) == text.count("<!-- not run"), "a comment above no block"
    return found


def answer(request):
    """Answer for the hosts on the pages."""
    path = request.url.raw_path.decode()
    if request.headers.get("if-none-match") == '"1"':
        return httpx.Response(304)
    if re.fullmatch(r"/(items|events)/(tea|\d+)", path):
        return httpx.Response(200, json={"price": 7})
    if path in SHOP:
        return httpx.Response(200, content=SHOP[path], headers={"ETag": '"1"'})
    return httpx.Response(404)


def masked(printed):
    """Leave out how many seconds something took, and in which order tasks have ended."""
    return sorted(re.sub(r"\d+\.\d+ s\b", "… s", printed).splitlines())


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_run(page, monkeypatch, tmp_path, capsys):
    """Each block is compiled, and run from the top of the page but where it says why not."""
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    connector = ForeignConnector(httpx.MockTransport(answer))
    ran = 0
    for block in blocks(page):
        code = compile("\n" * block.line + block.code, page, "exec")
        if block.why_not:
            continue
        with alarm(60):
            with monkeypatch.context() as web:
                for name in ("Engine", "run", "collect"):
                    web.setattr(se, name, functools.partial(getattr(se, name), connector=connector))
                exec(code, names)
            for name in [name for name in names if name.startswith("test_")]:
                test = names.pop(name)  # which brings a site of its own
                trio.run(test) if inspect.iscoroutinefunction(test) else test()
        printed = capsys.readouterr().out
        if block.printed is not None:
            assert masked(printed) == masked(block.printed), f"{page}:{block.line}"
        ran += 1
    assert ran > 5
