"""Texts that can be written down, whatever they come from."""

from __future__ import annotations

__all__ = ["text_of", "written"]


def text_of(error: BaseException) -> str:
    """Return the text of an error as it can be written down. It is made by the program's own code, and may fail."""
    try:
        return written(str(error))
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException:  # noqa: BLE001 - as above; what a scraper's error does must not end the run
        return "(its text could not be made)"


def written(text: str) -> str:
    """Return a text as it can be written down: half a surrogate pair, which is no character, becomes its code."""
    return text.encode("utf-8", "backslashreplace").decode()
