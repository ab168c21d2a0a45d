from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.ami import looks_like, read

MEETING = "ES2002a"
NAMES = {"A": "MEE006", "B": "FEE005", "C": "MEE007"}
HEAD = '<?xml version="1.0" encoding="ISO-8859-1" standalone="yes"?>\n'
NITE = 'xmlns:nite="http://nite.sourceforge.net/"'


def release(root: Path, words: Mapping[str, str], people: Mapping[str, str] = NAMES) -> Path:
    """A release with one meeting: agent letter → what is in its words file."""
    for agent, elements in words.items():
        write(
            root / f"words/{MEETING}.{agent}.words.xml",
            f'{HEAD}<nite:root nite:id="{MEETING}.{agent}.words" {NITE}>\n{elements}\n</nite:root>\n',
        )
    speakers = "\n".join(
        f'<speaker nite:id="{MEETING}_{n}" nxt_agent="{agent}" channel="{n}" camera="Closeup{n}" global_name="{name}" role="PM"/>'
        for n, (agent, name) in enumerate(people.items())
    )
    write(
        root / "corpusResources/meetings.xml",
        f'{HEAD}<nite:root nite:id="meetings" {NITE}>\n<meeting nite:id="meet_1" observation="{MEETING}" type="scenario" '
        f'duration="1271">\n{speakers}\n</meeting>\n</nite:root>\n',
    )
    write(root / "corpusResources/participants.xml", f"{HEAD}<nite:root {NITE}/>")
    return root


def w(number: int, start_s: float | str, end_s: float | str, text: str, more: str = "") -> str:
    return (
        f'<w nite:id="{MEETING}.A.words{number}" starttime="{start_s}" endtime="{end_s}"{more}>{text}</w>\n'
    )


def elements(said: list[Said], speaker: str) -> str:
    return "".join(
        w(n, unit.start_s, unit.end_s, unit.text)
        for n, unit in enumerate(u for u in said if u.speaker == speaker)
    )


@settings(max_examples=40, deadline=None)
@given(said=talks(speakers=("A", "B", "C")))
def test_every_word_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("ami")
    release(root, {agent: elements(said, agent) for agent in NAMES})
    (conversation,) = read(root)
    assert found(conversation) == turns(said, NAMES)


def test_words_keep_their_times_and_punctuation_belongs_to_them(tmp_path: Path):
    talk = (
        w(0, 77.44, 77.74, "Hi")
        + w(1, 77.74, 77.74, ",", ' punc="true"')
        + w(2, 77.9, 78.2, "I&#39;m")
        + '<vocalsound nite:id="v" starttime="78.2" endtime="79.9" type="laugh"/>\n'
        + '<gap nite:id="g" starttime="78.2" endtime="79.9"/><disfmarker nite:id="d"/>'
        + w(3, 80.0, 80.4, "th", ' trunc="true"')
        + w(4, 80.4, 80.4, ".", ' punc="true"')
    )
    (conversation,) = read(release(tmp_path, {"A": talk}, {"A": "MEE006"}))
    first, second = conversation.turns
    assert (first.text, second.text) == ("Hi, I'm", "th.")
    assert [(word.text, word.start_s, word.end_s) for word in first.words] == [
        ("Hi,", 0, pytest.approx(0.3)),
        ("I'm", pytest.approx(0.46), pytest.approx(0.76)),
    ]
    assert conversation.corpus == "ami"
    assert conversation.id == MEETING


@pytest.mark.parametrize("untimed", ['<w nite:id="x">not</w>', w(9, "", "", "not"), w(9, 1.4, 1.2, "not")])
def test_a_word_without_times_stays_within_its_turn(tmp_path: Path, untimed: str):
    talk = w(0, 1.0, 1.3, "I'm") + untimed + w(1, 1.6, 1.9, "sure")
    (conversation,) = read(release(tmp_path, {"A": talk}, {"A": "MEE006"}))
    assert [turn.text for turn in conversation.turns] == ["I'm not sure"]
    assert all(word.start_s is not None for word in conversation.turns[0].words)


def test_a_word_without_times_between_turns_is_listed(tmp_path: Path):
    untimed = '<w nite:id="x">where</w><w nite:id="y" punc="true">?</w>'
    talk = w(0, 1.0, 1.3, "here") + untimed + w(1, 5.0, 5.5, "there") + '<w nite:id="z">last</w>'
    (conversation,) = read(release(tmp_path, {"A": talk}, {"A": "MEE006"}))
    assert [turn.text for turn in conversation.turns] == ["here", "there"]
    unplaced = [line for line in conversation.skipped if "no times" in line]
    assert len(unplaced) == 2
    assert f"{MEETING}.A.words.xml, x: 'where?' has no times" in unplaced[0]
    assert "z: 'last'" in unplaced[1]


def test_each_speaker_is_heard_in_their_headset(tmp_path: Path):
    root = release(tmp_path / "ami_public_manual_1.6.2", {agent: w(0, 1, 2, "yes") for agent in NAMES}).parent
    for channel in (0, 2):
        record(root / f"amicorpus/{MEETING}/audio/{MEETING}.Headset-{channel}.wav")
    record(root / f"amicorpus/{MEETING}/audio/{MEETING}.Mix-Headset.wav")
    (conversation,) = read_corpus(root)
    assert {who: path.name for who, (path, _) in conversation.audio.items()} == {
        "MEE006": f"{MEETING}.Headset-0.wav",
        "MEE007": f"{MEETING}.Headset-2.wav",
    }
    (missing,) = conversation.skipped
    assert "FEE005" in missing
    assert f"{MEETING}.Headset-1.wav" in missing


def test_a_half_copied_release_says_what_is_missing(tmp_path: Path):
    root = release(tmp_path, {"A": w(0, 1, 2, "yes"), "E": w(0, 3, 4, "who")}, {"A": "MEE006", "B": "FEE005"})
    (conversation,) = read(root)
    assert {turn.speaker for turn in conversation.turns} == {"MEE006", f"{MEETING}/E"}
    assert any(f"{MEETING}.B.words.xml" in line and "FEE005" in line for line in conversation.skipped)
    assert any("speaker E" in line and "meetings.xml" in line for line in conversation.skipped)
    (root / "corpusResources/meetings.xml").unlink()
    assert not looks_like(root)
    with pytest.raises(CorpusError, match=r"meetings\.xml"):
        list(read(root))


def test_damaged_xml_is_named_with_its_line(tmp_path: Path):
    root = release(tmp_path, {"A": w(0, 1, 2, "yes")})
    path = root / f"words/{MEETING}.A.words.xml"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CorpusError, match=rf"{MEETING}\.A\.words\.xml, line 3"):
        list(read(root))


def test_the_layout_is_recognised(tmp_path: Path):
    assert guess_layout(release(tmp_path, {"A": w(0, 1, 2, "yes")})) == "ami"
