"""A model's answer made into words to speak."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.reply import REPLY_CHARACTERS, plain_text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("Plain words, 2 * 3 = 6.", "Plain words, 2 * 3 = 6."),
        ("# Hours\n- *Nine* to __five__\n- [map](http://x.y/z)", "Hours Nine to five map"),
        ("<think>They ask.\nHm.</think>\n\nAt nine.", "At nine."),
        ("```text\nhello\n```", "hello"),
        ("a snake_case_name, don't", "a snake_case_name, don't"),
        ("bell\x07 and\ttab", "bell and tab"),
        ("میخواهم", "میخواهم"),
        ("See https://www.example.com/a/b?c=d. Or not.", "See example.com. Or not."),
        ("(from <https://example.com:8080>)", "(from example.com)"),
        ("Here: ![a cat](http://x.y/cat.png) a cat, https://x.y/cat.jpg?w=9 too.", "Here: a cat, too."),
        ("<b>Nine</b>,<br/>or <a href='x'>ten</a>; 2 < 3 > 1", "Nine, or ten; 2 < 3 > 1"),
        ("| day | opens |\n|:---|---:|\n| Monday | nine |", "day, opens Monday, nine"),
        ("Nine.\n\n---\n* * *\nTen.", "Nine. Ten."),
        ("half \ud83d a pair", "half a pair"),
        ("1984. A good year.", "1984. A good year."),
    ],
)
def test_plain_text(content: str, words: str) -> None:
    assert plain_text(content) == words


def test_plain_text_is_bounded_at_a_word() -> None:
    words = plain_text("word " * 100_000)
    assert REPLY_CHARACTERS - 5 <= len(words) <= REPLY_CHARACTERS
    assert words.endswith(" word")


@pytest.mark.parametrize(
    "content",
    ["", " \n", "...", "🙂", "---", "***", "https://x.y/z", " <https://x.y/cat.png>\n", "![](http://x.y/z)",
     "![a cat](http://x.y/z.png)", "https://x.y/a https://x.y/b", "data:image/png;base64,iVBORw0KGgo=", "<think>Hm."],
)  # fmt: skip
def test_nothing_to_say(content: str) -> None:
    assert plain_text(content) == ""


def test_plain_text_is_cut_at_a_sentence() -> None:
    words = plain_text("We open at nine. Dr. Smith is in. " * 100, 500)
    assert 250 <= len(words) <= 500
    assert words.endswith((" is in.", " at nine."))


def test_one_short_sentence_before_a_monster_is_not_all() -> None:
    assert len(plain_text("Well. " + "word " * 500, 400)) > 390


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![a](",
        "<",
        "<think>",
        "|",
        " ",
        "\n",
        "\t",
        "*",
        "- ",
        "https://",
        "_ ",
        "`",
        "data:image/",
        "https://a.png ",
        "https://a ",
        "https://a/\n",
        "<https://a",
    ],
)
@pytest.mark.parametrize("end", ["", " word", "\n("])
def test_a_runaway_model_does_not_hold_the_interpreter(piece: str, end: str) -> None:
    """Patterns that look ahead without bound take minutes for this, and a thread can't stop them."""
    started = time.monotonic()
    plain_text(piece * (1_000_000 // len(piece)))
    plain_text(piece * ((19_000 - len(end)) // len(piece)) + end)
    assert time.monotonic() - started < 10


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=400), st.integers(20, 200))
def test_any_text_gives_one_bounded_line(content: str, limit: int) -> None:
    words = plain_text(content, limit)
    assert len(words) <= limit
    assert words == " ".join(words.split())
    assert words == "" or any(c.isalnum() for c in words)
    words.encode()
