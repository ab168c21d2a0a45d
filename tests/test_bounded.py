"""A responder with a deadline: slow, dead, long, and empty ones, each a real server or socket."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from answering import sends, serving

from entrain.bounded import SORRY, STUCK, Bounded, bounded
from entrain.responder import Eliza, NoWords, OpenAICompatible, Rasa, Responder, ResponderError, Script
from entrain.turn import Turn


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


class Told:
    """Does what it is told, as a host's own responder might."""

    name = "told"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def reply(self, text: str, turns: Sequence[Turn]) -> str:
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer() if callable(answer) else answer


@contextmanager
def listening(drip: bytes = b"") -> Iterator[str]:
    """A socket that accepts and never answers or, with `drip`, sends a byte of it every 50 ms: within its headers."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def serve() -> None:
            callers: list[socket.socket] = []
            sent = 0
            while not over.wait(0.05):
                with suppress(TimeoutError):
                    callers.append(server.accept()[0])
                for caller in callers if drip else []:
                    with suppress(OSError):
                        caller.send(drip[sent % len(drip) :][:1])
                sent += 1
            for caller in callers:
                caller.close()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}"
        finally:
            over.set()
            thread.join()


def test_a_quick_responder_is_as_it_was() -> None:
    plain, quick = Eliza(seed=1), bounded(Eliza(seed=1))
    assert isinstance(quick, Responder)
    assert quick.name == "eliza"
    assert bounded(quick) is quick
    for text in ("Hello", "I am sad", "Why?"):
        assert quick.reply(text, []) == plain.reply(text, [])
        assert quick.fault == ""


@pytest.mark.parametrize("drip", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: and slower"], ids=["silent", "dripping"])
@pytest.mark.parametrize("engine", [OpenAICompatible, Rasa])
def test_a_server_that_never_answers_gets_the_sorry_line(engine: Any, drip: bytes) -> None:
    with listening(drip) as url:
        agent = bounded(engine(url, timeout_s=1), timeout_s=0.3, sorry="Pardon?")
        started = time.monotonic()
        assert agent.reply("?", []) == "Pardon?"
        assert time.monotonic() - started < 5
        assert "gave no answer in 0.3 s" in agent.fault


def test_a_dead_server_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    agent = bounded(Rasa(url))
    with caplog.at_level(logging.WARNING):
        assert [agent.reply("secret words", []) for _ in range(5)] == [SORRY] * 5
    assert "can't be reached" in agent.fault
    assert len(caplog.records) == 1
    assert "secret" not in caplog.text


def test_it_comes_back_when_the_server_does() -> None:
    agent = bounded(Told(ResponderError("down"), "Yes."))
    assert [agent.reply("?", []), agent.fault] == [SORRY, "down"]
    assert [agent.reply("?", []), agent.fault] == ["Yes.", ""]


@pytest.mark.parametrize(
    "fault", [ValueError("bad"), KeyError(), SystemExit(3), TimeoutError(), None, 7, b"bytes"]
)
def test_nothing_a_responder_does_is_raised(fault: Any) -> None:
    agent = bounded(Told(fault))
    assert agent.reply("?", []) == SORRY
    assert agent.fault


def test_a_late_answer_is_dropped() -> None:
    late = threading.Event()
    agent = bounded(Told(lambda: late.wait(5) and "too late", "in time"), timeout_s=0.1)
    assert agent.reply("one", []) == SORRY
    late.set()
    assert agent.reply("two", []) == "in time"


def test_an_endless_responder_is_not_asked_more_than_a_few_times() -> None:
    over = threading.Event()
    asked: list[int] = []

    def hang() -> str:
        asked.append(1)
        over.wait(20)
        return "late"

    agent = bounded(Told(*[hang] * STUCK, "Back."), timeout_s=0.05)
    assert [agent.reply("?", []) for _ in range(STUCK + 3)] == [SORRY] * (STUCK + 3)
    assert len(asked) == STUCK
    assert "still awaited" in agent.fault
    over.set()
    limit_s = time.monotonic() + 10
    while (said := agent.reply("?", [])) == SORRY and time.monotonic() < limit_s:
        time.sleep(0.01)
    assert said == "Back."


def test_cancel_ends_the_wait_at_once() -> None:
    asked, over = threading.Event(), threading.Event()

    def hang() -> str:
        asked.set()
        over.wait(20)
        return "late"

    agent = bounded(Told(hang, "Next."), timeout_s=15)
    said: list[str] = []
    waiting = threading.Thread(target=lambda: said.append(agent.reply("?", [])))
    waiting.start()
    assert asked.wait(5)
    agent.cancel()
    waiting.join(5)
    assert said == [""]
    assert agent.fault == ""
    assert agent.reply("?", []) == "Next."
    agent.cancel()  # with nothing awaited, nothing happens
    over.set()


def test_a_reply_of_5000_characters_is_cut_at_a_sentence() -> None:
    agent = bounded(Told("We open at nine, Dr. Smith. " * 200), max_s=60)
    words = agent.reply("?", [])
    assert 450 <= len(words) <= 900  # a minute, at 15 characters a second
    assert words.endswith("nine, Dr. Smith.")
    assert "5600 characters" in agent.fault


@pytest.mark.parametrize(
    "content", ["https://x.y/cat.png", "![a cat](https://x.y/cat)", "https://x.y", "", "...", "\x00"]
)
def test_what_can_not_be_spoken_is_silence(content: str) -> None:
    agent = bounded(Told(content, NoWords("an image")))
    assert [agent.reply("?", []), agent.fault] == ["", ""]
    assert [agent.reply("?", []), agent.fault] == ["", ""]


def test_markdown_of_a_hosts_own_responder_is_not_read_out() -> None:
    assert bounded(Told("**We** open\n\n- at `nine`\x07")).reply("?", []) == "We open at nine"


def test_a_script_that_is_over_says_so() -> None:
    agent = Bounded(Script(["Hello."]), sorry="")
    assert [agent.reply("?", []) for _ in range(2)] == ["Hello.", ""]
    assert "is over" in agent.fault


def test_a_real_engine_within_its_time() -> None:
    with serving(sends([{"recipient_id": "x", "text": "At *nine*."}])) as server:
        agent = bounded(Rasa(server.url), timeout_s=5)
        assert [agent.reply("When?", []), agent.fault] == ["At nine.", ""]
