"""The tests of stores, as a kit: `StoreSuite` puts any `Store` through them, in virtual time.

It needs pytest and hypothesis, the extra `testing`.
"""

try:
    from scrapeengine.testing.stores.machine import StoreMachine
    from scrapeengine.testing.stores.scenes import StoreScenes
    from scrapeengine.testing.stores.suite import StoreSuite
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"pytest", "hypothesis"}:
        raise
    raise ImportError("the tests of stores need pytest and hypothesis: pip install 'scrapeengine[testing]'") from error

__all__ = ["StoreMachine", "StoreScenes", "StoreSuite"]
