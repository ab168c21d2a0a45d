"""Responders, the real ones; the endpoint is a real HTTP server on loopback."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.responder import (
    REPLY_CHARACTERS,
    Eliza,
    OpenAICompatible,
    Responder,
    ResponderError,
    Script,
    load_responder,
    plain_text,
)
from entrain.turn import Turn


def turn(speaker: str, text: str) -> Turn:
    return Turn(speaker=speaker, start_s=0, end_s=1, text=text)  # type: ignore[arg-type]


# --- script


def test_script_says_its_lines_in_turn_and_then_that_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("\ufeffHello.\n\n  We open at nine, né?  \n", encoding="utf-8")
    script = load_responder(f"script:{path}")
    assert isinstance(script, Responder)
    assert script.name == "script:replies.txt"
    assert [script.reply("hi", []), script.reply("", [])] == ["Hello.", "We open at nine, né?"]
    with pytest.raises(ResponderError, match="is over: all of its 2 replies are said"):
        script.reply("and?", [])


def test_script_needs_a_readable_file_with_lines(tmp_path: Path) -> None:
    with pytest.raises(ResponderError, match="can't be read"):
        Script.read(tmp_path / "none.txt")
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9\n")
    with pytest.raises(ResponderError, match="UTF-8"):
        Script.read(latin)
    with pytest.raises(ResponderError, match="no lines"):
        Script(["", "  "])


# --- ELIZA

SAID = ["Hello", "I am sad", "I need a rest", "Because I'm tired", "What is love?", "I am sad"]


def test_eliza_is_the_same_for_the_same_seed() -> None:
    first, second, other = Eliza(seed=3), Eliza(seed=3), Eliza(seed=4)
    replies = [first.reply(text, []) for text in SAID]
    assert replies == [second.reply(text, []) for text in SAID]
    assert replies != [other.reply(text, []) for text in SAID]
    assert "sad" in replies[1]


def test_eliza_leaves_the_global_random_state_alone() -> None:
    random.seed(7)
    expected = [random.random() for _ in range(4)]
    random.seed(7)
    eliza, drawn = Eliza(), []
    for text in SAID[:4]:
        eliza.reply(text, [])
        drawn.append(random.random())
    assert drawn == expected


def test_eliza_does_not_depend_on_the_global_random_state() -> None:
    eliza, again = Eliza(), Eliza()
    random.seed(1)
    replies = [eliza.reply(text, []) for text in SAID]
    random.seed(2)
    assert [again.reply(text, []) for text in SAID] == replies


@pytest.mark.parametrize(
    "text", ["", "I am 50% sure", "I am %9", "I want ı and İ", "我很累", "I’m tired", "a\nb"]
)
def test_eliza_answers_anything(text: str) -> None:
    assert Eliza().reply(text, [])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_eliza_answers_any_text(text: str) -> None:
    assert Eliza().reply("I am " + text, [])


# --- an OpenAI-compatible endpoint

Answer = Callable[[BaseHTTPRequestHandler], None]


class Server(ThreadingHTTPServer):
    """Keeps what it was asked; answers as told."""

    daemon_threads = True
    answer: Answer
    asked: list[dict[str, Any]]
    url: str


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append({"path": self.path, "headers": dict(self.headers), **json.loads(body)})
        self.server.answer(self)

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(answer: Answer) -> Iterator[Server]:
    server = Server(("127.0.0.1", 0), Handler)
    server.answer, server.asked, server.url = answer, [], f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def sends(body: str | bytes | dict[str, Any], status: int = 200) -> Answer:
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    data = data.encode() if isinstance(data, str) else data

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def completion(content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ENTRAIN_API_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_endpoint_gives_the_reply_as_plain_words() -> None:
    with serving(sends(completion("  **We** open\nat `nine`. \n"))) as server:
        agent = OpenAICompatible(server.url, model="tiny")
        assert isinstance(agent, Responder)
        assert agent.reply("When do you open?", []) == "We open at nine."
    (asked,) = server.asked
    assert asked["path"] == "/v1/chat/completions"
    assert asked["model"] == "tiny"
    assert "Authorization" not in asked["headers"]
    assert agent.name == "openai:127.0.0.1/tiny"


def test_endpoint_gets_the_history_in_order_and_the_last_words_once() -> None:
    turns = [
        turn("agent", "Hello."),
        turn("user", "Hi."),
        turn("agent", ""),
        turn("user", "Er."),
        turn("agent", "Yes?"),
    ]
    expected = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Hi. Er."},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "Are you open?"},
    ]
    with serving(sends(completion("Yes."))) as server:
        agent = OpenAICompatible(server.url, system="Be brief.")
        agent.reply("Are you open?", turns)
        agent.reply("Are you open?", [*turns, turn("user", "Are you open?")])
    assert [asked["messages"] for asked in server.asked] == [expected, expected]


def test_endpoint_sees_a_bounded_history() -> None:
    turns = [turn("user" if i % 2 else "agent", f"turn {i}") for i in range(500)]
    with serving(sends(completion("Yes."))) as server:
        OpenAICompatible(server.url, system="").reply("And?", turns)
    messages = server.asked[0]["messages"]
    assert len(messages) == 40
    assert messages[-1]["content"] == "turn 499 And?"


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/chat/completions"])
def test_endpoint_address_may_have_its_path(path: str) -> None:
    with serving(sends(completion("Yes."))) as server:
        agent = load_responder(f"openai:{server.url}{path}#llama")
        assert agent.reply("?", []) == "Yes."
    assert server.asked[0]["path"] == "/v1/chat/completions"
    assert server.asked[0]["model"] == "llama"


def test_key_comes_from_the_argument_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(sends(completion("Yes."))) as server:
        monkeypatch.setenv("OPENAI_API_KEY", "second")
        OpenAICompatible(server.url).reply("?", [])
        monkeypatch.setenv("ENTRAIN_API_KEY", "first")
        OpenAICompatible(server.url).reply("?", [])
        OpenAICompatible(server.url, key="given").reply("?", [])
        OpenAICompatible(server.url, key="").reply("?", [])
    sent = [asked["headers"].get("Authorization") for asked in server.asked]
    assert sent == ["Bearer second", "Bearer first", "Bearer given", None]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (sends({"error": {"message": "bad key"}}, 401), r"answered 401: .*bad key.*ENTRAIN_API_KEY"),
        (
            sends({"error": {"message": "no such model"}}, 404),
            r"answered 404: .*no such model.*name of the model",
        ),
        (sends("out of memory", 500), r"answered 500: out of memory Check the server's log"),
        (sends(completion("Yes."), 302), "answered 302"),
        (sends("<html>hello</html>"), r"no chat completion: <html>hello</html> .*OpenAI-compatible"),
        (sends(b"\xff\xfe"), "no chat completion"),
        (sends({"choices": []}), r"no chat completion: \{.choices.: \[\]\}"),
        (sends("[1]"), "no chat completion"),
        (sends({"choices": [{"message": None}]}), "no chat completion"),
        (sends(completion(None)), "without words"),
        (sends(completion("<think>hm")), "without words"),
        (sends("x" * 2_000_000), "sent over"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_so(answer: Answer, message: str) -> None:
    with serving(answer) as server:
        agent = OpenAICompatible(server.url, key="sk-secret", timeout_s=5)
        with pytest.raises(ResponderError, match=message) as error:
            agent.reply("?", [])
    assert "sk-secret" not in str(error.value)


def test_a_hanging_server_times_out() -> None:
    done = threading.Event()
    with serving(lambda _: done.wait(5) and None) as server:
        started = time.monotonic()
        with pytest.raises(ResponderError, match=r"no answer in timeout_s, 0\.3 s"):
            OpenAICompatible(server.url, timeout_s=0.3).reply("?", [])
        assert time.monotonic() - started < 2
        done.set()


def test_a_trickling_server_times_out() -> None:
    """Each byte comes within the time allowed for a read; all of them don't."""

    def trickle(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        for _ in range(60):
            try:
                handler.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.05)

    with serving(trickle) as server:
        started = time.monotonic()
        with pytest.raises(ResponderError, match="no answer in"):
            OpenAICompatible(server.url, timeout_s=0.3).reply("?", [])
        assert time.monotonic() - started < 2


def test_no_server_is_an_error_that_says_where() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with pytest.raises(ResponderError, match=rf"{url}.*can't be reached"):
        OpenAICompatible(url).reply("?", [])


# --- words, names


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Plain words, 2 * 3 = 6.", "Plain words, 2 * 3 = 6."),
        ("# Hours\n- *Nine* to __five__\n- [map](http://x.y/z)", "Hours Nine to five map"),
        ("<think>They ask.\nHm.</think>\n\nAt nine.", "At nine."),
        ("```text\nhello\n```", "hello"),
        ("a snake_case_name, don't", "a snake_case_name, don't"),
        ("bell\x07 and\ttab", "bell and tab"),
        ("میخواهم", "میخواهم"),
    ],
)
def test_plain_text(content: str, words: str) -> None:
    assert plain_text(content) == words


def test_plain_text_is_bounded_at_a_word() -> None:
    words = plain_text("word " * 100_000)
    assert REPLY_CHARACTERS - 5 <= len(words) <= REPLY_CHARACTERS
    assert words.endswith(" word")


@pytest.mark.parametrize("name", ["", "rasa", "script", "script:", "eliza:2", "openai", "openai:"])
def test_an_unknown_name_lists_the_choices(name: str) -> None:
    with pytest.raises(ResponderError, match="Select one of script:FILE, eliza, person, rasa:"):
        load_responder(name)


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host/v1", "http://"])
def test_an_address_must_be_one(url: str) -> None:
    with pytest.raises(ResponderError, match="is not an address"):
        load_responder(f"openai:{url}")
