"""How much hypothesis tries: a little by default, a thousand runs a law in the slow profile.

On mutants it does not look for the simplest example: that a test fails is all there is to see.

Async tests are run by pytest-trio, each within a deadline.
"""

import functools
import inspect
import signal

import pytest
import structlog
from hypothesis import HealthCheck, Phase, settings

from support.deadlines import deadline

_COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("quick", max_examples=25, **_COMMON)
settings.register_profile("slow", max_examples=1000, **_COMMON)
settings.register_profile(
    "mutants",
    max_examples=150,
    database=None,
    report_multiple_bugs=False,
    phases=[Phase.explicit, Phase.generate],
    **_COMMON,
)
settings.load_profile("quick")

# A shell lets what it puts into the background ignore Ctrl-C, and so would all that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _logs_as_they_are():
    """Leave structlog as no program has configured it: to capture its lines configures it."""
    yield
    structlog.reset_defaults()


def pytest_collection_modifyitems(items):
    """Give each async test a deadline: one that hangs fails."""
    for item in items:
        if inspect.iscoroutinefunction(item.obj):
            item.obj = _within_its_time(item.obj, 10 if item.get_closest_marker("slow") else 1)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport():
    """Have what a test has said travel from one process to another: what sites send is no text at times."""
    report = yield
    report.sections = [(title, _sendable(text)) for title, text in report.sections]
    if report.longrepr is not None and (text := str(report.longrepr)) != _sendable(text):
        report.longrepr = _sendable(text)
    return report


def _sendable(text):
    return text.encode("utf-8", "backslashreplace").decode()


def _within_its_time(test, times):
    @functools.wraps(test)
    async def within(**fixtures):
        with deadline(times):
            await test(**fixtures)

    return within
