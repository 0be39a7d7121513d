"""`python -m scrapeengine`."""

import sys

from scrapeengine.cli import main

__all__ = ()

sys.exit(main())
