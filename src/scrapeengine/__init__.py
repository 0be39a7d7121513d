"""A structured scraping engine: one outcome for each event on each platform, as fast as the platforms allow."""

from scrapeengine.engine import Engine
from scrapeengine.errors import (
    AgendaFull,
    AttemptTimeout,
    ConnectFailed,
    ConnectionBroken,
    EngineBusy,
    InvalidRequest,
    PlatformClosed,
    ProtocolError,
    RedirectError,
    RequestError,
    RetriesExhausted,
    ScrapeError,
    StatusError,
    TaskTimeout,
    TooManyRedirects,
    TransportError,
    UnknownPlatform,
)
from scrapeengine.model.event import Event
from scrapeengine.model.outcome import Cancelled, Failure, Outcome, Skipped, Success
from scrapeengine.model.platform import Platform
from scrapeengine.model.policy import Rate, Retry, Timeout
from scrapeengine.model.report import Counts, PlatformStatistics, Report, Statistics
from scrapeengine.model.task import Http, Task
from scrapeengine.runtime.run import Run
from scrapeengine.sync import collect, run

__all__ = [
    "AgendaFull",
    "AttemptTimeout",
    "Cancelled",
    "ConnectFailed",
    "ConnectionBroken",
    "Counts",
    "Engine",
    "EngineBusy",
    "Event",
    "Failure",
    "Http",
    "InvalidRequest",
    "Outcome",
    "Platform",
    "PlatformClosed",
    "PlatformStatistics",
    "ProtocolError",
    "Rate",
    "RedirectError",
    "Report",
    "RequestError",
    "RetriesExhausted",
    "Retry",
    "Run",
    "ScrapeError",
    "Skipped",
    "Statistics",
    "StatusError",
    "Success",
    "Task",
    "TaskTimeout",
    "Timeout",
    "TooManyRedirects",
    "TransportError",
    "UnknownPlatform",
    "collect",
    "run",
]
