"""Makes the modules of this folder importable from every test folder, and the serving databases fixtures of all."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from serving_databases import databases, engine, postgres, url

__all__ = ["databases", "engine", "postgres", "url"]
