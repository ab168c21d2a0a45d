"""entrain for Rasa 3.6. In credentials.yml: `entrain_rasa.EntrainChannel:` with `url: http://127.0.0.1:8321`."""

from __future__ import annotations

from typing import Any

__all__ = ["EntrainChannel"]


def __getattr__(name: str) -> Any:
    """The channel, when Rasa asks for it: the client beside it runs where there is no Rasa."""
    if name != "EntrainChannel":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from entrain_rasa.channel import EntrainChannel

    return EntrainChannel
