"""CHAT transcripts (TalkBank, CHILDES) with time marks, through pylangacq; audio as @Media names it, or of the same name, beside.

The text has the words that pylangacq gives: without fillers, fragments, retracings and codes, and with shortenings written out.
A speaker whom @Participants gives a name has it in all files. A code alone (MOT, A) tells nothing beyond its own file: then the
files of a folder within the corpus are one group, since a folder of CHILDES is one child's.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from pylangacq import CHAT, Headers, Utterance

from entrain_training.corpora import Conversation, CorpusError, Unit, transcript
from entrain_training.corpora.audio import beside, heard
from entrain_training.corpora.sound import SUFFIXES
from entrain_training.corpora.turns import join

MARK = re.compile('\x15(?:%snd:"[^"]*"_)?(\\d+)_(\\d+)\x15')
"""Start and end, ms; older files name the recording before them."""
PUNCTUATION = (".", ",", "?", "!")
SIGNS = str.maketrans("_", " ", ":^↑↓↗→↘⇗⇘∞≈≋≡∙⌈⌉⌊⌋∆∇⁎⁇°▁▔☺♋Ϋ∮∾↻„‡")
"""What CHAT writes into words for length, pitch, loudness, overlap; New_York is two words."""


def read(root: Path) -> Iterator[Conversation]:
    """One conversation a file. Raises `CorpusError` for a file that is not CHAT, not UTF-8, or cut off."""
    for path in transcript.files(root, ".cha"):
        yield _conversation(root, path)


def looks_like(root: Path) -> bool:
    """It is or has a .cha file."""
    return bool(transcript.files(root, ".cha"))


def _conversation(root: Path, path: Path) -> Conversation:
    name, text = transcript.conversation(root, path), _text(path)
    chat = CHAT.from_strs([text], parallel=False, strict=False, mor_tier=None, gra_tier=None)
    headers = chat.headers()[0]
    people = _people(headers, name)
    units: dict[str, list[Unit]] = {}
    skipped: list[str] = []
    for line, utterance in _utterances(path, text, chat):
        code, marks, words = utterance.participant or "", _marks(utterance), _words(utterance)
        if marks and words:
            units.setdefault(people.get(code, f"{name}/{code}"), []).append(Unit(*marks, words))
        else:
            skipped.append(f"{path}, line {line}: {code} has no {'words' if marks else 'time marks'}")
    turns, left_out = join(units, str(path))
    where, missing = heard(
        beside(path.parent),
        {speaker: [] for speaker in sorted(units, key=[*people.values(), *units].index)},
        [*_media(headers), path.stem],
    )
    skipped += left_out + [f"{path}: {line}" for line in missing]
    group = name.rpartition("/")[0] if any(who.startswith(f"{name}/") for who in units) else ""
    return Conversation(transcript.corpus(root), name, turns, where, group, tuple(skipped))


def _text(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"{path}, line {line}: not UTF-8 ({error.reason}); convert it.") from error
    n_lines = text.count("\n") + 1
    if "@Begin" not in text:
        raise CorpusError(f"{path}: {n_lines} lines without @Begin; this is not CHAT, or not all of it.")
    if "\n@End" not in text:
        raise CorpusError(f"{path}, line {n_lines}: it stops without @End. Is the copy whole?")
    return text


def _people(headers: Headers, conversation: str) -> dict[str, str]:
    """Code → speaker: by name, where it is not only their role, nor another's here as well."""
    count = Counter(p.name for p in headers.participants)
    return {
        p.code: transcript.person(p.name, conversation)
        if p.name not in ("", p.role) and count[p.name] == 1
        else f"{conversation}/{p.code}"
        for p in headers.participants
    }


def _utterances(path: Path, text: str, chat: CHAT) -> list[tuple[int, Utterance]]:
    """Each with its line. A line that is not like "*CODE:" is dropped by pylangacq without a word, so it is looked for here."""
    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), 1) if re.match(r" *\*", line)]
    for number, line in lines:
        if not re.match(r"\*[^\s:]+:", line):
            raise CorpusError(
                f"{path}, line {number}: {line[:40]!r} does not begin like '*MOT:'; correct it."
            )
    said = [utterance for utterance in chat.utterances() if utterance.participant]
    if len(said) != len(lines):
        raise CorpusError(f"{path}: pylangacq finds {len(said)} utterances in {len(lines)} lines with a *.")
    return [(number, utterance) for (number, _), utterance in zip(lines, said, strict=True)]


def _marks(utterance: Utterance) -> tuple[float, float] | None:
    """From the first time mark's start to the last one's end, s: pylangacq gives only the first of several."""
    marks = MARK.findall((utterance.tiers or {}).get(utterance.participant or "", ""))
    return (int(marks[0][0]) / 1000, int(marks[-1][1]) / 1000) if marks else None


def _words(utterance: Utterance) -> str:
    words = [token.word for token in utterance.tokens or () if not re.match("[#\x15]", token.word)]
    spoken = " ".join(word for word in words if word in PUNCTUATION or re.search(r"\w", word))
    text = re.sub(r" +([.,?!])", r"\1", spoken.translate(SIGNS)).strip()
    return text if re.search(r"\w", text) else ""


def _media(headers: Headers) -> list[str]:
    """The name of the recording, without a suffix: CHAT gives none, but many files do."""
    name = Path((headers.media or {}).get("filename") or "").name.strip('"')
    return [Path(name).stem if Path(name).suffix.lower() in SUFFIXES else name] if name else []
