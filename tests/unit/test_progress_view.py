"""What progress shows, from numbers to texts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.progress import HEAD, Gauged, ProgressView, plain_line, view
from scrapeengine.model.report import Counts, PlatformStatistics, Statistics


def platform(**changes: object) -> PlatformStatistics:
    """Make the statistics of one platform."""
    given: dict[str, object] = {
        "limit": 4,
        "running": 2,
        "parked": 1,
        "waiting": 7,
        "opens_in": 0.0,
        "held_by": "limit",
    }
    return PlatformStatistics(**(given | changes))  # type: ignore[arg-type]


def statistics(platforms: dict[str, PlatformStatistics], outcomes: dict[str, Counts], **changes: object) -> Statistics:
    """Make those of a run."""
    sums = {name: sum(getattr(each, name) for each in platforms.values()) for name in ("running", "parked", "waiting")}
    given: dict[str, object] = {"event_limit": 100, "in_progress": 2, "live": 10, "buffered": 0, "events": 20, **sums}
    return Statistics(platforms=platforms, outcomes=outcomes, **(given | changes))  # type: ignore[arg-type]


def shown(
    now: Statistics, gauged: dict[str, Gauged], pending: dict[str, int] | None, most: int = 10, default: str = ""
) -> ProgressView:
    """Make what is shown, while one task has been running for long."""
    return view(now, gauged, pending, [("A", "http://a.test/?key=secret", 12.5)], most, default)


def test_a_run_in_its_middle() -> None:
    """Words, rows and the slowest task; of a URL no secret is shown."""
    now = statistics({"A": platform()}, {"A": Counts(succeeded=8, failed=2)})
    found = shown(now, {"A": Gauged(pace=5.0, median=0.25, mean=0.5)}, {"": 20})
    assert (found.done, found.total, found.failed) == (10, 40, 2)
    assert found.words == "10 of 40 tasks, 2 failed, 5 requests a second"
    assert found.left == "about 3.8 s left, by the limit of A"  # 30 of 0.5 s each, four at once
    assert found.rows == (("A", "2/4", "5", "10", "2", "250 ms", "0 s", "limit"),)
    assert len(found.rows[0]) == len(HEAD)
    assert found.slowest == ("A http://a.test/?key=… 12.5 s",)
    assert plain_line(found) == f"{found.words}; {found.left}; slowest now: {found.slowest[0]}"


@given(st.text(), st.text(), st.sampled_from([0, 4]))
def test_no_name_or_id_is_obeyed_by_a_terminal(name: str, task: str, limit: int) -> None:
    """All that is shown can be printed: no escape sequence, no end of a line, no change of direction."""
    now = statistics({name: platform(limit=limit)}, {name: Counts(succeeded=8)})
    found = view(now, {name: Gauged(mean=0.5)}, {"": 20}, [(name, task, 12.5)], 10)
    assert all(each.isprintable() for each in (*found.rows[0], *found.slowest, found.words, found.left))
    assert plain_line(found).isprintable()


@pytest.mark.parametrize(
    ("changes", "gauged", "words"),
    [
        ({}, Gauged(mean=0.5, interval=2.0), "about 1 min left, by the rate of A"),
        ({"limit": 0}, Gauged(mean=0.5), "no end while A is paused"),
        ({"limit": 1000}, Gauged(mean=20.0), "about 6 s left, by the event limit"),
        ({}, Gauged(), ""),
    ],
)
def test_how_long_it_takes_goes_by_what_binds(changes: dict[str, object], gauged: Gauged, words: str) -> None:
    """What no task has ended of, nobody can tell."""
    now = statistics({"A": platform(**changes)}, {"A": Counts(succeeded=10)})
    assert shown(now, {"A": gauged}, {"": 20}).left == words


def test_a_platform_that_is_closed_opens_first() -> None:
    """And where a store has work for a platform on which none is in hand, nobody can tell."""
    now = statistics({"A": platform(opens_in=100.0)}, {}, closed={"A": 100.0})
    assert shown(now, {"A": Gauged(mean=1.0)}, {}).left == "about 1.71 min left, by A, which is closed"
    assert shown(now, {"A": Gauged(mean=1.0)}, {"B": 3}).left == ""
    assert shown(now, {"A": Gauged(mean=1.0)}, {"A": 10, "B": 0}).left == "about 1.75 min left, by A, which is closed"


def test_a_source_without_a_length_has_no_total() -> None:
    """Nor is there an end."""
    now = statistics({"A": platform()}, {"A": Counts(succeeded=1234)})
    found = shown(now, {"A": Gauged(mean=1.0)}, None)
    assert (found.total, found.remaining, found.left) == (None, None, "")
    assert found.words == "1,234 tasks, 0 requests a second"


def test_before_anything_has_begun_nobody_knows() -> None:
    """An event may be any number of tasks: as far as is known it is one."""
    found = view(statistics({}, {}, events=0), {}, {"": 5}, [], 10)
    assert (found.total, found.left, plain_line(found)) == (5, "", "0 of 5 tasks, 0 requests a second")


def test_hosts_of_the_default_are_measured_together() -> None:
    """A row of its own has each that has work; those with most are shown, by name."""
    hosts = {f"h{n}.test": platform(waiting=n, opens_in=math.inf) for n in range(5)}
    now = statistics(hosts, {"*": Counts(succeeded=50)})
    found = shown(now, {"*": Gauged(mean=1.0, median=1.0)}, {}, most=2, default="*")
    assert [row[0] for row in found.rows] == ["h3.test", "h4.test"]
    assert found.rows[0] == ("h3.test", "2/4", "", "", "", "", "", "limit")
    assert found.more == 4
    assert found.left == "about 1.8 s left, by the limit of h4.test"
    everything = shown(now, {"*": Gauged(mean=1.0, median=1.0)}, {}, default="*")
    assert everything.rows[0] == ("*", "", "0", "50", "0", "1 s", "", "")
