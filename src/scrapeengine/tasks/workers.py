"""Workers: trio tasks that go from one task to the next, which costs less than a new one and a new scope for each.

A task that ends makes room, and in that very step the scheduler starts another one in its place. That one is run by the
same trio task, inside the same cancel scope, with a deadline of its own. Where none may start, the worker rests
(`resting.py`), and runs one that starts later. It must not notice who ran there before:

- It has a copy of the context in which the run was opened, whatever the one before has put into context variables.
- A scope that was cancelled, or whose deadline has passed, is left, and the trio task ends.
- So it does where a scraper has left a scope or a nursery open. Trio makes a `RuntimeError` of that, for which the task
  that did it fails. What still runs in such a nursery is cancelled and waited for; if it does not end, the run does.
- Whether a task fails or succeeds, the next one is scheduled in the same way: it makes no difference to others.
- Scrapers without a checkpoint do not hold up the loop: after one that made none, or has changed its context, the next
  one begins in another turn. Others follow at once: a turn for each is 8 % of what a request costs.

What remains: trio binds locks and places in limiters to the trio task. One that a scraper has not given back when it
ends is not broken by its end, but is held by who comes next in its place.

Rejected: a trio task and a scope for each, which is 12 % of what a request costs.
"""

from __future__ import annotations

from contextvars import copy_context
from typing import Any, Protocol

import trio

from scrapeengine.model.outcome import Outcome
from scrapeengine.tasks.resting import RestingWorkers
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
        self._resting = RestingWorkers()

    @trio.lowlevel.enable_ki_protection
    async def dismiss(self, ended: trio.Event) -> None:
        """Wait for the end of the run, and let those go that rest. Checkpoint; if cancelled, all are."""
        await ended.wait()
        self._resting.close()

    def scope(self, deadline: float) -> trio.CancelScope:
        """Return the scope that the next task is to have, which starts at once."""
        scope = self._resting.take() if self._free is None else self._free
        if scope is None:
            return trio.CancelScope(deadline=deadline)
        scope.deadline = deadline
        return scope

    def start(self, task: RunningTask) -> None:
        """Run a task to its end, whatever that is; from the next turn of the loop on."""
        if self._handing_on and self._next is None:
            # Wherever it will run, it is scheduled in the same order: whether others fail must make no difference.
            self._free, self._next = None, task
        else:
            self._hand_on(task)

    @trio.lowlevel.enable_ki_protection
    def _hand_on(self, task: RunningTask | None) -> None:
        """Give a task, if there is one, to the worker whose scope it has, or a trio task of its own."""
        if task is not None and not self._resting.wake(task):
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
                    turns = me._schedule_points  # noqa: SLF001 - as above
                    outcome = await task.run()
                    if me._cancel_status is not inside:  # noqa: SLF001 - as above
                        break  # to leave the scope is an error now
                    whole = not scope.cancel_called
                    ended, task = task, None
                    task = self._end(ended, outcome, scope if whole else None)
                    del ended  # else all that it holds would live for as long as the next one runs
                    outcome = None
                    if task is None and whole:
                        me.context = self._context.copy()  # from the next turn of the loop on
                        task = await self._resting.rest(scope)
                    elif task is not None and not self._may_follow(me, turns):
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
            self._end(task, task.cut_short() if outcome is None else outcome, None)

    @trio.lowlevel.enable_ki_protection
    def _end(self, task: RunningTask, outcome: Outcome[Any], scope: trio.CancelScope | None) -> RunningTask | None:
        """End a task, and return what has started in its place, to run in this scope; without one others run it."""
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
        if scope is None:  # nobody else can run in one that was cancelled, or left
            self._hand_on(following)
            return None
        return following

    def _may_follow(self, me: trio.lowlevel.Task, turns: int) -> bool:
        """Say whether the next task may begin in this very turn: the one before has had turns, and left no trace."""
        if me._schedule_points == turns or len(me.context) != len(self._context):  # noqa: SLF001 - as above
            return False
        # By identity: values are the program's own. And no `all`, which is a generator more for each task.
        for variable, value in self._context.items():  # noqa: SIM110 - as above
            if me.context.get(variable) is not value:
                return False
        return True

    def __repr__(self) -> str:
        """Count the trio tasks of the run, its own few among them."""
        return f"<Workers {len(self._nursery.child_tasks)} trio tasks, {len(self._resting)} at rest>"


async def _bury(me: trio.lowlevel.Task) -> None:
    """Cancel what runs in nurseries that a scraper has left open, and wait for it; else trio ends the run."""
    for nursery in me.child_nurseries:
        nursery.cancel_scope.cancel()
    with trio.move_on_after(_LONG, shield=True) as waiting:
        while any(nursery.child_tasks for nursery in me.child_nurseries):  # noqa: ASYNC110 - nobody says when
            await trio.sleep(_SOON)
    if not waiting.cancelled_caught:
        me._child_nurseries.clear()  # noqa: SLF001 - trio has no other way
