from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.maptask import read

NAMES = {"g": "q1eta1", "f": "q1etb1"}
HEAD = '<?xml version="1.0" encoding="UTF-8"?>\n<nite:root xmlns:nite="http://nite.sourceforge.net/" id="'


def release(root: Path, units: Mapping[str, str], name: str = "q1ec1", people: bool = True) -> Path:
    """A release with one conversation: role → what is in its timed units."""
    for role, elements in units.items():
        path = root / f"Data/timed-units/{name}.{role}.timed-units.xml"
        write(path, f'{HEAD}tu.{name}.{role}">\n{elements}</nite:root>\n\n')
    if people:
        pointers = "".join(
            f'<nite:pointer role="{role}" href="maptask-participants.xml#id({person})"/> \n'
            for role, person in NAMES.items()
        )
        conv = f'<conv conversation="1" eyecontact="yes" id="{name}" map="m12" quad="1">\n{pointers}</conv>\n'
        write(
            root / "Data/corpus-resources/maptask-corpus.xml",
            f'{HEAD}maptask-corpus.1">\n{conv}</nite:root>\n',
        )
    return root


def elements(said: list[Said], speaker: str) -> str:
    """With a noise or a silence after each, as the release has them."""
    return "".join(
        f'<tu id="q1ec1{speaker}.{n}" start="{unit.start_s}" end="{unit.end_s}" utt="1">{unit.text}</tu>\n'
        f'<sil id="q1ec1{speaker}.{n}s" start="{unit.end_s}" end="{unit.end_s}"/>\n'
        f'<noi id="q1ec1{speaker}.{n}n" start="{unit.end_s}" end="{unit.end_s}" type="inbreath"/>\n'
        for n, unit in enumerate(u for u in said if u.speaker == speaker)
    )


ONE = {
    "g": '<tu id="a" start="0.0000" end="0.3294" utt="1">okay</tu>\n<tu id="b" start="0.4" end="0.9">going to</tu>\n',
    "f": '<sil id="c" start="0" end="0.8"/>\n<tu id="d" start="0.8" end="1.2" utt="2">g--</tu>\n',
}


@settings(max_examples=40, deadline=None)
@given(said=talks(speakers=("g", "f")))
def test_every_word_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root = tmp_path_factory.mktemp("maptask")
    (conversation,) = read(release(root, {role: elements(said, role) for role in NAMES}))
    assert found(conversation) == turns(said, NAMES)


def test_silences_and_noises_are_not_talk(tmp_path: Path):
    (conversation,) = read(release(tmp_path, ONE))
    assert [(turn.speaker, turn.text, turn.overlap) for turn in conversation.turns] == [
        ("q1eta1", "okay going to", False),
        ("q1etb1", "g--", True),
    ]


def test_the_giver_is_left(tmp_path: Path):
    root = release(tmp_path / "maptaskv2-1", ONE).parent
    mix = record(root / "dialogues/q1ec1.mix.wav", n_channels=2)
    (conversation,) = read_corpus(root)
    assert conversation.audio == {"q1eta1": (mix, 0), "q1etb1": (mix, 1)}
    assert conversation.skipped == ()


def test_a_recording_each_goes_before_the_mix(tmp_path: Path):
    root = release(tmp_path, ONE)
    record(root / "q1ec1.mix.wav", n_channels=2)
    own = {role: record(root / f"mono/q1ec1.{role}.wav") for role in NAMES}
    (conversation,) = read(root)
    assert conversation.audio == {NAMES[role]: (path, 0) for role, path in own.items()}


def test_audio_that_is_not_there_is_listed(tmp_path: Path):
    (conversation,) = read(release(tmp_path, ONE))
    assert conversation.audio == {}
    assert len(conversation.skipped) == 2
    assert "q1ec1.g.wav or q1ec1.mix.wav" in conversation.skipped[0]


@pytest.mark.parametrize(("name", "quad"), [("q1ec1", "q1e"), ("q1nc8", "q1n"), ("q8ec5", "q8e")])
def test_people_without_names_recur_in_their_quad(tmp_path: Path, name: str, quad: str):
    (conversation,) = read(release(tmp_path, ONE, name, people=False))
    assert conversation.group == quad
    assert {turn.speaker for turn in conversation.turns} == {f"{name}/g", f"{name}/f"}
    assert sum("maptask-corpus.xml" in line for line in conversation.skipped) == 2


def test_a_role_that_is_missing_is_listed(tmp_path: Path):
    (conversation,) = read(release(tmp_path, {"g": ONE["g"]}))
    assert len(conversation.turns) == 1
    assert any("q1ec1.f.timed-units.xml" in line for line in conversation.skipped)


def test_damaged_xml_is_named_with_its_line(tmp_path: Path):
    root = release(tmp_path, ONE | {"f": '<tu id="d" start="0" end="1">half'})
    with pytest.raises(CorpusError, match=r"q1ec1\.f\.timed-units\.xml, line 3"):
        list(read(root))
    with pytest.raises(CorpusError, match="timed-units"):
        list(read(tmp_path / "Data/corpus-resources"))


def test_the_layout_is_recognised(tmp_path: Path):
    assert guess_layout(release(tmp_path, ONE)) == "maptask"
