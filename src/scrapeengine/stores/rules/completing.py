"""How jobs are completed, each with all that belongs to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from scrapeengine.model.job import Completion, Delivery, JobStatus, Kept, Reply
from scrapeengine.stores.rules.arriving import admit
from scrapeengine.stores.rules.forgetting import end, forget, known
from scrapeengine.stores.rules.keeping import remember
from scrapeengine.stores.rules.rows import Row
from scrapeengine.stores.rules.tables import Tables

__all__ = ["complete"]

_APART = 0.001
"""Seconds by which what recurs is moved on when its time is another's on the same platform."""


def complete(tables: Tables, completions: Sequence[Completion]) -> list[Reply]:
    """End jobs, or let them wait for their next time."""
    replies = [_complete(tables, completion) for completion in completions]
    forget(tables)
    return replies


def _complete(tables: Tables, completion: Completion) -> Reply:
    ticket, platform, token = completion.ticket, completion.ticket.platform, completion.ticket.token
    row = known(tables, platform, ticket.id)
    if row is None:
        return Reply.LOST
    if token and row.accepted == token:
        return Reply.ALREADY
    if not row.held_by(token, tables.awake):
        return Reply.LOST
    tables.jobs.write(row, completion.result, completion.error, completion.history)
    if row.cadence is not None:
        # Who has it in hand may not know yet that it recurs: it is looked at again, and then it is known.
        _recur(tables, row, tables.now + (completion.again or 0.0), token)
    else:
        end(tables, row, completion.status, completion.keep, token)
    for job in completion.follow_ups:
        admit(tables, job)
    for url, validator in completion.validators.items():
        remember(tables, platform, url, validator)
    if completion.outcome is not None:
        kept = Kept(Delivery(*ticket), completion.outcome)
        tables.outbox.put(kept, tables.awake + completion.deliver)
    return Reply.OK


def _recur(tables: Tables, row: Row, due: float, token: int) -> None:
    while tables.jobs.delayed_at(row.platform, due):
        due = max(due + _APART, math.nextafter(due, math.inf))
    tables.jobs.change(
        row,
        status=JobStatus.DELAYED,
        due=due,
        seq=tables.jobs.next_seq(),
        token=0,
        owner=None,
        accepted=token,
        attempts=0,
        finished=tables.now,
    )
