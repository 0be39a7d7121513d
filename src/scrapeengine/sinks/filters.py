"""Sinks that are given some outcomes only, or other values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import attrs

from scrapeengine.model.outcome import Outcome, Success
from scrapeengine.model.sink import Acknowledge, Sink, SinkFunction, SinkPolicy, SinkRun
from scrapeengine.model.urls import told
from scrapeengine.sinks.functions import whole_sink

__all__ = ["mapped", "only", "where"]

T = TypeVar("T")


@attrs.frozen(eq=False)
class ChangedSink(Generic[T]):
    """A sink behind what changes the outcomes that it is given. It is of its name, and has its policy."""

    _sink: Sink[Any]
    _change: Callable[[list[Outcome[T]]], list[Outcome[Any]]]

    @property
    def name(self) -> str:
        """See `Sink`."""
        return self._sink.name

    @property
    def policy(self) -> SinkPolicy:
        """See `Sink`."""
        return self._sink.policy

    @property
    def keeps_position(self) -> bool:
        """Whether no other sink of a run may have its name."""
        return bool(getattr(self._sink, "keeps_position", False))

    async def open(self, run: SinkRun) -> None:
        """See `Sink`."""
        await self._sink.open(run)

    async def recover(self) -> None:
        """See `Sink`."""
        await self._sink.recover()

    async def write(self, outcomes: list[Outcome[T]]) -> None:
        """See `Sink`. Also where none is left: what is not flushed of before is to be taken back."""
        await self._sink.write(self._change(outcomes))

    async def flush(self, acknowledge: Acknowledge) -> None:
        """See `Sink`. It acknowledges what it was not given too: that is nobody's."""
        await self._sink.flush(acknowledge)

    async def close(self) -> None:
        """See `Sink`."""
        await self._sink.close()


def where(sink: Sink[T] | SinkFunction[T], keep: Callable[[Outcome[T]], object]) -> Sink[T]:
    """Give a sink those outcomes only of which a function says so.

        sinks=[se.sinks.where(se.sinks.open("failures.jsonl"), se.sinks.only(se.Failure))]

    Args:
        sink: the sink.
        keep: takes an outcome, and says whether the sink is to have it. What it raises is as if the sink had.
    """
    _check(keep, "where", "keep")
    return ChangedSink(whole_sink(sink), lambda outcomes: [outcome for outcome in outcomes if keep(outcome)])


def only(*kinds: type) -> Callable[[Outcome[Any]], bool]:
    """Say whether an outcome is of one of these kinds: a function for `where`."""
    if not kinds or not all(isinstance(kind, type) for kind in kinds):
        raise TypeError(f"only takes kinds of outcomes, got {', '.join(map(told, kinds))}; write only(se.Failure)")
    return lambda outcome: isinstance(outcome, kinds)


def mapped(sink: Sink[Any] | SinkFunction[Any], change: Callable[[Any], Any]) -> Sink[Any]:
    """Give a sink other values than scrapers have returned; other outcomes than successes are left as they are.

        sinks=[se.sinks.mapped(se.sinks.open("odds.csv"), lambda odds: {"home": odds[0], "away": odds[1]})]

    Args:
        sink: the sink.
        change: takes a value, or an item, and returns the one that the sink is to have. What it raises is as if the
            sink had.
    """
    _check(change, "mapped", "change")
    return ChangedSink(whole_sink(sink), lambda outcomes: [_changed(outcome, change) for outcome in outcomes])


def _changed(outcome: Outcome[Any], change: Callable[[Any], Any]) -> Outcome[Any]:
    if outcome.items:
        outcome = attrs.evolve(outcome, items=tuple(change(item) for item in outcome.items))
        if isinstance(outcome, Success) and outcome.value is None:
            return outcome
    return attrs.evolve(outcome, value=change(outcome.value)) if isinstance(outcome, Success) else outcome


def _check(function: object, of: str, name: str) -> None:
    if not callable(function):
        raise TypeError(f"{of}({name}=…) takes a function, got {told(function)}; write {of}(sink, lambda …: …)")
