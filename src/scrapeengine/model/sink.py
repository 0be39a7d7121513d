"""The protocol of sinks: where the outcomes of a run are written.

A sink is a plain async function that takes a list of outcomes, or an object with these methods. All its calls come from
one task, one after the other:

    open ──> write ──> flush ──> write ──> flush ──> … ──> close
                         └── acknowledge(position) ──> False: cut back, what was written is somebody else's

With a store each outcome is acknowledged for the sink of this name. So a name is to stay the same from run to run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias, TypeVar

import attrs

from scrapeengine.model.checks import number, whole
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.urls import named

__all__ = [
    "CLOSING",
    "READER",
    "Acknowledge",
    "OnError",
    "Position",
    "Sink",
    "SinkFunction",
    "SinkPolicy",
    "SinkRun",
    "cut_off",
]

T = TypeVar("T")

CLOSING = 5.0
"""Seconds for which a sink may take to close."""
READER = ""
"""The name of the sink that is no sink: whoever reads the outcomes of a run."""
SinkFunction: TypeAlias = Callable[[list[Outcome[T]]], Awaitable[object]]
"""A sink that is an async callable and no more: it takes lists of outcomes."""


OnError: TypeAlias = Literal["stop", "retry", "set aside"]


@attrs.frozen(kw_only=True)
class SinkPolicy:
    """How a sink is given outcomes, and what becomes of those that it refuses."""

    size: int = 500
    """The most outcomes that it is given at once."""
    linger: float = 1.0
    """Seconds for which an outcome may wait for others; 0: none does."""
    on_error: OnError = "stop"
    """What follows an exception. "stop": the run ends with it; the other sinks have all else. "retry": the batch is
    written once more, after growing pauses, until that has taken `patience`; then as "stop". "set aside": the same, but
    then the batch is split until the outcome that fails is alone, and that goes to the file `aside`; a sink that cannot
    be opened refuses none, so the run ends. With "stop" too a batch is written once more where the sink says that what
    fails will pass (`SinkUnavailable`), and the run ends where it does not within `patience`, whatever is said here."""
    patience: float = 60.0
    """Seconds for which a batch is tried."""
    aside: str | None = None
    """The path of a file of JSON lines, for outcomes that are set aside, each with its error."""

    def __attrs_post_init__(self) -> None:
        """Refuse what makes no sense."""
        whole(self.size, "a sink's size", least=1)
        number(self.linger, "a sink's linger", zero=True)
        number(self.patience, "a sink's patience", zero=True)
        if self.on_error not in {"stop", "retry", "set aside"}:
            raise ValueError(f"a sink's on_error is 'stop', 'retry' or 'set aside', got {self.on_error!r}")
        if (self.on_error == "set aside") != (self.aside is not None):
            raise ValueError(
                "what is set aside needs a file, and only that: write on_error='set aside', aside='refused.jsonl'"
            )


class Position(NamedTuple):
    """How far a sink has come: what of its output counts, for whoever goes on with it."""

    slot: str
    """The part of the output: a sink may write several files, each in one hand at a time."""
    value: str
    """How far it is written, in a text that only the sink reads."""


class Acknowledge(Protocol):
    """Says that what was written since the last flush is where it is to be."""

    async def __call__(self, position: Position | None = None) -> bool:
        """Have a store forget that this sink is to have the outcomes, and keep how far it has come, in one step.

        Without a store there is nothing to say, and it is true. Checkpoint with a position, else none.

        Args:
            position: how far it has come. None: it keeps no position; then it may have an outcome twice, after a crash.

        Returns:
            False: one of them is not this sink's any more, for another process has written it. Nothing was changed, and
            what was written does not count: the sink goes back to its last position, and is given again what is still
            its own.
        """
        ...


class SinkRun(Protocol):
    """The run of a sink, as the sink sees it."""

    def now(self) -> float:
        """Return the Unix time."""
        ...

    @property
    def keeps(self) -> bool:
        """Whether it is kept how far the sink has come, as a store does."""
        ...

    async def positions(self) -> Mapping[str, str]:
        """Return how far the sink has come, by slot, in all processes, as the store has it now; without one nothing.

        Checkpoint.
        """
        ...

    async def move(self, position: Position) -> None:
        """Keep how far it has come, of its own: there are no outcomes to acknowledge with that. Checkpoint."""
        ...


class Sink(Protocol[T]):
    """Where outcomes are written."""

    @property
    def name(self) -> str:
        """Its name, by which a store knows what it has had."""
        ...

    @property
    def policy(self) -> SinkPolicy:
        """How it is given outcomes."""
        ...

    async def open(self, run: SinkRun) -> None:
        """Get ready, when the first outcome comes. Called again where it has raised."""
        ...

    async def recover(self) -> None:
        """Take back what dead processes have written behind their last positions: it is to be written here now."""
        ...

    async def write(self, outcomes: list[Outcome[T]]) -> None:
        """Write outcomes. What raises, or is cancelled, has written nothing that counts, nor what is not flushed.

        So the next call begins where the last flush has left it.

        Raises:
            SinkUnavailable: what has failed will pass; it is called again for as long as its policy has patience.
        """
        ...

    async def flush(self, acknowledge: Acknowledge) -> None:
        """Bring what was written to where it survives, then acknowledge it, once."""
        ...

    async def close(self) -> None:
        """Let go of everything, within five seconds, after which it is cut off, and has failed.

        Else it is not cancelled. May be called without `open`.
        """
        ...


def cut_off(name: str) -> TimeoutError:
    """Return the error of a sink that has taken too long to close."""
    return TimeoutError(
        f"the sink {named(name)!r} took longer than {CLOSING:g} s to close, and was cut off: what it was to put in "
        "place at its end may not be there"
    )
