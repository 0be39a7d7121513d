"""Sinks as they are handed in: what is none is refused here, plain functions are made whole, and each has a name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Generic, TypeAlias, TypeVar

import attrs

from scrapeengine.model.sink import Sink, SinkFunction
from scrapeengine.model.urls import told
from scrapeengine.sinks.functions import check_function, is_whole, whole_sink

__all__ = ["AnySink", "NamedSink", "check_sinks", "named_sinks"]

T = TypeVar("T")

AnySink: TypeAlias = Sink[T] | SinkFunction[T]
"""What may be handed in as a sink."""


@attrs.frozen(eq=False)
class NamedSink(Generic[T]):
    """A sink of one run, and its name there, which no other one of the run has."""

    name: str
    sink: Sink[T]


def check_sinks(sinks: object) -> None:
    """Refuse what is no list of sinks: before anything runs, and not with the first outcome, which would be lost.

    Raises:
        TypeError: it is none; says what to write.
    """
    if isinstance(sinks, str | bytes) or not isinstance(sinks, Iterable):
        raise TypeError(f"sinks=… takes a list of async functions, got {told(sinks)}; write sinks=[save]")
    for sink in sinks:
        if is_whole(sink):
            continue
        check_function(sink)


def named_sinks(sinks: Sequence[AnySink[T]]) -> list[NamedSink[T]]:
    """Make all sinks of a run whole, and name each: as it says, or as its function is called.

    The second of one name has a 2 behind it, and so on, in the order in which they are listed.
    """
    seen: Counter[str] = Counter()
    found = []
    for each in sinks:
        sink = whole_sink(each)
        seen[sink.name] += 1
        count = seen[sink.name]
        found.append(NamedSink(sink.name if count == 1 else f"{sink.name} {count}", sink))
    return found
