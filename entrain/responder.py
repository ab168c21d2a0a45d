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
ANSWER_BYTES = 1_000_000
SYSTEM = "You are in a spoken conversation. Answer in one to three short sentences of plain text, as speech."


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

    After the last line `reply` raises `ResponderError`: an experiment's script is over when it is over, and an
    agent that repeats its last line would spoil the recording unnoticed.
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
        heard = _plain_english(text)
        with self._swap:  # NLTK draws from the global generator: lend it our state, and put back what was there
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
    `timeout_s` bounds the whole answer, in seconds. `history_turns` bounds how far back the model sees.
    """

    def __init__(
        self,
        url: str,
        model: str = "default",
        key: str | None = None,
        system: str = SYSTEM,
        timeout_s: float = 20.0,
        history_turns: int = 40,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ResponderError(f"{url!r} is not an address; one like http://127.0.0.1:8080/v1 is needed.")
        base = url.rstrip("/").removesuffix("/chat/completions")
        self.url = f"{base}{'' if urlsplit(base).path else '/v1'}/chat/completions"
        self.model, self.system, self.timeout_s, self.history_turns = model, system, timeout_s, history_turns
        self.name = f"openai:{parts.hostname}/{model}"
        self._key = key if key is not None else os.getenv("ENTRAIN_API_KEY") or os.getenv("OPENAI_API_KEY", "")

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        status, body = self._post({"model": self.model, "messages": self._messages(text, turns)})
        if status != 200:
            raise ResponderError(f"{self.url} answered {status}: {_excuse(body)} {self._advice(status)}")
        try:
            content = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError) as error:
            raise ResponderError(
                f"{self.url} answered with something that is not a chat completion ({error!r}): {_excuse(body)} "
                "Check that the address is that of an OpenAI-compatible server."
            ) from error
        words = plain_text(content) if isinstance(content, str) else ""
        if not words:
            raise ResponderError(f"{self.url} answered without any words. Check the model and its token limit.")
        return words

    def _messages(self, text: str, turns: Sequence[Turn]) -> list[dict[str, str]]:
        """System, then the turns in order. Neighbours of one role are joined: many chat templates refuse them."""
        roles = {"user": "user", "agent": "assistant"}
        said = [(roles[turn.speaker], turn.text) for turn in turns[-self.history_turns :] if turn.text.strip()]
        if said[-1:] != [("user", text)]:
            said.append(("user", text))
        joined = [(role, " ".join(words for _, words in group)) for role, group in groupby(said, lambda pair: pair[0])]
        return [{"role": role, "content": words} for role, words in [("system", self.system), *joined] if words]

    def _post(self, payload: dict[str, Any]) -> tuple[int, bytes]:
        """Status and body. httpx bounds each read, not their sum, so the deadline is kept here."""
        import httpx2

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        deadline_s, body = time.monotonic() + self.timeout_s, b""
        try:
            with httpx2.stream("POST", self.url, json=payload, headers=headers, timeout=self.timeout_s) as answer:
                for chunk in answer.iter_bytes():
                    body += chunk
                    if time.monotonic() > deadline_s:
                        raise httpx2.ReadTimeout("still sending")
                    if len(body) > ANSWER_BYTES:
                        raise ResponderError(f"{self.url} sent over {ANSWER_BYTES} bytes: no chat completion.")
                return answer.status_code, body
        except httpx2.TimeoutException as error:
            raise ResponderError(
                f"{self.url} gave no answer in {self.timeout_s:g} s. Check that the server is up and the model "
                "loaded, or raise timeout_s."
            ) from error
        except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
            raise ResponderError(f"{self.url} can't be reached ({error}). Check the address and the server.") from error

    def _advice(self, status: int) -> str:
        if status in (401, 403):
            return "Check the key: ENTRAIN_API_KEY or OPENAI_API_KEY."
        if status in (400, 404, 422):
            return f"Check the address and the model's name ({self.model!r})."
        return "Too many requests: wait, or check the quota." if status == 429 else "Check the server's log."


def plain_text(content: str) -> str:
    """A model's reply as words to say: no reasoning, no Markdown, one line, at most `REPLY_CHARACTERS`."""
    content = re.sub(r"<think>.*?(</think>|\Z)", " ", content, flags=re.DOTALL)
    content = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", content)  # a link is its text
    content = re.sub(r"^\s*(#{1,6}|>|[-*+]|```\w*)(\s+|$)", "", content, flags=re.MULTILINE)
    content = re.sub(r"(\*\*|__|`+|(?<!\w)[*_](?=\w)|(?<=[\w.,!?])[*_](?!\w))", "", content)
    words = " ".join("".join(c if unicodedata.category(c)[0] != "C" else " " for c in content).split())
    return words if len(words) <= REPLY_CHARACTERS else words[:REPLY_CHARACTERS].rsplit(" ", 1)[0]


def load_responder(name: str) -> Responder:
    """By name: "script:replies.txt", "eliza" or "openai:http://host:port/v1#model"."""
    kind, _, rest = name.partition(":")
    if kind == "eliza" and not rest:
        return Eliza()
    if kind == "script" and rest:
        return Script.read(rest)
    if kind == "openai" and rest:
        url, _, model = rest.partition("#")
        return OpenAICompatible(url, model or "default")
    raise ResponderError(
        f"{name!r} is not a responder. Select one of script:FILE, eliza, openai:http://HOST:PORT/v1#MODEL."
    )


def _excuse(body: bytes) -> str:
    """The first words of an answer that is not what was asked for; the server's own message if it has one."""
    text = body.decode("utf-8", "replace")
    try:
        text = str(json.loads(text)["error"]["message"])
    except (ValueError, LookupError, TypeError):
        pass
    return " ".join(text.split())[:200] or "(nothing)"


def _plain_english(text: str) -> str:
    """ELIZA's patterns are ASCII; NLTK fails on a percent sign (its slots are %1) and on letters like the dotless i."""
    text = text.replace("%", " percent").replace("’", "'")
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
