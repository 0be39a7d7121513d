"""One request at a time for each task, which holds one slot. A `trio.Lock` does it too, at several times the cost."""

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
    _line: deque[trio.Event] | None = attrs.field(default=None, init=False)

    def pass_now(self) -> bool:
        """Go through if no one is inside; whether it went."""
        if self._taken:
            return False
        self._taken = True
        self._inside = trio.lowlevel.current_task()
        return True

    async def wait(self) -> None:
        """Wait until it is one's turn, and go through.

        Raises:
            RuntimeError: one is inside already, and would wait for oneself.

        Checkpoint. If cancelled, one is not inside.
        """
        task = trio.lowlevel.current_task()
        if self._inside is task:
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
        self._inside = None
        if self._line:  # handed over, and taken meanwhile: nobody who comes now goes first
            self._line.popleft().set()
        else:
            self._taken = False
