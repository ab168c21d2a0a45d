"""A real server for tests: in a thread, with a voice that is loaded once; or as a process of its own."""

from __future__ import annotations

import copy
import os
import re
import socket
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from entrain import Entrainer
from entrain.responder import Eliza, Responder
from entrain.store import Store

if TYPE_CHECKING:
    from entrain.ear import Ears

ROOT = Path(__file__).parents[1]
SILENT_CLIENT_BYTES = 8_192  # of the kernel's buffer, so that a client which does not read is soon noticed


class Loaded:
    """`entrain.serve.Load` of an agent that others use too."""

    def __init__(self, agent: Entrainer, store: Path | None, respond: Callable[[str], Responder]) -> None:
        self._agent = copy.copy(agent)
        self._agent.store = Store(store) if store else None
        self._agent._open = weakref.WeakSet()  # another server is another process
        self._agent.close = self._close  # type: ignore[method-assign]
        self.responder = respond

    def agent(self) -> Entrainer:
        return self._agent

    def ears(self) -> Ears:
        from entrain.ear import Ears

        return Ears.load()

    def _close(self) -> None:
        if self._agent.store:
            self._agent.store.close()


@contextmanager
def serving(
    agent: Entrainer,
    store: Path | None = None,
    respond: Callable[[str], Responder] = lambda _: Eliza(),
    **limits: Any,
) -> Iterator[httpx2.Client]:
    """A client of a server in a thread of this process; `client.app` is the application."""
    uvicorn = pytest.importorskip("uvicorn", reason="pip install 'entrain[serve]'")
    pytest.importorskip("fastapi", reason="pip install 'entrain[serve]'")
    from entrain.limits import Limits
    from entrain.serve import make_app

    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SILENT_CLIENT_BYTES)
        place.bind(("127.0.0.1", 0))
        app = make_app(Loaded(agent, store, respond), Limits(**{"requests_per_s": 1000, **limits}))
        config = uvicorn.Config(app, log_level="warning", ws_per_message_deflate=False, ws_max_size=2_000_000)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]})
        thread.start()
        try:
            until(lambda: server.started or not thread.is_alive(), 60)
            url = f"http://127.0.0.1:{place.getsockname()[1]}"
            headers = {"Authorization": f"Bearer {limits['token']}"} if limits.get("token") else {}
            with httpx2.Client(base_url=url, timeout=60, headers=headers) as client:
                client.app = app  # type: ignore[attr-defined]
                yield client
        finally:
            server.should_exit = True
            thread.join(60)


@contextmanager
def spawned(*options: str, **environment: str) -> Iterator[tuple[httpx2.Client, subprocess.Popen[str]]]:
    """`entrain serve` as its own process, and a client of it."""
    command = [sys.executable, "-m", "entrain", "serve", "--port", "0", *options]
    env = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | environment
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env)
    try:
        assert process.stderr
        url = next(found[0] for line in process.stderr if (found := re.search(r"http://\S+", line)))
        with httpx2.Client(base_url=url, timeout=120) as client:
            until(lambda: process.poll() is not None or answers(client), 120)
            yield client, process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(client: httpx2.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx2.TransportError:
        return False


def until(condition: Callable[[], object], timeout_s: float = 30) -> None:
    """Wait for it; fails when it does not come."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, f"not within {timeout_s} s"
        time.sleep(0.02)
