"""Who chooses the words: a script, ELIZA, or any OpenAI-compatible endpoint. entrain chooses how they sound."""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
import unicodedata
from collections.abc import Sequence
from itertools import groupby
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from entrain.turn import Turn

REPLY_CHARACTERS = 5_000  # five minutes of speech; longer is a model that ran away
ANSWER_BYTES, HISTORY_TURNS = 1_000_000, 40
SYSTEM = "You are in a spoken conversation. Answer in one to three short sentences of plain text, as speech."
CHECK_KEY = "Check the key: ENTRAIN_API_KEY or OPENAI_API_KEY."
ADVICE = {401: CHECK_KEY, 403: CHECK_KEY, 404: "Check the address and the name of the model."}


class ResponderError(RuntimeError):
    """There is no reply; the message says why and what to check."""


@runtime_checkable
class Responder(Protocol):
    """Who chooses the words. Implement these two members and entrain can speak them."""

    @property
    def name(self) -> str:
        """Short, for logs and reports, as in "script:replies.txt". Never holds a key."""
        ...

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        """The agent's words in answer to `text`, what the user just said.

        `turns` is the conversation so far, oldest first; the user's turn of `text` may already be its last.
        Blocks until the words are there. Raises `ResponderError` when there are none.
        """
        ...


class Script:
    """The given lines, one a reply, whatever the user says.

    After the last line `reply` raises `ResponderError`: repeating it would spoil an experiment unnoticed.
    """

    def __init__(self, lines: Sequence[str], name: str = "script") -> None:
        self.name = name
        self.lines = tuple(line.strip() for line in lines if line.strip())
        if not self.lines:
            raise ResponderError(f"{name} has no lines; at least one reply is needed.")
        self._n_said = 0

    @classmethod
    def read(cls, path: str | PathLike[str]) -> Script:
        """From a UTF-8 text file, one reply a line; blank lines are skipped."""
        try:
            lines = Path(path).read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ResponderError(f"{path} can't be read ({error}). A UTF-8 text file is needed.") from error
        return cls(lines, f"script:{Path(path).name}")

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        if self._n_said == len(self.lines):
            raise ResponderError(f"{self.name} is over: all of its {len(self.lines)} replies are said.")
        self._n_said += 1
        return self.lines[self._n_said - 1]


class Eliza:
    """Weizenbaum's therapist of 1966, in NLTK's English version: offline, no model, the same for the same seed."""

    name = "eliza"
    _swap = threading.Lock()

    def __init__(self, seed: int = 0) -> None:
        from nltk.chat.eliza import eliza_chatbot

        self._chat: Any = eliza_chatbot
        self._state = random.Random(seed).getstate()

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        # NLTK's patterns are ASCII, and it fails on a percent sign (its slots are %1) and the Turkish dotless i.
        text = unicodedata.normalize("NFKD", text.replace("%", " percent").replace("’", "'"))
        heard = text.encode("ascii", "ignore").decode()
        # NLTK draws from the global generator: lend it our state, and put back what was there.
        with self._swap:
            others = random.getstate()
            random.setstate(self._state)
            try:
                return str(self._chat.respond(heard))
            finally:
                self._state = random.getstate()
                random.setstate(others)


class OpenAICompatible:
    """Any server that speaks `/v1/chat/completions`: OpenAI, vLLM, llama.cpp, Ollama, LM Studio …

    `url` is the server with or without its path ("http://127.0.0.1:8080" means ".../v1"). `model` is the server's
    name for it. `key` is sent as a bearer token; left None, ENTRAIN_API_KEY or OPENAI_API_KEY is used, if set.
    `timeout_s` bounds the whole answer, in seconds. The model sees the last `HISTORY_TURNS` turns.
    """

    def __init__(
        self, url: str, model: str = "any", key: str | None = None, system: str = SYSTEM, timeout_s: float = 9
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ResponderError(f"{url!r} is not an address; one like http://127.0.0.1:8080/v1 is needed.")
        base = url.rstrip("/").removesuffix("/chat/completions")
        self.url = f"{base}{'' if urlsplit(base).path else '/v1'}/chat/completions"
        self.model, self.system, self.timeout_s = model, system, timeout_s
        self.name = f"openai:{parts.hostname}/{model}"
        key = os.getenv("ENTRAIN_API_KEY") or os.getenv("OPENAI_API_KEY") if key is None else key
        self._headers = {"Authorization": f"Bearer {key.strip()}"} if key else {}

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        status, body = self._post({"model": self.model, "messages": self._messages(text, turns)})
        if status != 200:
            advice = ADVICE.get(status, "Check the server's log.")
            raise ResponderError(f"{self.url} answered {status}: {_excuse(body)} {advice}")
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            why = f"sent no chat completion: {_excuse(body)}"
            raise ResponderError(f"{self.url} {why} Is the server OpenAI-compatible?") from error
        words = plain_text(content) if isinstance(content, str) else ""
        if not words:
            raise ResponderError(f"{self.url} answered without words. Check the model and its token limit.")
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

    def _post(self, payload: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body. httpx bounds each read, not their sum, so the deadline is kept here."""
        import httpx2

        deadline_s, body = time.monotonic() + self.timeout_s, b""
        client = httpx2.Client(headers=self._headers, timeout=self.timeout_s)
        try:
            with client, client.stream("POST", self.url, json=payload) as answer:
                for chunk in answer.iter_bytes():
                    body += chunk
                    if time.monotonic() > deadline_s:
                        raise httpx2.ReadTimeout("still sending")
                    if len(body) > ANSWER_BYTES:
                        raise ResponderError(f"{self.url} sent over {ANSWER_BYTES} bytes.")
                return answer.status_code, body
        except httpx2.TimeoutException as error:
            raise ResponderError(f"{self.url} gave no answer in timeout_s, {self.timeout_s:g} s.") from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise ResponderError(f"{self.url} can't be reached ({error}). Check the server.") from error


def plain_text(content: str) -> str:
    """A model's reply as words to say: no reasoning, no Markdown, one line, at most `REPLY_CHARACTERS`."""
    content = re.sub(r"<think>.*?(</think>|\Z)", " ", content, flags=re.DOTALL)
    content = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", content)  # a link is its text
    content = re.sub(r"^\s*(#{1,6}|>|[-*+]|```\w*)(\s+|$)", "", content, flags=re.MULTILINE)
    content = re.sub(r"(\*\*|__|`+|(?<!\w)[*_](?=\w)|(?<=[\w.,!?])[*_](?!\w))", "", content)
    words = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", content).split())
    return words if len(words) <= REPLY_CHARACTERS else words[:REPLY_CHARACTERS].rsplit(" ", 1)[0]


def load_responder(name: str) -> Responder:
    """By name: "script:replies.txt", "eliza" or "openai:http://host:port/v1#model"."""
    kind, _, rest = name.partition(":")
    if name == "eliza":
        return Eliza()
    if kind == "script" and rest:
        return Script.read(rest)
    if kind == "openai" and rest:
        url, _, model = rest.partition("#")
        return OpenAICompatible(url, model or "any")
    choices = "script:FILE, eliza, openai:http://HOST:PORT/v1#MODEL"
    raise ResponderError(f"{name!r} is not a responder. Select one of {choices}.")


def _excuse(body: bytes) -> str:
    """How an unwanted answer begins: most servers say why there."""
    return " ".join(body.decode("utf-8", "replace").split())[:200] or "(nothing)"
