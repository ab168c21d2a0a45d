"""The server's REST: a whole conversation over it, what it refuses, and that nothing is lost by crashes or by several workers."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pytest
import soundfile
from conftest import glide, silence
from server import serving, spawned

from entrain import Audio, Entrainer, Targets
from entrain.discreet import Discreet, short
from entrain.history import History
from entrain.prosody import extract
from entrain.serve_command import Settings
from entrain.store import Store

TOKEN = "sesame-sesame-sesame"
TURN = glide(120, 180, 1.5)
K = "/v1/conversations/kiosk-7"


@pytest.fixture(scope="module")
def agent() -> Iterator[Entrainer]:
    with Entrainer.load(recogniser=None) as agent:
        yield agent


@pytest.fixture(scope="module")
def client(agent: Entrainer) -> Iterator[httpx2.Client]:
    with serving(agent) as client:
        yield client


@pytest.fixture
def path(request: pytest.FixtureRequest) -> str:
    """A conversation of the test's own."""
    return f"/v1/conversations/{request.node.name.translate(str.maketrans('[]', '..'))[:100]}"


def hear(client: httpx2.Client, path: str, text: str = "hello there", **more: Any) -> httpx2.Response:
    return client.post(f"{path}/user_turn", json={"audio": b64(TURN.wav()), "text": text, **more})


def b64(sound: bytes) -> str:
    return base64.b64encode(sound).decode()


def refused(answer: httpx2.Response, status: int, code: str) -> str:
    """The one shape of errors; returns the message."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    assert set(answer.json()) == {"error"}
    assert set(answer.json()["error"]) == {"code", "message"}
    return answer.json()["error"]["message"]


def refused_quietly(answer: httpx2.Response, status: int, code: str, secret: str) -> None:
    assert secret not in refused(answer, status, code)


# --- a conversation -----------------------------------------------------------------------------------------------


def test_a_conversation_is_the_same_as_in_python(client: httpx2.Client, agent: Entrainer, path: str) -> None:
    heard = client.post(
        f"{path}/user_turn",
        files={"audio": ("a.wav", TURN.wav())},
        data={"text": "hello there", "start_s": "2"},
    )
    assert heard.status_code == 200, heard.text
    with agent.conversation() as talk:
        mine = talk.hear(Audio.read(io.BytesIO(TURN.wav())), "hello there", start_s=2)
        assert heard.json() == {"number": 0, "turn": json.loads(mine.model_dump_json())}
        targets = talk.plan("We open at nine.")
    planned = client.post(f"{path}/agent_turn", json={"text": "We open at nine.", "synthesise": False}).json()
    assert planned["targets"] == json.loads(targets.model_dump_json())
    assert planned["audio"] is planned["turn"] is None
    said = client.post(f"{path}/agent_turn", json={"text": "We open at nine.", "turn": 1}).json()
    audio = Audio.read(io.BytesIO(base64.b64decode(said["audio"])))
    assert audio.rate_hz == said["rate_hz"] == agent.tts.rate_hz
    assert said["targets"] == planned["targets"]
    measured = extract(audio, "We open at nine.")
    assert said["turn"]["features"]["f0_mean_st"] == pytest.approx(measured.f0_mean_st, abs=0.05)
    assert said["turn"]["end_s"] - said["turn"]["start_s"] == pytest.approx(audio.duration_s)


def test_a_host_with_a_voice_of_its_own_tells_what_was_said(client: httpx2.Client, path: str) -> None:
    hear(client, path)
    client.post(f"{path}/agent_turn", json={"text": "We open at nine.", "synthesise": False})
    last = client.post(f"{path}/spoke", json={"text": "We open at", "audio": b64(TURN.wav())}).json()
    assert last["number"] == 1
    assert last["turn"]["plan"] is not None, "the last plan is what it is compared with"
    assert last["turn"]["features"]["f0_mean_st"] == pytest.approx(extract(TURN).f0_mean_st, abs=0.01)
    other = client.post(f"{path}/spoke", json={"text": "Well."}).json()["turn"]
    assert other["plan"] is None, "a plan is for one turn"
    older = Targets(f0_mean_st=12, f0_range_st=9, rate_syll_s=5, level_db=-24, weight_f0=1).model_dump(
        mode="json"
    )
    answer = client.post(f"{path}/spoke", json={"text": "Well.", "targets": older}).json()["turn"]
    assert answer["plan"]["f0_mean_st"] == older["f0_mean_st"]


def test_strength_and_strategy_are_of_one_reply(client: httpx2.Client, path: str) -> None:
    hear(client, path)

    def weight(**more: Any) -> float:
        body = {"text": "We open at nine.", "synthesise": False, **more}
        return client.post(f"{path}/agent_turn", json=body).json()["targets"]["weight_f0"]

    usual = weight()
    assert usual > 0
    assert weight(strength=0.5) == pytest.approx(usual / 2)
    assert weight(strategy="neutral") == 0
    assert weight(strategy="matching") > 0
    assert weight() == usual


def test_what_is_kept_is_given_whole_and_deleted_whole(agent: Entrainer, tmp_path: Path) -> None:
    with serving(agent, tmp_path / "talks.db") as client:
        first = hear(client, K).json()["turn"]
        reply = client.post(f"{K}/agent_turn", json={"text": "We open at nine."}).json()["turn"]
        record = client.get(K)
        assert record.json()["turns"] == [first, reply]
        assert record.json()["looked"] is None
        again = History.from_json(record.text)
        assert len(again) == 2, "`entrain history import` reads it"
        looked = client.get(K, params={"looked": True}).json()["looked"]["1"]
        assert [word for word, _ in looked["words"]] == ["we", "open", "at", "nine"]
        page = client.get(f"{K}/report")
        assert page.headers["content-type"].startswith("text/html")
        assert "We open at nine." in page.text
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert client.delete(K).json() == {"deleted": True}
        assert client.delete(K).json() == {"deleted": False}
        for gone in (client.get(K), client.get(f"{K}/report")):
            refused(gone, 404, "no_conversation")
        assert hear(client, K).json()["number"] == 0
    assert Store(tmp_path / "talks.db").list() == ["kiosk-7"]


def test_the_servers_own_paths_stay_here(
    agent: Entrainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "keep_audio", tmp_path / "kept")
    with serving(agent) as client:
        assert hear(client, K).json()["turn"]["audio_file"] == ""
        assert str(tmp_path) not in client.get(K).text
        assert list(tmp_path.glob("kept/*/*.wav"))
        assert client.delete(K).json() == {"deleted": True}
        assert not list(tmp_path.glob("kept/*/*"))


# --- order --------------------------------------------------------------------------------------------------------


def test_a_turn_out_of_order_is_refused(client: httpx2.Client, path: str) -> None:
    assert hear(client, path, turn=0).status_code == 200
    assert "the next is 1" in refused(hear(client, path, turn=0), 409, "order")
    assert hear(client, path, turn=1).status_code == 200


def test_requests_at_once_are_done_one_after_the_other(client: httpx2.Client, path: str) -> None:
    with ThreadPoolExecutor(12) as pool:
        numbers = sorted(
            answer.json()["number"]
            for answer in pool.map(lambda i: hear(client, path, f"turn {i}"), range(12))
        )
    assert numbers == list(range(12))
    turns = client.get(path).json()["turns"]
    assert sorted(turn["text"] for turn in turns) == sorted(f"turn {i}" for i in range(12))
    assert all(a["end_s"] <= b["start_s"] for a, b in pairwise(turns))


def test_who_waits_too_long_is_told(agent: Entrainer) -> None:
    with serving(agent, wait_s=0.05) as client, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda i: hear(client, K), range(8)))
        codes = [answer.status_code for answer in answers]
        for answer in answers:
            if answer.status_code != 200:
                refused(answer, 409, "busy")
        assert codes.count(200) == len(client.get(K).json()["turns"]) >= 1


# --- what is refused ----------------------------------------------------------------------------------------------

BAD = {
    "no audio": ({"text": "hello"}, 422, "invalid"),
    "empty audio": ({"audio": ""}, 422, "invalid"),
    "not base64": ({"audio": "%%%"}, 422, "invalid"),
    "not audio": ({"audio": b64(b"secret words " * 100)}, 422, "audio"),
    "no samples": ({"audio": b64(silence(0).wav())}, 422, "audio"),
    "long text": ({"audio": b64(TURN.wav()), "text": "x" * 5_001}, 422, "invalid"),
    "unknown field": ({"audio": b64(TURN.wav()), "model": "/etc/passwd"}, 422, "invalid"),
    "register": ({"audio": b64(TURN.wav()), "register": "tenor"}, 422, "invalid"),
    "start": ({"audio": b64(TURN.wav()), "start_s": -1}, 422, "invalid"),
    "a list": ([], 422, "invalid"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_turn_is_refused_and_leaves_nothing(client: httpx2.Client, case: str) -> None:
    body, status, code = BAD[case]
    path = f"/v1/conversations/bad-{case.replace(' ', '-')}"
    refused_quietly(client.post(f"{path}/user_turn", json=body), status, code, "secret words")
    refused(client.get(path), 404, "no_conversation")


@pytest.mark.parametrize("body", [{"text": ""}, {"text": "Hi.", "strength": 2}, {"text": "Hi.", "strategy": "neural:/etc"},
                                  {"text": "Hi.", "strategy": "wizard"}, {"text": "x" * 5_001}, {"text": "Hi.", "tts": "piper:/x"}])  # fmt: skip
def test_a_bad_reply_is_refused(client: httpx2.Client, body: dict[str, Any]) -> None:
    refused(client.post(f"{K}/agent_turn", json=body), 422, "invalid")


def test_what_is_not_json_is_refused(client: httpx2.Client) -> None:
    for content in (b"", b"{", b"\xff", b"NaN"):
        answer = client.post(f"{K}/user_turn", content=content, headers={"content-type": "application/json"})
        refused(answer, 422, "invalid")
    answer = client.post(
        f"{K}/user_turn", content=b"--x", headers={"content-type": "multipart/form-data; boundary=y"}
    )
    assert answer.status_code in (400, 422)


@pytest.mark.parametrize("name", ["a b", "x" * 201, "a%2Fb", "ä", "%00", "a%0Ab"])
def test_a_bad_id_is_refused(client: httpx2.Client, name: str) -> None:
    assert client.get(f"/v1/conversations/{name}").status_code in (404, 422)
    assert client.get(f"/v1/conversations/{name}").json()["error"]["code"] in ("invalid", "not_found")


def test_hours_in_a_small_file_are_refused(client: httpx2.Client, path: str) -> None:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.zeros(16_000 * 300, np.float32), 16_000, format="FLAC")
    assert len(buffer.getvalue()) < 200_000
    refused(client.post(f"{path}/user_turn", files={"audio": buffer.getvalue()}), 413, "too_long")


def test_a_body_too_large_is_refused_with_or_without_its_length(agent: Entrainer) -> None:
    with serving(agent, body_bytes=50_000) as client:
        large = TURN.wav() * 2
        refused(client.post(f"{K}/user_turn", files={"audio": large}), 413, "too_large")
        chunks = (large[i : i + 1_000] for i in range(0, len(large), 1_000))
        headers = {"content-type": "application/json"}
        refused(client.post(f"{K}/user_turn", content=chunks, headers=headers), 413, "too_large")
        assert client.get("/healthz").status_code == 200


def test_a_body_that_does_not_come_is_not_waited_for(agent: Entrainer) -> None:
    def drip() -> Iterator[bytes]:
        for _ in range(50):
            yield b" "
            time.sleep(0.1)

    with serving(agent, body_s=0.5) as client:
        answer = client.post(f"{K}/user_turn", content=drip(), headers={"content-type": "application/json"})
        refused(answer, 408, "too_slow")


def test_nothing_but_health_and_the_page_is_had_without_the_token(agent: Entrainer) -> None:
    with serving(agent, token=TOKEN) as client:
        paths: dict[str, dict[str, Any]] = client.get("/openapi.json").json()["paths"]
        calls = [
            (method, path.replace("{id}", "kiosk-7")) for path, methods in paths.items() for method in methods
        ]
        assert len(calls) >= 8
        for wrong in (None, "", "Bearer", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer ünlucky"):
            headers = {"Authorization": wrong.encode()} if wrong is not None else {}
            with httpx2.Client(base_url=client.base_url, headers=headers) as stranger:
                for method, path in [*calls, ("get", "/openapi.json"), ("get", "/docs"), ("get", "/no/such")]:
                    answer = stranger.request(method, path)
                    if path == "/healthz":
                        assert answer.status_code == 200
                    else:
                        refused(answer, 401, "unauthorized")
                        assert answer.headers["www-authenticate"] == "Bearer"
                assert stranger.get("/").status_code == 200
        assert hear(client, K).status_code == 200


def test_other_names_and_origins_are_refused(client: httpx2.Client, agent: Entrainer) -> None:
    refused(client.get("/healthz", headers={"Host": "evil.example"}), 421, "host")
    for host in ("localhost:1234", "127.0.0.1", "[::1]:80"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    for origin in ("https://evil.example", "null", "http://127.0.0.1:1"):
        refused(client.get("/healthz", headers={"Origin": origin}), 403, "origin")
    assert client.get("/healthz", headers={"Origin": str(client.base_url).rstrip("/")}).status_code == 200
    ask = {"Origin": "https://clinic.example", "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in client.options(f"{K}/user_turn", headers=ask).headers
    with serving(agent, origins=["https://clinic.example"], token=TOKEN) as listed:
        headers = listed.options(f"{K}/user_turn", headers=ask | {"Authorization": ""}).headers
        assert headers["access-control-allow-origin"] == "https://clinic.example"
        answer = listed.get("/healthz", headers={"Origin": "https://clinic.example"})
        assert answer.headers["access-control-allow-origin"] == "https://clinic.example"


def test_too_many_requests_are_refused_and_later_taken_again(agent: Entrainer) -> None:
    with serving(agent, requests_per_s=20) as client:
        answers = [client.get("/healthz") for _ in range(120)]
        late = [answer for answer in answers if answer.status_code == 429]
        assert late, "120 at once are more than twice 20"
        refused(late[0], 429, "rate")
        assert late[0].headers["retry-after"] == "1"
        time.sleep(0.2)
        assert client.get("/healthz").status_code == 200


def test_the_memory_is_bounded(agent: Entrainer, tmp_path: Path) -> None:
    def paths(n: int) -> list[str]:
        return [f"/v1/conversations/n{i}" for i in range(n)]

    with serving(agent, conversations=3) as client:
        codes = [hear(client, path).status_code for path in paths(5)]
        assert codes == [200, 200, 200, 503, 503]
        refused(hear(client, "/v1/conversations/n9"), 503, "full")
        client.delete("/v1/conversations/n0")
        assert hear(client, "/v1/conversations/n9").status_code == 200
    with serving(agent, tmp_path / "talks.db", conversations=3) as client:
        assert [hear(client, path).status_code for path in paths(5)] == [200] * 5
        assert [len(client.get(path).json()["turns"]) for path in paths(5)] == [1] * 5
    with serving(agent, idle_s=0.01) as client:
        hear(client, K)
        time.sleep(0.05)
        client.app.state.sessions.tidy()  # type: ignore[attr-defined]
        refused(client.get(K), 404, "no_conversation")


# --- what is described and told -----------------------------------------------------------------------------------


def test_every_endpoint_is_described(client: httpx2.Client) -> None:
    validator = pytest.importorskip("openapi_spec_validator", reason="pip install openapi-spec-validator")
    spec = client.get("/openapi.json").json()
    validator.validate(spec)
    assert {"/v1/conversations/{id}/user_turn", "/v1/conversations/{id}/agent_turn", "/v1/conversations/{id}/spoke",
            "/v1/conversations/{id}", "/v1/conversations/{id}/report", "/metrics", "/healthz"} == set(spec["paths"])  # fmt: skip
    for methods in spec["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            for status, answer in operation["responses"].items():
                if status >= "4":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Problem")


def test_every_answer_is_guarded(client: httpx2.Client) -> None:
    for path in ("/", "/healthz", "/openapi.json", "/no-such", K):
        headers = client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
    for name in ("../serve.py", "..%2fserve.py", "%2e%2e/serve.py", ".", "data/"):
        assert client.get(f"/{name}").status_code in (200, 404)
        assert (
            "import" not in client.get(f"/{name}").text[:500]
            or client.get(f"/{name}").headers["content-type"] != "text/x-python"
        )


def test_metrics_count(agent: Entrainer) -> None:
    with serving(agent) as client:
        hear(client, K)
        client.post(f"{K}/agent_turn", json={"text": "Hi.", "synthesise": False})
        client.get("/healthz", headers={"Host": "evil.example"})
        lines = client.get("/metrics").text.splitlines()
        assert 'entrain_turns_total{speaker="user"} 1.0' in lines
        assert "entrain_targets_seconds_count 1.0" in lines
        assert 'entrain_refused_total{code="host"} 1.0' in lines
        assert "entrain_conversations 1.0" in lines
        assert not [line for line in lines if "kiosk" in line]


def test_a_bug_is_a_plain_500(agent: Entrainer, tmp_path: Path) -> None:
    with serving(agent, tmp_path / "talks.db") as client:
        hear(client, K)
    with sqlite3.connect(tmp_path / "talks.db") as base:
        base.execute("UPDATE entrain_turn SET body = '{\"secret\": 1}'")
    with serving(agent, tmp_path / "talks.db") as client:
        refused_quietly(client.get(K), 500, "history", "secret")


def test_logs_name_nobody() -> None:
    formatter = Discreet("%(message)s")
    try:
        raise ValueError("he said he is ill")
    except ValueError as error:
        info = (ValueError, error, error.__traceback__)
    record = logging.LogRecord(
        "entrain", logging.ERROR, "", 0, "conversation %s: %s failed", ("kiosk-7", "plan"), info
    )
    line = formatter.format(record)
    assert "kiosk" not in line
    assert "ill" not in line.replace("failed", "")
    assert short("kiosk-7") in line
    assert "plan failed" in line
    assert "ValueError at test_serve.py" in line
    other = logging.LogRecord(
        "entrain", logging.ERROR, "", 0, "conversation 'Ann B' has other turns", (), None
    )
    assert "Ann" not in formatter.format(other)


# --- crashes, and several workers ---------------------------------------------------------------------------------


def test_two_servers_share_a_store(agent: Entrainer, tmp_path: Path) -> None:
    """Each has the conversation in memory, and each knows when the other went on with it."""
    store = tmp_path / "talks.db"
    with serving(agent, store) as one, serving(agent, store) as other:
        for number in range(6):
            assert (
                hear(one if number % 2 else other, K, f"turn {number}", turn=number).json()["number"]
                == number
            )
        assert [turn["text"] for turn in one.get(K).json()["turns"]] == [
            f"turn {number}" for number in range(6)
        ]
        assert other.delete(K).json() == {"deleted": True}
        refused(one.get(K), 404, "no_conversation")
        assert hear(one, K).json()["number"] == 0
        assert len(other.get(K).json()["turns"]) == 1


def test_two_servers_that_write_at_once_lose_nothing(agent: Entrainer, tmp_path: Path) -> None:
    store = tmp_path / "talks.db"
    with serving(agent, store) as one, serving(agent, store) as other, ThreadPoolExecutor(4) as pool:
        for client in (one, other):
            hear(client, K)
        answers = list(pool.map(lambda i: hear(one if i % 2 else other, K, f"turn {i}"), range(16)))
        kept = [f"turn {i}" for i, answer in enumerate(answers) if answer.status_code == 200]
        for answer in answers:
            if answer.status_code != 200:
                refused(answer, 409, "conflict")
        turns = one.get(K).json()["turns"]
        assert sorted(turn["text"] for turn in turns[2:]) == sorted(kept)
        assert other.get(K).json()["turns"] == turns


@pytest.mark.slow
def test_killed_and_started_again_it_goes_on(tmp_path: Path) -> None:
    options = ("--store", str(tmp_path / "talks.db"), "--asr", "none")
    with spawned(*options) as (client, process):
        first = hear(client, K).json()["turn"]
        reply = client.post(f"{K}/agent_turn", json={"text": "We open at nine."}).json()
        process.send_signal(signal.SIGKILL)
        process.wait(30)
    with spawned(*options) as (client, process):
        assert client.get(K).json()["turns"] == [first, reply["turn"]]
        assert hear(client, K, turn=2).status_code == 200
        process.terminate()
        assert process.wait(60) in (0, -signal.SIGTERM)


@pytest.mark.slow
def test_workers_share_the_store_and_the_metrics(tmp_path: Path) -> None:
    with spawned(
        "--store", str(tmp_path / "talks.db"), "--asr", "none", "--workers", "2", ENTRAIN_TOKEN=TOKEN
    ) as (client, _):
        refused(client.get(K), 401, "unauthorized")
        headers = {
            "Authorization": f"Bearer {TOKEN}",
            "Connection": "close",
        }  # a new connection may get another worker
        for number in range(8):
            json_ = {"audio": b64(TURN.wav()), "text": "hello", "turn": number}
            answer = client.post(f"{K}/user_turn", json=json_, headers=headers)
            assert (answer.status_code, answer.json()["number"]) == (200, number)
        assert 'entrain_turns_total{speaker="user"} 8.0' in client.get("/metrics", headers=headers).text


def test_what_can_be_known_to_be_wrong_is_said_at_once(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from entrain.cli import app

    for options, why in (
        (["--host", "0.0.0.0"], "--token"),
        (["--token", "short"], "16"),
        (["--workers", "2"], "--store"),
        (["--origin", "clinic.example"], "https://"),
        (["--responder", "person"], "keyboard"),
        (["--responder", "telepathy"], "telepathy"),
        (["--store", "nosuch://x"], "no store"),
    ):
        result = CliRunner().invoke(app, ["serve", *options])
        assert result.exit_code == 2, options
        assert why in " ".join(result.stderr.split()), options


def test_settings_reach_the_workers() -> None:
    settings = Settings(tts="espeak", limits={"live": 3})
    assert Settings.model_validate_json(settings.model_dump_json()) == settings
    assert os.environ.get("ENTRAIN_SERVE") is None
