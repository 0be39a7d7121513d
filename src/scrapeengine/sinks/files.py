"""Sinks that are files."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import attrs
import trio

from scrapeengine.model.checks import number
from scrapeengine.model.outcome import Outcome
from scrapeengine.model.sink import Acknowledge, SinkPolicy, SinkRun
from scrapeengine.model.urls import told
from scrapeengine.sinks.codecs import codec_of
from scrapeengine.sinks.csv_rows import CsvRows
from scrapeengine.sinks.endings import Renamed
from scrapeengine.sinks.lines import whole_lines, whole_rows
from scrapeengine.sinks.naming import Layout
from scrapeengine.sinks.parquet import parquet_format
from scrapeengine.sinks.rows import JsonRows
from scrapeengine.sinks.slots import Format, SlotFile, complete_others, lock_slot, take_slot
from scrapeengine.standstill import in_thread

__all__ = ["FileSink", "file_sink"]

_CODECS = (".gz", ".zst")
_JSON, _CSV, _PARQUET = (".jsonl", ".ndjson"), (".csv",), (".parquet",)
_PART = 64e6
"""Bytes of rows that become a part of Parquet, where nothing else is said."""


@attrs.define(eq=False)
class FileSink:
    """A file of outcomes, or several: one for each process that writes it at once.

    It is of one run at a time, whose task has it from `open` to `close`.

    With a store all that counts is in it, and nothing twice, whatever happens: what is behind the position of a slot is
    not there yet, and is cut off by who takes the slot next. A process that lives keeps its slot locked.

    Size: 11 attributes: what it is made of, and the slot in hand.
    """

    keeps_position: ClassVar[bool] = True
    """No other sink of a run may have its name: a store knows by that how far it has come."""

    name: str
    policy: SinkPolicy
    _layout: Layout
    _format: Format
    _most_bytes: float
    _longest: float
    _slot: SlotFile | None = attrs.field(default=None, init=False)
    _run: SinkRun | None = attrs.field(default=None, init=False)
    _task: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    """Whose it is."""
    _since: float = attrs.field(default=0.0, init=False)
    """When the file of now began, by trio's clock."""
    _whole: bool = attrs.field(default=False, init=False)
    """Whether all that it was given counts, or would with a store."""

    async def open(self, run: SinkRun) -> None:
        """Take the first slot that is free, and cut it back to its position.

        Checkpoint. If cancelled, or where it raises, no slot is in hand once it is closed.

        Raises:
            RuntimeError: another run has it.
            OSError, ValueError: as `SlotFile.begin` says.
        """
        task = trio.lowlevel.current_task()
        if self._task not in {None, task}:
            raise RuntimeError(f"{self!r} is in use by another run: open one for each run with se.sinks.open")
        self._task, self._run = task, run
        if self._layout.replaces and run.keeps:
            raise ValueError(f"{self!r} is to be replaced, and a store adds to its files: open it without replace=True")
        if self._slot is None:
            lock = await in_thread(partial(take_slot, self._layout, keeps=run.keeps))
            self._slot = SlotFile(self._layout, lock, self._format, self._format.rows())
        slot = self._slot
        # Only now: who had it before may have moved on until it let go of the lock.
        known = (await run.positions()).get(slot.slot)
        position = await in_thread(slot.begin, known)
        if known != position.value:
            await run.move(position)  # before anything is written: what is in the file until here, counts
        if run.keeps:
            await in_thread(slot.own)
        if self._format.ending.completes and not self._layout.replaces:
            if slot.size:
                await self._end(slot, slot.rotate)
            await in_thread(complete_others, self._layout, self._format, slot.slot)
        await self.recover()  # also of what nobody is given once more, since somebody else has had it
        self._since = trio.current_time()

    async def recover(self) -> None:
        """Cut all files back to their positions that no process has in hand any more. Checkpoint."""
        assert self._run is not None
        assert self._slot is not None
        known = await self._run.positions()
        for slot, value in known.items():
            if slot != self._slot.slot:
                await self._cut(slot, value)

    async def _cut(self, slot: str, value: str) -> None:
        lock = await in_thread(lock_slot, self._layout, slot)
        if lock is None:
            return  # it lives
        try:
            assert self._run is not None
            value = (await self._run.positions()).get(slot, value)  # it may have moved on until it died
            file = SlotFile(self._layout, lock, self._format, self._format.rows())
        except BaseException:
            lock.free()
            raise
        try:
            if await in_thread(file.is_of, value):
                await in_thread(file.begin, value)
                if self._format.ending.completes and file.size:
                    await self._end(file, file.finish)
        finally:
            file.close()

    async def _end(self, slot: SlotFile, then: Callable[[], None]) -> None:
        """Have a file end where it counts. If cancelled by the store, whoever has the slot next may do it."""
        assert self._run is not None
        await _to_its_end(slot.end)
        await self._run.move(slot.position)
        slot.commit()
        await _to_its_end(then)

    async def write(self, outcomes: list[Outcome[Any]]) -> None:
        """Write outcomes to the disk, behind what counts. Checkpoint. Once it is begun it is not cancelled."""
        run, slot = self._run, self._slot
        assert run is not None
        assert slot is not None
        self._whole = False
        if not slot.fits(outcomes):
            await self._end(slot, slot.rotate)
            self._since = trio.current_time()
        await in_thread(slot.add, outcomes, run.now())

    async def flush(self, acknowledge: Acknowledge) -> None:
        """Have what was written acknowledged, and begin another file where it is time. Checkpoint.

        If cancelled, it may be acknowledged: that is known when the slot is taken the next time.
        """
        slot = self._slot
        assert slot is not None
        await trio.lowlevel.checkpoint_if_cancelled()  # what is not yet acknowledged need not be
        is_old = trio.current_time() - self._since >= self._longest
        rotates = slot.size > 0 and (slot.size >= self._most_bytes or is_old)
        if rotates:
            await in_thread(slot.turn)
        if not await acknowledge(slot.position):
            await in_thread(slot.back)
            return
        slot.commit()
        self._whole = True
        if rotates:
            self._since = trio.current_time()  # also where that fails: it is done before more is written
            await in_thread(slot.rotate)

    async def close(self) -> None:
        """Let go of the slot. What was not acknowledged is cut off; with a store it stays behind the position.

        What only counts once it is at its end ends here, where all that is written is acknowledged. What a disk takes
        for that is waited for. If cancelled while a store does not answer, whoever has the slot next does it.
        """
        if self._task is not trio.lowlevel.current_task():
            return  # it was refused: another run has it
        slot, self._slot, self._task = self._slot, None, None
        if slot is None:
            return
        assert self._run is not None
        try:
            # With a store it may count: it is not known whether an acknowledgement that was cancelled has come there.
            if not self._run.keeps:
                await _to_its_end(slot.settle)
            if slot.is_settled and self._ends_with_it(slot):
                await self._end(slot, slot.finish)
        finally:
            await _to_its_end(slot.close)

    def _ends_with_it(self, slot: SlotFile) -> bool:
        """Say whether a file ends when it is closed. What a sink has failed with in the end replaces nothing."""
        if self._layout.replaces:
            return self._whole or self.policy.on_error == "set aside"
        return self._format.ending.completes and slot.size > 0

    def __repr__(self) -> str:
        """Show where it is."""
        return f"<FileSink {self._layout.path(self._layout.slot(1))}>"


async def _to_its_end(function: Callable[[], None]) -> None:
    """Call what blocks, in a thread, also where that is cancelled: half of it is of no use to anybody."""
    with trio.CancelScope(shield=True):
        await in_thread(function)


def file_sink(
    path: str,
    *,
    name: str | None = None,
    encode: Callable[[Any], Any] | None = None,
    columns: list[str] | None = None,
    schema: Any = None,
    extra: bool = False,
    replace: bool = False,
    rotate_bytes: float | None = None,
    rotate_after: float | None = None,
    **policy: Any,
) -> FileSink:
    """Make a sink of a file; documented as `open`.

    Raises:
        ValueError: the name says no format that is known, or an option makes no sense.
        ImportError: what writes the format is not installed.
    """
    file = Path(path).absolute()
    suffixes = [each.lower() for each in file.suffixes]
    packed = suffixes[-1] if suffixes and suffixes[-1] in _CODECS else ""
    kind = next(iter(suffixes[-2:-1] if packed else suffixes[-1:]), "")
    if kind not in {*_JSON, *_CSV, *_PARQUET} or (packed and kind in _PARQUET):
        raise ValueError(
            f"{told(path)} names no format that is known here: write out.jsonl or out.csv, with .gz or .zst behind it "
            "if it is to be compressed, or out.parquet"
        )
    if kind not in _CSV and columns is not None:
        raise ValueError("columns= is for CSV: JSON lines have whatever is there, and Parquet takes schema=")
    if kind in _JSON and extra:
        raise ValueError("extra= is for CSV and Parquet: JSON lines have whatever is there")
    if kind not in _PARQUET and schema is not None:
        raise ValueError("schema= is for Parquet: CSV takes columns=")
    if replace and (rotate_bytes is not None or rotate_after is not None):
        raise ValueError("a file that is replaced as a whole does not rotate: leave out replace=, or rotate_…=")
    suffix = file.name[-len(kind + packed) :]
    layout = Layout(
        file.parent,
        file.name.removesuffix(suffix),
        suffix,
        growing=".spool" if kind in _PARQUET else "",
        replaces=replace,
    )
    if kind in _PARQUET:
        made = parquet_format(layout, schema, encode, extra=extra)
        rotate_bytes = (math.inf if replace else _PART) if rotate_bytes is None else rotate_bytes
    else:
        rows = partial(CsvRows, encode, columns, extra) if kind in _CSV else partial(JsonRows, encode)
        codec = codec_of(packed, whole_rows if kind in _CSV else whole_lines)
        made = Format(codec, rows, Renamed(over=replace))
    return FileSink(
        name or file.name,
        SinkPolicy(**policy),
        layout,
        made,
        number(math.inf if rotate_bytes is None else rotate_bytes, "open(rotate_bytes=…)", endless=True),
        number(math.inf if rotate_after is None else rotate_after, "open(rotate_after=…)", endless=True),
    )
