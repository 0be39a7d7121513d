"""Outcomes and reports: their sums, and that they are frozen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, assert_never

import attrs
import pytest

from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.report import Counts, PlatformStatistics, Report, Statistics

EVENT = Event("m1")
OUTCOMES: list[Outcome[int]] = [
    Success(event=EVENT, platform="p", value=1),
    Failure(event=EVENT, platform="p", error=ValueError("x")),
    Skipped(event=EVENT, platform="p", reason="over"),
    Cancelled(event=EVENT, platform="p", reason="stopped"),
]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_elapsed_is_the_sum_of_its_parts(outcome: Outcome[int]) -> None:
    """An outcome's time is what it was queued, parked and ran; all are 0 unless said."""
    assert (outcome.attempts, outcome.queued, outcome.parked, outcome.ran, outcome.elapsed) == (0, 0, 0, 0, 0)
    assert attrs.evolve(outcome, queued=1.0, parked=20.0, ran=300.0).elapsed == 321.0


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_an_outcome_is_frozen_and_one_of_a_kind(outcome: Outcome[int]) -> None:
    """No field can be set; two outcomes are never equal, since each task ends once."""
    for field in attrs.fields(type(outcome)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(outcome, field.name, None)
    assert outcome != attrs.evolve(outcome)
    assert {outcome: 1}[outcome] == 1


def test_an_outcome_takes_no_positions() -> None:
    """Its fields are named, so that none is mistaken for another."""
    with pytest.raises(TypeError):
        Success(EVENT, "p", 1)  # type: ignore[misc]


def test_the_union_is_closed() -> None:
    """Each kind matches by its own field, and no kind is left over."""

    def kind(outcome: Outcome[int]) -> Any:
        match outcome:
            case Success(value=value):
                return value
            case Failure(error=error):
                return str(error)
            case Skipped(reason=reason) | Cancelled(reason=reason):
                return reason
            case _:
                assert_never(outcome)

    assert [kind(outcome) for outcome in OUTCOMES] == [1, "x", "over", "stopped"]


def test_counts_add_up() -> None:
    """The total has each kind once."""
    assert Counts().total == 0
    assert Counts(succeeded=1, failed=20, skipped=300, cancelled=4000).total == 4321


def test_reports_and_statistics_are_frozen() -> None:
    """What a run has said does not change afterwards."""
    report = Report(
        started=datetime(2024, 1, 1, tzinfo=UTC),
        elapsed=1.0,
        events=1,
        duplicates=0,
        tasks=1,
        outcomes=Counts(succeeded=1),
        platforms={"p": Counts(succeeded=1)},
        errors={},
        unread=0,
        stopped=None,
    )
    lane = PlatformStatistics(limit=1, running=1, parked=0, waiting=0, opens_in=0.0)
    statistics = Statistics(
        event_limit=1, in_progress=1, live=1, running=1, parked=0, waiting=0, buffered=0, platforms={"p": lane}
    )
    for value in (report, report.outcomes, lane, statistics):
        assert value == attrs.evolve(value)
        for field in attrs.fields(type(value)):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(value, field.name, None)
