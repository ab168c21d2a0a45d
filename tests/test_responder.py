"""Responders that run here: a script, ELIZA, a person; and their names."""

from __future__ import annotations

import io
import random
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.responder import Eliza, Person, Responder, ResponderError, Script, load_responder

# --- script


def test_script_says_its_lines_in_turn_and_then_that_it_is_over(tmp_path: Path) -> None:
    path = tmp_path / "replies.txt"
    path.write_text("\ufeffHello.\n\n  We open at nine, né?  \n", encoding="utf-8")
    script = load_responder(f"script:{path}")
    assert isinstance(script, Responder)
    assert script.name == "script:replies.txt"
    assert [script.reply("hi", []), script.reply("", [])] == ["Hello.", "We open at nine, né?"]
    with pytest.raises(ResponderError, match="is over: all of its 2 replies are said"):
        script.reply("and?", [])


def test_script_needs_a_readable_file_with_lines(tmp_path: Path) -> None:
    with pytest.raises(ResponderError, match="can't be read"):
        Script.read(tmp_path / "none.txt")
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"caf\xe9\n")
    with pytest.raises(ResponderError, match="UTF-8"):
        Script.read(latin)
    with pytest.raises(ResponderError, match="no lines"):
        Script(["", "  "])


# --- ELIZA

SAID = ["Hello", "I am sad", "I need a rest", "Because I'm tired", "What is love?", "I am sad"]


def test_eliza_is_the_same_for_the_same_seed() -> None:
    first, second, other = Eliza(seed=3), Eliza(seed=3), Eliza(seed=4)
    replies = [first.reply(text, []) for text in SAID]
    assert replies == [second.reply(text, []) for text in SAID]
    assert replies != [other.reply(text, []) for text in SAID]
    assert "sad" in replies[1]


def test_eliza_leaves_the_global_random_state_alone() -> None:
    random.seed(7)
    expected = [random.random() for _ in range(4)]
    random.seed(7)
    eliza, drawn = Eliza(), []
    for text in SAID[:4]:
        eliza.reply(text, [])
        drawn.append(random.random())
    assert drawn == expected


def test_eliza_does_not_depend_on_the_global_random_state() -> None:
    eliza, again = Eliza(), Eliza()
    random.seed(1)
    replies = [eliza.reply(text, []) for text in SAID]
    random.seed(2)
    assert [again.reply(text, []) for text in SAID] == replies


@pytest.mark.parametrize(
    "text", ["", "I am 50% sure", "I am %9", "I want ı and İ", "我很累", "I’m tired", "a\nb"]
)
def test_eliza_answers_anything(text: str) -> None:
    assert Eliza().reply(text, [])


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_eliza_answers_any_text(text: str) -> None:
    assert Eliza().reply("I am " + text, [])


# --- a person


def test_a_person_types_the_words() -> None:
    shown: list[str] = []
    typed = iter(["", "  ", " At nine. \n"])

    def ask(prompt: str) -> str:
        shown.append(prompt)
        return next(typed)

    assert Person(ask).reply("When do you open?", []) == "At nine."
    assert shown == ["User: When do you open?\nReply: "] * 3


def test_a_closed_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("Hello.\n"))
    person = load_responder("person")
    assert isinstance(person, Responder)
    assert person.reply("Hi.", []) == "Hello."
    with pytest.raises(ResponderError, match="input is closed"):
        person.reply("Are you there?", [])


def test_two_questions_do_not_share_the_keyboard() -> None:
    inside = threading.Event()
    leave = threading.Event()
    asked: list[str] = []

    def ask(prompt: str) -> str:
        asked.append(prompt)
        inside.set()
        leave.wait(5)
        return "Yes."

    person = Person(ask)
    threads = [threading.Thread(target=person.reply, args=(text, [])) for text in ("one", "two")]
    for thread in threads:
        thread.start()
        assert inside.wait(5)
    assert len(asked) == 1
    leave.set()
    for thread in threads:
        thread.join(5)
    assert len(asked) == 2


# --- names


@pytest.mark.parametrize(
    "name", ["", "rasa", "rasa:", "person:x", "script", "script:", "eliza:2", "openai", "openai:"]
)
def test_an_unknown_name_lists_the_choices(name: str) -> None:
    with pytest.raises(ResponderError, match="Select one of script:FILE, eliza, person, rasa:"):
        load_responder(name)


@pytest.mark.parametrize("kind", ["openai", "rasa"])
@pytest.mark.parametrize(
    "url", ["localhost:8080", "ftp://host/v1", "http://", "http://host:x", "http://[::1"]
)
def test_an_address_must_be_one(kind: str, url: str) -> None:
    with pytest.raises(ResponderError, match="is not an address"):
        load_responder(f"{kind}:{url}")
