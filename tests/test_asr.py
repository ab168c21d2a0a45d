"""Recognition: real words from real speech, nothing from nothing, and plain words about what is missing."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from conftest import noise, silence, tone

from entrain.asr import ASRError, FasterWhisper, Moonshine, Transcript, load_recogniser
from entrain.audio import Audio


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    pytest.importorskip("moonshine_voice", reason="pip install moonshine-voice==0.0.65")
    return Moonshine()


@pytest.fixture(scope="module")
def two_cities(moonshine: Moonshine) -> Audio:
    """A man reads Dickens; the recording ships with Moonshine, at 48 kHz."""
    import moonshine_voice

    path = Path(moonshine_voice.__file__).parent / "assets" / "two_cities.wav"
    if not path.is_file():
        pytest.skip(f"this release of moonshine-voice carries no {path.name}")
    return Audio.read(path).part(0, 10)


def test_moonshine_hears_what_was_read(moonshine: Moonshine, two_cities: Audio) -> None:
    heard = moonshine.transcribe(two_cities)
    for words in ("best of times", "worst of times", "age of wisdom", "age of foolishness"):
        assert words in heard.text.lower()
    assert heard.words == (), "it knows no times"


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100])
def test_moonshine_hears_at_any_rate(moonshine: Moonshine, two_cities: Audio, rate_hz: int) -> None:
    assert "of times" in moonshine.transcribe(two_cities.part(0, 4).resample(rate_hz)).text.lower()


@pytest.mark.parametrize("sound", [silence(0), silence(1 / 16_000), silence(1), noise(1, amplitude=0.001)])
def test_moonshine_hears_nothing_in_nothing(moonshine: Moonshine, sound: Audio) -> None:
    assert moonshine.transcribe(sound) == Transcript("")


@pytest.mark.parametrize("seconds", [3, 7.7])
def test_a_turn_cut_in_a_word_leaves_nothing_for_the_next(
    moonshine: Moonshine, two_cities: Audio, seconds: float
) -> None:
    """Its voice detector keeps its state: without a pause at the end the silence after would be heard as "You"."""
    moonshine.transcribe(two_cities.part(0, seconds))
    assert moonshine.transcribe(silence(0.1)).text == ""


def test_two_threads_at_once_hear_each_its_own(
    moonshine: Moonshine, two_cities: Audio, reading: Audio
) -> None:
    sounds = [two_cities.part(0, 4), reading.part(0, 4)] * 2
    alone = [moonshine.transcribe(sound) for sound in sounds[:2]] * 2
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(moonshine.transcribe, sounds)) == alone


def test_an_unknown_recogniser_lists_the_choices() -> None:
    with pytest.raises(ASRError, match=r"no recogniser 'kaldi'. Select one of moonshine, whisper\."):
        load_recogniser("kaldi:big")


def test_a_moonshine_model_that_is_not_in_the_wheel_is_refused() -> None:
    with pytest.raises(ASRError, match="'base-en' is not in the wheel"):
        load_recogniser("moonshine:base-en")


def test_names_lead_to_recognisers_and_back() -> None:
    assert load_recogniser().name == "moonshine:tiny-en"
    assert load_recogniser("moonshine:tiny-en").name == "moonshine:tiny-en"
    assert load_recogniser("whisper").name == "whisper:small"
    assert load_recogniser("whisper:/models/mine").name == "whisper:/models/mine"


@pytest.mark.parametrize(
    ("name", "package", "install"),
    [
        ("moonshine", "moonshine_voice", r"pip install moonshine-voice==0\.0\.65"),
        ("whisper", "faster_whisper", r"pip install 'entrain\[whisper\]'"),
    ],
)
def test_a_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, name: str, package: str, install: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # importing it now fails
    with pytest.raises(ASRError, match=f"{package}.*{install}"):
        load_recogniser(name).transcribe(tone())


def test_whisper_without_its_hub_says_what_else_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("faster_whisper", reason="pip install 'entrain[whisper]'")
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # what HF_HUB_OFFLINE=1 sets when it is imported
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ASRError, match=r"'small' can't be loaded.*Give a folder.*'moonshine', which needs neither"
    ):
        FasterWhisper("small").transcribe(tone())


def test_whisper_with_a_folder_that_holds_no_model_says_so(tmp_path: Path) -> None:
    pytest.importorskip("faster_whisper", reason="pip install 'entrain[whisper]'")
    with pytest.raises(ASRError, match="can't be loaded"):
        load_recogniser(f"whisper:{tmp_path}").transcribe(tone())


def test_nothing_needs_no_model() -> None:
    assert FasterWhisper("not-there").transcribe(Audio(np.zeros(0), 16_000)) == Transcript("")
