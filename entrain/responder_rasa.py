"""Words from a Rasa bot, over its REST channel (`rest:` in credentials.yml)."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from typing import Any

from entrain.post import address, excuse, post
from entrain.reply import NoWords, ResponderError, plain_text
from entrain.turn import FEATURES, Turn

WEBHOOK = "/webhooks/rest/webhook"
ADVICE = {404: "Is there a line `rest:` in the bot's credentials.yml?"}


class Rasa:
    """A Rasa bot. `url` is its server ("http://127.0.0.1:5005"), or the whole address of a channel like its REST one.

    Rasa keeps the dialogue by sender: that is a hash of `conversation_id`, since ids may be names; the same id goes on where
    the bot was, and none is a new dialogue. Each message carries the prosody of the user's turn in its metadata, under
    "entrain": a few numbers, never audio, since Rasa keeps and resends them. `timeout_s` bounds the whole answer.
    """

    def __init__(self, url: str, conversation_id: str | None = None, timeout_s: float = 9) -> None:
        parts = address(url, "http://127.0.0.1:5005")
        base = url.rstrip("/")
        self.url = base if "/webhooks/" in parts.path else base + WEBHOOK
        self.sender = hashlib.sha256((conversation_id or uuid.uuid4().hex).encode()).hexdigest()[:16]
        self.name, self.timeout_s = f"rasa:{parts.hostname}", timeout_s
        self.unspoken: list[dict[str, Any]] = []
        """What the last answer held beside words, in order: {"image": url}, {"buttons": […]}, {"custom": {…}} …"""

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        """The bot's messages in their order, as one text. Raises `NoWords` when there are none to say."""
        asked: dict[str, Any] = {"sender": self.sender, "message": text}
        if turns and turns[-1].speaker == "user":
            asked["metadata"] = {"entrain": prosody(turns[-1])}
        messages = self._messages(*post(self.url, asked, self.timeout_s))
        beside = [{k: v for k, v in m.items() if k not in ("recipient_id", "text")} for m in messages]
        self.unspoken = [more for more in beside if more]
        said = [plain_text(m["text"]) for m in messages if isinstance(m.get("text"), str)]
        words = plain_text(" ".join(_ended(text) for text in said if text))
        if not words:
            held = ", ".join(key for more in self.unspoken for key in more) or "no message"
            raise NoWords(f"{self.url} answered without words to say ({held}).")
        return words

    def _messages(self, status: int, body: bytes) -> list[dict[str, Any]]:
        if status != 200:
            advice = ADVICE.get(status, "Check the bot's log.")
            raise ResponderError(f"{self.url} answered {status}: {excuse(body)} {advice}")
        try:
            messages = json.loads(body)
            return [{**message} for message in [*messages]]
        except (ValueError, TypeError) as error:
            why = f"sent no list of messages: {excuse(body)}"
            raise ResponderError(f"{self.url} {why} Is it Rasa's REST channel?") from error


def prosody(turn: Turn) -> dict[str, float | dict[str, float]]:
    """What of a turn's prosody was measurable, by the names of `FEATURES`, and `duration_s`; under "z" how far each is from how this
    user usually sounds, in standard deviations. The plug-in for Rasa (`plugins/rasa`) tells a bot the same."""
    values = {name: getattr(turn.features, name) for name in (*FEATURES, "duration_s")}
    found: dict[str, float | dict[str, float]] = {
        name: round(value, 4) for name, value in values.items() if value is not None
    }
    z = {name: round(value, 2) for name, value in zip(FEATURES, turn.z, strict=True) if value is not None}
    return found | {"z": z} if z else found


def _ended(text: str) -> str:
    """Two messages are two sentences, though chat bots may leave out the full stop."""
    return f"{text}." if text[-1].isalnum() else text
