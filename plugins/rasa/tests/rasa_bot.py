"""The example bot, as its one command starts it, for the tests; and a client that is told what to send byte by byte."""

from __future__ import annotations

import base64
import io
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

ROOT = Path(__file__).parents[3]
PLUGIN, EXAMPLE = ROOT / "plugins" / "rasa", ROOT / "examples" / "rasa-bot"
sys.path.insert(0, str(EXAMPLE))
from bot_servers import free_ports as free_ports  # noqa: E402

ENV = Path(os.environ.get("ENTRAIN_RASA_ENV", ROOT / ".venv-rasa"))
SET_UP_S = 1_200  # Rasa alone is two to four minutes
NO_PYTHON = "none was found that runs"
KINDS = ("slow-and-low", "fast-and-loud")


@dataclass
class Bot:
    """A running bot. `out`: what the command wrote; `printed`: what it said."""

    out: Path
    printed: list[str]
    rasa: str
    entrain: str
    servers: dict[str, Any]
    client: httpx2.Client
    revived: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def webhook(self) -> str:
        return f"{self.rasa}/webhooks/entrain/webhook"

    def turn(self, sender: str, audio: bytes = b"", **body: Any) -> dict[str, Any]:
        """A turn as JSON; 200 is wanted."""
        sound = {"audio": base64.b64encode(audio).decode()} if audio else {}
        answer = self.client.post(self.webhook, json={"sender": sender, **sound, **body})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def history(self, conversation: str) -> list[dict[str, Any]]:
        """What entrain's server remembers; none where it knows nothing."""
        answer = self.client.get(f"{self.entrain}/v1/conversations/{conversation}")
        return answer.json()["turns"] if answer.status_code == 200 else []

    def tracker(self, sender: str) -> dict[str, Any]:
        return self.client.get(f"{self.rasa}/conversations/{sender}/tracker").json()

    def revive(self) -> None:
        """entrain's server again, where it was: Rasa knows that address."""
        server = self.servers["entrain"]
        log = (self.out / "logs" / "entrain.log").open("ab")
        self.revived.append(subprocess.Popen(server["command"], cwd=self.out, stdout=log, stderr=log))
        server["pid"] = self.revived[-1].pid
        until(lambda: not is_free(server["url"]), 60)

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """In Rasa's environment."""
        command = [str(ENV / "bin" / "python"), *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@contextmanager
def running(out: Path) -> Iterator[Bot]:
    """`run.py --stay`; skips where no Python for Rasa exists, and only there."""
    command = [sys.executable, "-u", str(EXAMPLE / "run.py"), "--stay", "--out", str(out), "--env", str(ENV),
               "--rasa-options=--enable-api"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        printed = _until_ready(process)
        servers = json.loads((out / "servers.json").read_text())
        with httpx2.Client(timeout=60, trust_env=False) as client:
            bot = Bot(out, printed, servers["rasa"]["url"], servers["entrain"]["url"], servers, client)
            try:
                yield bot
            finally:
                for server in bot.revived:
                    server.terminate()
                    server.wait(30)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 0
    for server in servers.values():
        assert is_free(server["url"]), f"{server['command']} is still there"


def _until_ready(process: subprocess.Popen[str]) -> list[str]:
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout

    def read(stdout: Any) -> None:
        for line in stdout:
            lines.put(line)
            if "Ctrl-C ends it" in line:
                break
        lines.put(None)

    threading.Thread(target=read, args=(process.stdout,), daemon=True).start()
    printed: list[str] = []
    until_s = time.monotonic() + SET_UP_S
    while (line := lines.get(timeout=max(1.0, until_s - time.monotonic()))) is not None:
        printed.append(line.rstrip())
    said = "\n".join(printed)
    if NO_PYTHON in said:
        pytest.skip(printed[-1])
    assert "Ctrl-C ends it" in said, said
    return printed


def until(condition: Callable[[], bool], timeout_s: float) -> None:
    until_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until_s, f"not within {timeout_s} s"
        time.sleep(0.1)


def is_free(url: str) -> bool:
    with socket.socket() as place:
        return place.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) != 0


def silence(seconds: float, rate_hz: int = 16_000) -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, rate_hz, 0, "NONE", ""))
        file.writeframes(bytes(2 * round(seconds * rate_hz)))
    return made.getvalue()


def seconds(sound: str) -> float:
    """Of a reply's audio; an error where it is no wav file."""
    with wave.open(io.BytesIO(base64.b64decode(sound))) as file:
        return file.getnframes() / file.getframerate()
