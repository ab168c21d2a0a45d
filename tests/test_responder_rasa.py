"""Rasa over its REST channel: a real HTTP server that answers as Rasa 3.6's `RestInput` and `CollectingOutputChannel` do."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from answering import Answer, sends, serving

from entrain.responder import NoWords, Rasa, Responder, ResponderError, load_responder
from entrain.turn import Features, Turn

HEARD = Turn(
    speaker="user",
    start_s=0,
    end_s=2,
    text="hi",
    features=Features(f0_mean_st=7.123456, rate_syll_s=4.5, duration_s=2.0, missing={"nhr": "too short"}),
    z=(0.12345, None, None, -1.5, None, None, None),
)


def bot(*responses: dict[str, Any]) -> Answer:
    """Rasa's answer to one message: as many messages as it has, each with its recipient; text is cut at blank lines."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked = handler.server.asked[-1]  # type: ignore[attr-defined]
        if handler.path != "/webhooks/rest/webhook":
            return sends("Not Found: Requested URL not found", 404)(handler)
        sent: list[dict[str, Any]] = []
        for response in responses:
            kinds = {k: v for k, v in response.items() if k not in ("text", "buttons")}
            parts = response.get("text", "").strip().split("\n\n") if response.get("text") else []
            if "buttons" in response:
                sent.append({"text": response["text"], "buttons": response["buttons"]})
            else:
                sent += [{"text": part} for part in parts]
            sent += [{kind: value} for kind, value in kinds.items()]
        return sends([{"recipient_id": asked["sender"], **message} for message in sent])(handler)

    return answer


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def test_a_bots_messages_are_said_in_their_order() -> None:
    with serving(bot({"text": "Hello\n\nWe open at **nine**."}, {"text": "Is that fine?"})) as server:
        rasa = load_responder(f"rasa:{server.url}", "Ada Lovelace")
        assert isinstance(rasa, Responder)
        assert rasa.reply("hi", [HEARD]) == "Hello. We open at nine. Is that fine?"
        assert rasa.name == "rasa:127.0.0.1"
    (asked,) = server.asked
    assert asked["path"] == "/webhooks/rest/webhook"
    assert asked["message"] == "hi"
    z = {"f0_mean_st": 0.12, "rate_syll_s": -1.5}
    assert asked["metadata"] == {
        "entrain": {"f0_mean_st": 7.1235, "rate_syll_s": 4.5, "duration_s": 2.0, "z": z}
    }


def test_the_sender_is_the_same_for_a_conversation_and_names_nobody() -> None:
    with serving(bot({"text": "Yes."})) as server:
        for conversation in ("Ada", "Ada", "Grace", None, None):
            Rasa(server.url, conversation).reply("hi", [])
    ada, again, grace, *nameless = (asked["sender"] for asked in server.asked)
    assert ada == again
    assert len({ada, grace, *nameless}) == 4
    assert all("Ada" not in json.dumps(asked) for asked in server.asked)


def test_metadata_is_of_the_users_turn_or_of_none() -> None:
    agent = Turn(speaker="agent", start_s=2, end_s=3, text="Hello.")
    with serving(bot({"text": "Yes."})) as server:
        Rasa(server.url).reply("hi", [])
        Rasa(server.url).reply("hi", [HEARD, agent])
    assert all("metadata" not in asked for asked in server.asked)


def test_what_is_no_words_is_not_spoken_and_can_be_read() -> None:
    buttons = [{"title": "Yes", "payload": "/affirm"}]
    answer = bot(
        {"image": "https://x.y/cat.png"},
        {"text": "Do you like cats?", "buttons": buttons},
        {"custom": {"gesture": "nod"}},
        {"attachment": "https://x.y/menu.pdf"},
    )
    with serving(answer) as server:
        rasa = Rasa(server.url)
        assert rasa.reply("hi", []) == "Do you like cats?"
    assert rasa.unspoken == [
        {"image": "https://x.y/cat.png"},
        {"buttons": buttons},
        {"custom": {"gesture": "nod"}},
        {"attachment": "https://x.y/menu.pdf"},
    ]


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (bot(), "no message"),
        (bot({"image": "https://x.y/cat.png"}), "image"),
        (bot({"text": "https://x.y/cat.png"}), "no message"),
        (sends([{"recipient_id": "x", "text": None}]), "no message"),
    ],
)
def test_an_answer_without_words_is_nothing_to_say(answer: Answer, held: str) -> None:
    with serving(answer) as server:
        rasa = Rasa(server.url)
        with pytest.raises(NoWords, match=held):
            rasa.reply("hi", [])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (sends("Not Found: Requested URL not found", 404), "answered 404: Not Found.*credentials.yml"),
        (sends("Response Timeout", 503), "answered 503: Response Timeout.*bot's log"),
        (sends("<html>hello</html>"), "no list of messages: <html>.*REST channel"),
        (sends({"status": "ok"}), "no list of messages"),
        (sends("null"), "no list of messages"),
        (sends([1, 2]), "no list of messages"),
        (sends("x" * 2_000_000), "sent over"),
    ],
)
def test_what_is_no_answer_is_an_error_that_says_so(answer: Answer, message: str) -> None:
    with serving(answer) as server, pytest.raises(ResponderError, match=message) as error:
        Rasa(server.url, timeout_s=5).reply("hi", [])
    assert not isinstance(error.value, NoWords)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("", "/webhooks/rest/webhook"),
        ("/", "/webhooks/rest/webhook"),
        ("/bot", "/bot/webhooks/rest/webhook"),
        ("/webhooks/rest/webhook", "/webhooks/rest/webhook"),
        ("/webhooks/entrain/webhook", "/webhooks/entrain/webhook"),
    ],
)
def test_the_address_may_have_its_path(path: str, asked: str) -> None:
    with serving(sends([{"recipient_id": "x", "text": "Yes."}])) as server:
        assert Rasa(server.url + path).reply("hi", []) == "Yes."
    assert server.asked[0]["path"] == asked
