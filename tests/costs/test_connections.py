"""How many connections are opened, as the site counts them."""

import pytest

from costs.lockstep import Lockstep
from costs.scenes import Scene, asks, by_run


@pytest.mark.parametrize(
    ("platforms", "limit", "opened"),
    [
        (1, 1, 1),
        (1, 10, 10),
        (3, 1, 3),  # one event runs on three platforms at once
        (3, 10, 30),
    ],
)
def test_a_thousand_requests_open_as_many_connections_as_run_at_once(platforms, limit, opened):
    """Not one more."""
    with Lockstep() as site:
        report = Scene(asks, platforms=platforms, limit=limit).play(999, site)
    assert (report.outcomes.succeeded, site.requests) == (999, 999)
    assert site.connections == opened


def test_as_many_connections_rest_as_were_in_use_at_once():
    """Also where these are more than rest else: what is in flight at once is what the limits say."""
    with Lockstep(at_once=400) as site:
        report = Scene(asks, by_run, limit=400).play(2000, site)
    assert (report.outcomes.succeeded, site.connections) == (2000, 400)


def test_platforms_on_one_host_share_their_connections():
    """Three in turns, ten requests at once: ten connections, and not ten for each."""
    with Lockstep() as site:
        report = Scene(asks, platforms=3, limit=10, apart=True).play(999, site)
    assert {name: each.succeeded for name, each in report.platforms.items()} == {"p0": 333, "p1": 333, "p2": 333}
    assert (site.requests, site.connections) == (999, 10)
