"""A structured scraping engine: one outcome for each event on each platform, as fast as the platforms allow."""

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
from scrapeengine.model.cadence import Cadence
from scrapeengine.model.cookies import Cookie
from scrapeengine.model.event import Event
from scrapeengine.model.instrument import Instrument
from scrapeengine.model.job import JobStatus, Known, QueueStatistics, StoredJob
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.platform import Platform
from scrapeengine.model.policy import Caps, Rate, Retry, Timeout
from scrapeengine.model.report import Counts, PlatformStatistics, Report, Statistics
from scrapeengine.model.store import Store
from scrapeengine.model.task import Http, Streamed, Task
from scrapeengine.model.urls import host_of
from scrapeengine.model.validators import Validator, Validators
from scrapeengine.run.run import Run
from scrapeengine.stores import open_store
from scrapeengine.sync import collect, run, serve

__all__ = [
    "AddressBlocked",
    "AgendaFull",
    "AttemptTimeout",
    "BodyTooLarge",
    "Cadence",
    "Cancelled",
    "Caps",
    "CertificateError",
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
    "JobStatus",
    "Known",
    "Outcome",
    "Platform",
    "PlatformClosed",
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
    "run",
    "serve",
]
