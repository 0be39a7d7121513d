"""Progress of a run in a terminal, a notebook or a log: what `decide/progress.py` says, drawn by rich.

gauge (an instrument) ──┐
run.statistics() ───────┼──> view ──> frames of rich, five a second, or a line each 10 s
run.pending() ──────────┘

Only its one task draws, in the loop of the run: no thread, and no lock that a scraper could wait for.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import math
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack, suppress
from types import TracebackType
from typing import IO, Any, Protocol, Self

import trio

from scrapeengine.decide.progress import HEAD, ProgressView, plain_line, view
from scrapeengine.errors import StoreError
from scrapeengine.model.report import Statistics
from scrapeengine.model.urls import told
from scrapeengine.observe.gauge import Gauge
from scrapeengine.observe.log import logger, moved, put_back
from scrapeengine.uninterrupted import first_of

__all__ = ["Progress", "Watched", "importable"]

_FRAME, _LINE, _ASK, _LAST = 0.2, 10.0, 2.0, 1.0
"""Seconds between two frames, two lines, and two questions to a store; and for which it waits for the last answer."""
_SLOWEST = 3
_WIDTHS = (22, 11, 10, 11, 9, 9, 9, 12)
"""The most columns of a terminal that each of ours takes."""


class Watched(Protocol):
    """What progress needs of a run."""

    def watch(self, instrument: object) -> None:
        """Let an instrument listen."""
        ...

    def statistics(self) -> Statistics:
        """Say what the run is doing."""
        ...

    async def pending(self) -> Mapping[str, int] | None:
        """Count what is still to come."""
        ...


class Progress(AbstractAsyncContextManager["Progress"]):
    """Shows how far a run is: `async with se.observe.Progress(run):` around the loop that reads it, or `run.wait()`.

    In a terminal it is a line with all of it and a row for each platform: tasks that run, of its limit; requests a
    second; tasks that have ended and failed; the seconds for which half of them held their slot at most; when the next
    request may start; what holds it back now. Below are the tasks that have been running for longest. How long it still
    takes goes by what binds, and is there where the source has a length. What a program prints there, or logs, comes
    above. Elsewhere (a file, a pipe, a CI) it is one line each 10 s. In a notebook it needs `ipywidgets`, or is lines
    too.

    A class, and no generator: what the body raises must leave as it is, and a nursery would put it into a group.
    """

    def __init__(self, run: Watched, *, file: IO[str] | None = None) -> None:
        """Make it.

        Args:
            run: as `Engine.stream` or `Engine.serve` gives it.
            file: where it is shown, as text; None: on stderr.

        Raises:
            TypeError: that is no run, or no file for text; says what to write.
            ImportError: rich is not installed; says how to.
        """
        _check(run, file)
        notebook = None if file is None else False  # else rich would show it there, whatever the file
        self._show = importable("rich.console").Console(file=file, stderr=file is None, force_jupyter=notebook)
        self._run = run
        self._gauge = Gauge()
        self._pending: Mapping[str, int] | None = None
        self._manager = trio.open_nursery(strict_exception_groups=True)
        self._nursery: trio.Nursery | None = None
        self._live: Any = None
        self._moved: list[tuple[Any, Any, Any]] = []
        """Handlers of logs that wrote straight to the terminal, with where they wrote, and where they write now."""

    @trio.lowlevel.enable_ki_protection
    async def __aenter__(self) -> Self:
        """Begin to show. No checkpoint."""
        self._run.watch(self._gauge)
        if self._draws:
            before = sys.stdout, sys.stderr
            self._live = importable("rich.live").Live(
                console=self._show,
                auto_refresh=False,
                get_renderable=self._frame,
                vertical_overflow="crop",
                redirect_stdout=_on_one_terminal(sys.stdout, self._show.file),
                redirect_stderr=_on_one_terminal(sys.stderr, self._show.file),
            )
            try:
                self._live.start()
            except BaseException:
                with suppress(Exception):  # not all of it has begun
                    self._live.stop()  # stdout and stderr are to be put back
                raise
            # Live has put its own in the place of some; a handler that was made before has kept those.
            pairs = zip(before, (sys.stdout, sys.stderr), strict=True)
            self._moved = moved({id(was): now for was, now in pairs if now is not was})
        # Once it can't fail any more: nobody would close a nursery that was opened before.
        self._nursery = await self._manager.__aenter__()
        if self._live is not None:
            self._nursery.start_soon(self._repeat, _FRAME, self._live.refresh, name="scrapeengine progress")
        else:
            self._nursery.start_soon(self._repeat, _LINE, self._say, name="scrapeengine progress")
        return self

    @trio.lowlevel.enable_ki_protection
    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Show how it has ended, and leave that there. What the body raises leaves as the same object.

        Checkpoint; it is cancelled only where the body has ended well, and a store is asked what is left.
        """
        assert self._nursery is not None
        # A cancellation must not replace what the body has raised: neither that of this wait, which is short, nor that
        # of the question to a store, which after an error is given up at once. A source answers without waiting.
        self._nursery.cancel_scope.shield = True
        self._nursery.cancel_scope.cancel()
        try:
            try:
                await self._manager.__aexit__(None, None, None)
            except BaseExceptionGroup as group:
                raise first_of(group) from None  # Ctrl-C, while it waited for its task: there is but that one
            with trio.move_on_after(_LAST if error is None else 0, shield=error is not None):
                await self._ask()
        finally:
            self._end()

    @property
    def _draws(self) -> bool:
        """Whether it is drawn again and again in its place."""
        if self._show.is_jupyter:
            return importlib.util.find_spec("ipywidgets") is not None
        # FORCE_COLOR makes any file a terminal for rich.
        shows = self._show.is_terminal and not self._show.is_dumb_terminal
        return bool(shows) and _terminal(self._show.file) is not None

    def _end(self) -> None:
        live, self._live = self._live, None
        try:
            with ExitStack() as stack:
                stack.callback(put_back, self._moved)
                if live is None:
                    self._say()
                else:
                    stack.callback(live.stop)  # also where it can't be drawn: stdout and stderr are to be put back
                    live.refresh()
        except (OSError, ValueError) as error:  # ValueError: the file is closed
            logger().warning("progress can't be shown", exc_info=error)

    @trio.lowlevel.enable_ki_protection
    async def _repeat(self, seconds: float, show: Callable[[], None]) -> None:
        """Show it again and again, until it can't be shown: a terminal may be closed, and the run goes on."""
        asked = -math.inf
        while True:
            await trio.sleep(seconds)
            now = trio.current_time()
            if self._pending is None or "" in self._pending or now - asked >= _ASK:  # a source knows at once
                await self._ask()
                asked = now
            try:
                show()
            except (OSError, ValueError) as error:
                logger().warning("progress can't be shown, and is not shown any more", exc_info=error)
                return

    async def _ask(self) -> None:
        """Ask what is still to come. Checkpoint where a store is asked, else none."""
        try:
            self._pending = await self._run.pending()
        except StoreError:  # the run says so in the log
            self._pending = None

    def _view(self, most: int) -> ProgressView:
        gauge, now = self._gauge, trio.current_time()
        slowest = gauge.slowest(now, _SLOWEST)
        return view(self._run.statistics(), gauge.gauged(now), self._pending, slowest, most, gauge.default)

    def _say(self) -> None:
        self._show.print(plain_line(self._view(0)), markup=False, highlight=False, soft_wrap=True)

    def _frame(self) -> Any:
        """Return what rich draws. Names and ids are texts, in which its markup means nothing."""
        text, table = importable("rich.text"), importable("rich.table")
        shown = self._view(max(1, self._show.height - 7))
        grid = table.Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        for place, (name, width) in enumerate(zip(HEAD, _WIDTHS, strict=True)):
            flush = "left" if place in {0, len(HEAD) - 1} else "right"
            grid.add_column(name, justify=flush, max_width=width, no_wrap=True, overflow="ellipsis", header_style="dim")
        for row in shown.rows:
            failed = "red" if row[4] not in {"", "0"} else ""
            grid.add_row(*(text.Text(cell, style=failed if place == 4 else "") for place, cell in enumerate(row)))
        bar = table.Table.grid()  # which ends the line
        bar.add_row(_bar(shown, self._show.width))
        words = [text.Text(each, no_wrap=True, overflow="ellipsis") for each in (shown.words, shown.left) if each]
        lines = [bar, *words, grid]
        if shown.more:
            lines.append(text.Text(f"… and {shown.more:,} more platforms", style="dim"))
        if shown.slowest:
            slowest = "slowest now: " + ", ".join(shown.slowest)
            lines.append(text.Text(slowest, style="dim", no_wrap=True, overflow="ellipsis"))
        return importable("rich.console").Group(*lines)


def _bar(shown: ProgressView, width: int) -> Any:
    bar = importable("rich.progress_bar").ProgressBar
    whole = min(width, 80)
    if shown.total is None:  # nobody knows how much there is: it only shows that it goes on
        return bar(total=None, pulse=True, width=whole, animation_time=math.fmod(trio.current_time(), 1000.0))
    return bar(total=max(1, shown.total), completed=shown.done, width=whole)


def _check(run: object, file: object) -> None:
    if not all(callable(getattr(run, name, None)) for name in ("watch", "statistics", "pending")):
        write = "`async with engine.stream(events) as run, Progress(run):`, or engine.run(events, progress=True)"
        raise TypeError(f"Progress(run) takes a run, got {told(run)}; write {write}")
    binary = isinstance(file, io.RawIOBase | io.BufferedIOBase)
    if file is not None and (binary or not callable(getattr(file, "write", None))):
        write = 'file=open("progress.txt", "w"), or leave it out to have it on stderr'
        raise TypeError(f"Progress(file=…) takes a file that text is written to, got {told(file)}; write {write}")


def _terminal(stream: Any) -> str | None:
    """Return the terminal's name that a stream writes to; empty: nobody knows which it is; None: it writes to none."""
    try:
        if not stream.isatty():
            return None
    except (AttributeError, ValueError):  # it is None, as in a program without a console; or closed
        return None
    try:
        name = os.ttyname(stream.fileno())
    except (AttributeError, OSError, ValueError):  # Windows has no names
        return ""
    return "" if name == "/dev/tty" else name  # that is whichever the program was started from


def _on_one_terminal(stream: Any, other: Any) -> bool:
    """Return whether what a stream writes would come between what is drawn on the other."""
    name, drawn = _terminal(stream), _terminal(other)
    return name is not None and drawn is not None and (not name or not drawn or name == drawn)


def importable(name: str) -> Any:
    """Import a part of rich.

    Raises:
        ImportError: it is not installed; says how to.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "rich":
            raise
        raise ImportError("progress is shown by rich; install it: pip install 'scrapeengine[progress]'") from None
