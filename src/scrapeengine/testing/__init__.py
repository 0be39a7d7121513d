"""What tests and examples of scrapers need: a small web site on loopback."""

from scrapeengine.testing.site import Answer, Handler, Ledger, Request, Site

__all__ = ["Answer", "Handler", "Ledger", "Request", "Site"]
