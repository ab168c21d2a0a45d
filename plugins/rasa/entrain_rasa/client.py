"""Speak a recorded conversation to a bot, with Python's standard library only.

With the channel:      python -m entrain_rasa.client --rasa http://127.0.0.1:5005 one.wav two.wav
Stock REST channel,    python -m entrain_rasa.client --rasa http://127.0.0.1:5005 --entrain http://127.0.0.1:8321 one.wav two.wav
for bots that cannot add code (a line `rest:` in credentials.yml): this asks both servers itself.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import uuid
from http.client import HTTPException
from pathlib import Path
from typing import Any, Dict, Iterable, Union
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import ProxyHandler, Request, build_opener

from entrain_rasa.turns import Fault, conversation_id, numbers

Sound = Union[bytes, Iterable[bytes]]
Answer = Dict[str, Any]
_direct = build_opener(ProxyHandler({}))  # these servers are ours: no proxy knows them


class Channel:
    """A bot with `entrain_rasa.EntrainChannel`. `url` is Rasa's, as in "http://127.0.0.1:5005"."""

    def __init__(self, url: str, timeout_s: float = 60.0) -> None:
        self.url, self.timeout_s = url.rstrip("/") + "/webhooks/entrain/webhook", timeout_s

    def turn(self, audio: Sound, sender: str, text: str | None = None) -> Answer:
        """One turn of the user; the bot's answer is {"heard": {"text", "entrain"}, "messages": [{"text", "audio", "entrain", …}]}.

        `audio`: a sound file, whole, or as it comes: chunks go out one by one. `text`: the words, if they are known.
        """
        query = {"sender": sender, **({} if text is None else {"message": text})}
        return ask(f"{self.url}?{urlencode(query)}", audio, "audio/wav", self.timeout_s)


class StockRest:
    """The same turn with a bot that has only Rasa's own `rest:` channel: heard and said by entrain's server at `entrain`."""

    def __init__(self, rasa: str, entrain: str, token: str | None = None, timeout_s: float = 60.0) -> None:
        self.rasa, self.entrain = rasa.rstrip("/") + "/webhooks/rest/webhook", entrain.rstrip("/")
        self.token, self.timeout_s = token, timeout_s

    def turn(self, audio: bytes, sender: str, text: str | None = None) -> Answer:
        talk = f"/v1/conversations/{conversation_id(sender)}"
        sound = {"audio": base64.b64encode(audio).decode(), "text": text}
        try:
            heard = self._entrain(f"{talk}/user_turn", sound)
            words, found, number = heard["turn"]["text"], numbers(heard), heard["number"] + 1
        except Fault as fault:
            words, found, number = text or "", {"fault": fault.told}, None
        asked = {"sender": sender, "message": words, "metadata": {"entrain": found}}
        messages: list[Answer] = []
        for message in self._post(self.rasa, asked) if words else []:
            if message.get("text"):  # one after the other: so they are remembered in their order
                try:
                    said = self._entrain(f"{talk}/agent_turn", {"text": message["text"], "turn": number})
                    number = said["number"] + 1
                    message.update(audio=said["audio"], rate_hz=said["rate_hz"])
                    message["entrain"] = {name: said[name] for name in ("number", "targets", "realised")}
                except Fault as fault:
                    message["entrain"] = {"fault": fault.told}
            messages.append(message)
        return {"heard": {"text": words, "entrain": found}, "messages": messages}

    def _entrain(self, path: str, body: Answer) -> Answer:
        return self._post(self.entrain + path, {k: v for k, v in body.items() if v is not None}, self.token)

    def _post(self, url: str, body: Answer, token: str | None = None) -> Any:
        return ask(url, json.dumps(body).encode(), "application/json", self.timeout_s, token)


def ask(url: str, body: Sound, kind: str, timeout_s: float, token: str | None = None) -> Any:
    """POST, and the answer's JSON. Raises `Fault`."""
    headers = {"Content-Type": kind, **({"Authorization": f"Bearer {token}"} if token else {})}
    if not isinstance(body, bytes):
        headers["Transfer-Encoding"] = "chunked"
    place = url.partition("?")[0]
    try:
        with _direct.open(Request(url, body, headers), timeout=timeout_s) as answer:  # type: ignore[arg-type]
            return json.loads(answer.read())
    except HTTPError as error:
        raise _refused(place, error) from error
    except (URLError, HTTPException, OSError, ValueError) as error:
        raise Fault("unreachable", f"{place} gave no answer: {error}") from error


def _refused(place: str, error: HTTPError) -> Fault:
    body = error.read().decode("utf-8", "replace")
    try:
        wrong = json.loads(body)["error"]
        code, why = str(wrong["code"]), str(wrong["message"])
    except (ValueError, KeyError, TypeError):
        code, why = str(error.code), " ".join(body.split())[:200]
    advice = " Is that Rasa, with this channel in its credentials.yml?" if error.code in (404, 405) else ""
    return Fault(code, f"{place} answered {error.code}: {why}.{advice}")


def speak(bot: Channel | StockRest, turns: list[Path], sender: str, out: Path) -> list[Answer]:
    """The whole conversation: each reply's sound as `out`/02-agent-1.wav …, all answers (their sound named) in `out`/conversation.json."""
    out.mkdir(parents=True, exist_ok=True)
    answers: list[Answer] = []
    for n, turn in enumerate(turns, 1):
        answer = bot.turn(turn.read_bytes(), sender)
        print(f"{turn.name}: {answer['heard']['text'] or _why(answer['heard'])}")
        for i, message in enumerate(answer["messages"], 1):
            sound = message.pop("audio", None)
            if sound:
                path = out / f"{n:02d}-agent-{i}.wav"
                path.write_bytes(base64.b64decode(sound))
                message["wav"] = path.name
            print(f"    {_line(message)}")
        answers.append({"user": str(turn), **answer})
        (out / "conversation.json").write_text(json.dumps(answers, indent=1), encoding="utf-8")
    return answers


def _line(message: Answer) -> str:
    said = message.get("text") or ", ".join(k for k in message if k != "recipient_id")
    targets = message.get("entrain", {}).get("targets")
    how = f"  [{targets['f0_shift_st']:+.2f} st, ×{targets['rate_factor']:.2f}]" if targets else ""
    return f"{said}{how}{_why(message)}"


def _why(of: Answer) -> str:
    fault = of.get("entrain", {}).get("fault")
    return f"  ({fault['message']})" if fault else ""


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("turn", nargs="+", type=Path, help="a wav file for each turn of the user")
    words.add_argument("--rasa", default="http://127.0.0.1:5005", help="Rasa's server (%(default)s)")
    words.add_argument("--entrain", help="entrain's server, for a bot without the channel")
    words.add_argument(
        "--token", default=os.environ.get("ENTRAIN_TOKEN"), help="of entrain's server (ENTRAIN_TOKEN)"
    )
    words.add_argument("--sender", default=uuid.uuid4().hex, help="the conversation's name; else a new one")
    words.add_argument(
        "--out", type=Path, default=Path("replies"), help="folder for the replies (%(default)s)"
    )
    given = words.parse_args()
    bot = StockRest(given.rasa, given.entrain, given.token) if given.entrain else Channel(given.rasa)
    try:
        speak(bot, given.turn, given.sender, given.out)
    except (Fault, OSError) as error:
        sys.exit(f"entrain_rasa: {error}")
    print(f"The replies are in {given.out}/.")
    if given.entrain:
        print(f"The report: {given.entrain}/v1/conversations/{quote(conversation_id(given.sender))}/report")


if __name__ == "__main__":
    main()
