"""The report as it is read, by people, by programs and by who waits for an exit code."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import scrapeengine as se
from scrapeengine.model.figures import Distribution, Figures, HeldBack, PlatformFigures
from scrapeengine.model.tables import plain, size, table, time

COUNTS = st.integers(0, 50)


def report_of(**fields: Any) -> se.Report:
    """Make one, with what matters."""
    counts = se.Counts(succeeded=9, failed=1, duplicates=2)
    made: dict[str, Any] = {
        "started": datetime(2026, 1, 2, tzinfo=UTC),
        "elapsed": 2.0,
        "events": 10,
        "duplicates": 2,
        "tasks": 10,
        "outcomes": se.Counts(succeeded=9, failed=1),
        "platforms": {"A": counts, "https://user:s3cr3t@b.test/": se.Counts()},
        "errors": {"StatusError": 1},
        "unread": 0,
        "stopped": None,
    }
    return se.Report(**(made | fields))


def figures() -> Figures:
    """Make some."""
    spread = Distribution(count=3, mean=0.2, p50=0.1, p90=0.3, p99=0.4, most=0.4)
    one = PlatformFigures(
        **dict.fromkeys(("connect", "head", "whole", "queued", "parked"), spread),
        **dict.fromkeys(("answered", "failed", "cut_off", "retries", "reruns", "decoded", "left", "reused"), 1),
        requests=1234,
        statuses={200: 3, 404: 2, 410: 1, 503: 4},
        received=1_999_999,
        opened=7,
    )
    held = HeldBack(shares={"rate": 1.0}, sentence="A: its rate held it back")
    return Figures(platforms={"A": one}, held={"A": held}, event_limit=0.25)


def test_it_is_printed_as_a_table() -> None:
    """With what had trouble, and how to have more; secrets in names are not shown."""
    text = str(report_of(stopped="the run was stopped", closed={"A": 7200.0}, undelivered=3))
    assert text.splitlines()[:5] == [
        "10 events, 10 tasks in 2 s, 5 outcomes a second",
        "",
        "platform         outcomes  succeeded  failed  skipped  cancelled  duplicates",
        "in all                 10          9       1        0          0           2",
        "A                      10          9       1        0          0           2",
    ]
    assert (
        "it ended before its work did: the run was stopped\n1 failed with StatusError\nA was closed for 2 h\n" in text
    )
    assert "3 outcomes did not reach the sinks" in text
    assert text.endswith("instruments=[se.observe.Recording()]")
    assert "s3cr3t" not in text


def test_what_was_recorded_is_printed_too() -> None:
    """Requests, times, and what held the platforms back; how to have them need not be said then."""
    text = str(report_of(figures=figures()))
    head, row = (line.split() for line in text.splitlines() if "requests" in line or "1234" in line)
    assert head[:9] == ["platform", "requests", "retries", "failed", "4xx", "5xx", "received", "opened", "reused"]
    assert row == [
        "A",
        "1234",
        "1",
        "2",
        "3",
        "4",
        "2",
        "MB",
        "7",
        "1",
        *("100", "ms", "400", "ms", "100", "ms"),
        "100",
        "ms",
    ]
    assert text.endswith("A: its rate held it back\nthe event limit held some platform back 25 % of the time")
    assert "Recording()" not in text


def test_a_run_of_no_work_has_no_pace() -> None:
    """And nothing to tell of."""
    nothing = {"events": 0, "tasks": 0, "duplicates": 0, "outcomes": se.Counts(), "platforms": {}, "errors": {}}
    text = str(report_of(elapsed=0.0, figures=Figures(platforms={}, held={}, event_limit=0.0), **nothing))
    assert text.splitlines()[0] == "0 events, 0 tasks in 0 s"
    assert text.splitlines()[3].split() == ["in", "all", *"000000"]


@given(st.builds(se.Counts, **dict.fromkeys(("succeeded", "failed", "skipped", "cancelled"), COUNTS)), st.floats(0, 1))
def test_it_is_ok_where_no_more_has_failed_than_may(outcomes: se.Counts, most: float) -> None:
    """And never where the run was stopped."""
    report = report_of(outcomes=outcomes)
    assert report.ok(most) is (outcomes.failed <= most * outcomes.total)
    assert report.ok() is (outcomes.failed == 0)
    assert report.exit_code(most) == (0 if report.ok(most) else 1)
    stopped = report_of(outcomes=outcomes, stopped="the run was left")
    assert not stopped.ok(1)
    assert stopped.exit_code(1) == 1


@pytest.mark.parametrize(
    ("share", "error"), [(-0.1, ValueError), (1.5, ValueError), ("1 %", TypeError), (True, TypeError)]
)
def test_what_is_no_share_is_refused(share: Any, error: type[Exception]) -> None:
    """One percent is 0.01."""
    with pytest.raises(error, match=r"ok\(max_failures=…\) must be .*; 0.01 is one in a hundred"):
        report_of().ok(share)


def test_a_program_reads_all_of_it() -> None:
    """What JSON brings back is the dict; what is not finite is null."""
    report = report_of(figures=figures(), closed={"A": math.inf})
    found = report.to_dict()
    assert json.loads(report.to_json()) == json.loads(report.to_json(indent=2)) == found
    assert found["started"] == "2026-01-02T00:00:00+00:00"
    assert found["outcomes"]["succeeded"] == 9
    assert found["closed"] == {"A": None}
    assert found["figures"]["platforms"]["A"]["statuses"] == {"200": 3, "404": 2, "410": 1, "503": 4}
    assert report_of().to_dict()["figures"] is None


@given(st.lists(st.tuples(st.text("ab", max_size=5), COUNTS), max_size=60))
def test_a_table_has_straight_columns_and_an_end(rows: list[tuple[str, int]]) -> None:
    """However many rows there are."""
    first, *lines = table(["name", "n"], rows)
    more = lines.pop() if len(rows) > 40 else None
    assert len(lines) == min(40, len(rows))
    assert {len(line) for line in lines} <= {len(first)}
    assert more == (f"… and {len(rows) - 40} more" if len(rows) > 40 else None)


@given(st.floats(1e-6, 1e8), st.integers(0, 10**15))
def test_times_and_sizes_are_near(seconds: float, number: int) -> None:
    """To three digits; a microsecond is the least that is told."""
    units = {"d": 86_400, "h": 3600, "min": 60, "s": 1, "ms": 1e-3, "µs": 1e-6}
    value, unit = time(seconds).split()
    assert float(value) * units[unit] == pytest.approx(seconds, rel=0.006, abs=1e-6)
    value, unit = size(number).split()
    exact = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}[unit]
    assert float(value) * exact == pytest.approx(number, rel=0.006)
    assert (time(0), size(0), plain(math.nan)) == ("0 s", "0 bytes", None)
