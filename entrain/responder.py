"""Who chooses the words: a script, ELIZA, a person, Rasa, or any OpenAI-compatible endpoint. entrain chooses how they
sound."""

from __future__ import annotations

import random
import threading
import unicodedata
from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from entrain.bounded import Bounded, bounded
from entrain.reply import REPLY_CHARACTERS, NoWords, Responder, ResponderError, plain_text
from entrain.responder_openai import OpenAICompatible
from entrain.responder_rasa import Rasa
from entrain.turn import Turn

__all__ = [
    "REPLY_CHARACTERS", "Bounded", "Eliza", "NoWords", "OpenAICompatible", "Person", "Rasa", "Responder",
    "ResponderError", "Script", "bounded", "load_responder", "plain_text",
]  # fmt: skip


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


class Person:
    """A human types the reply: a Wizard of Oz for the words, while entrain does the prosody.

    `ask` shows what it is given and returns the line typed (default: the terminal's `input`); it asks again until there are
    words. Typing takes longer than a deadline made for machines: give `bounded` a minute.
    """

    name = "person"

    def __init__(self, ask: Callable[[str], str] = input) -> None:
        self.ask = ask
        self._turn = threading.Lock()  # one question at a time, or two would share a keyboard

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        with self._turn:
            try:
                while not (typed := self.ask(f"User: {text}\nReply: ").strip()):
                    pass
            except (EOFError, OSError) as error:
                raise ResponderError("nobody is typing: the input is closed.") from error
            return typed


def load_responder(name: str, conversation_id: str | None = None) -> Responder:
    """By name: "script:replies.txt", "eliza", "person", "rasa:http://host:5005" or "openai:http://host:port/v1#model".

    `conversation_id` is for engines that keep the dialogue themselves (Rasa, which is told its hash).
    """
    kind, _, rest = name.partition(":")
    if name == "eliza":
        return Eliza()
    if name == "person":
        return Person()
    if kind == "script" and rest:
        return Script.read(rest)
    if kind == "rasa" and rest:
        return Rasa(rest, conversation_id)
    if kind == "openai" and rest:
        url, _, model = rest.partition("#")
        return OpenAICompatible(url, model or "any")
    choices = "script:FILE, eliza, person, rasa:http://HOST:5005, openai:http://HOST:PORT/v1#MODEL"
    raise ResponderError(f"{name!r} is not a responder. Select one of {choices}.")
