"""Live sessions over a real WebSocket: whole talks, hosts with the rest of their own, and clients that misbehave."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
from conftest import glide
from server import serving, spawned, until

from entrain import Audio, Entrainer
from entrain.responder import Script
from entrain.store import Store

websockets = pytest.importorskip("websockets", reason="pip install 'entrain[serve]'")
from websockets.exceptions import ConnectionClosed, InvalidStatus  # noqa: E402
from websockets.sync.client import ClientConnection, connect  # noqa: E402

RATE_HZ = 16_000
TOKEN = "sesame-sesame-sesame"
TURN = glide(120, 180, 1.5)
WAIT_S = 60
K = "/v1/conversations/kiosk-7"


@pytest.fixture(scope="module")
def agent() -> Iterator[Entrainer]:
    with Entrainer.load() as agent:
        yield agent


@pytest.fixture(scope="module")
def client(agent: Entrainer) -> Iterator[httpx2.Client]:
    with serving(
        agent, respond=lambda _: Script(["I see, please go on.", "And what then?", "Well."])
    ) as client:
        yield client


@pytest.fixture(scope="module")
def spoken(agent: Entrainer) -> Audio:
    return agent.tts.synthesise("I went to the market this morning.").audio.resample(RATE_HZ)


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    return f"/v1/conversations/{request.node.name.translate(str.maketrans('[]', '..'))[:100]}"


@contextmanager
def line(client: httpx2.Client, path: str = K, hello: bool = True, **more: Any) -> Iterator[ClientConnection]:
    """A WebSocket, greeted unless `hello` is False."""
    url = str(client.base_url).replace("http", "ws").rstrip("/") + f"{path}/live"
    with connect(url, compression=None, max_size=None, **more.pop("options", {})) as socket_:
        if hello:
            socket_.send(json.dumps({"type": "hello", "rate_hz": RATE_HZ, **more}))
        yield socket_


def say(socket_: ClientConnection, kind: str, **more: Any) -> None:
    socket_.send(json.dumps({"type": kind, **more}))


def wait_for(socket_: ClientConnection, *kinds: str, seen: list[Any] | None = None) -> dict[str, Any]:
    """The next message of one of these kinds; all that came meanwhile goes to `seen`."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        message = socket_.recv(timeout=WAIT_S)
        message = json.loads(message) if isinstance(message, str) else message
        if seen is not None:
            seen.append(message)
        if isinstance(message, dict) and message["type"] in kinds:
            return message
    raise AssertionError(f"no {kinds} within {WAIT_S} s")


def ended(socket_: ClientConnection, code: str) -> int:
    """That the server says why it ends; returns the close code."""
    assert wait_for(socket_, "error")["code"] == code
    with suppress(ConnectionClosed):
        while True:
            socket_.recv(timeout=WAIT_S)
    assert socket_.close_code is not None
    return socket_.close_code


def pcm(audio: Audio) -> bytes:
    return (audio.samples * 32767).astype("<i2").tobytes()


@contextmanager
def microphone(socket_: ClientConnection, *sounds: Audio) -> Iterator[Callable[[Audio], None]]:
    """Sends sound as a microphone does, in real time: these, and then what is given, with silence between."""
    waiting, over = bytearray(b"".join(map(pcm, sounds))), threading.Event()

    def send() -> None:
        n, began_s, sent_s = RATE_HZ // 25 * 2, time.monotonic(), 0.0
        while not over.is_set():
            frame, waiting[:n] = bytes(waiting[:n]), b""
            try:
                socket_.send(frame.ljust(n, b"\0"))
            except ConnectionClosed:
                return
            sent_s += 0.04
            over.wait(max(0.0, began_s + sent_s - time.monotonic()))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield lambda audio: waiting.extend(pcm(audio))
    finally:
        over.set()
        thread.join()


# --- a whole talk -------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_talk_over_the_line(client: httpx2.Client, spoken: Audio, path: str) -> None:
    seen: list[Any] = []
    with line(client, path) as socket_:
        ready = wait_for(socket_, "ready")
        assert ready["turns"] == []
        with microphone(socket_, spoken):
            said = wait_for(socket_, "said", seen=seen)
        say(socket_, "bye")
    kinds = [message["type"] for message in seen if isinstance(message, dict)]
    order = [kinds.index(kind) for kind in ("start", "end", "heard", "plan", "saying", "said")]
    assert order == sorted(order)
    assert "meters" in kinds
    heard = next(
        message["turn"] for message in seen if isinstance(message, dict) and message["type"] == "heard"
    )
    assert "market" in heard["text"].lower()
    assert said["turn"]["text"] == "I see, please go on."
    assert not said["interrupted"]
    sound = b"".join(message for message in seen if isinstance(message, bytes))
    played = Audio.from_pcm16(sound, ready["rate_hz"])
    duration_s = said["turn"]["end_s"] - said["turn"]["start_s"]
    assert played.duration_s == pytest.approx(duration_s, abs=1.0), "the reply, and little silence around it"
    assert played.level_db is not None
    with line(client, path) as socket_:  # a line that broke: the conversation goes on
        assert [turn["speaker"] for turn in wait_for(socket_, "ready")["turns"]] == ["user", "agent"]
    assert client.get(path).json()["turns"] == [heard, said["turn"]]


@pytest.mark.slow
def test_press_to_talk_and_strength(client: httpx2.Client, spoken: Audio, path: str) -> None:
    with line(client, path, hands_free=False, strategy="matching", strength=1) as socket_:
        wait_for(socket_, "ready")
        say(socket_, "strength", value=0)
        say(socket_, "begin")
        with microphone(socket_, spoken):
            time.sleep(spoken.duration_s)
            say(socket_, "end")
            assert wait_for(socket_, "end")["why"] == "pressed"
            plan = wait_for(socket_, "plan")
            say(socket_, "interrupt")
        assert plan["targets"]["weight_f0"] == 0


# --- a host with ears, words and voice of its own -----------------------------------------------------------------


def test_a_host_gets_the_targets_that_python_gives(
    client: httpx2.Client, agent: Entrainer, path: str
) -> None:
    heard_by_us = Audio.from_pcm16(pcm(TURN), RATE_HZ)
    with agent.conversation() as talk:
        talk.hear(heard_by_us, "hello there", start_s=0)
        targets = talk.plan("We open at nine.")
    with line(client, path, ears_only=True) as socket_:
        wait_for(socket_, "ready")
        for _ in range(2):
            say(socket_, "begin")  # the second drops what the first had begun
            socket_.send(pcm(TURN)[:30_000])
        socket_.send(pcm(TURN)[30_000:])
        say(socket_, "end", text="hello there", reply="We open at nine.")
        heard = wait_for(socket_, "heard")["turn"]
        planned = wait_for(socket_, "targets")
        figures = {name: value for name, value in planned["targets"].items() if isinstance(value, float)}
        assert figures == pytest.approx(targets.model_dump(include=set(figures)), abs=0.02)
        assert heard["features"] == json.loads(talk.turns[0].features.model_dump_json())
        say(socket_, "spoke", text="We open at nine.")
        said = wait_for(socket_, "said")["turn"]
        assert said["plan"]["f0_mean_st"] == planned["targets"]["f0_mean_st"]
        say(socket_, "plan", reply="And on Sundays?")
        assert wait_for(socket_, "targets")["text"] == "And on Sundays?"
    assert [turn["text"] for turn in client.get(path).json()["turns"]] == ["hello there", "We open at nine."]


def test_an_end_without_a_beginning_is_out_of_order(client: httpx2.Client, path: str) -> None:
    with line(client, path, ears_only=True) as socket_:
        say(socket_, "end", text="")
        assert ended(socket_, "order") == 1000


# --- one talk, one line -------------------------------------------------------------------------------------------


def test_a_second_line_takes_over(client: httpx2.Client, path: str) -> None:
    with line(client, path) as first:
        wait_for(first, "ready")
        with line(client, path) as second:
            ended(first, "taken_over")
            wait_for(second, "ready")
            wait_for(second, "meters")


def test_beside_a_live_session_requests_only_look(client: httpx2.Client, path: str) -> None:
    body = {"text": "We open at nine."}
    client.post(f"{path}/spoke", json=body)
    with line(client, path) as socket_:
        wait_for(socket_, "ready")
        answer = client.post(f"{path}/spoke", json=body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "live")
        assert len(client.get(path).json()["turns"]) == 1
        assert client.delete(path).json() == {"deleted": True}
        assert ended(socket_, "deleted") == 1000
    assert client.get(path).status_code == 404


def test_a_conversation_deleted_by_another_worker_stays_deleted(agent: Entrainer, tmp_path: Path) -> None:
    store = tmp_path / "talks.db"
    with serving(agent, store) as one, serving(agent, store) as other:
        one.post(f"{K}/spoke", json={"text": "Hello."})
        with line(one, ears_only=True) as socket_:
            wait_for(socket_, "ready")
            assert other.delete(K).json() == {"deleted": True}
            assert ended(socket_, "changed") == 1000
    assert Store(store).list() == []


# --- clients that misbehave ---------------------------------------------------------------------------------------


def test_who_says_nothing_or_nonsense_is_left(agent: Entrainer) -> None:
    with serving(agent, hello_s=0.3) as client:
        with line(client, hello=False) as socket_:
            ended(socket_, "slow")
        for nonsense in ("", "{", "[]", '{"type": "bye"}', '{"type": "hello"}', '{"type": "hello", "rate_hz": 1}', b"\0\0",
                         '{"type": "hello", "rate_hz": 16000, "strategy": "neural:/etc"}', '{"type": "hello", "rate_hz": NaN}'):  # fmt: skip
            with line(client, hello=False) as socket_:
                socket_.send(nonsense)
                assert ended(socket_, "invalid") == 1007
        with line(client) as socket_:
            wait_for(socket_, "ready")
            say(socket_, "tango")
            assert ended(socket_, "invalid") == 1007
        with pytest.raises(InvalidStatus), line(client, "/v1/conversations/a b"):
            pass


def test_the_token_and_the_origin_are_asked_for(agent: Entrainer) -> None:
    with serving(agent, token=TOKEN) as client:
        for wrong in (None, "", TOKEN + "x"):
            with line(client, token=wrong) as socket_:
                assert ended(socket_, "unauthorized") == 1008
        with line(client, token=TOKEN) as socket_:
            wait_for(socket_, "ready")
        with line(client, options={"additional_headers": {"Authorization": f"Bearer {TOKEN}"}}) as socket_:
            wait_for(socket_, "ready")
        with pytest.raises(InvalidStatus), line(client, options={"origin": "https://evil.example"}):
            pass


def test_only_so_many_at_once_and_so_long(agent: Entrainer) -> None:
    with serving(agent, live=1, session_s=2) as client, line(client) as socket_:
        wait_for(socket_, "ready")
        with line(client, "/v1/conversations/other") as second:
            assert ended(second, "full") == 1013
        assert ended(socket_, "session") == 1000


@pytest.mark.parametrize("ears_only", [True, False])
def test_frames_of_any_size_and_too_many(client: httpx2.Client, path: str, ears_only: bool) -> None:
    with line(client, path, ears_only=ears_only) as socket_:
        wait_for(socket_, "ready")
        for n in (0, 2, 14, 960, 32_000):
            socket_.send(bytes(n))
        socket_.send(bytes(3))
        assert wait_for(socket_, "fault")["step"] == "microphone"
        say(socket_, "begin")
        for _ in range(10):
            try:
                socket_.send(bytes(2 * RATE_HZ))  # ten seconds in none
            except ConnectionClosed:
                break
        assert ended(socket_, "rate") == 1008


def test_too_many_messages(client: httpx2.Client, path: str) -> None:
    with line(client, path, ears_only=True) as socket_:
        wait_for(socket_, "ready")
        for _ in range(400):
            try:
                say(socket_, "strength", value=0.5)
            except ConnectionClosed:
                break
        assert ended(socket_, "rate") == 1008


def test_a_client_that_reads_no_more_is_left_and_its_conversation_kept(agent: Entrainer) -> None:
    with serving(agent, send_s=0.5) as client:
        for _ in range(30):
            client.post(f"{K}/spoke", json={"text": "word " * 999})
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        raw.connect((client.base_url.host, client.base_url.port))
        host = f"{client.base_url.host}:{client.base_url.port}"
        hello = json.dumps({"type": "hello", "rate_hz": RATE_HZ}).encode()
        request = f"GET {K}/live HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        raw.sendall(f"{request}Sec-WebSocket-Key: {'A' * 22}==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        assert b"101" in raw.recv(100)
        raw.sendall(bytes([0x81, 0x80 | len(hello), 0, 0, 0, 0]) + hello)  # masked by zeros
        sessions = client.app.state.sessions  # type: ignore[attr-defined]
        until(lambda: sessions.n_live == 1)
        until(lambda: sessions.n_live == 0)
        raw.close()
        assert len(client.get(K).json()["turns"]) == 30


def test_a_client_that_vanishes_leaves_nothing_behind(
    client: httpx2.Client, path: str, spoken: Audio
) -> None:
    sessions = client.app.state.sessions  # type: ignore[attr-defined]
    until(lambda: sessions.n_live == 0)
    n_threads = threading.active_count()
    for _ in range(3):
        with line(client, path) as socket_:
            wait_for(socket_, "ready")
            socket_.send(pcm(spoken)[:16_000])
            socket_.socket.close()  # no goodbye
        until(lambda: sessions.n_live == 0)
    until(lambda: threading.active_count() <= n_threads + 3)


@pytest.mark.slow
def test_the_server_killed_in_a_talk_goes_on_after_it(tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "talks.db"), "--asr", "none")

    def turn(client: httpx2.Client, n_before: int) -> None:
        with line(client, ears_only=True) as socket_:
            assert len(wait_for(socket_, "ready")["turns"]) == n_before
            say(socket_, "begin")
            socket_.send(pcm(TURN))
            say(socket_, "end", text="hello there", reply="Good morning.")
            wait_for(socket_, "targets")
            if n_before == 0:
                process.kill()
                process.wait()

    for n in range(2):
        with spawned(*options) as (client, process):
            turn(client, n)
    assert [turn.text for turn in Store(tmp_path / "talks.db").all_turns("kiosk-7")] == ["hello there"] * 2


def test_silence_is_not_sent(client: httpx2.Client, path: str) -> None:
    seen: list[Any] = []
    with line(client, path) as socket_:
        wait_for(socket_, "ready")
        for _ in range(10):
            socket_.send(np.zeros(640, "<i2").tobytes())
            wait_for(socket_, "meters", seen=seen)
    assert not [message for message in seen if isinstance(message, bytes)]


@pytest.mark.slow
def test_the_load_client_drops_nothing() -> None:
    pytest.importorskip("psutil", reason="pip install 'entrain[test]'")
    from rich.console import Console

    from benchmarks.server_load import run

    figures = run(Console(quiet=True), clients=2, minutes=0.2)
    assert figures["turns"]
    assert figures["dropped"] == 0
    assert figures["errors"] == []
