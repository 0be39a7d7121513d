"""Cancels what a test does at its k-th step: with all k from 1 on, at each of its checkpoints."""

import gc
from contextlib import contextmanager

import attrs
import trio
import trio.lowlevel

__all__ = ["cancelled_at", "uncollected"]


@attrs.define(eq=False)
class Cancelling(trio.abc.Instrument):
    """Cancels a scope at the `at`-th step of a task, or of what that has started."""

    scope: trio.CancelScope
    at: int
    while_it: str
    victim: trio.lowlevel.Task = attrs.field(factory=trio.lowlevel.current_task)
    steps: int = 1
    """The one that it is made in has begun."""
    struck: bool = False
    """Whether it came to that."""

    def before_task_step(self, task):
        """Count."""
        if self.is_of_victim(task):
            self.steps += 1
            self.look("runs")

    def after_task_step(self, task):
        """It waits now."""
        if self.is_of_victim(task):
            self.look("waits")

    def look(self, what):
        """Cancel if it is time."""
        if (self.steps, self.while_it) == (self.at, what):
            self.struck = True
            self.scope.cancel()

    def is_of_victim(self, task):
        """Look among the task's parents."""
        while task is not self.victim:
            if task.parent_nursery is None:
                return False
            task = task.parent_nursery.parent_task
        return True


@contextmanager
def cancelled_at(step, *, while_it="waits", deadline=float("inf")):
    """Cancel the block at the k-th step of this task and its children, or after some seconds; yield who does it.

    A step is what a task does between two checkpoints: it is cancelled while it `runs`, so that the next checkpoint
    raises, or while it `waits` at that checkpoint.
    """
    with trio.move_on_after(deadline) as scope:
        cancelling = Cancelling(scope, step, while_it)
        trio.lowlevel.add_instrument(cancelling)
        cancelling.look("runs")
        try:
            yield cancelling
        finally:
            trio.lowlevel.remove_instrument(cancelling)


@contextmanager
def uncollected():
    """Do without the garbage collector: what is closed is closed by us, and not by chance."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
