"""The stores, in which jobs live: how they are opened, and all that is needed to write another one.

`Store` is the protocol; its arguments and answers are the classes below. A store of one's own offers its calls, is made
known by `register`, and can be tried by `scrapeengine.testing.stores`. The calls need not check their arguments:
`open_store` wraps what is registered into a `CheckedStore`.
"""

from scrapeengine.model.event import Event
from scrapeengine.model.job import (
    Claimed,
    Completion,
    Content,
    Delivery,
    JobStatus,
    Kept,
    Known,
    NewJob,
    QueueStatistics,
    Reply,
    ShareGrant,
    ShareRequest,
    StoredJob,
    Ticket,
)
from scrapeengine.model.sink import Position
from scrapeengine.model.store import Starts, Store
from scrapeengine.model.validators import Validator
from scrapeengine.stores.checked import CheckedStore
from scrapeengine.stores.opening import StoreOptions, open_store, register
from scrapeengine.stores.policy import StorePolicy
from scrapeengine.stores.sqlite.policy import SqlitePolicy

__all__ = [
    "CheckedStore",
    "Claimed",
    "Completion",
    "Content",
    "Delivery",
    "Event",
    "JobStatus",
    "Kept",
    "Known",
    "NewJob",
    "Position",
    "QueueStatistics",
    "Reply",
    "ShareGrant",
    "ShareRequest",
    "SqlitePolicy",
    "Starts",
    "Store",
    "StoreOptions",
    "StorePolicy",
    "StoredJob",
    "Ticket",
    "Validator",
    "open_store",
    "register",
]
