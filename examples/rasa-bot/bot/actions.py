"""An action that answers by how the user sounds: shortly to who is fast and loud, at leisure otherwise."""

from __future__ import annotations

from typing import Any

from rasa_sdk import Action, Tracker
from rasa_sdk.executor import CollectingDispatcher

FAST_Z = 0.5  # of the rate, in standard deviations from how this user (at first: people) usually speaks
FAST_SYLL_S = 5.0  # or outright: people speak 4.3 syllables per second, give or take one
LOUD_Z = 0.0  # a microphone's gain is unknown, so only the z-score of the level says anything


def hurried(metadata: Any) -> bool:
    """Whether the turn with this metadata was fast, and not soft. Without prosody nobody is hurried."""
    voice = metadata.get("entrain") if isinstance(metadata, dict) else None
    if not isinstance(voice, dict):
        return False
    z = voice.get("z") if isinstance(voice.get("z"), dict) else {}
    rate, rate_z, level_z = (
        _number(v) for v in (voice.get("rate_syll_s"), z.get("rate_syll_s"), z.get("level_db"))
    )
    return (rate > FAST_SYLL_S or rate_z > FAST_Z) and level_z > LOUD_Z


def _number(value: Any) -> float:
    """0, the usual, where it was not measured."""
    return float(value) if isinstance(value, (int, float)) else 0.0


class Help(Action):
    def name(self) -> str:
        return "action_help"

    def run(
        self, dispatcher: CollectingDispatcher, tracker: Tracker, domain: dict[str, Any]
    ) -> list[dict[str, Any]]:
        if hurried(tracker.latest_message.get("metadata")):
            dispatcher.utter_message(text="Somebody is coming right now.")
        else:
            dispatcher.utter_message(text="Of course. Tell me in your own time what you are looking for.")
        return []
