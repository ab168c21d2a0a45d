"""POST JSON to a dialogue engine and read its answer: bounded in time and size, every failure a sentence."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import SplitResult, urlsplit

from entrain.reply import ResponderError

ANSWER_BYTES = 1_000_000


def address(url: str, example: str) -> SplitResult:
    """The parts of an http or https address; anything else is a `ResponderError` that shows the example."""
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # a port that is none, half an IPv6 address
        pass
    raise ResponderError(f"{url!r} is not an address; one like {example} is needed.")


def post(
    url: str, payload: dict[str, Any], timeout_s: float, headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """Status and body. httpx bounds each read, not their sum, so the deadline is kept here."""
    import httpx2

    deadline_s, body = time.monotonic() + timeout_s, b""
    client = httpx2.Client(headers=headers, timeout=timeout_s)
    try:
        with client, client.stream("POST", url, json=payload) as answer:
            for chunk in answer.iter_bytes():
                body += chunk
                if time.monotonic() > deadline_s:
                    raise httpx2.ReadTimeout("still sending")
                if len(body) > ANSWER_BYTES:
                    raise ResponderError(f"{url} sent over {ANSWER_BYTES} bytes.")
            return answer.status_code, body
    except httpx2.TimeoutException as error:
        raise ResponderError(f"{url} gave no answer in timeout_s, {timeout_s:g} s.") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ResponderError(f"{url} can't be reached ({error}). Check the server.") from error


def excuse(body: bytes) -> str:
    """How an unwanted answer begins: most servers say why there."""
    return " ".join(body.decode("utf-8", "replace").split())[:200] or "(nothing)"
