"""One request at a time for each task, which holds one slot. A `trio.Lock` does it too, at several times the cost.

Who is inside for the time of a block (`stream`) may wait there for others, and they must not wait for it in turn. Trio
tells them: a task is waited for by the nursery that it runs in, and whoever opened that nursery since it went in cannot
leave before. A coroutine in a nursery that was opened before merely runs beside; it waits.
"""

from __future__ import annotations

from collections import deque

import attrs
import trio

__all__ = ["Turnstile"]


@attrs.define(eq=False)
class Turnstile:
    """Lets one through at a time, in their order."""

    _taken: bool = attrs.field(default=False, init=False)
    _inside: trio.lowlevel.Task | None = attrs.field(default=None, init=False)
    _opened_before: list[trio.Nursery] | None = attrs.field(default=None, init=False)
    """The nurseries that who is inside had open when it began to stay; None: it does not stay."""
    _line: deque[trio.Event] | None = attrs.field(default=None, init=False)

    def pass_now(self) -> bool:
        """Go through if no one is inside; whether it went."""
        if self._taken:
            return False
        self._taken = True
        self._inside = trio.lowlevel.current_task()
        return True

    def stay(self) -> None:
        """Say that who is inside stays there while it does other things, some of which may want to go through too."""
        assert self._inside is not None
        self._opened_before = self._inside.child_nurseries

    async def wait(self) -> None:
        """Wait until it is one's turn, and go through.

        Raises:
            RuntimeError: one would wait for oneself: one is inside already, or who is waits for one's end.

        Checkpoint. If cancelled, one is not inside.
        """
        task = trio.lowlevel.current_task()
        if self._would_never_end(task):
            raise RuntimeError(
                "a task has one request in flight: leave `async with task.http.stream(…)` before the next one"
            )
        turn = trio.Event()
        if self._line is None:
            self._line = deque()
        self._line.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # in the very turn of the loop in which one was cancelled: the next one has it
                self.leave()
            else:
                self._line.remove(turn)
            raise
        self._inside = task

    def leave(self) -> None:
        """Let the next one through."""
        self._inside = self._opened_before = None
        if self._line:  # handed over, and taken meanwhile: nobody who comes now goes first
            self._line.popleft().set()
        else:
            self._taken = False

    def _would_never_end(self, task: trio.lowlevel.Task) -> bool:
        """Say whether who is inside is the task itself, or waits for it, in a nursery that was opened inside."""
        inside, before = self._inside, self._opened_before
        if inside is task:
            return True
        if inside is None or before is None:
            return False
        nursery = task.parent_nursery
        while nursery is not None and nursery.parent_task is not inside:
            nursery = nursery.parent_task.parent_nursery
        return nursery is not None and nursery not in before
