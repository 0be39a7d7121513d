"""Retries: whether a request is made again, and how long after."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import attrs

from scrapeengine.errors import (
    AddressBlocked,
    CertificateError,
    InvalidRequest,
    ProtocolError,
    RobotsDisallowed,
    RobotsUnavailable,
)
from scrapeengine.model.policy import Retry

__all__ = ["Again", "GiveUp", "NextStep", "backoff", "next_step"]

_NEVER = (AddressBlocked, CertificateError, InvalidRequest, RobotsDisallowed, RobotsUnavailable)
"""Errors that are never tried again, whatever a policy says: nothing would have changed."""


@attrs.frozen
class Again:
    """Try again."""

    after: float
    """Seconds to wait before."""
    fresh: bool = False
    """Whether on a connection that is made for it: what came on the last one was no answer."""


@attrs.frozen
class GiveUp:
    """Let the failure stand."""


NextStep: TypeAlias = Again | GiveUp


def backoff(policy: Retry, attempt: int, draw: Callable[[], float]) -> float:
    """Return the wait after a failed attempt, with full jitter.

    Args:
        policy: the platform's.
        attempt: the one that failed, from 1.
        draw: gives a random number from 0 to 1.
    """
    doublings = min(attempt - 1, 64)  # a policy may allow any number of attempts, and 2.0 ** 1024 overflows
    return draw() * min(policy.max_wait, policy.initial_wait * 2.0**doublings)


def next_step(
    policy: Retry,
    *,
    attempt: int,
    method: str,
    failed: int | Exception,
    draw: Callable[[], float],
    malformed: bool = False,
) -> NextStep:
    """Decide what follows a failed attempt.

    A malformed answer is asked for once more, whatever the policy says: what a site says wrongly it says again.

    Args:
        policy: the platform's.
        attempt: the one that failed, from 1.
        method: the request's.
        failed: the status that came, or the error.
        draw: gives a random number from 0 to 1.
        malformed: whether an earlier attempt brought a malformed answer.
    """
    if attempt >= policy.attempts or method not in policy.methods or isinstance(failed, _NEVER):
        return GiveUp()
    again = failed in policy.statuses if isinstance(failed, int) else isinstance(failed, policy.errors)
    bad = isinstance(failed, ProtocolError)
    return Again(backoff(policy, attempt, draw), fresh=bad) if again and not (bad and malformed) else GiveUp()
