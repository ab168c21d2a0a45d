"""One turn at the entrain server: heard, then every message said, in order. Nothing here raises: a fault is told beside the text."""

from __future__ import annotations

import logging
from typing import Any

from entrain_rasa.server import Server
from entrain_rasa.turns import Fault, numbers

log = logging.getLogger(__name__)
MAX_BYTES = 20_000_000  # what the server takes: ten minutes at 16 kHz


class Talk:
    def __init__(self, server: Server, conversation: str) -> None:
        self.server, self.conversation = server, conversation
        self._next: int | None = None  # how many turns the server should have
        self._gone: Fault | None = None  # the server is not there: one wait a turn is enough

    async def hear(self, audio: bytes, text: str | None) -> dict[str, Any]:
        """The words, and the numbers for `metadata.entrain`, or a fault there; typed text has neither."""
        if not audio:
            return {"text": text or "", "entrain": {}}
        try:
            if len(audio) > MAX_BYTES:
                raise Fault("too_large", f"The sound has {len(audio)} bytes; {MAX_BYTES} are taken.")
            if self._gone:
                raise self._gone
            heard = await self.server.hear(self.conversation, audio, text)
            self._next = heard["number"] + 1
            words, found = heard["turn"]["text"].strip(), numbers(heard)
            if heard["turn"]["fault"]:
                found["fault"] = Fault("measuring", heard["turn"]["fault"]).told
            if not words:
                found["fault"] = Fault("no_words", "There are no words in the sound.").told
            return {"text": words, "entrain": found}
        except Exception as error:
            return {"text": (text or "").strip(), "entrain": {"fault": self._fault(error)}}

    async def say(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message with its sound, if it has words; images, buttons and the like go through as they are."""
        if not str(message.get("text") or "").strip():
            return message
        try:
            if self._gone:
                raise self._gone
            said = await self.server.say(self.conversation, message["text"], self._next)
            self._next = said["number"] + 1
            told = {name: said[name] for name in ("number", "targets", "realised")}
            return {**message, "audio": said["audio"], "rate_hz": said["rate_hz"], "entrain": told}
        except Exception as error:
            return {**message, "entrain": {"fault": self._fault(error)}}

    async def forget(self) -> bool:
        """Begin the history anew, since Rasa has; False where that failed."""
        try:
            if self._gone:
                raise self._gone
            await self.server.forget(self.conversation)
            return True
        except Exception as error:
            self._fault(error)
            return False

    def _fault(self, error: Exception) -> dict[str, str]:
        if not isinstance(error, Fault):
            log.error("entrain: a turn failed; going on without its sound", exc_info=error)
            return Fault("bug", "That should not have happened; the bot's log says more.").told
        if error is not self._gone:
            log.warning("entrain: %s: %s Going on without.", error.code, error.message)
        if error.code in ("timeout", "unreachable"):
            self._gone = error
        return error.told
