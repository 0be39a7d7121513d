"""Workers that rest: trio tasks that have run a task to its end, and wait for another one in the scope that it left.

Tasks often end where no other one may start in their place: the buffer is full until the consumer has had its turn, or
the source until it has been read on. A moment later as many start. With these to run them, hardly one needs a trio task
and a scope of its own under load. At most as many rest as have run at once, and none for longer than the deadline that
its last task had.

Invariants:

- `_scopes` has the scopes that a task may be given, `_workers` all that a worker rests in. Between two steps they have
  the same; within one, a scope that was taken is in `_workers` alone until its task comes.
- A worker that was woken has its task. One that is cancelled from outside before that leaves, and is given none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from scrapeengine.tasks.running import RunningTask

__all__ = ["RestingWorkers"]


class RestingWorkers:
    """The workers of one run that wait for a task. Who came last is woken first."""

    def __init__(self) -> None:
        self._workers: dict[trio.CancelScope, trio.lowlevel.Task] = {}
        self._scopes: list[trio.CancelScope] = []
        self._tasks: dict[trio.CancelScope, RunningTask] = {}
        """What workers were woken for, until they run."""
        self._closed = False

    def __len__(self) -> int:
        """Count those that wait."""
        return len(self._workers)

    def take(self) -> trio.CancelScope | None:
        """Return the scope of a worker that rests, for a task that it is to be woken for in this step; None: none."""
        return self._scopes.pop() if self._scopes else None

    def wake(self, task: RunningTask) -> bool:
        """Have a task run by the worker whose scope it was given; false if its scope is no such."""
        scope = task.record.scope
        worker = self._workers.pop(scope, None)
        if worker is None:
            return False
        self._tasks[scope] = task
        trio.lowlevel.reschedule(worker)
        return True

    async def rest(self, scope: trio.CancelScope) -> RunningTask | None:
        """Wait in a scope for a task to run there; None: there is none any more.

        Checkpoint, if it waits. Cancelled by the scope's deadline, which is that of the task before.
        """
        if self._closed:
            return None
        self._workers[scope] = trio.lowlevel.current_task()
        self._scopes.append(scope)

        def leave(_: object) -> trio.lowlevel.Abort:
            # Never within a step of ours, and so its scope is in both.
            del self._workers[scope]
            self._scopes.remove(scope)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        return self._tasks.pop(scope, None)

    def close(self) -> None:
        """Send home who waits, and let nobody wait any more."""
        self._closed = True
        for worker in self._workers.values():
            trio.lowlevel.reschedule(worker)
        self._workers.clear()
        self._scopes.clear()

    def __repr__(self) -> str:
        """Count what is there."""
        return f"<RestingWorkers {len(self._workers)} at rest>"
