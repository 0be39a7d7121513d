"""Each program on the pages for users runs as printed, beside a site that answers, and prints what stands below it.

The blocks of a page are run from its top in one namespace, as if one file held them all. A block below
`<!-- not run: why -->` is compiled only. `test_…` functions are called.
"""

import functools
import inspect
import re
import subprocess
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


def commands(page):
    """List the commands that make files of a site."""
    scripts = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text("utf-8"), re.DOTALL)
    return [line for script in scripts for line in script.splitlines() if " > site/" in line]


def answer(request):
    """Answer for the hosts on the pages: with the files in `site`, as the README's own server, or with a price."""
    path = Path("site" + request.url.path)
    file = path / "index.html" if path.is_dir() else path
    if file.is_file():
        return httpx.Response(200, content=file.read_bytes())
    return httpx.Response(200, json={"price": 7}) if path.parent.name == "events" else httpx.Response(404)


def masked(printed):
    """Leave out how many seconds something took, and in which order tasks have ended."""
    return sorted(re.sub(r"\d+\.\d+ s\b", "… s", printed).splitlines())


@pytest.mark.parametrize("page", PAGES)
def test_the_programs_of_a_page_run(page, monkeypatch, tmp_path, capsys):
    """Each block is compiled, and run from the top of the page but where it says why not."""
    monkeypatch.chdir(tmp_path)
    for command in commands(page):
        subprocess.run(["sh", "-c", command], check=True)
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


@pytest.mark.parametrize("page", [*PAGES, "docs/promises.md"])
def test_the_links_of_a_page_lead_somewhere(page):
    """Files that a page names are there, and so are its own headings."""
    file = ROOT / page
    text = file.read_text("utf-8")
    headings = {line.lstrip("# ").lower().replace(" ", "-") for line in text.splitlines() if line.startswith("#")}
    for link in re.findall(r"\]\(([^)]+)\)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if link.startswith("#"):
            assert link[1:] in headings, link
        elif "://" not in link:
            assert (file.parent / link).exists(), link
