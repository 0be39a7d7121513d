"""What holds after each test against a hostile site."""

import gc

import pytest

from hostile.web import open_files


@pytest.fixture(autouse=True)
def nothing_stays_open():
    """No test leaves a file descriptor, and none waits for the garbage collector to close one."""
    before = open_files()
    gc.disable()
    try:
        yield
        after = open_files()
    finally:
        gc.enable()
    assert len(after) <= len(before), {name: what for name, what in after.items() if name not in before}
