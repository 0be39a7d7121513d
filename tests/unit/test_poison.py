"""Which jobs are set aside, for processes die of them: those that do it, and no others."""

from hypothesis import given
from hypothesis import strategies as st

from scrapeengine.decide.poison import LIVED, LONG, MOST_DEATHS, after_death, is_poison, is_suspect, not_before

JOBS = 6


def die(deaths, ran):
    """Have a process die while these jobs run."""
    for job, count in zip(ran, after_death([deaths[job] for job in ran]), strict=True):
        deaths[job] = count


@given(st.lists(st.tuples(st.sets(st.integers(0, JOBS - 1)), st.sets(st.integers(0, JOBS - 1)))))
def test_only_the_sole_suspect_of_dying_processes_is_set_aside(history):
    """Whatever runs and ends: a poison was in four deaths in a row, in three of them as the only suspect."""
    deaths, alone = [0] * JOBS, [0] * JOBS
    for running, ended in history:
        ran = sorted(job for job in running if not is_poison(deaths[job]))
        suspects = [job for job in ran if is_suspect(deaths[job])]
        die(deaths, ran)
        for job in range(JOBS):
            alone[job] += suspects == [job]
            if job in ended and not is_poison(deaths[job]):
                deaths[job] = alone[job] = 0
        assert all(deaths[job] - 1 <= alone[job] for job in range(JOBS) if deaths[job])
        assert all(alone[job] == MOST_DEATHS - 1 for job in range(JOBS) if is_poison(deaths[job]))


@given(st.integers(0, JOBS - 1))
def test_a_poison_is_found_among_others_in_four_deaths(poison):
    """The first death finds all of them running; then it is tried with no other suspect, as soon as it is its turn."""
    deaths = [0] * JOBS
    die(deaths, range(JOBS))
    assert deaths == [1] * JOBS
    died = 1
    while not is_poison(deaths[poison]):
        tried = min((job for job in range(JOBS) if is_suspect(deaths[job])), key=lambda job: (deaths[job], job))
        if tried == poison:
            die(deaths, [tried])
            died += 1
        else:
            deaths[tried] = 0  # it ends
    assert died == MOST_DEATHS
    assert sum(deaths) == MOST_DEATHS


@given(st.integers(0, 3), st.floats(0, 1e6), st.floats(0, 1e6))
def test_when_a_suspect_may_be_tried(deaths, died, began):
    """At once, but for the last time: then by a process that has lived for a while, or when its death is long ago."""
    at = not_before(deaths, died, began)
    assert (at > -1e300) == (deaths == 3)
    if deaths == 3:
        assert at == min(began + LIVED, died + LONG)
    assert not_before(deaths, None, began) < -1e300
