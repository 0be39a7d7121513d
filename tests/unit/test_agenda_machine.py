"""The agenda against a naive model of it, which computes everything anew from what has happened."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from scrapeengine.decide.agenda import Agenda, Entry, Job, JobState, Queue
from scrapeengine.model.event import Event

WAITING, RUNNING, PARKED, ENDED = JobState

PLATFORMS = 3

ANY = st.integers(0, 99)
"""Which of the tasks that there are, counted round."""


@attrs.define(eq=False)
class Accepted:
    """What the model knows of an event: what was done to its jobs, and whether it took a slot since it had to."""

    entry: Entry
    priority: int
    followed: bool
    platforms: list[int]
    arrivals: list[int]
    states: list[JobState]
    jobs: list[Job]
    """The agenda's own; the entry lets them go when the last one has ended."""
    in_progress: bool = False


@attrs.frozen
class Task:
    """One event on one of its platforms."""

    owner: Accepted
    index: int

    @property
    def job(self) -> Job:
        """What the agenda calls it."""
        return self.owner.jobs[self.index]

    @property
    def platform(self) -> int:
        """The platform that it is for."""
        return self.owner.platforms[self.index]

    @property
    def state(self) -> JobState:
        """Where it is."""
        return self.owner.states[self.index]

    @property
    def place(self) -> tuple[int, int]:
        """Its place in line: priority, then arrival."""
        return -self.owner.priority, self.owner.arrivals[self.index]


class AgendaMachine(RuleBasedStateMachine):
    """Does to an agenda what lanes do, in any order, and compares it with the model."""

    @initialize(dedupe=st.booleans(), closed=st.sets(st.integers(0, PLATFORMS - 1)))
    def begin_run(self, *, dedupe: bool, closed: set[int]) -> None:
        """Make an agenda; some platforms are paused from the start."""
        self.agenda = Agenda(dedupe)
        self.queues = [Queue(str(number), open=number not in closed) for number in range(PLATFORMS)]
        self.open = [number not in closed for number in range(PLATFORMS)]
        self.called_back: dict[int, Task] = {}
        self.all: list[Accepted] = []
        self.remembered: set[tuple[str, int]] = set()
        self.arrived = 0

    # -- the model

    def tasks(self, *states: JobState) -> list[Task]:
        """List all tasks in one of these states, in the order of their arrival."""
        tasks = (Task(owner, index) for owner in self.all for index in range(len(owner.states)))
        return [task for task in tasks if task.state in states]

    def one_of(self, index: int, *states: JobState) -> list[Task]:
        """Pick one of the tasks in these states, if there is one."""
        tasks = self.tasks(*states)
        return [tasks[index % len(tasks)]] if tasks else []

    def live(self) -> list[Accepted]:
        """List the events that have an unfinished task."""
        return [owner for owner in self.all if any(state is not ENDED for state in owner.states)]

    def known(self) -> set[tuple[str, int]]:
        """List the tasks that would be duplicates, by id and platform."""
        live = self.tasks(WAITING, RUNNING, PARKED)
        return self.remembered | {(task.owner.entry.event.id, task.platform) for task in live}

    def keeping(self, owner: Accepted) -> int:
        """Count the tasks of an event that run, wait for an open platform, or were called back."""
        pairs = zip(owner.states, owner.platforms, strict=True)
        keeping = sum(state is RUNNING or (state is WAITING and self.open[platform]) for state, platform in pairs)
        return keeping + sum(task.owner is owner for task in self.called_back.values())

    def park_what_must_be(self) -> list[Entry]:
        """Take the slots of those events that nothing keeps in progress, and list them."""
        parked = [owner for owner in self.all if owner.in_progress and not self.keeping(owner)]
        for owner in parked:
            owner.in_progress = False
        return [owner.entry for owner in parked]

    def next_of(self, platform: int, *, may_begin: bool) -> Task | None:
        """Find the most urgent task that may start; of equally urgent ones, one whose event is in progress."""
        waiting = [task for task in self.tasks(WAITING) if task.platform == platform]
        eligible = [task for task in waiting if may_begin or task.owner.in_progress]
        return min(
            eligible,
            key=lambda task: (-task.owner.priority, not task.owner.in_progress, task.place),
            default=None,
        )

    # -- what happens

    @rule(
        id=st.integers(0, 12),
        platforms=st.permutations(range(PLATFORMS)),
        count=st.integers(0, PLATFORMS) | st.just(PLATFORMS),
        priority=st.integers(-1, 1) | st.just(0),
        followed=st.booleans(),
    )
    def accept(self, id: int, platforms: list[int], count: int, priority: int, *, followed: bool) -> None:
        """An event comes; it is taken on the platforms on which it is not known."""
        event = Event(id, priority=priority)
        known = self.known()
        chosen = [number for number in platforms[:count] if (event.id, number) not in known]
        for number in platforms[:count]:
            assert self.agenda.knows(event.id, str(number)) == ((event.id, number) in known)
        if count and not chosen:
            return
        count = len(chosen)
        entry = self.agenda.accept(event, [self.queues[number] for number in chosen], now=5.0, followed=followed)
        assert (entry.event, entry.followed, entry.accepted) == (event, followed, 5.0)
        assert [job.queue for job in entry.jobs] == [self.queues[number] for number in chosen]
        arrivals = list(range(self.arrived, self.arrived + count))
        self.arrived += count
        self.all.append(Accepted(entry, priority, followed, chosen, arrivals, [WAITING] * count, list(entry.jobs)))
        if followed or self.agenda.dedupe:
            self.remembered.update((event.id, number) for number in chosen)

    @rule(platform=st.integers(0, PLATFORMS - 1), may_begin=st.booleans())
    def look(self, platform: int, *, may_begin: bool) -> None:
        """A lane looks at what comes next, and does nothing."""
        expected = self.next_of(platform, may_begin=may_begin)
        chosen = self.queues[platform].choose(may_begin=may_begin)
        assert chosen is (expected and expected.job)

    @rule(platform=st.integers(0, PLATFORMS - 1), may_begin=st.booleans() | st.just(value=True))
    def start_next(self, platform: int, *, may_begin: bool) -> None:
        """An open lane starts what comes next."""
        expected = self.next_of(platform, may_begin=may_begin)
        chosen = self.queues[platform].choose(may_begin=may_begin)
        assert chosen is (expected and expected.job)
        if expected is not None and self.open[platform]:
            self.start(expected)

    @rule(index=ANY)
    def start_any(self, index: int) -> None:
        """An open lane starts a task that is not the next one."""
        for task in self.one_of(index, WAITING):
            if self.open[task.platform]:
                self.start(task)

    @rule(index=ANY)
    def park(self, index: int) -> None:
        """A running task waits without its slot."""
        for task in self.one_of(index, RUNNING):
            gave_back = self.agenda.park(task.job)
            task.owner.states[task.index] = PARKED
            assert [task.owner.entry] * gave_back == self.park_what_must_be()

    @rule(index=ANY)
    def resume(self, index: int) -> None:
        """A parked task goes on; its event takes a slot again if it gave it back."""
        for task in self.one_of(index, PARKED):
            self.begin_if_it_must(task.owner)
            self.agenda.resume(task.job)
            task.owner.states[task.index] = RUNNING
            self.forget_calls_of(task)

    @rule(index=ANY)
    def call_back(self, index: int) -> None:
        """A parked task gets its event's slot before its turn, at most one on each open platform."""
        for task in self.one_of(index, PARKED):
            if self.open[task.platform] and task.platform not in self.called_back:
                self.begin_if_it_must(task.owner)
                self.agenda.call_back(task.job)
                self.called_back[task.platform] = task

    @rule(index=ANY)
    def end(self, index: int) -> None:
        """A task ends, be it running, parked or not started."""
        for task in self.one_of(index, WAITING, RUNNING, PARKED):
            self.end_one(task)

    @rule(platform=st.integers(0, PLATFORMS - 1))
    def close_or_open(self, platform: int) -> None:
        """A platform closes, or opens again."""
        if self.open[platform]:
            parked = self.agenda.close(self.queues[platform])
            self.open[platform] = False
            self.called_back.pop(platform, None)
            assert len(parked) == len(set(parked))
            assert set(parked) == set(self.park_what_must_be())
        else:
            self.agenda.open(self.queues[platform])
            self.open[platform] = True

    def start(self, task: Task) -> None:
        """Start a task; its event takes a slot if it has none."""
        self.begin_if_it_must(task.owner)
        self.agenda.start(task.job)
        task.owner.states[task.index] = RUNNING

    def begin_if_it_must(self, owner: Accepted) -> None:
        """Put an event in progress; its waiting tasks are held from then on."""
        if not owner.in_progress:
            pairs = zip(owner.platforms, owner.states, strict=True)
            held = [self.queues[platform] for platform, state in pairs if state is WAITING]
            assert self.agenda.begin(owner.entry) == held
            owner.in_progress = True

    def end_one(self, task: Task) -> None:
        """End a task."""
        gave_back = self.agenda.end(task.job)
        task.owner.states[task.index] = ENDED
        self.forget_calls_of(task)
        assert [task.owner.entry] * gave_back == self.park_what_must_be()

    def forget_calls_of(self, task: Task) -> None:
        """A task that was called back is so no more: it runs, or has ended."""
        if self.called_back.get(task.platform) == task:
            del self.called_back[task.platform]

    # -- what always holds

    @invariant()
    def each_event_is_as_the_model_has_it(self) -> None:
        """States, counts and slots of all events follow from what their tasks do."""
        for owner in self.all:
            entry = owner.entry
            assert [job.state for job in owner.jobs] == owner.states
            assert list(entry.jobs) == (owner.jobs if entry.unfinished else [])
            assert entry.unfinished == sum(state is not ENDED for state in owner.states)
            assert entry.unstarted == owner.states.count(WAITING)
            assert entry.in_progress == owner.in_progress
            if owner.in_progress:
                assert entry.keeping == self.keeping(owner) > 0
            else:
                assert RUNNING not in owner.states

    @invariant()
    def the_agenda_counts_what_the_model_counts(self) -> None:
        """Live and waiting events are counted once each, and the ids that are known are those that must be."""
        live = self.live()
        assert self.agenda.live == len(live)
        assert list(self.agenda.entries()) == [owner.entry for owner in live]
        waiting = [owner for owner in live if WAITING in owner.states]
        assert self.agenda.waiting_events == len(waiting)
        assert self.agenda.waiting_from_source == sum(not owner.followed for owner in waiting)
        everything = [(str(id), number) for id in range(13) for number in range(PLATFORMS)]
        assert {task for task in everything if self.agenda.knows(task[0], str(task[1]))} == self.known()

    @invariant()
    def each_queue_lists_each_waiting_task_once(self) -> None:
        """No task is lost, none is listed twice, and the held ones are those whose event is in progress."""
        for number, queue in enumerate(self.queues):
            waiting = sorted(
                (task for task in self.tasks(WAITING) if task.platform == number), key=lambda task: task.place
            )
            assert queue.open == self.open[number]
            called_back = self.called_back.get(number)
            assert queue.called_back is (called_back and called_back.job)
            assert queue.waiting == len(waiting)
            assert queue.waiting_jobs() == jobs_of(waiting)
            held = jobs_of(task for task in waiting if task.owner.in_progress)
            assert sorted(queue.held_jobs(), key=lambda job: (job.urgency, job.number)) == held
            for heap in (queue._held, queue._fresh):
                assert len({id(job) for _, _, job in heap._heap}) == len(heap)

    def teardown(self) -> None:
        """With all platforms open and slots for all, every task that waits comes up in its turn, and the run ends."""
        if not hasattr(self, "agenda"):
            return
        for task in self.tasks(RUNNING, PARKED):
            self.end_one(task)
        for number in range(PLATFORMS):
            if not self.open[number]:
                self.close_or_open(number)
            while (task := self.next_of(number, may_begin=True)) is not None:
                assert self.queues[number].choose(may_begin=True) is task.job
                self.start(task)
                self.end_one(task)
            assert self.queues[number].choose(may_begin=True) is None
            assert len(self.queues[number]._held) == len(self.queues[number]._fresh) == 0
        self.the_agenda_counts_what_the_model_counts()
        assert self.agenda.live == self.agenda.waiting_events == self.agenda.waiting_from_source == 0


def jobs_of(tasks: Iterable[Task]) -> list[Job]:
    """Name the jobs of tasks."""
    return [task.job for task in tasks]


TestAgenda = AgendaMachine.TestCase
