"""NXT, the stand-off XML of AMI and Map Task: one file for each speaker's words, {conversation}.{agent}.{layer}.xml."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from entrain_training.corpora import JOIN_S, CorpusError, Unit
from entrain_training.corpora.turns import word

NITE_ID = "{http://nite.sourceforge.net/}id"


def folder(root: Path, name: str) -> Path | None:
    """The folder of that name at `root`, or up to two below it (the release's own folder, and its Data)."""
    found = (path for above in ("", "*/", "*/*/") for path in sorted(root.glob(above + name)))
    return next((path for path in found if path.is_dir()), None)


def files(folder: Path, layer: str) -> dict[str, dict[str, Path]]:
    """Conversation → agent → that speaker's file in this layer; both in order."""
    found: dict[str, dict[str, Path]] = defaultdict(dict)
    for path in sorted(folder.glob(f"[!.]*.*.{layer}.xml")):
        conversation, agent = path.name.removesuffix(f".{layer}.xml").rsplit(".", 1)
        found[conversation][agent] = path
    return found


def parse(path: Path) -> Element:
    """The root of an XML file. Raises `CorpusError`, with the line, where it is damaged."""
    try:
        return ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise CorpusError(
            f"{path}, line {error.position[0]}: damaged XML ({error}). Is the copy whole?"
        ) from error
    except (OSError, LookupError) as error:  # LookupError: an encoding that doesn't exist
        raise CorpusError(f"{path} can't be read: {error}. Is the copy whole?") from error


def words(path: Path, tag: str, start: str, end: str) -> tuple[list[Unit], list[str]]:
    """The words of one speaker, a unit each, and what was left out with why.

    `tag` names a word's element, `start` and `end` its times. Punctuation, in AMI an element of its own, is written to the word
    before it. So is a word without times, if the words around it are of one turn; else it is left out, as nobody knows which turn
    it belongs to. Other elements (silences, noises, laughs, gaps) are no words.
    """
    units: list[Unit] = []
    lost: list[_Token] = []
    unplaced: list[_Token] = []  # since the last word that had times
    for token in _tokens(path, tag, start, end):
        if not token.text:
            lost.append(token)
        elif not token.start_s <= token.end_s:
            unplaced.append(token)
        else:
            if unplaced and units and token.start_s - units[-1].end_s < JOIN_S:
                units[-1] = _longer(units[-1], unplaced)
                unplaced = []
            lost += unplaced
            unplaced = []
            units.append(word(token.start_s, token.end_s, token.text))
    return units, [
        f"{t.where}: {repr(t.text) + ' has no times' if t.text else 'no text'}" for t in lost + unplaced
    ]


@dataclass
class _Token:
    where: str
    text: str
    start_s: float
    """nan: not known."""
    end_s: float


def _tokens(path: Path, tag: str, start: str, end: str) -> list[_Token]:
    tokens: list[_Token] = []
    for number, element in enumerate(parse(path).iter(tag), 1):
        text = " ".join("".join(element.itertext()).split())
        name = element.get(NITE_ID) or element.get("id") or f"<{tag}> {number}"
        if element.get("punc") == "true" and tokens:
            tokens[-1].text += text
        else:
            tokens.append(_Token(f"{path}, {name}", text, _seconds(element, start), _seconds(element, end)))
    return tokens


def _seconds(element: Element, name: str) -> float:
    try:
        return float(element.get(name, ""))
    except ValueError:
        return math.nan


def _longer(unit: Unit, tokens: list[_Token]) -> Unit:
    return word(unit.start_s, unit.end_s, " ".join([unit.text, *(t.text for t in tokens)]))
