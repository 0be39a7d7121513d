"""The agenda, by examples: what comes next, and which events hold their slots."""

from __future__ import annotations

import pytest

from scrapeengine.decide.agenda import Agenda, Entry, JobState, Queue
from scrapeengine.model.event import Event


def accept(agenda: Agenda, id: str, *queues: Queue, priority: int = 0, followed: bool = False) -> Entry:
    """Accept an event with a job in each of the queues."""
    return agenda.accept(Event(id, priority=priority), queues, now=1.0, followed=followed)


def launch(agenda: Agenda, queue: Queue) -> Entry:
    """Start what comes next in a queue, whatever it is."""
    job = queue.choose(may_begin=True)
    assert job is not None
    if not job.entry.in_progress:
        agenda.begin(job.entry)
    agenda.start(job)
    return job.entry


def test_an_accepted_event_waits_on_each_of_its_platforms() -> None:
    """It has a job for each, in their order, and is not in progress."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    event = Event("m1", priority=3)
    entry = agenda.accept(event, iter([b, a]), now=12.5, followed=True)
    assert (entry.event, entry.accepted, entry.followed, entry.in_progress) == (event, 12.5, True, False)
    assert [(job.queue, job.entry, job.state, job.urgency) for job in entry.jobs] == [
        (b, entry, JobState.WAITING, -3),
        (a, entry, JobState.WAITING, -3),
    ]
    assert (entry.unfinished, entry.unstarted, a.waiting, b.waiting) == (2, 2, 1, 1)
    assert (agenda.live, agenda.waiting_events, list(agenda.entries())) == (1, 1, [entry])


def test_what_came_from_the_source_is_counted_apart() -> None:
    """Followed events wait too, but are no reason to stop reading the source."""
    agenda, a = Agenda(), Queue("a")
    accept(agenda, "m1", a)
    accept(agenda, "m2", a, followed=True)
    assert (agenda.waiting_events, agenda.waiting_from_source) == (2, 1)
    launch(agenda, a)
    assert (agenda.waiting_events, agenda.waiting_from_source) == (1, 0)
    launch(agenda, a)
    assert (agenda.waiting_events, agenda.waiting_from_source) == (0, 0)


def test_an_event_waits_until_the_last_of_its_jobs_has_started() -> None:
    """It counts among the waiting events once, however many jobs it has."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    accept(agenda, "m1", a, b)
    assert agenda.waiting_events == 1
    launch(agenda, a)
    assert agenda.waiting_events == 1
    launch(agenda, b)
    assert agenda.waiting_events == 0


def test_an_event_without_platforms_has_ended() -> None:
    """It is not live, and nothing waits for it; followed, it is known all the same."""
    agenda = Agenda()
    entry = accept(agenda, "m1")
    assert (entry.jobs, entry.unfinished, agenda.live, agenda.waiting_events) == ((), 0, 0, 0)
    assert not agenda.knows("m1", "a")
    accept(agenda, "m2", followed=True)
    assert not agenda.knows("m2", "a")
    agenda.remember("m2", "a", followed=True)
    assert agenda.knows("m2", "a")
    assert not agenda.knows("m2", "b")
    assert (agenda.live, agenda.waiting_from_source) == (0, 0)


@pytest.mark.parametrize(
    ("dedupe", "followed", "known"),
    [(False, False, False), (False, True, True), (True, False, True), (True, True, True)],
)
def test_an_id_is_known_while_it_is_live(*, dedupe: bool, followed: bool, known: bool) -> None:
    """After that, it is known if it came by `follow`, or if ids are to be remembered."""
    agenda, a = Agenda(dedupe), Queue("a")
    assert not agenda.knows("m1", "a")
    entry = accept(agenda, "m1", a, followed=followed)
    assert agenda.knows("m1", "a")
    assert not agenda.knows("m1", "b")
    assert not agenda.knows("m2", "a")
    launch(agenda, a)
    agenda.end(entry.jobs[0])
    assert (agenda.live, list(agenda.entries())) == (0, [])
    assert agenda.knows("m1", "a") == known
    assert not agenda.knows("m1", "b")


def test_the_most_urgent_comes_first_then_the_first_that_came() -> None:
    """Larger priorities come first; equal ones in the order of their arrival."""
    agenda, a = Agenda(), Queue("a")
    for name, priority in [("m1", 0), ("m2", 5), ("m3", 0), ("m4", 5), ("m5", -1)]:
        accept(agenda, name, a, priority=priority)
    assert [job.entry.event.id for job in a.waiting_jobs()] == ["m2", "m4", "m1", "m3", "m5"]
    assert [launch(agenda, a).event.id for _ in range(5)] == ["m2", "m4", "m1", "m3", "m5"]
    assert a.choose(may_begin=True) is None


def test_to_look_takes_nothing() -> None:
    """The same job comes up until it is started."""
    agenda, a = Agenda(), Queue("a")
    entry = accept(agenda, "m1", a)
    assert a.choose(may_begin=True) is a.choose(may_begin=True) is entry.jobs[0]
    assert a.waiting == 1


def test_without_an_event_slot_only_events_in_progress_go_on() -> None:
    """A fresh event waits for a slot, however urgent it is."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    first = accept(agenda, "m1", a, b)
    accept(agenda, "m2", b, priority=9)
    assert b.choose(may_begin=False) is None
    launch(agenda, a)
    assert b.choose(may_begin=False) is first.jobs[1]


def test_at_equal_priority_an_event_in_progress_comes_first() -> None:
    """It comes before one that arrived earlier; a strictly more urgent one comes before it, and a less urgent after."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    early = accept(agenda, "m1", b)
    held = accept(agenda, "m2", a, b)
    launch(agenda, a)
    assert b.choose(may_begin=True) is held.jobs[1]
    less = accept(agenda, "m3", b, priority=-1)
    assert b.choose(may_begin=True) is held.jobs[1]
    more = accept(agenda, "m4", b, priority=1)
    assert b.choose(may_begin=True) is more.jobs[0]
    assert b.choose(may_begin=False) is held.jobs[1]
    assert b.held_jobs() == [held.jobs[1]]
    assert b.waiting_jobs() == [more.jobs[0], early.jobs[0], held.jobs[1], less.jobs[0]]


def test_begin_names_the_queues_in_which_the_event_is_held() -> None:
    """Those of the jobs that wait: their lanes may start them without another event slot."""
    agenda, a, b, c = Agenda(), Queue("a"), Queue("b"), Queue("c")
    c.open = False
    entry = accept(agenda, "m1", a, b, c)
    agenda.end(entry.jobs[1])
    assert agenda.begin(entry) == [a, c]
    assert entry.in_progress
    assert entry.keeping == 1


def test_an_event_gives_its_slot_back_with_its_last_task() -> None:
    """As long as a task runs or may start, the event is in progress."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    entry = accept(agenda, "m1", a, b)
    one, two = entry.jobs
    launch(agenda, a)
    assert entry.keeping == 2
    assert not agenda.end(one)
    assert entry.in_progress
    launch(agenda, b)
    assert agenda.end(two)
    assert not entry.in_progress
    assert (entry.unfinished, agenda.live) == (0, 0)
    assert [one.state, two.state] == [JobState.ENDED] * 2


def test_an_event_is_parked_with_its_last_task_and_resumed_with_its_first() -> None:
    """Parked tasks keep no slot; the event takes one again with the first that goes on."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    entry = accept(agenda, "m1", a, b)
    launch(agenda, a)
    launch(agenda, b)
    one, two = entry.jobs
    assert not agenda.park(one)
    assert agenda.park(two)
    assert not entry.in_progress
    assert agenda.begin(entry) == []
    agenda.resume(two)
    assert (entry.in_progress, entry.keeping, one.state, two.state) == (True, 1, JobState.PARKED, JobState.RUNNING)
    assert not agenda.end(one)
    assert agenda.live == 1
    assert agenda.end(two)
    assert agenda.live == 0


def test_a_closed_platform_parks_the_events_that_only_wait_for_it() -> None:
    """They give their slots back; those that run elsewhere, or never began, do not."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    waits = accept(agenda, "m1", a, b)
    runs = accept(agenda, "m2", a, b)
    accept(agenda, "m3", b)
    launch(agenda, a)
    launch(agenda, a)
    agenda.end(waits.jobs[0])
    assert agenda.close(b) == [waits]
    assert not b.open
    assert (waits.in_progress, runs.in_progress, runs.keeping) == (False, True, 1)
    assert b.choose(may_begin=False) is runs.jobs[1]
    assert agenda.end(runs.jobs[0])
    assert b.choose(may_begin=False) is None
    agenda.open(b)
    assert [launch(agenda, b).event.id for _ in range(3)] == ["m1", "m2", "m3"]


def test_a_platform_that_opens_keeps_its_events_in_progress_again() -> None:
    """A job that waits for an open platform keeps its event's slot."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    entry = accept(agenda, "m1", a, b)
    launch(agenda, a)
    assert agenda.close(b) == []
    assert entry.keeping == 1
    agenda.open(b)
    assert b.open
    assert entry.keeping == 2
    assert not agenda.end(entry.jobs[0])
    assert entry.in_progress


def test_a_job_may_end_before_it_starts() -> None:
    """It waits no more, and is not chosen; the event's slot goes back only if this job kept it."""
    agenda, a, b, c = Agenda(), Queue("a"), Queue("b"), Queue("c")
    entry = accept(agenda, "m1", a, b, c)
    assert not agenda.end(entry.jobs[0])
    assert (a.waiting, a.choose(may_begin=True), a.waiting_jobs()) == (0, None, [])
    agenda.close(c)
    launch(agenda, b)
    agenda.park(entry.jobs[1])
    agenda.begin(entry)
    agenda.resume(entry.jobs[1])
    assert not agenda.end(entry.jobs[2])
    assert (agenda.waiting_events, agenda.waiting_from_source, entry.in_progress) == (0, 0, True)
    assert agenda.end(entry.jobs[1])
    other = accept(agenda, "m2", a, b)
    launch(agenda, a)
    agenda.end(other.jobs[0])
    assert other.in_progress
    assert agenda.end(other.jobs[1])
    assert not other.in_progress


def test_an_event_that_comes_and_goes_stands_in_each_line_once() -> None:
    """However often it is parked and goes on, its waiting job is listed once, and it is chosen once."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    entry = accept(agenda, "m1", a, b)
    agenda.close(b)
    launch(agenda, a)
    for _ in range(5):
        assert agenda.park(entry.jobs[0])
        assert agenda.begin(entry) == [b]
        agenda.resume(entry.jobs[0])
        assert b.held_jobs() == b.waiting_jobs() == [entry.jobs[1]]
    assert len(b._held) == len(b._fresh) == 1
    agenda.open(b)
    launch(agenda, b)
    assert b.choose(may_begin=True) is None
    assert len(b._held) == len(b._fresh) == 0


def test_names_and_states() -> None:
    """A queue has its platform's name, is open at first, and entries and jobs are told apart by what they are."""
    agenda, a = Agenda(), Queue("a")
    assert (a.name, a.open, a.waiting, agenda.dedupe) == ("a", True, 0, False)
    one, other = accept(agenda, "m1", a), accept(agenda, "m2", a)
    assert one != other
    assert len({one, other, one.jobs[0], other.jobs[0]}) == 4
    assert one.jobs[0].number < other.jobs[0].number


def test_what_a_queue_keeps_is_bounded_by_what_waits() -> None:
    """A platform that only ever goes on with events in progress keeps nothing of those that have ended."""
    agenda, a, b = Agenda(), Queue("a"), Queue("b")
    accept(agenda, "first", b)
    for number in range(100):
        entry = accept(agenda, f"m{number}", a, b)
        launch(agenda, a)
        job = b.choose(may_begin=False)
        assert job is entry.jobs[1]
        agenda.start(job)
        for job in entry.jobs:
            agenda.end(job)
    assert b.waiting == 1
    assert len(b._held) + len(b._fresh) < 50


def test_jobs_that_come_one_by_one_share_their_event() -> None:
    """The second joins the first: one event slot, kept until both have ended."""
    agenda, a, b = Agenda(), Queue("A"), Queue("B")
    event = Event("x", data=[1])
    first = agenda.join(event, a, now=0.0)
    assert first is not None
    agenda.begin(first.entry)
    agenda.start(first)
    second = agenda.join(Event("x", data=[1]), b, now=1.0)
    assert second is not None
    assert second.entry is first.entry
    assert b.choose(may_begin=False) is second
    assert (agenda.live, agenda.waiting_events, first.entry.keeping) == (1, 1, 2)
    assert not agenda.end(first)
    agenda.start(second)
    assert agenda.end(second)
    assert (agenda.live, agenda.waiting_events, agenda.waiting_from_source) == (0, 0, 0)


def test_a_job_that_is_live_is_not_taken_twice() -> None:
    """On its platform; on another one it joins, and once it has ended there it may come again."""
    agenda, a, b = Agenda(), Queue("A"), Queue("B")
    event = Event("x")
    first, other = agenda.join(event, a, now=0.0), agenda.join(event, b, now=0.0)
    assert first is not None
    assert other is not None
    assert agenda.waiting_events == 1
    assert agenda.join(event, a, now=0.0) is None
    agenda.end(first)
    again = agenda.join(event, a, now=2.0)
    assert again is not None
    assert again.entry is other.entry


def test_events_that_have_only_their_id_in_common() -> None:
    """Each is in progress by itself, with its own data."""
    agenda, a, b = Agenda(), Queue("A"), Queue("B")
    one, other = agenda.join(Event("x", data=1), a, now=0.0), agenda.join(Event("x", data=2), b, now=0.0)
    assert one is not None
    assert other is not None
    assert (one.entry.event.data, other.entry.event.data) == (1, 2)
    assert agenda.live == 2
    agenda.end(one)
    agenda.end(other)
    assert agenda.live == 0


def test_a_job_joins_an_event_in_progress_whose_platform_is_closed() -> None:
    """It keeps the event in progress only where it waits for an open platform."""
    agenda, a, b = Agenda(), Queue("A"), Queue("B")
    first = agenda.join(Event("x"), a, now=0.0)
    assert first is not None
    agenda.begin(first.entry)
    agenda.start(first)
    agenda.close(b)
    assert agenda.join(Event("x"), b, now=0.0) is not None
    assert first.entry.keeping == 1
    assert agenda.end(first)


def called_back(agenda: Agenda, queue: Queue) -> Entry:
    """Start a job, park it, and call it back."""
    entry = launch(agenda, queue)
    (job,) = entry.jobs
    assert agenda.park(job)
    agenda.begin(entry)
    agenda.call_back(job)
    return entry


def test_a_job_that_was_called_back_keeps_its_event_until_it_ends() -> None:
    """Resumed it goes on keeping it, and gives it back as it ends, running or not."""
    for resumed in (False, True):
        agenda, a = Agenda(), Queue("a")
        accept(agenda, "m1", a)
        entry = called_back(agenda, a)
        (job,) = entry.jobs
        if resumed:
            agenda.resume(job)
        assert (entry.in_progress, entry.keeping, a.called_back) == (True, 1, None if resumed else job)
        assert agenda.end(job)
        assert (entry.in_progress, a.called_back) == (False, None)


def test_a_platform_that_closes_calls_nobody_back() -> None:
    """The event of who was gives its slot to others."""
    agenda, a = Agenda(), Queue("a")
    accept(agenda, "m1", a)
    entry = called_back(agenda, a)
    assert agenda.close(a) == [entry]
    assert (entry.in_progress, a.called_back) == (False, None)
