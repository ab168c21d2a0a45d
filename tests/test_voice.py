"""Voice profiles: what ships is what is measured, and what can't be measured or read says why."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from entrain.audio import Audio
from entrain.normalize import Normalizer
from entrain.tts import Capability, Hibari, Knobs, Rendition, load_tts
from entrain.turn import FEATURES, Features
from entrain.voice import VoiceError, VoiceProfile, file_name, sentences

HIBARI = Hibari()
# Between two machines or versions of Praat and onnxruntime: st, st, dB, syllables/s, and the ratios.
TOLERANCE = np.array([0.05, 0.2, 0.1, 0.1, 0.001, 0.004, 0.005])


class Saying:
    """A voice that gives the same audio for every text."""

    name, capability = "fake:same", Capability()

    def __init__(self, audio: Audio) -> None:
        self.audio, self.rate_hz = audio, audio.rate_hz

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        return Rendition(self.audio, text)


def test_the_shipped_profile_of_hibari_is_what_is_measured_now() -> None:
    done: list[int] = []
    measured, shipped = VoiceProfile.measure(HIBARI, on_progress=done.append), VoiceProfile.of(HIBARI)
    assert (np.abs(np.array(measured.mean) - shipped.mean) < TOLERANCE).all()
    assert np.array(measured.spread) == pytest.approx(np.array(shipped.spread), rel=0.1)
    assert measured.texts_sha256 == shipped.texts_sha256
    assert done == list(range(1, 41))


def test_there_are_forty_sentences_to_measure_on() -> None:
    assert len(sentences()) == len(set(sentences())) == 40


def test_a_voice_without_a_profile_is_measured() -> None:
    pytest.importorskip("espeakng_loader", reason="pip install espeakng-loader")
    voice = load_tts("espeak:de")
    profile = VoiceProfile.of(voice)
    assert profile.name == "espeak:de"
    assert profile.n_sentences == 40
    again = VoiceProfile.measure(voice, sentences()[:6])
    assert again.n_sentences == 6


def test_save_and_load_are_exact(tmp_path: Path) -> None:
    profile = VoiceProfile.of(HIBARI)
    profile.save(tmp_path / "voice.json")
    assert VoiceProfile.load(tmp_path / "voice.json") == profile


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b"\xff\xfe\x00", b'{"name": "a"}'], ids=["empty", "cut", "list", "bytes", "little"]
)  # fmt: skip
def test_a_damaged_file_is_a_voice_error_that_says_what_to_do(damage: bytes, tmp_path: Path) -> None:
    file = tmp_path / "voice.json"
    file.write_bytes(damage)
    with pytest.raises(VoiceError, match=r"(?s)voice\.json is not a voice profile.*entrain voice"):
        VoiceProfile.load(file)


@pytest.mark.parametrize("field", ["mean", "spread"])
@pytest.mark.parametrize("value", [(1.0, 2.0), (float("nan"),) * 7])
def test_a_profile_of_another_shape_is_refused(field: str, value: tuple[float, ...], tmp_path: Path) -> None:
    damaged = VoiceProfile.of(HIBARI).model_copy(update={field: value})
    damaged.save(tmp_path / "voice.json")
    with pytest.raises(VoiceError, match=field):
        VoiceProfile.load(tmp_path / "voice.json")


def test_a_missing_file_is_a_voice_error(tmp_path: Path) -> None:
    with pytest.raises(VoiceError, match=r"none\.json"):
        VoiceProfile.load(tmp_path / "none.json")


def test_another_schema_is_to_be_measured_again(tmp_path: Path) -> None:
    VoiceProfile.of(HIBARI).model_copy(update={"schema_": "entrain-2"}).save(tmp_path / "voice.json")
    with pytest.raises(VoiceError, match=r"entrain-2.*[Mm]easure it again"):
        VoiceProfile.load(tmp_path / "voice.json")


def test_four_sentences_are_too_few() -> None:
    with pytest.raises(VoiceError, match=r"4 sentences are too few.*give 5 or more"):
        VoiceProfile.measure(HIBARI, sentences()[:4])


@pytest.mark.parametrize("samples", [np.zeros(0), np.zeros(24_000)], ids=["nothing", "silence"])
def test_a_voice_that_says_nothing_is_a_voice_error(samples: np.ndarray) -> None:
    silent = Saying(Audio(samples.astype(np.float32), 24_000))
    with pytest.raises(VoiceError, match=r"f0_mean_st.*fewer than 5 sentences of fake:same"):
        VoiceProfile.measure(silent, sentences()[:6])


def test_a_voice_that_clips_is_a_voice_error_that_says_so() -> None:
    loud = HIBARI.synthesise("We open at nine every morning.").audio.gain(30)
    clipped = Saying(Audio(np.clip(loud.samples, -1, 1), 24_000))
    with pytest.raises(VoiceError, match=r"level_db.*clipped"):
        VoiceProfile.measure(clipped, sentences()[:6])


def test_one_z_reaches_as_far_as_peoples_where_the_voice_varies_less() -> None:
    profile, people = VoiceProfile.of(HIBARI), Normalizer.for_person().prior_sd
    for i, name in enumerate(FEATURES):
        own = profile.spread[i]
        assert profile.reach[i] == (own if name == "rate_syll_s" else max(own, people[i]))


def test_the_agents_own_normaliser_is_the_profile() -> None:
    profile = VoiceProfile.of(HIBARI)
    usual = Features(**dict(zip(FEATURES, profile.mean, strict=True)))
    assert not profile.normalizer.z(usual)[0].any()
    assert profile.normalizer.fixed


@pytest.mark.parametrize(
    ("voice", "file"),
    [("hibari:heart", "hibari-heart.json"), ("hibari", "hibari-default.json"), ("espeak:en-us+f3", "espeak-en-us+f3.json"),
     ("piper:/a/b/joe.onnx", "piper-joe.json")],
)  # fmt: skip
def test_a_profiles_file_is_named_by_its_voice(voice: str, file: str) -> None:
    assert file_name(voice) == file
