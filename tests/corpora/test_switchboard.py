from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, talks, turns, write
from test_sound import sphere

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.switchboard import read, said

NAMES = {"A": "sw2001/A", "B": "sw2001/B"}
HI = ["0.000000 0.500000 [silence]", "0.500000 0.900000 hi"]


def transcript(root: Path, side: str, lines: list[str], call: str = "2001") -> Path:
    path = root / "swb_ms98_transcriptions" / call[:2] / call / f"sw{call}{side}-ms98-a-word.text"
    numbered = (f"sw{call}{side}-ms98-a-{n:04} {line}" for n, line in enumerate(lines, 1))
    return write(path, "\n".join(numbered) + "\n")


@settings(max_examples=40, deadline=None)
@given(talk=talks())
def test_every_word_is_in_one_turn_with_its_times(talk: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("switchboard")
    for side in NAMES:
        own = [u for u in talk if u.speaker == side]
        words = [f"{u.start_s} {u.end_s} {u.text}" for u in own]
        silences = [f"{a.end_s} {b.start_s} [silence]" for a, b in pairwise(own)]
        transcript(root, side, words + silences)
    path = sphere(root / "swb1_d1/data/sw02001.sph")
    (conversation,) = read(root)
    assert found(conversation) == turns(talk, NAMES)
    assert conversation.audio == {NAMES["A"]: (path, 0), NAMES["B"]: (path, 1)}
    assert conversation.skipped == ()
    starts = {u.text: u.start_ms for u in talk}
    for turn in conversation.turns:
        assert [w.text for w in turn.words] == turn.text.split()
        for w in turn.words:
            assert w.start_s is not None
            assert round((turn.start_s + w.start_s) * 1000) == starts[w.text]


@pytest.mark.parametrize(
    ("token", "word"),
    [
        ("right", "right"),
        ("uh-huh", "uh-huh"),
        ("don't", "don't"),
        ("[laughter-right]", "right"),
        ("[laughter-th[at]-]", "th-"),
        ("[laughter-[story/storey]]", "story"),
        ("[it'n/isn't]", "it'n"),
        ("[lem[guini]-/linguini]", "lem-"),
        ("th[is]-", "th-"),
        ("-[th]is", "-is"),
        ("ammu[n]it-", "ammu-it-"),
        ("{yuppiedom}", "yuppiedom"),
        ("them_1", "them"),
        ("them_1's", "them's"),
        ("[silence]", ""),
        ("[noise]", ""),
        ("[vocalized-noise]", ""),
        ("[laughter]", ""),
        ("<b_aside>", ""),
        ("<e_aside>", ""),
    ],
)
def test_tokens(token: str, word: str):
    assert said(token) == word


def test_silence_and_laughter_part_turns_and_words_laughed_are_kept(tmp_path: Path):
    transcript(
        tmp_path,
        "A",
        ["0 1 so", "1 1.4 [laughter]", "1.4 2 [laughter-yeah]", "2 2.6 [noise]", "2.6 3 <b_aside>", "3 4 no"],
    )
    transcript(tmp_path, "B", ["0 9 [silence]"])
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ["so yeah", "no"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "call_con_tab.csv",
            '2001, "A", 1397, 4, 2141, 303, "", "Y"\n2001, "B", 1018, 4, 2141, 303, "", "Y"\n',
        ),
        ("conv.tab", "2001, 910304, 1397, 1018, 303\n"),
    ],
)
def test_callers(tmp_path: Path, name: str, text: str):
    write(tmp_path / "tables" / name, text)
    for call in ("2001", "2002"):
        transcript(tmp_path, "A", HI, call)
        transcript(tmp_path, "B", ["2.0 3.0 bye"], call)
    assert [[(turn.speaker, turn.text) for turn in c.turns] for c in read(tmp_path)] == [
        [("1397", "hi"), ("1018", "bye")],
        [("sw2002/A", "hi"), ("sw2002/B", "bye")],
    ]
    write(tmp_path / "tables" / name, text + "2003\n")
    with pytest.raises(CorpusError, match=rf"{name}, row \d: \['2003'\] has 1 cells"):
        list(read(tmp_path))


def test_what_is_missing_or_damaged_is_listed(tmp_path: Path):
    path = transcript(tmp_path, "A", [*HI, "2.0 1.0 back", "7.0"])
    sound = sphere(tmp_path / "sw2005.sph")
    first, second = read(tmp_path)
    assert [turn.text for turn in first.turns] == ["hi"]
    assert first.audio == {}
    assert [line.removeprefix(str(path)) for line in first.skipped] == [
        "no words of B: sw2001B-ms98-a-word.text is not there",
        ", line 3: from 2.0 to 1.0 s is no time",
        ", line 4: 'sw2001A-ms98-a-0004 7.0' is not like 'sw2001A-ms98-a-0001 0.97 1.15 hi'",
        "no audio: sw02001.sph or sw2001.sph is not there",
    ]
    assert (second.id, second.turns, second.audio["sw2005/B"]) == ("sw2005", (), (sound, 1))
    assert len(second.skipped) == 2


def test_the_layout_is_recognised(tmp_path: Path):
    transcript(tmp_path, "A", HI)
    write(tmp_path / "call_con_tab.csv", '2001, "A", 1397\n')
    assert guess_layout(tmp_path) == "switchboard"
    (conversation,) = read_corpus(tmp_path)
    assert conversation.corpus == "switchboard"
