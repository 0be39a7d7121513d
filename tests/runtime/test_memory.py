"""Memory does not depend on the number of events, nor on that of hosts: measured in processes of their own."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = textwrap.dedent("""
    import resource, sys, trio, scrapeengine as se

    async def scrape(task):
        await trio.lowlevel.checkpoint()

    async def main(events, hosts):
        default = se.Platform("*", scrape, limit=50, rate=se.Rate(1e6, burst=100))
        engine = se.Engine([se.Platform("A", scrape, limit=50)], event_limit=50, default=default)
        source = (
            se.Event(n, url=f"http://host{n % hosts}.test/") if hosts else se.Event(n, platforms=("A",))
            for n in range(events)
        )
        report = await engine.run(source)
        assert report.outcomes.succeeded == events

    trio.run(main, int(sys.argv[1]), int(sys.argv[2]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
""")


def peak(events, hosts=0):
    """Run some events in a process of their own, and return its peak memory in MB."""
    command = [sys.executable, "-c", PROGRAM, str(events), str(hosts)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True, timeout=300).stdout)


@pytest.mark.slow
def test_two_hundred_thousand_events_take_no_more_than_ten_thousand():
    """Within 20 MB of each other at their peaks."""
    assert peak(200_000) - peak(10_000) <= 20


@pytest.mark.slow
def test_a_hundred_thousand_hosts_take_no_more_than_a_thousand():
    """A lane for each host, and none is left when it is idle: within 20 MB of each other at their peaks."""
    assert peak(100_000, hosts=100_000) - peak(100_000, hosts=1_000) <= 20
