"""Workers: trio tasks that go from one task to the next, which costs less than a new one and a new scope for each.

A task that ends makes room, and in that very step the scheduler starts another one in its place. That one is run by the
same trio task, inside the same cancel scope, with a deadline of its own. It must not notice who ran there before:

- It has a copy of the context in which the run was opened, whatever the one before has put into context variables.
- A scope that was cancelled, or whose deadline has passed, is left, and the trio task ends.
- So it does where a scraper has left a scope or a nursery open. Trio makes a `RuntimeError` of that, for which the task
  that did it fails. What still runs in such a nursery is cancelled and waited for; if it does not end, the run does.
- Whether a task fails or succeeds, the next one is scheduled in the same way: it makes no difference to others.
- There is a checkpoint between them: scrapers without any do not hold up the loop.

What remains: trio binds locks and places in limiters to the trio task. One that a scraper has not given back when it
ends is not broken by its end, but is held by who comes next in its place.

Rejected: a trio task and a scope for each, which is 12 % of what a request costs.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any, Protocol

import trio

from scrapeengine.model.outcome import Outcome
from scrapeengine.tasks.running import RunningTask
from scrapeengine.tasks.signals import fatal_part

__all__ = ["Endings", "Workers"]

_SOON, _LONG = 0.001, 1.0
"""Seconds between two looks at what is being cancelled, and for how long it is looked at."""


class Endings(Protocol):
    """Hears how tasks end."""

    def ended(self, task: RunningTask, outcome: Outcome[Any]) -> None:
        """Take the outcome of a task; what starts meanwhile may be run in its place."""
        ...

    def broken(self, task: RunningTask) -> None:
        """End a task by which more than itself has ended, before the run does."""
        ...


class Workers:
    """Runs the tasks of one run."""

    def __init__(self, nursery: trio.Nursery, endings: Endings) -> None:
        """Make it, in the context that tasks are to have.

        Args:
            nursery: the run's.
            endings: told of each task that has ended.
        """
        self._nursery = nursery
        self._endings = endings
        self._context = copy_context()
        self._handing_on = False
        """Whether a worker's task is just ending, after which the next one runs here or in a new trio task."""
        self._free: trio.CancelScope | None = None
        """The scope of that worker, if the next one can have it."""
        self._next: RunningTask | None = None
        """The task that has started meanwhile."""

    def scope(self, deadline: float) -> trio.CancelScope:
        """Return the scope that the next task is to have, which starts at once."""
        if self._free is None:
            return trio.CancelScope(deadline=deadline)
        self._free.deadline = deadline
        return self._free

    def start(self, task: RunningTask) -> None:
        """Run a task to its end, whatever that is; from the next turn of the loop on."""
        if self._handing_on and self._next is None:
            # Wherever it will run, it is scheduled in the same order: whether others fail must make no difference.
            self._free, self._next = None, task
        else:
            self._hand_on(task)

    @trio.lowlevel.enable_ki_protection
    def _hand_on(self, task: RunningTask | None) -> None:
        """Give a task, if there is one, a trio task of its own."""
        if task is not None:
            self._context.run(self._spawn, task)

    def _spawn(self, task: RunningTask) -> None:
        self._nursery.start_soon(self._work, task, name="scrapeengine task")

    @trio.lowlevel.enable_ki_protection
    async def _work(self, task: RunningTask | None) -> None:
        assert task is not None
        me = trio.lowlevel.current_task()
        outcome: Outcome[Any] | None = None
        try:
            with task.record.scope as scope:
                inside = me._cancel_status  # noqa: SLF001 - trio has no other way
                while task is not None:
                    outcome = await task.run()
                    if me._cancel_status is not inside:  # noqa: SLF001 - as above
                        break  # to leave the scope is an error now
                    whole = not scope.cancel_called
                    ended, task = task, None
                    task = self._end(ended, outcome, scope if whole else None)
                    del ended  # else all that it holds would live for as long as the next one runs
                    if not whole:  # nobody else can run in a scope that is cancelled
                        self._hand_on(task)
                        task = None
                    outcome = None
                    if task is not None:
                        me.context = self._context.copy()
                        await trio.lowlevel.cancel_shielded_checkpoint()
        except BaseException as error:
            if task is None:  # it has ended, and has its outcome: what was raised is the engine's own
                raise
            await _bury(me)
            outcome = task.ended_by(error)
            if outcome is None:
                self._endings.broken(task)
                fatal = fatal_part(error)
                if fatal is error:
                    raise
                raise fatal from None
        # The scope has taken its own cancellation (a deadline, a stop), or the scraper has left another one open.
        if task is not None:
            self._hand_on(self._end(task, task.cut_short() if outcome is None else outcome, None))

    @trio.lowlevel.enable_ki_protection
    def _end(self, task: RunningTask, outcome: Outcome[Any], scope: trio.CancelScope | None) -> RunningTask | None:
        """End a task, and return what has started in its place: in this scope, if there is one."""
        self._handing_on, self._free = True, scope
        try:
            self._endings.ended(task, outcome)
        except BaseException:
            # It was started, so it has to have its one outcome, though nothing of it will run (law 1).
            if self._next is not None:
                self._endings.broken(self._next)
            raise
        finally:
            following, self._handing_on, self._free, self._next = self._next, False, None, None
        return following

    def __repr__(self) -> str:
        """Count the trio tasks of the run, its own few among them."""
        return f"<Workers {len(self._nursery.child_tasks)} at work>"


async def _bury(me: trio.lowlevel.Task) -> None:
    """Cancel what runs in nurseries that a scraper has left open, and wait for it; else trio ends the run."""
    for nursery in me.child_nurseries:
        nursery.cancel_scope.cancel()
    with trio.move_on_after(_LONG, shield=True) as waiting:
        while any(nursery.child_tasks for nursery in me.child_nurseries):  # noqa: ASYNC110 - nobody says when
            await trio.sleep(_SOON)
    if not waiting.cancelled_caught:
        me._child_nurseries.clear()  # noqa: SLF001 - trio has no other way
