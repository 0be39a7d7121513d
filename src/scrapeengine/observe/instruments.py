"""The instruments of a run, hook by hook, so that nothing is made or called where nobody listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeAlias, TypeGuard, runtime_checkable

import trio

from scrapeengine.model.event import Event
from scrapeengine.model.figures import Figures
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.urls import told
from scrapeengine.observe.following import FollowsTask, FollowsTasks
from scrapeengine.observe.log import logger, write
from scrapeengine.observe.meters import HoldupMeter, RequestMeter

__all__ = ["HOOKS", "Instruments", "KeepsFigures", "Listeners", "check_instrument", "check_instruments"]

HOOKS = tuple(name for name in vars(Instrument) if not name.startswith("_"))
"""The names of all hooks."""

_SLOW = 0.01
"""Seconds that a hook may take without a word."""

Listeners: TypeAlias = tuple[tuple[object, Any], ...]
"""The instruments that have a hook, each with it."""


@runtime_checkable
class KeepsFigures(Protocol):
    """An instrument whose figures belong into the run's report."""

    def recorded(self, now: float, /) -> Figures | None:
        """Return the figures as they are, at a time of the run's clock; None: it keeps none. From any thread."""
        ...


class Instruments:
    """The instruments of one run.

    For each hook there is an attribute, which is false where nobody listens, so that nothing is made for it::

        if instruments.task_started:
            instruments.tell(instruments.task_started, TaskStarted(…))

    Size: an attribute for each hook.
    """

    __slots__ = (
        "_all",
        "_slow",
        "_telling",
        "_trusted",
        "followers",
        "holdups",
        "meters",
        "now",
        "requests",
        "watched",
        *HOOKS,
    )

    now: Callable[[], float]
    """Returns the time of the run's clock, as `trio.current_time` does, with two calls less."""
    requests: bool
    """Whether anybody listens to requests on their way, or counts them."""
    meters: tuple[RequestMeter, ...]
    """Who counts tasks and requests."""
    followers: tuple[FollowsTasks, ...]
    """Who follows single tasks."""
    holdups: tuple[HoldupMeter, ...]
    """Who keeps account of what holds platforms back."""
    watched: bool
    """Whether anybody wants to know what holds platforms back."""

    run_started: Listeners
    run_ended: Listeners
    event_accepted: Listeners
    source_waiting: Listeners
    source_ended: Listeners
    task_started: Listeners
    task_entered: Listeners
    task_parked: Listeners
    task_resumed: Listeners
    task_retried: Listeners
    task_ended: Listeners
    lane_held: Listeners
    request_begun: Listeners
    request_ended: Listeners
    retry_decided: Listeners
    connection_opened: Listeners
    platform_shut: Listeners
    platform_opened: Listeners
    limit_changed: Listeners
    rate_changed: Listeners
    job_claimed: Listeners
    jobs_renewed: Listeners
    job_lost: Listeners
    job_stored: Listeners
    outcome_delivered: Listeners
    buffer_full: Listeners

    def __init__(self, instruments: Iterable[object] = ()) -> None:
        self._all = [part for each in instruments for part in _with_parts(each)]
        self._telling = 0
        self.now = trio.lowlevel.current_clock().current_time if trio.lowlevel.in_trio_run() else trio.current_time
        self._slow: dict[tuple[str, str], float] = {}
        """The seconds that were said last of each hook that is slow."""
        self._trusted: set[type] = set()
        """The classes of what followers have returned and what follows a task."""
        self._list()

    @property
    def telling(self) -> bool:
        """Whether a hook is being called: the engine is in the middle of a step."""
        return self._telling > 0

    def add(self, instrument: object) -> Instruments:
        """Let one more listen, from now on; return it with its parts, and no others."""
        more = Instruments([instrument])
        self._all += more._all
        self._list()
        return more

    def figures(self, now: float) -> Figures | None:
        """Return the figures of the first that keeps some; one that keeps a timeline goes first. From any thread."""
        kept = [figures for each in self._all if isinstance(each, KeepsFigures) and (figures := each.recorded(now))]
        return next((figures for figures in kept if figures.history is not None), kept[0] if kept else None)

    def tell(self, listeners: Listeners, details: object) -> list[Any]:
        """Call a hook of each, and return what they return.

        One that raises is logged and taken out; one that takes longer than 10 ms is logged, for all tasks wait for it.
        """
        answers = []
        self._telling += 1
        before = trio.current_time()
        try:
            for instrument, hook in listeners:
                try:
                    answers.append(hook(details))
                except Exception as error:  # noqa: BLE001 - it is the program's own, and no business of the run
                    self._take_out(instrument, hook, error)
                now = trio.current_time()
                if now - before > _SLOW:
                    self._say_slow(instrument, hook, now - before)
                    now = trio.current_time()
                before = now
        finally:
            self._telling -= 1
        return answers

    def follow(self, event: Event, platform: str, queued: float, now: float) -> Sequence[FollowsTask]:
        """Let a task that starts be followed, as `FollowsTasks.follow_task` says."""
        following: list[FollowsTask] = []
        self._telling += 1
        try:
            for follower in self.followers:
                try:
                    task = follower.follow_task(event, platform, queued, now)
                    if type(task) not in self._trusted:
                        self._trusted.add(_check_follows(task))
                    following.append(task)
                except Exception as error:  # noqa: BLE001 - as for hooks
                    self._take_out(follower, "follow_task", error)
        finally:
            self._telling -= 1
        return following

    def tell_follower(self, following: FollowsTask, hook: str, *details: object) -> Any:
        """Call what has a name of who follows a task, and return what it returns; None: it has raised.

        One that was taken out hears of ends alone: it may have begun what nobody else can end.
        """
        if hook == "request_begun" and following.follower not in self.followers:
            return None
        self._telling += 1
        try:
            return getattr(following, hook)(*details)
        except Exception as error:  # noqa: BLE001 - as for hooks
            self._take_out(following.follower, hook, error)
        finally:
            self._telling -= 1

    def _say_slow(self, instrument: object, hook: Any, seconds: float) -> None:
        """Log that a hook is slow: the first time, and whenever it takes twice as long as was said last.

        Not one of ours, of which no program can take more care: it is late where the machine has other things to do.
        """
        if type(instrument).__module__.startswith("scrapeengine."):
            return
        names = type(instrument).__qualname__, _name(hook)
        if seconds < 2 * self._slow.get(names, 0.0):
            return
        self._slow[names] = seconds
        fields = {"instrument": names[0], "hook": names[1], "seconds": round(seconds, 3)}
        write("warning", "a hook of an instrument is slow, and all tasks wait for it", fields)

    def _take_out(self, instrument: object, hook: Any, error: Exception) -> None:
        if not any(each is instrument for each in self._all):
            return  # it was: who follows several tasks may fail at each
        logger().error(
            "an instrument has failed, and is taken out",
            instrument=type(instrument).__qualname__,
            hook=hook if isinstance(hook, str) else _name(hook),
            exc_info=error,
        )
        self._all = [each for each in self._all if each is not instrument]
        self._list()
        if _implements(instrument, FollowsTasks):
            with suppress(Exception):  # it was logged that it fails
                instrument.taken_out(self.now())

    def _list(self) -> None:
        for name in HOOKS:
            listeners = [(each, getattr(each, name)) for each in self._all if _has(each, name)]
            setattr(self, name, tuple(listeners))
        self.meters = tuple(each for each in self._all if _implements(each, RequestMeter))
        self.holdups = tuple(each for each in self._all if _implements(each, HoldupMeter))
        self.followers = tuple(each for each in self._all if _implements(each, FollowsTasks))
        self.requests = bool(self.request_begun or self.request_ended or self.connection_opened or self.meters)
        self.watched = bool(self.lane_held or self.holdups)

    def __repr__(self) -> str:
        """Count the instruments."""
        return f"<Instruments {len(self._all)}>"


def _name(hook: object) -> str:
    """Return the name of a hook; a callable object has none."""
    return getattr(hook, "__name__", type(hook).__qualname__)


def _with_parts(instrument: object) -> list[object]:
    """List an instrument and those that it is made of."""
    parts = getattr(instrument, "parts", ())
    if not isinstance(parts, tuple):
        parts = ()  # the program's own, and something else
    return [instrument, *(each for part in parts for each in _with_parts(part))]


def _implements(instrument: object, protocol: type) -> TypeGuard[Any]:
    """Say whether the class of an instrument has all methods of a protocol. An object that has any name has none."""
    return all(hasattr(type(instrument), name) for name in vars(protocol) if not name.startswith("_"))


def _check_follows(task: object) -> type:
    """Return the class of what follows a task; refuse what does not."""
    lacking = [name for name in vars(FollowsTask) if not name.startswith("_") and not hasattr(task, name)]
    if lacking:
        raise TypeError(f"follow_task returns what follows a task, got {told(task)}; it has no {', no '.join(lacking)}")
    return type(task)


def check_instruments(instruments: object) -> list[object]:
    """Return the instruments that a program has given.

    Raises:
        TypeError: one of them is none; says what to write.
    """
    if isinstance(instruments, str) or not isinstance(instruments, Iterable):
        raise TypeError(f"instruments=… takes a list of instruments, got {told(instruments)}; write instruments=[…]")
    return [check_instrument(each) for each in instruments]


def check_instrument(instrument: object) -> object:
    """Refuse what has no hook."""
    if isinstance(instrument, trio.abc.Instrument):
        raise TypeError(
            f"{type(instrument).__name__} is an instrument of trio's; give it to trio.run(instruments=[…]). Those of a "
            "run inherit from scrapeengine.Instrument"
        )
    if isinstance(instrument, type):
        raise TypeError(
            f"an instrument is an object, got the class {instrument.__name__}; write {instrument.__name__}()"
        )
    if not any(_has(instrument, name) for name in HOOKS) and not hasattr(type(instrument), "parts"):
        raise TypeError(
            f"an instrument has at least one hook, got {told(instrument)}; inherit from scrapeengine.Instrument, and "
            "write `def task_ended(self, details): …`, say"
        )
    return instrument


def _has(instrument: object, name: str) -> bool:
    """Say whether an instrument has written a hook itself; those of `Instrument` do nothing."""
    own = getattr(type(instrument), name, None) or getattr(instrument, name, None)
    return callable(own) and own is not vars(Instrument)[name]
