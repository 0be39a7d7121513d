"""Decoding in steps of bounded size, of any content coding; which there are, says `decoding`.

What holds at all times, whatever is fed:

- A step takes in at most 16 KiB and gives out at most 64 KiB. Nothing is decoded ahead of what is asked for, in
  chains too. Between steps a decoder holds a step's worth and the window of its coding: gzip and deflate 32 KiB,
  brotli up to 16 MiB, zstd up to 8 MiB.
- Work is in proportion to what comes of it. Empty members, comments and frames to skip cost time and give out nothing
  that a cap could count, and within another coding they are free: a decoder that has taken in far more than it gave out
  is given up. So is one that makes no progress. In a chain the debts would multiply, so what passes between its codings
  is a debt of the chain too: a chain of any length does no more in vain than one of two.
- A body that ended too soon is never taken for a whole one, except where it was cut between two members or frames:
  there, nothing tells.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NamedTuple, Protocol, TypeAlias

import attrs
import httpx

from scrapeengine.http.transport.failures import CutShort

__all__ = ["After", "Chain", "Decoder", "Engine", "Refusal", "Stage", "Step"]

_IN = 16 * 1024
"""The bytes taken in at once. zlib copies what it leaves for later at each step: more would make that dear."""
_MOST_DEBT = 1024 * 1024
"""The bytes taken in that nothing has come of."""
_DEBT_OF_A_MEMBER = 256
"""The bytes taken in as which the beginning of a member or frame counts: it takes some microseconds."""
_WORTH = 16
"""The bytes taken in that a byte given out makes up for. Honest codings need one, and seldom a little more."""


class Decoder(Protocol):
    """Decodes one body. It is dropped at any time; after an exception it is of no more use."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode more, as lazily as the iterator is asked; it must be exhausted before more is fed.

        Args:
            data: the next bytes of the body, of any number.

        Yields:
            The pieces, none empty, of at most 64 KiB each.

        Raises:
            httpx.DecodingError: the data is malformed, or coded so that next to nothing comes of it.
        """
        ...

    def end(self) -> None:
        """Check that what was fed is whole. Nothing at all is: the body of a HEAD or a 304 has no coding.

        Raises:
            CutShort: it is not.
        """
        ...


@attrs.frozen(eq=False)
class Refusal:
    """The `Decoder` of a body that cannot be read here; no body at all can be."""

    _error: httpx.DecodingError

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode more, as lazily as the iterator is asked."""
        if data:
            raise self._error
        yield from ()

    def end(self) -> None:
        """Do nothing: without a body there is nothing to read."""


@attrs.define(eq=False)
class _Debt:
    """Work that was done in vain; an honest body is soon quit of it."""

    _of: str
    _size: int = attrs.field(default=0, init=False)

    def owe(self, size: int) -> None:
        self._size += size
        if self._size > _MOST_DEBT:
            raise httpx.DecodingError(f"next to nothing comes of the body's {self._of}")

    def repay(self, size: int) -> None:
        self._size = max(0, self._size - _WORTH * size)


@attrs.define(eq=False)
class Chain:
    """Codings one within the other, the outermost first. A `Decoder`."""

    _stages: Sequence[Decoder]
    _debt: _Debt = attrs.field(factory=lambda: _Debt("codings"), init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode more, as lazily as the iterator is asked."""
        for piece in self._through(self._stages, data):
            self._debt.repay(len(piece))
            yield piece

    def end(self) -> None:
        """Check that what was fed is whole."""
        for stage in self._stages:
            stage.end()

    def _through(self, stages: Sequence[Decoder], data: bytes) -> Iterator[bytes]:
        first, *rest = stages
        for piece in first.feed(data):
            if rest:
                self._debt.owe(len(piece))
                yield from self._through(rest, piece)
            else:
                yield piece


class Step(NamedTuple):
    """One step of an engine."""

    piece: bytes
    more: bool
    """Whether it can go on without more data; else it has taken in all that it was given."""
    left: bytes | None
    """The data behind the end; None before the end."""


Engine: TypeAlias = Callable[[bytes], Step]
"""A library's decoder of one member, frame or stream. It gets no data as long as there is `more`."""


class After(enum.Enum):
    """Kinds of data behind the end of a member, by what becomes of it."""

    ANOTHER = enum.auto()
    IGNORED = enum.auto()
    REFUSED = enum.auto()
    UNCLEAR = enum.auto()
    """There is too little of it to tell."""


@attrs.define(eq=False)
class Stage:
    """One coding, decoded by an engine for each of its members or frames. A `Decoder`."""

    _name: str
    _start: Callable[[bytes], Engine]
    """Makes the engine for what begins with these bytes."""
    _after: Callable[[bytes], After]
    """Says what follows the end of a member."""
    _refusals: tuple[type[Exception], ...]
    """The exceptions by which engines refuse data."""
    _engine: Engine | None = attrs.field(default=None, init=False)
    """None before the first member, and between two."""
    _ended: bool = attrs.field(default=False, init=False)
    """Whether a member has ended."""
    _unclear: bytes = attrs.field(default=b"", init=False)
    """The possible start of another member, less than it takes to tell."""
    _over: bool = attrs.field(default=False, init=False)
    """Whether all that comes is ignored."""
    _debt: _Debt = attrs.field(default=attrs.Factory(lambda self: _Debt(self._name), takes_self=True), init=False)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Decode more, as lazily as the iterator is asked."""
        for start in range(0, len(data), _IN):
            part = data[start : start + _IN]
            self._debt.owe(len(part))
            while part and not self._over:
                if self._engine is None:
                    self._engine, part = self._begin(part)
                if self._engine is not None:
                    part = yield from self._run(self._engine, part)

    def end(self) -> None:
        """Check that what was fed is whole."""
        if self._engine is not None or self._unclear:
            raise CutShort(f"the body ended before its {self._name} was whole")

    def _begin(self, data: bytes) -> tuple[Engine | None, bytes]:
        """Return the engine for a member, and what to feed it; none if no member begins here."""
        if not self._ended:
            return self._start(data), data
        data, self._unclear = self._unclear + data, b""
        match self._after(data):
            case After.ANOTHER:
                self._debt.owe(_DEBT_OF_A_MEMBER)
                return self._start(data), data
            case After.IGNORED:
                self._over = True
            case After.REFUSED:
                raise self._malformed()
            case After.UNCLEAR:
                self._unclear = data
        return None, b""

    def _run(self, engine: Engine, data: bytes) -> Generator[bytes, None, bytes]:
        """Have the engine take the data in, give out what comes of it, and return what lies behind the end."""
        while True:
            try:
                step = engine(data)
            except self._refusals:
                raise self._malformed() from None
            if step.piece:
                self._debt.repay(len(step.piece))
                yield step.piece
            if step.left is not None:
                self._engine, self._ended = None, True
                return step.left
            if not step.more:
                return b""
            if not step.piece and not data:
                raise httpx.DecodingError(f"the decoder of the body's {self._name} makes no progress")
            data = b""

    def _malformed(self) -> httpx.DecodingError:
        return httpx.DecodingError(f"the body is not {self._name} that can be decoded here")
