"""A structured scraping engine: one outcome for each event on each platform, as fast as the platforms allow.

What a plain run does not need, stores and all that serves them, is imported when it is first asked for: that is a third
of what there is to import.
"""

import importlib
import typing

from scrapeengine.engine import Engine
from scrapeengine.errors import (
    AddressBlocked,
    AgendaFull,
    AttemptTimeout,
    BodyTooLarge,
    CertificateError,
    ConnectFailed,
    ConnectionBroken,
    EngineBusy,
    HeadersTooLarge,
    InvalidRequest,
    ItemsFull,
    PlatformClosed,
    PoisonousJob,
    ProtocolError,
    RecordedError,
    RedirectError,
    RequestError,
    RetriesExhausted,
    RobotsDisallowed,
    RobotsUnavailable,
    ScrapeError,
    ScraperCrashed,
    SinkUnavailable,
    StatusError,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    TaskTimeout,
    TooManyRedirects,
    TransportError,
    TruncatedBody,
    UnknownPlatform,
    UnsupportedEncoding,
)
from scrapeengine.http.features.cookie_access import Cookies
from scrapeengine.http.transport.transport import Transport
from scrapeengine.model.cookies import Cookie
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.platform import Platform
from scrapeengine.model.policy import Caps, Rate, Retry, Timeout
from scrapeengine.model.report import Counts, PlatformStatistics, Report, Statistics
from scrapeengine.model.settings import Change, PlatformSettings, Settings
from scrapeengine.model.task import Http, Streamed, Task
from scrapeengine.model.urls import host_of
from scrapeengine.model.validators import Validator, Validators
from scrapeengine.run.rereading import reread
from scrapeengine.run.run import Run
from scrapeengine.sync import collect, run, serve

if typing.TYPE_CHECKING:
    from scrapeengine.model.cadence import Cadence
    from scrapeengine.model.job import JobStatus, Known, QueueStatistics, StoredJob
    from scrapeengine.model.store import Store
    from scrapeengine.stores import open_store

__all__ = [
    "AddressBlocked",
    "AgendaFull",
    "AttemptTimeout",
    "BodyTooLarge",
    "Cadence",
    "Cancelled",
    "Caps",
    "CertificateError",
    "Change",
    "ConnectFailed",
    "ConnectionBroken",
    "Cookie",
    "Cookies",
    "Counts",
    "Engine",
    "EngineBusy",
    "Event",
    "Failure",
    "HeadersTooLarge",
    "Http",
    "Instrument",
    "InvalidRequest",
    "ItemsFull",
    "JobStatus",
    "Known",
    "Outcome",
    "Platform",
    "PlatformClosed",
    "PlatformSettings",
    "PlatformStatistics",
    "PoisonousJob",
    "ProtocolError",
    "QueueStatistics",
    "Rate",
    "RecordedError",
    "RedirectError",
    "Report",
    "RequestError",
    "RetriesExhausted",
    "Retry",
    "RobotsDisallowed",
    "RobotsUnavailable",
    "Run",
    "ScrapeError",
    "ScraperCrashed",
    "Settings",
    "SinkUnavailable",
    "Skipped",
    "Statistics",
    "StatusError",
    "Store",
    "StoreBusy",
    "StoreClosed",
    "StoreError",
    "StoreFull",
    "StoredJob",
    "Streamed",
    "Success",
    "Task",
    "TaskTimeout",
    "Timeout",
    "TooManyRedirects",
    "Transport",
    "TransportError",
    "TruncatedBody",
    "UnknownPlatform",
    "UnsupportedEncoding",
    "Validator",
    "Validators",
    "collect",
    "host_of",
    "open_store",
    "reread",
    "run",
    "serve",
]

_LATER = {
    "Cadence": "scrapeengine.model.cadence",
    "JobStatus": "scrapeengine.model.job",
    "Known": "scrapeengine.model.job",
    "QueueStatistics": "scrapeengine.model.job",
    "Store": "scrapeengine.model.store",
    "StoredJob": "scrapeengine.model.job",
    "open_store": "scrapeengine.stores",
}
"""Where each name is that is imported when it is first asked for."""


def __getattr__(name: str) -> typing.Any:
    """Import what is asked for (PEP 562)."""
    if name == "stores":
        return importlib.import_module("scrapeengine.stores")
    if name not in _LATER:
        raise AttributeError(f"module 'scrapeengine' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """List what there is."""
    return sorted({*globals(), *_LATER})
