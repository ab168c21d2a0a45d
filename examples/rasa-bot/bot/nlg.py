"""An NLG server: the words of a response, by how the user sounds. For a bot whose responses are chosen outside it.

In endpoints.yml: `nlg: {url: "http://127.0.0.1:5056/nlg"}`. In Rasa's environment: python nlg.py [PORT]. Rasa then asks here for every
response, with the whole tracker; `latest_message.metadata.entrain` is how the user's turn sounded.
"""

from __future__ import annotations

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from actions import hurried
from ruamel.yaml import YAML

RESPONSES = YAML(typ="safe").load(Path(__file__).with_name("domain.yml"))["responses"]
SHORT = {"utter_place": "Beside the station.", "utter_goodbye": "Bye!"}


def response(asked: dict[str, Any]) -> dict[str, Any]:
    """What Rasa asks for: the domain's first response for this channel, with fewer words for who is in a hurry."""
    name, channel = asked["response"], asked["channel"]["name"]
    variations = RESPONSES.get(name) or [{"text": ""}]
    fitting = [v for v in variations if v.get("channel") == channel] or [
        v for v in variations if "channel" not in v
    ]
    found = {k: v for k, v in (fitting or variations)[0].items() if k != "channel"}
    if name in SHORT and hurried((asked["tracker"].get("latest_message") or {}).get("metadata")):
        found["text"] = SHORT[name]
    return found


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.dumps(response(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None: ...


if __name__ == "__main__":
    ThreadingHTTPServer(
        ("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 5056), Handler
    ).serve_forever()
