"""Sinks as they are handed in: what is none is refused here, plain functions are made whole, and each has a name."""

from __future__ import annotations

from collections.abc import Sequence
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
        ValueError: two of them are files of one name: by that a store knows how far each has come.
    """
    if isinstance(sinks, str | bytes) or not isinstance(sinks, Sequence):
        raise TypeError(f"sinks=… takes a list of async functions, got {told(sinks)}; write sinks=[save]")
    seen = set()
    for sink in sinks:
        if not is_whole(sink):
            check_function(sink)
        elif getattr(sink, "keeps_position", False):
            if sink.name in seen:
                raise ValueError(
                    f"two files of this run are called {told(sink.name)}, by which a store knows how far each is; "
                    "write open(…, name='…') with another name for one of them, and open each file once"
                )
            seen.add(sink.name)


def named_sinks(sinks: Sequence[AnySink[T]]) -> list[NamedSink[T]]:
    """Make all sinks of a run whole, and name each: as it says, or as its function is called.

    The second of one name has a 2 behind it, and so on, in the order in which they are listed; or the next number,
    where another one is called that.
    """
    whole = [whole_sink(each) for each in sinks]
    own, taken = {sink.name for sink in whole}, set[str]()
    found = []
    for sink in whole:
        name, count = sink.name, 1
        while name in taken or (count > 1 and name in own):
            count += 1
            name = f"{sink.name} {count}"
        taken.add(name)
        found.append(NamedSink(name, sink))
    return found
