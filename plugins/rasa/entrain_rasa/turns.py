"""What of entrain's turns Rasa and its clients are told: a few numbers, never sound; and what went wrong."""

from __future__ import annotations

import hashlib
import re
from typing import Any

FEATURES = ("f0_mean_st", "f0_range_st", "level_db", "rate_syll_s", "jitter", "shimmer", "nhr")
ID = re.compile(r"[A-Za-z0-9_:\-][A-Za-z0-9_.:\-]{0,199}")


class Fault(Exception):
    """What went wrong with a turn's sound: `code` for programs, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message

    @property
    def told(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


def conversation_id(sender: str) -> str:
    """The conversation's name at the entrain server: Rasa's own, or, where that has other characters, a hash of it."""
    if ID.fullmatch(sender):
        return sender
    return "rasa-" + hashlib.sha256(sender.encode("utf-8", "replace")).hexdigest()[:32]


def numbers(heard: dict[str, Any]) -> dict[str, Any]:
    """For `metadata.entrain`: the features that were measured, `duration_s`, the z-scores under "z", and the turn's place.

    Rasa keeps it for ever, and sends all of it with every request to an action or NLG server: so there is no more.
    """
    features, z = heard["turn"]["features"], heard["turn"]["z"]
    found: dict[str, Any] = {k: _round(features.get(k), 4) for k in (*FEATURES, "duration_s")}
    found["z"] = {k: round(v, 2) for k, v in zip(FEATURES, z) if v is not None}
    found["turn"] = heard.get("number")
    return {k: v for k, v in found.items() if v not in (None, {})}


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
