from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from spoken import Said, found, record, talks, turns, write

from entrain_training.corpora import CorpusError, guess_layout, read_corpus
from entrain_training.corpora.elan import read

HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2024-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
    <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">
"""
TYPES = """    <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Symbolic_Association" LINGUISTIC_TYPE_ID="gloss" TIME_ALIGNABLE="false"/>
    <LINGUISTIC_TYPE CONSTRAINTS="Time_Subdivision" LINGUISTIC_TYPE_ID="words" TIME_ALIGNABLE="true"/>
"""


class Eaf:
    """Writes a transcript as ELAN does: time slots first, then the tiers, each annotation pointing to its slots."""

    def __init__(self) -> None:
        self.slots: list[str] = []
        self.tiers: list[str] = []
        self.media: list[str] = []
        self.n_annotations = 0

    def slot(self, ms: int | None) -> str:
        name = f"ts{len(self.slots) + 1}"
        value = "" if ms is None else f' TIME_VALUE="{ms}"'
        self.slots.append(f'<TIME_SLOT TIME_SLOT_ID="{name}"{value}/>')
        return name

    def tier(self, name: str, said: list[tuple[int | None, int | None, str]], more: str = "") -> list[str]:
        ids: list[str] = []
        annotations = ""
        for start_ms, end_ms, text in said:
            ids.append(self._id())
            annotations += (
                f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="{ids[-1]}" TIME_SLOT_REF1="{self.slot(start_ms)}" '
                f'TIME_SLOT_REF2="{self.slot(end_ms)}"><ANNOTATION_VALUE>{text}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>\n'
            )
        self.tiers.append(
            f'<TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="{name}"{more}>\n{annotations}</TIER>'
        )
        return ids

    def gloss(self, name: str, parent: str, ids: list[str]) -> None:
        annotations = "".join(
            f'<ANNOTATION><REF_ANNOTATION ANNOTATION_ID="{self._id()}" ANNOTATION_REF="{above}"><ANNOTATION_VALUE>gloss'
            "</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>\n"
            for above in ids
        )
        self.tiers.append(
            f'<TIER LINGUISTIC_TYPE_REF="gloss" PARENT_REF="{parent}" PARTICIPANT="{parent}" TIER_ID="{name}">\n{annotations}</TIER>'
        )

    def link(self, url: str, relative: str = "", more: str = "") -> None:
        relative = f' RELATIVE_MEDIA_URL="{relative}"' if relative else ""
        self.media.append(f'<MEDIA_DESCRIPTOR MEDIA_URL="{url}" MIME_TYPE="audio/x-wav"{relative}{more}/>')

    def write(self, path: Path) -> Path:
        order = "\n".join(self.slots)
        parts = [
            HEAD,
            *self.media,
            "    </HEADER>",
            f"<TIME_ORDER>\n{order}\n</TIME_ORDER>",
            *self.tiers,
            TYPES,
        ]
        return write(path, "\n".join(parts) + "</ANNOTATION_DOCUMENT>\n")

    def _id(self) -> str:
        self.n_annotations += 1
        return f"a{self.n_annotations}"


@pytest.fixture
def eaf() -> Eaf:
    """Ann and Bob say yes."""
    eaf = Eaf()
    eaf.tier("Ann", [(0, 1000, "yes")])
    eaf.tier("Bob", [(500, 1500, "yes")])
    return eaf


@settings(max_examples=40, deadline=None)
@given(said=talks())
def test_every_word_is_in_one_turn(said: list[Said], tmp_path_factory: pytest.TempPathFactory):
    root, eaf = tmp_path_factory.mktemp("elan"), Eaf()
    for who in "AB":
        ids = eaf.tier(who, [(u.start_ms, u.end_ms, u.text) for u in said if u.speaker == who])
        eaf.gloss(f"gloss@{who}", who, ids)
    eaf.write(root / "conv.eaf")
    (conversation,) = read(root)
    assert found(conversation) == turns(said, {"A": "conv/A", "B": "conv/B"})


@pytest.mark.parametrize("who", ["", ' PARTICIPANT="tx"'])
def test_words_and_glosses_do_not_double_the_text(tmp_path: Path, who: str):
    eaf = Eaf()
    eaf.tier("words", [(0, 400, "good"), (400, 1000, "day")], f' PARENT_REF="tx"{who}')
    ids = eaf.tier("tx", [(0, 1000, "good\n  day")], who)
    eaf.tier("parts", [(0, None, "go"), (None, 400, "od")], f' PARENT_REF="words"{who}')
    eaf.gloss("gloss", "tx", ids)
    eaf.write(tmp_path / "conv.eaf")
    (conversation,) = read(tmp_path)
    assert found(conversation) == [("tx", 0, 1000, "good day", False)]


def test_participants_go_before_the_names_of_tiers(tmp_path: Path):
    eaf = Eaf()
    eaf.tier("empty", [], ' PARTICIPANT="Ann"')
    eaf.tier("speech-1", [(0, 1000, "yes")], ' PARTICIPANT="Ann"')
    eaf.tier("gesture-1", [(0, 1000, "nods")], ' PARTICIPANT="Ann"')
    eaf.tier("notes", [(0, 1000, "a door")])
    eaf.write(tmp_path / "conv.eaf")
    (conversation,) = read(tmp_path)
    assert [(turn.speaker, turn.text) for turn in conversation.turns] == [("Ann", "yes")]
    assert "'gesture-1': Ann is read from 'speech-1'" in conversation.skipped[0]
    assert "'notes': it has no participant" in conversation.skipped[1]


def test_what_has_no_time_or_text_is_listed(tmp_path: Path):
    eaf = Eaf()
    eaf.tier("Ann", [(0, 1000, "yes"), (None, 3000, "when"), (4000, 5000, " "), (7000, 6000, "back")])
    eaf.write(tmp_path / "conv.eaf")
    (conversation,) = read(tmp_path)
    assert [turn.text for turn in conversation.turns] == ["yes"]
    assert "a2 of Ann: 'when' has no times" in conversation.skipped[0]
    assert "a3 of Ann: no text" in conversation.skipped[1]
    assert "from 7.0 to 6.0 s is no time" in conversation.skipped[2]


@pytest.mark.parametrize(
    ("url", "relative", "wav"),
    [
        ("file:///C:/Users/me/Ann%20and%20Bob.wav", "../audio/Ann%20and%20Bob.wav", "audio/Ann and Bob.wav"),
        ("file:///C:/Users/me/talk.wav", "", "elan/talk.wav"),
        ("file:///C:/Users/me/talk.mp4", "./talk.mp4", "elan/talk.wav"),
        ("file:///gone/gone.wav", "../gone/gone.wav", "elan/conv.wav"),
        ("", "", "elan/conv.flac"),
    ],
)
def test_the_linked_recording_is_found(tmp_path: Path, eaf: Eaf, url: str, relative: str, wav: str):
    if url:
        eaf.link(url, relative)
    path = record(tmp_path / wav, n_channels=2)
    eaf.write(tmp_path / "elan/conv.eaf")
    (conversation,) = read(tmp_path)
    assert {who: (file.resolve(), n) for who, (file, n) in conversation.audio.items()} == {
        "Ann": (path, 0),
        "Bob": (path, 1),
    }
    assert conversation.skipped == ()


@pytest.mark.parametrize("order", [("../audio/conv.wav", "./conv.mp4"), ("./conv.mp4", "../audio/conv.wav")])
def test_a_recording_goes_before_a_video_of_the_same_name(tmp_path: Path, eaf: Eaf, order: tuple[str, str]):
    for relative in order:
        eaf.link(f"file:///C:/{relative[2:]}", relative)
    wav = record(tmp_path / "audio/conv.wav")
    write(tmp_path / "elan/conv.mp4", "not for us")
    eaf.write(tmp_path / "elan/conv.eaf")
    (conversation,) = read(tmp_path)
    assert {file.resolve() for file, _ in conversation.audio.values()} == {wav}


def test_as_many_recordings_as_speakers_are_one_each(tmp_path: Path, eaf: Eaf):
    wavs = [record(tmp_path / name) for name in ("left.wav", "right.wav")]
    for wav in wavs:
        eaf.link(wav.as_uri(), f"./{wav.name}")
    eaf.write(tmp_path / "conv.eaf")
    (conversation,) = read(tmp_path)
    assert conversation.audio == {"Ann": (wavs[0], 0), "Bob": (wavs[1], 0)}


def test_audio_that_is_not_there_or_shifted_is_listed(tmp_path: Path, eaf: Eaf):
    eaf.link("file:///C:/talk.wav", "./talk.wav")
    eaf.write(tmp_path / "conv.eaf")
    (conversation,) = read(tmp_path)
    assert conversation.audio == {}
    assert "talk.wav" in conversation.skipped[0]
    eaf.link("file:///C:/late.wav", "./late.wav", ' TIME_ORIGIN="1200"')
    eaf.write(tmp_path / "conv.eaf")
    (conversation,) = read(tmp_path)
    assert "TIME_ORIGIN" in conversation.skipped[0]


def test_damage_is_named_with_its_line(tmp_path: Path, eaf: Eaf):
    path = eaf.write(tmp_path / "conv.eaf")
    whole = path.read_text()
    write(path, whole[: whole.index("<TIER")])
    with pytest.raises(CorpusError, match=r"conv\.eaf, line \d+"):
        list(read(tmp_path))
    write(path, whole.replace('TIME_VALUE="500"', 'TIME_VALUE="soon"'))
    with pytest.raises(CorpusError, match=r"conv\.eaf.*soon"):
        list(read(tmp_path))
    write(path, whole.replace("milliseconds", "PAL-frames"))
    with pytest.raises(CorpusError, match=r"conv\.eaf.*PAL-frames"):
        list(read(tmp_path))


def test_the_layout_is_recognised(tmp_path: Path, eaf: Eaf):
    path = eaf.write(tmp_path / "conv.eaf")
    assert guess_layout(tmp_path) == "elan"
    assert [c.id for c in read_corpus(path)] == ["conv"]
