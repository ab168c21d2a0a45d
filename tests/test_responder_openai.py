"""An OpenAI-compatible endpoint: a real HTTP server on loopback."""

from __future__ import annotations

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from answering import Answer, sends, serving

from entrain.responder import NoWords, OpenAICompatible, Responder, ResponderError, load_responder
from entrain.turn import Turn


def completion(content: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": content}}]}


def turn(speaker: str, text: str) -> Turn:
    return Turn(speaker=speaker, start_s=0, end_s=1, text=text)  # type: ignore[arg-type]


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


@pytest.mark.parametrize(
    "content", ["![a cat](http://x.y/cat.png)", "https://x.y/cat.png", "<think>A cat.</think> 🐈"]
)
def test_an_image_alone_is_nothing_to_say(content: str) -> None:
    with serving(sends(completion(content))) as server, pytest.raises(NoWords):
        OpenAICompatible(server.url).reply("?", [])
