"""The machine that is measured on: what it is, which core a process runs on, and what its memory came to."""

from __future__ import annotations

import os
import platform
import resource
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

__all__ = [
    "Cores",
    "allow_many_files",
    "choose_cores",
    "heading",
    "heed_termination",
    "peak_megabytes",
    "pinned",
    "versions",
]


class Cores(NamedTuple):
    """Where server and client run; None: anywhere."""

    client: int | None
    server: int | None
    said: str
    """The same, in words."""


def choose_cores() -> Cores:
    """Choose a core for the client and one for the server."""
    if not hasattr(os, "sched_getaffinity"):
        return Cores(None, None, "this system does not say which core a process runs on: figures will vary")
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        return Cores(None, None, "ONE CORE ONLY, for server and client together: the ratios say little")
    return Cores(cores[0], cores[-1], f"client on core {cores[0]}, server on core {cores[-1]}")


def heed_termination() -> None:
    """Have SIGTERM raise `SystemExit`, so that servers do not outlive this process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def allow_many_files() -> None:
    """Let this process and those that it starts have as many files open as the system allows, up to 10,000."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 10_000 if hard == resource.RLIM_INFINITY else min(hard, 10_000)
    if soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


@contextmanager
def pinned(core: int | None) -> Iterator[None]:
    """Have the processes that the block starts run on one core, with all their threads; None: on any.

    From outside, and so before they begin: a thread that an import has started would stay where it is.
    """
    if core is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def processor() -> str:
    """Name the processor, and count what there is of it."""
    name = platform.processor() or platform.machine()
    known = Path("/proc/cpuinfo")
    if known.exists():
        lines = known.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    return f"{os.cpu_count()} x {name}"


def versions(*names: str) -> dict[str, str]:
    """Return the versions of distributions that are installed beside this program."""
    return {name: version(name) for name in names}


def heading(found: Mapping[str, str]) -> str:
    """Say when, on what and against what something is measured."""
    names = ", ".join(f"{name} {number}" for name, number in found.items())
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; {platform.system()} {platform.release()}; {processor()}; "
        f"{platform.python_implementation()} {platform.python_version()}; {names}."
    )


def peak_megabytes() -> float:
    """Return the most memory that this process ever held, in MB of 10^6 bytes.

    `ru_maxrss` begins, under Linux, with what the process held that started this one; /proc does not.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6
