"""Fisher English (LDC2004T19, LDC2005T19; audio LDC2004S13, LDC2005S13), its folders as they are, anywhere below one.

Transcripts `fe_03_NNNNN.txt` have a line an utterance, "3.76 5.54 A: and i generally prefer"; audio `fe_03_NNNNN.sph` has A and B
as channels. Speakers are the PINs of `*calldata.tbl`, or of `*pindata.tbl`, with the sex heard in the call (2637f), because some
PINs were shared in a household; without these tables each side of each call counts as a person of its own.

Left out as not being words: [laughter], [noise] and the like, and utterances of nothing else. Of (( words )) that the transcriber
doubted, the words are kept.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

from entrain_training.corpora import Conversation, CorpusError, Unit
from entrain_training.corpora.rows import TIME, lines, opened, timed
from entrain_training.corpora.sound import channels, find
from entrain_training.corpora.turns import join

CALL = re.compile(r"fe_03_\d{5}")
LINE = re.compile(rf"{TIME}\s+{TIME}\s+([AB]):(.*)")
EVENT = re.compile(r"\[+[^\]]*\]+")
CALL_SIDES = re.compile(r"(\d{5})_([AB])/([mf])")  # 06972_A/m.a;08175_A/f.a

People = dict[tuple[str, str], str]
"""Call and side → speaker."""


def read(root: Path) -> Iterator[Conversation]:
    """The calls that have a transcript or audio below `root`; of what is missing, the file looked for is listed."""
    transcripts = {path.stem: path for path in sorted(root.rglob("fe_03_*.txt")) if _is_transcript(path)}
    audio = {name: path for name, path in find(root).items() if CALL.fullmatch(name)}
    people = _people(root)
    for call in sorted(transcripts.keys() | audio.keys()):
        yield _conversation(call, transcripts.get(call), audio.get(call), people)


def looks_like(root: Path) -> bool:
    return any(CALL.fullmatch(path.stem) for path in root.rglob("fe_03_*"))


def _is_transcript(path: Path) -> bool:
    """Not in `bbn_orig`, which has the same calls once more in pieces."""
    return bool(CALL.fullmatch(path.stem)) and "bbn_orig" not in path.parts


def _conversation(call: str, transcript: Path | None, audio: Path | None, people: People) -> Conversation:
    names = sides(call, people)
    sounds, missing = channels(audio, {names["A"]: 0, names["B"]: 1}, f"{call}.sph")
    if transcript is None:
        return Conversation(
            "fisher", call, (), sounds, skipped=(f"{audio}: no transcript {call}.txt", *missing)
        )
    skipped: list[str] = []
    units: dict[str, list[Unit]] = {name: [] for name in names.values()}
    for start_s, end_s, (side, text) in timed(transcript, LINE, "3.76 5.54 A: and i", skipped):
        said = EVENT.sub(" ", text)
        if said.strip() or not EVENT.search(text):
            words = said.replace("((", " ").replace("))", " ").split()
            units[names[side]].append(Unit(start_s, end_s, " ".join(words)))
    turns, unfit = join(units, str(transcript))
    return Conversation("fisher", call, turns, sounds, skipped=(*skipped, *unfit, *missing))


def sides(call: str, people: People) -> dict[str, str]:
    """Side → speaker; by the call's own name where the tables don't say, or say that someone rang up themselves."""
    local = {side: f"{call}/{side}" for side in "AB"}
    names = {side: people.get((call, side), local[side]) for side in "AB"}
    return names if names["A"] != names["B"] else local


def _people(root: Path) -> People:
    people: People = {}
    for path in sorted(root.rglob("*pindata.tbl")):
        for _, line in lines(path):
            pin = line.split(",")[0]
            people |= {(f"fe_03_{call}", side): pin + sex for call, side, sex in CALL_SIDES.findall(line)}
    for path in sorted(root.rglob("*calldata.tbl")):
        people |= _calldata(path)
    return people


def _calldata(path: Path) -> People:
    with opened(path) as file:
        rows = list(csv.DictReader(file))
    try:
        return {
            (f"fe_03_{row['CALL_ID']}", side): row[f"{side}PIN"] + row[f"{side}SX.DL"][0]
            for row in rows
            for side in "AB"
        }
    except (KeyError, TypeError, IndexError) as error:
        raise CorpusError(
            f"{path} is not LDC's table: {error}. It needs CALL_ID, APIN, ASX.DL, BPIN and BSX.DL in each row."
        ) from error
