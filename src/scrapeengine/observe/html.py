"""The report as one file that a browser shows: no network, nothing beside it, and no text of a site as markup.

The figures are JSON in an element that no browser runs, with each character escaped that could end it. The file's own
script puts them in as text. By its content security policy a browser runs that script and no other, applies the one
style, and loads nothing (CSP 3, https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import string
import uuid
from importlib import resources
from pathlib import Path

from scrapeengine.model.report import Report
from scrapeengine.observe.page import page

__all__ = ["html", "write_html"]

_ESCAPED = str.maketrans({each: f"\\u{ord(each):04x}" for each in "<>&"})
"""What could end a script's element, or begin something in it; in JSON all of these are in texts alone."""


def html(report: Report) -> str:
    """Return a report as the text of an HTML file."""
    assets = resources.files("scrapeengine.observe") / "assets"
    template, style, script = ((assets / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js"))
    # All that is not ASCII is escaped by json already: U+2028, and half a surrogate pair, which no file can have.
    data = json.dumps(page(report), allow_nan=False, separators=(",", ":")).translate(_ESCAPED)
    return string.Template(template).substitute(
        style=style, script=script, data=data, style_hash=_digest(style), script_hash=_digest(script)
    )


def write_html(report: Report, path: str | os.PathLike[str]) -> None:
    """Write a report to a file: aside, and then renamed, so that nobody finds half of it."""
    target = Path(path)
    text = html(report)
    aside = target.with_name(f".{target.name[:50]}.{uuid.uuid4().hex}.part")
    try:
        with aside.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
        aside.replace(target)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
