"""A phrase as people of other first languages might say it: some of its sounds replaced by those that they have, drawn at random."""

from __future__ import annotations

import re

import numpy as np

from entrain.tts_kokoro import phonemizer

SWAPS = {
    "əɹ": ("ə", "ɐ", "a", "ɛɾ", "ɔɹ", "œʁ"), "ɜɹ": ("ɜ", "œ", "ɛɾ", "ɔɹ"), "ɹ": ("r", "ɾ", "ʁ", "ɻ", "w"),
    "ə": ("a", "ɛ", "ɔ", "ɐ"), "æ": ("ɛ", "a"), "ʌ": ("a", "ɔ"), "ɑ": ("ɔ", "a"), "ɔ": ("o", "ɑ"), "ɛ": ("e", "æ"),
    "ɪ": ("i",), "i": ("ɪ",), "u": ("ʊ", "ɯ"), "ʊ": ("u",), "A": ("e", "ɛ"), "O": ("o", "ɔ"), "I": ("a", "aj"),
    "θ": ("t", "s", "f"), "ð": ("d", "z"), "v": ("w", "f", "b"), "w": ("v",), "z": ("s",), "s": ("z", "ʃ"), "ʃ": ("s",),
    "ʤ": ("ʧ", "ʒ", "j", "ʥ"), "ʧ": ("ʃ", "ʨ"), "ŋ": ("n",), "T": ("t", "ʈ", "d", "ɾ"), "t": ("ʈ", "d", "ʔ"), "d": ("ɖ", "t"),
    "p": ("b",), "b": ("p",), "k": ("ɡ",), "ɡ": ("k",), "h": ("x", ""), "l": ("ɾ",), "j": ("", "ʝ"),
}  # fmt: skip
"""Sounds in Kokoro's alphabet → what others say for them; the longer are looked for first."""
SHARE = 0.3  # of the kinds of sounds in a phrase that are replaced
SOUND = re.compile("|".join(sorted(SWAPS, key=len, reverse=True)))


def accented(phrase: str, rng: np.random.Generator) -> str:
    """`[computer](/kompjˈutɛɾ/)`, as hibari and Kokoro read it. Each kind of sound is replaced everywhere or nowhere."""
    return " ".join(_word(word, rng) for word in phrase.split())


def _word(word: str, rng: np.random.Generator) -> str:
    phonemes = " ".join(phonemizer(False)(word))
    chosen = {
        sound: str(rng.choice(SWAPS[sound])) if rng.random() < SHARE else sound
        for sound in dict.fromkeys(SOUND.findall(phonemes))
    }
    return f"[{word}](/{SOUND.sub(lambda found: chosen[found[0]], phonemes)}/)"
