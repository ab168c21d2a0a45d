"""A real HTTP server on loopback that answers as it is told, for tests of what asks one."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

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


def sends(body: str | bytes | dict[str, Any] | list[Any], status: int = 200) -> Answer:
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    data = data.encode() if isinstance(data, str) else data

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return answer
