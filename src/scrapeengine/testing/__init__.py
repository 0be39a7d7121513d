"""Help for tests and examples: a small web site on loopback; in `testing.stores`, the tests of stores."""

from scrapeengine.testing.site import Answer, Handler, Ledger, Request, Site

__all__ = ["Answer", "Handler", "Ledger", "Request", "Site"]
