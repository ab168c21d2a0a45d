"""entrain: prosodic entrainment for spoken dialogue systems. Start with `Entrainer.load()`."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from entrain.audio import Audio as Audio
    from entrain.conversation import Conversation as Conversation
    from entrain.conversation import Entrainer as Entrainer
    from entrain.conversation import Speech as Speech
    from entrain.history import History as History
    from entrain.prosody import extract as extract
    from entrain.strategy import Prediction as Prediction
    from entrain.targets import Policy as Policy
    from entrain.targets import Targets as Targets
    from entrain.turn import Features as Features
    from entrain.turn import Turn as Turn
    from entrain.voice import VoiceProfile as VoiceProfile

__version__ = "0.1.0"

_HOME = {
    "Audio": "audio", "Conversation": "conversation", "Entrainer": "conversation", "Speech": "conversation",
    "History": "history", "extract": "prosody", "Prediction": "strategy", "Policy": "targets", "Targets": "targets",
    "Features": "turn", "Turn": "turn", "VoiceProfile": "voice",
}  # fmt: skip
__all__ = ["__version__", *_HOME]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Names are loaded when first used: `import entrain` costs a few milliseconds."""
    if name not in _HOME:
        raise AttributeError(f"module 'entrain' has no attribute {name!r}")
    return getattr(import_module(f"entrain.{_HOME[name]}"), name)
