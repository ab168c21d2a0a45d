"""A reply cut into what is spoken one after the other, so that the first sound need not wait for the last word."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from importlib import import_module

# Characters in a piece, 13 s of speech: hibari makes it in .13 s, and a listener would take a breath.
LIMIT = 200
# Where a longer sentence is cut, best first.
CUTS = (r"(?<=[;:—–])\s|(?<=[；：])", r"(?<=,)\s|(?<=[，、])", r"\s")
ELLIPSIS = re.compile(r"(?<=…)\s+(?=[^\W\d_a-z])")  # before a capital letter it ends a sentence


def sentences(text: str, limit: int = LIMIT, language: str = "en") -> list[str]:
    """The sentences of `text`, in order, none empty, none longer than `limit` characters.

    They end at . ! ? … (full-width too) and at line breaks, not after "Dr.", "e.g." or initials; quotes and brackets stay
    with their sentence. What has no letter ("1.") joins the next. A longer sentence is cut at ; : — then at a comma, then at
    a space. Joined with single spaces they are the text again, its white space made single, save where a cut had no space:
    after a full-width mark, and inside an unbroken run longer than `limit`. `language` is an ISO 639-1 code for sentencex.
    """
    text = text.encode("utf-8", "ignore").decode()  # half a surrogate pair is no character
    lines = (" ".join(line.split()) for line in text.splitlines())
    parts = (
        part for line in lines for sentence in _line(line, language) for part in ELLIPSIS.split(sentence)
    )
    return [piece for sentence in _standing(parts) for piece in _cut(sentence, limit)]


def _line(line: str, language: str) -> Iterator[str]:
    """By Wikimedia's sentencex; what it cuts where there is no space ("example.Com") is put together again."""
    sentence = ""
    for part in import_module("sentencex").segment(language, line):
        sentence += part
        if part[-1].isspace() or not part[-1].isascii():
            yield sentence.strip()
            sentence = ""
    yield sentence


def _standing(whole: Iterable[str]) -> list[str]:
    """Each with a letter: those without are put before the next, the last after the one before."""
    standing: list[str] = []
    waiting = ""
    for sentence in whole:
        waiting = f"{waiting} {sentence}".strip()
        if any(c.isalpha() for c in waiting):
            standing.append(waiting)
            waiting = ""
    if waiting:
        standing[-1:] = [f"{''.join(standing[-1:])} {waiting}".strip()]
    return standing


def _cut(sentence: str, limit: int) -> Iterator[str]:
    """Cut where the parts come out most alike, not before a quarter of the limit if a mark is chosen."""
    while len(sentence) > limit:
        even = len(sentence) / math.ceil(len(sentence) / limit)
        at = limit
        for cut in CUTS:
            marks = (m.start() for m in re.finditer(cut, sentence[: limit + 1]))
            found = [position for position in marks if limit / 4 <= position <= limit]
            if found:
                at = min(found, key=lambda position: abs(position - even))
                break
        yield sentence[:at].rstrip()
        sentence = sentence[at:].lstrip()
    yield sentence
