"""What goes into a store is looked at first. Each refusal says what to write instead."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from scrapeengine.model.checks import number, whole
from scrapeengine.model.job import Completion, Delivery, JobStatus, NewJob, ShareRequest, Ticket
from scrapeengine.model.urls import told
from scrapeengine.model.validators import Validator

__all__ = ["completions", "deliveries", "ids_or_all", "many", "new_jobs", "tickets", "wanted", "words"]

_ENDS = (JobStatus.DONE, JobStatus.SKIPPED, JobStatus.FAILED)


def words(**values: object) -> None:
    """Refuse what is no text, or cannot be written down."""
    for name, value in values.items():
        if not isinstance(value, str):
            raise TypeError(f"{name} must be a str, got {type(value).__name__}; write JSON as text")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{name} has half a surrogate pair in it, which is no character; leave it out") from None


def many(values: Any, what: str, kind: type) -> tuple[Any, ...]:
    """Make a tuple of what should all be of one kind."""
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Collection):
        raise TypeError(f"{what} must be a list, got {type(values).__name__}; write [{what}] around a single one")
    found = tuple(values)
    for value in found:
        if not isinstance(value, kind):
            raise TypeError(f"each of {what} must be a {kind.__name__}, got {told(value)}")
    return found


def new_jobs(jobs: Sequence[NewJob]) -> tuple[NewJob, ...]:
    """Look at jobs to enqueue."""
    found: tuple[NewJob, ...] = many(jobs, "jobs", NewJob)
    for job in found:
        words(**{"NewJob(platform=…)": job.platform, "NewJob(id=…)": job.id, "NewJob(payload=…)": job.payload})
        _words_or_none({"NewJob(cadence=…)": job.cadence})
        number(job.delay, "NewJob(delay=…)", zero=True)
        whole(job.priority, "NewJob(priority=…)", least=-(2**63))
        if job.priority >= 2**63:
            raise ValueError(f"NewJob(priority=…) must be less than 2**63, got {job.priority}")
    return found


def tickets(values: Sequence[Ticket]) -> tuple[Ticket, ...]:
    """Look at tickets."""
    return many(values, "tickets", Ticket)


def completions(values: Sequence[Completion]) -> tuple[Completion, ...]:
    """Look at completions."""
    found: tuple[Completion, ...] = many(values, "completions", Completion)
    for completion in found:
        _completion(completion)
    return found


def deliveries(values: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """Look at deliveries."""
    return many(values, "deliveries", Delivery)


def ids_or_all(ids: Collection[str] | None) -> tuple[str, ...] | None:
    """Look at ids; None is all of them."""
    return None if ids is None else many(ids, "ids", str)


def wanted(share_requests: Mapping[str, ShareRequest]) -> dict[str, ShareRequest]:
    """Look at what an engine asks for of each platform."""
    if not isinstance(share_requests, Mapping):
        raise TypeError(
            f"share_requests must be a dict of ShareRequest by platform, got {type(share_requests).__name__}"
        )
    for platform, share_request in share_requests.items():
        words(**{"a platform in share_requests": platform})
        if not isinstance(share_request, ShareRequest):
            raise TypeError(f"share_requests[{platform!r}] must be a ShareRequest, got {share_request!r}")
    return dict(share_requests)


def _completion(completion: Completion) -> None:
    if not isinstance(completion.ticket, Ticket):
        raise TypeError(f"Completion(ticket=…) must be the Ticket of a claim, got {told(completion.ticket)}")
    if completion.status not in _ENDS:
        raise ValueError(f"Completion(status=…) must be DONE, SKIPPED or FAILED, got {completion.status!r}")
    if isinstance(completion.result, str):
        words(**{"Completion(result=…)": completion.result})
    elif completion.result is not None and not isinstance(completion.result, bytes):
        raise TypeError(
            f"Completion(result=…) must be JSON as a str, bytes or None, got {type(completion.result).__name__}; "
            f"write json.dumps(…)"
        )
    _words_or_none(
        {
            "Completion(error=…)": completion.error,
            "Completion(history=…)": completion.history,
            "Completion(outcome=…)": completion.outcome,
        }
    )
    for name in ("again", "keep", "deliver"):
        value = getattr(completion, name)
        if value is not None or name != "again":
            number(value, f"Completion({name}=…)", zero=True)
    new_jobs(completion.follow_ups)
    for url, validator in completion.validators.items():
        words(**{"a URL in Completion(validators=…)": url})
        if not isinstance(validator, Validator | None):
            raise TypeError(f"Completion(validators=…) takes Validators by URL, got {validator!r}")


def _words_or_none(values: Mapping[str, object]) -> None:
    words(**{name: value for name, value in values.items() if value is not None})
