"""The validators of a store, as HTTP clients see them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from scrapeengine.errors import StoreError
from scrapeengine.model.store import Store
from scrapeengine.model.validators import Validator
from scrapeengine.served.trouble import Trouble

__all__ = ["StoreValidators", "hashed"]


class StoreValidators:
    """Recalls what a store knows. URLs may hold secrets, so rows know them by their hash."""

    def __init__(self, store: Store, trouble: Trouble) -> None:
        self._store = store
        self._trouble = trouble

    async def recall(self, platform: str, url: str) -> Validator | None:
        """Return what is known of a URL, or None. Checkpoint.

        Raises:
            StoreError: the store could not be asked, which is said already.
        """
        try:
            return await self._store.recall(platform, hashed(url))
        except StoreError as error:
            self._trouble.say("validators could not be recalled", error)
            raise

    async def remember(self, platform: str, found: Mapping[str, Validator | None]) -> None:
        """Do nothing: they are stored with the end of the task."""


def hashed(url: str) -> str:
    """Return what a store knows a URL by."""
    return hashlib.blake2b(url.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
