"""What a client may send: a form with a file, JSON with base64, or the sound itself as the body, in chunks if it likes."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from sanic.request import Request


@dataclass(frozen=True)
class Asked:
    """A user's turn. `text` None: it is recognised. `metadata`: the client's own, for the bot."""

    sender: str
    audio: bytes
    text: str | None
    metadata: dict[str, Any]


def read(request: Request) -> Asked:
    """Raises `ValueError` that says what is wrong with the request."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        fields = _object(request.body, "the body")
        audio = _sound(fields.get("audio"))
    elif kind == "multipart/form-data":
        fields = {name: values[0] for name, values in (request.form or {}).items()}
        file = (request.files or {}).get("audio")
        audio = file.body if file else b""
        if "metadata" in fields:
            fields["metadata"] = _object(fields["metadata"], "metadata")
    else:
        fields, audio = {name: values[0] for name, values in request.args.items()}, request.body
        fields.pop("metadata", None)
    sender, text, metadata = (fields.get(name) for name in ("sender", "message", "metadata"))
    for name, value in (("sender", sender), ("message", text)):
        if not isinstance(value, (str, type(None))):
            raise ValueError(f"{name} is {type(value).__name__}; a string is needed.")
    if not isinstance(metadata, (dict, type(None))):
        raise ValueError(f"metadata is {type(metadata).__name__}; an object is needed, or leave it out.")
    if not audio and not (text or "").strip():
        raise ValueError(
            "there is neither audio nor a message; send a wav file as audio, or text as message."
        )
    # Rasa's own name for who does not say who they are; `entrain` is ours to say.
    mine = {name: value for name, value in (metadata or {}).items() if name != "entrain"}
    return Asked(sender or "default", audio, text, mine)


def _object(text: Any, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, TypeError):
        raise ValueError(f"{what} is no JSON; an object is needed.") from None
    if not isinstance(found, dict):
        raise ValueError(f"{what} is {type(found).__name__}; an object is needed.")
    return found


def _sound(given: Any) -> bytes:
    try:
        return base64.b64decode(given or b"", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise ValueError(
            "audio is not base64; send a wav file in base64, or as a form or the body."
        ) from None
