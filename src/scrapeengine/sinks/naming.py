"""How the files of a sink are called, and which of them are there."""

from __future__ import annotations

import os
import re
from pathlib import Path

import attrs

from scrapeengine.sinks.endings import stat_of

__all__ = ["Layout"]


@attrs.frozen
class Layout:
    """How the files of a sink are called."""

    folder: Path
    stem: str
    suffix: str
    """What those end with that are at their end: ".jsonl.gz"."""
    growing: str = ""
    """What others have behind that, whose names begin with a dot then: who reads a whole folder leaves these alone."""
    replaces: bool = False
    """Whether a slot has one file, which takes the place of what is there when the sink is closed."""

    def slot(self, number: int) -> str:
        """Name a slot."""
        return f"{self.stem}{'' if number == 1 else f'.{number}'}{self.suffix}{self.growing}"

    def path(self, slot: str) -> str:
        """Return the path of a slot's file."""
        name = f".{slot}.new" if self.replaces else f".{slot}" if self.growing else slot
        return str(self.folder / name)

    def closed(self, slot: str, generation: int) -> str:
        """Return the path that the file of a generation has once it is at its end."""
        number = "" if self.replaces else f"-{generation:06}"
        return str(self.folder / f"{self._stem(slot)}{number}{self.suffix}")

    def last(self, slot: str) -> int:
        """Return the number of the last generation of a slot whose file is there; 0: none is."""
        return max((number for name, number in self._numbered() if name == self._stem(slot)), default=0)

    def newest(self) -> str | None:
        """Return the path of the file that has come to its end last, of whichever slot; None: none has."""
        paths = [self.folder / f"{name}-{number:06}{self.suffix}" for name, number in self._numbered()]
        found = [(there.st_mtime_ns, str(path)) for path in paths if (there := stat_of(str(path))) is not None]
        return max(found)[1] if found else None

    def found(self) -> list[str]:
        """List the slots whose files are there, of a sink whose files grow under other names."""
        names = re.compile(rf"\.({re.escape(self.stem)}(?:\.[1-9]\d*)?{re.escape(self.suffix + self.growing)})")
        found = map(names.fullmatch, os.listdir(self.folder))  # noqa: PTH208 - paths are texts here
        return sorted(each[1] for each in found if each is not None)

    def _numbered(self) -> list[tuple[str, int]]:
        """List the files that are at their end: as their slots begin, and their numbers."""
        names = re.compile(rf"({re.escape(self.stem)}(?:\.[1-9]\d*)?)-(\d{{6,}}){re.escape(self.suffix)}")
        found = map(names.fullmatch, os.listdir(self.folder))  # noqa: PTH208 - as above
        return [(each[1], int(each[2])) for each in found if each is not None]

    def _stem(self, slot: str) -> str:
        return slot.removesuffix(f"{self.suffix}{self.growing}")
