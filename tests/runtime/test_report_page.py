"""The report as a file: plain data, nothing of a site's as markup, whole or not there."""

import base64
import hashlib
import json
import os
import re

import pytest

import scrapeengine as se
from scrapeengine.observe import html
from scrapeengine.observe.page import HINT, page
from support.world import World

HOSTILE = "</script><script>document.title='run'</script><img src=x onerror=alert(1)> & \u2028 \ud800 <!-- ]]>"


async def report_of(recording, **options):
    """Make a run in which something of each kind happens."""
    scripts = {
        ("1", "A"): [("request", 1, 200), ("raise", "group")],
        ("2", "A"): [("raise", "error")],
        ("3", "A"): [("skip",)],
        ("4", "A"): [("request", 1, (429, 5))],
    }
    world = World(scripts, default=[("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=2, rate=se.Rate(2)), world.platform("B")], **options)
    return await engine.run([se.Event(n) for n in range(8)], instruments=recording)


def data_of(text):
    """Read the figures out of a file, as a browser does."""
    (found,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    return json.loads(found)


async def test_a_page_has_what_the_report_has(autojump_clock):
    """Totals, platforms with most outcomes first, failures with an example, closings, bars in the rows of platforms."""
    report = await report_of([se.observe.Recording()])
    found = page(report)
    assert (found["live"], found["hint"], found["run"]) == (False, None, None)
    assert found["totals"]["tasks"] == report.tasks == 16
    assert found["outcomes"]["failed"] == report.outcomes.failed == 2
    assert found["stopped"] is None
    assert [each["name"] for each in found["platforms"]] == ["A", "B"]
    for each in found["platforms"]:
        assert each["outcomes"]["total"] == 8
        assert each["held"]["sentence"].startswith(each["name"])
        assert sum(each["held"]["shares"].values()) == pytest.approx(1)
        assert sum(each["pace"]["used"]) == each["figures"]["requests"]
        assert sum(count for *_, count in each["spread"]["head"]) == each["figures"]["head"]["count"]
    assert {each["kind"]: each["count"] for each in found["failures"]} == report.errors
    assert all(each["example"]["platform"] == "A" for each in found["failures"])
    shut = found["closings"]["shown"][0]
    assert shut["platform"] == "A"
    assert shut["until"] == shut["to"] == shut["from"] + 5
    timeline = found["timeline"]
    assert timeline["rows"] == ["A", "B"]
    assert len(timeline["bars"]) == 16
    assert {timeline["rows"][bar[0]] == bar[1] for bar in timeline["bars"]} == {True}
    assert json.loads(json.dumps(found, allow_nan=False)) == found


async def test_a_live_page_has_the_state_of_the_run_too(autojump_clock):
    """And, if one likes, no bars, of which a page keeps those that it has."""
    world = World(default=[("request", 1, 200)])
    engine = world.engine([world.platform("A", limit=2)])
    async with engine.stream([se.Event(n) for n in range(9)], instruments=[se.observe.Recording()]) as run:
        await anext(run)
        found = page(run.report, run.statistics(), timeline=False)
        await run.wait()
    assert (found["live"], found["timeline"], found["closings"]) == (True, None, {"shown": [], "left_out": 0})
    assert found["run"]["running"] == found["platforms"][0]["now"]["running"] == 2
    assert found["platforms"][0]["key"] == "A"


async def test_hosts_are_one_row_and_many_platforms_are_cut(autojump_clock):
    """200 platforms are shown, and the hosts of the default are one; no secret of an id is."""
    world = World(default=[("request", 0, 200)])
    names = [f"P{n:03d}" for n in range(250)]
    engine = world.engine([world.platform(name) for name in names], default=world.platform("*"))
    events = [se.Event(n, platforms=[name]) for n, name in enumerate(names)]
    events += [se.Event(url=f"http://user:word@h{n}.test/?key=secret{n}") for n in range(20)]
    found = page(await engine.run(events, instruments=[se.observe.Recording()]))
    assert len(found["platforms"]) == 200
    assert found["more_platforms"] == 51
    assert found["platforms"][0]["name"] == "*"
    rows = found["timeline"]["rows"]
    bars = found["timeline"]["bars"]
    assert len([bar for bar in bars if rows[bar[0]] == "*"]) == 20 + 51  # those of platforms that are not shown, too
    assert "secret" not in json.dumps(found)
    assert "word" not in json.dumps(found)


@pytest.mark.parametrize(
    ("recording", "hint"),
    [
        ([], HINT),
        ([se.observe.Recording(timeline=0)], "Recording(timeline=0) keeps none"),
        ([se.observe.Recording()], ""),
    ],
)
async def test_what_is_not_there_is_said(recording, hint, autojump_clock, tmp_path):
    """And how to have it."""
    report = await report_of(recording)
    report.write_html(tmp_path / "report.html")
    found = data_of((tmp_path / "report.html").read_text("utf-8"))
    assert hint in (found["hint"] or "")
    assert bool(found["timeline"]) == (hint == "")


async def test_what_a_site_has_sent_is_no_markup(autojump_clock):
    """Ids and errors with all that could end an element, or begin one, stand in the file as escapes of JSON."""

    async def scrape(task):
        raise ValueError(HOSTILE)

    report = await se.Engine([se.Platform("A", scrape)]).run([se.Event(HOSTILE)], instruments=[se.observe.Recording()])
    text = html.html(report)
    _, _, rest = text.partition('id="data">')
    inside = rest.partition("</script>")[0]
    assert not set("<>&\u2028\u2029") & set(inside)
    assert inside.isascii()
    found = data_of(text)
    assert found["failures"][0]["example"]["text"] == HOSTILE.replace("\ud800", "\\ud800")
    assert found["timeline"]["bars"][0][2] == HOSTILE


async def test_a_browser_runs_its_own_script_and_no_other(autojump_clock):
    """By its policy: one script, one style, by their hashes, and nothing from anywhere else."""
    text = html.html(await report_of([]))
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    for tag, rule in (("script", "script-src"), ("style", "style-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r"https?://|\ssrc=|\shref=|\son\w+=", text.replace("http://www.w3.org/2000/svg", ""))


async def test_it_is_written_aside_and_renamed(autojump_clock, tmp_path, monkeypatch):
    """What was there before is there until then; where it fails, nothing is left beside it."""
    report = await report_of([])
    path = tmp_path / "report.html"
    path.write_text("before")
    report.write_html(str(path))
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert os.listdir(tmp_path) == ["report.html"]
    with pytest.raises(OSError, match="nowhere"):
        report.write_html(tmp_path / "nowhere" / "report.html")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        report.write_html(tmp_path / "folder")
    assert sorted(os.listdir(tmp_path)) == ["folder", "report.html"]
