"""Words from any server that speaks OpenAI's `/v1/chat/completions`."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from itertools import groupby
from urllib.parse import urlsplit

from entrain.post import address, excuse, post
from entrain.reply import THINKING, NoWords, ResponderError, plain_text
from entrain.turn import Turn

HISTORY_TURNS = 40
SYSTEM = "You are in a spoken conversation. Answer in one to three short sentences of plain text, as speech."
CHECK_KEY = "Check the key: ENTRAIN_API_KEY or OPENAI_API_KEY."
ADVICE = {401: CHECK_KEY, 403: CHECK_KEY, 404: "Check the address and the name of the model."}


class OpenAICompatible:
    """Any server that speaks `/v1/chat/completions`: OpenAI, vLLM, llama.cpp, Ollama, LM Studio …

    `url` is the server with or without its path ("http://127.0.0.1:8080" means ".../v1"). `model` is the server's
    name for it. `key` is sent as a bearer token; left None, ENTRAIN_API_KEY or OPENAI_API_KEY is used, if set.
    `timeout_s` bounds the whole answer, in seconds. The model sees the last `HISTORY_TURNS` turns.
    """

    def __init__(
        self, url: str, model: str = "any", key: str | None = None, system: str = SYSTEM, timeout_s: float = 9
    ) -> None:
        parts = address(url, "http://127.0.0.1:8080/v1")
        base = url.rstrip("/").removesuffix("/chat/completions")
        self.url = f"{base}{'' if urlsplit(base).path else '/v1'}/chat/completions"
        self.model, self.system, self.timeout_s = model, system, timeout_s
        self.name = f"openai:{parts.hostname}/{model}"
        key = os.getenv("ENTRAIN_API_KEY") or os.getenv("OPENAI_API_KEY") if key is None else key
        self._headers = {"Authorization": f"Bearer {key.strip()}"} if key else {}

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        asked = {"model": self.model, "messages": self._messages(text, turns)}
        status, body = post(self.url, asked, self.timeout_s, self._headers)
        if status != 200:
            advice = ADVICE.get(status, "Check the server's log.")
            raise ResponderError(f"{self.url} answered {status}: {excuse(body)} {advice}")
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            why = f"sent no chat completion: {excuse(body)}"
            raise ResponderError(f"{self.url} {why} Is the server OpenAI-compatible?") from error
        if not isinstance(content, str) or not THINKING.sub("", content).strip():
            raise ResponderError(f"{self.url} answered without words. Check the model and its token limit.")
        words = plain_text(content)
        if not words:
            raise NoWords(f"{self.url} answered without words to say.")
        return words

    def _messages(self, text: str, turns: Sequence[Turn]) -> list[dict[str, str]]:
        """System, then the turns in order. Neighbours of one role are joined: chat templates refuse them."""
        roles = {"user": "user", "agent": "assistant"}
        said = [(roles[turn.speaker], turn.text) for turn in turns[-HISTORY_TURNS:] if turn.text.strip()]
        if said[-1:] != [("user", text)]:
            said.append(("user", text))
        messages = [{"role": "system", "content": self.system}] if self.system else []
        for role, group in groupby(said, lambda pair: pair[0]):
            messages.append({"role": role, "content": " ".join(words for _, words in group)})
        return messages
