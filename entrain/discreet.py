"""Logs without people in them."""

from __future__ import annotations

import hashlib
import logging
import re
import traceback
from pathlib import Path
from typing import Any


class Discreet(logging.Formatter):
    """No names of conversations, no words: names are hashed, and of an exception its type and place are told."""

    NAME = re.compile(r"(?<=conversation )(?:'[^']+'|[\w.:\-]+(?=: ))")

    def format(self, record: logging.LogRecord) -> str:
        return self.NAME.sub(lambda found: short(found[0].strip("'")), super().format(record))

    def formatException(self, ei: Any) -> str:
        places = [f"{Path(at.filename).name}:{at.lineno} {at.name}" for at in traceback.extract_tb(ei[2])]
        return f"{ei[0].__name__} at " + " < ".join(reversed(places))


def short(name: str) -> str:
    """A name that can be compared, but not read back."""
    return f"#{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def quiet_logs() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(Discreet("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("uvicorn", "uvicorn.error"):
        logging.getLogger(name).handlers = []
        logging.getLogger(name).propagate = True
