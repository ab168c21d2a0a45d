"""Sentences: where a reply may be cut, and that nothing is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from entrain.sentences import LIMIT, sentences


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("", []),
        ("  \n ", []),
        ("Well. We open at nine!", ["Well.", "We open at nine!"]),
        ("What? No! Yes… No.", ["What?", "No!", "Yes…", "No."]),
        ("so… it rained... and then", ["so… it rained... and then"]),
        ("Dr. Smith met Mr. Jones at 3.5 p.m. in the U.S. yesterday. Fine.",
         ["Dr. Smith met Mr. Jones at 3.5 p.m. in the U.S. yesterday.", "Fine."]),
        ("J. R. R. Tolkien wrote it, e.g. in 1937. I read it.", ["J. R. R. Tolkien wrote it, e.g. in 1937.", "I read it."]),
        ("He said “Go. Now!” (He left. He came.) It was fun.", ["He said “Go. Now!”", "(He left. He came.) It was fun."]),
        ("1. Bread\n2. Milk. 3. Tea.", ["1. Bread", "2. Milk.", "3. Tea."]),
        ("At nine. 5.", ["At nine. 5."]),
        ("5.", ["5."]),
        ("...", ["..."]),
        ("See example.Com. It costs $3.50.", ["See example.Com.", "It costs $3.50."]),
        ("One line\nand   another\r\n\r\nand a third", ["One line", "and another", "and a third"]),
        ("今日は。元気ですか？はい！", ["今日は。", "元気ですか？", "はい！"]),
        ("¿Qué? ¡Sí! C’est bien ?", ["¿Qué?", "¡Sí!", "C’est bien ?"]),
        ("half \ud83d a pair", ["half a pair"]),
    ],
)  # fmt: skip
def test_where_sentences_end(text: str, pieces: list[str]) -> None:
    assert sentences(text) == pieces


@pytest.mark.parametrize(
    ("mark", "end"), [(";", ";"), (":", ":"), (" —", "—"), (",", ","), ("", "word")], ids=repr
)
def test_a_long_sentence_is_cut_at_the_best_mark_it_has(mark: str, end: str) -> None:
    """40 words and the mark after the 22nd, with a comma after the 12th: a comma is second best, a space last."""
    words = ["word"] * 60
    words[31] += mark
    if mark not in ("", ","):
        words[11] += ","
    pieces = sentences(" ".join(words))
    assert len(pieces) == 2
    assert pieces[0].endswith(end)
    assert pieces[0].count("word") == (32 if mark else 30)  # with no mark: in the middle
    assert " ".join(pieces) == " ".join(words)


def test_a_mark_that_comes_too_soon_is_no_place_to_cut() -> None:
    pieces = sentences("So, " + "word " * 60)
    assert len(pieces) == 2
    assert pieces[0].startswith("So, word")


def test_an_unbroken_run_is_cut_at_the_limit() -> None:
    assert [len(piece) for piece in sentences("a" * 450)] == [LIMIT, LIMIT, 50]


ALPHABET = st.sampled_from(
    [*"ab Z1.!?…,;:—\"'()[]“”\n\t", "Dr.", "e.g.", "word ", "。", "？", "，", "é", "😀", "U.S."]
)


@settings(max_examples=300, deadline=None)
@example("0" * 12 + "，", 6)  # the mark is the first character too many
@given(st.one_of(st.text(max_size=300), st.lists(ALPHABET, max_size=200).map("".join)), st.integers(5, 250))
def test_nothing_is_lost_and_no_piece_is_empty_or_too_long(text: str, limit: int) -> None:
    pieces = sentences(text, limit)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(0 < len(piece) <= limit and piece == piece.strip() for piece in pieces)


@settings(max_examples=200, deadline=None)
@given(
    st.text(st.characters(codec="ascii"), max_size=400).filter(
        lambda text: not any(len(w) > 50 for w in text.split())
    )
)
def test_joined_with_spaces_the_pieces_are_the_text(text: str) -> None:
    assert " ".join(sentences(text)) == " ".join(text.split())
