"""SSML that providers accept, and voices behind functions: a real one, espeak-ng, stands behind them here."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrain.audio import Audio
from entrain.tts import Knobs, TTSError, load_tts
from entrain.tts_ssml import CAPABILITIES, SSML, Passthrough, ssml

BOTH = Knobs(pitch_st=2, range_x=1.25, rate_x=1.1, level_db=-3)
TONE = Audio(0.1 * np.sin(np.arange(4800) * 2 * np.pi * 200 / 24_000).astype(np.float32), 24_000)


@pytest.mark.parametrize(
    ("dialect", "prosody"),
    [
        ("azure", {"pitch": "+2st", "range": "+25%", "rate": "+10%", "volume": "70.79"}),
        ("google", {"pitch": "+2st", "rate": "110%", "volume": "-3dB"}),
        ("polly", {"rate": "110%", "volume": "-3dB"}),
        ("polly-standard", {"pitch": "+12.2%", "rate": "110%", "volume": "-3dB"}),
        ("generic", {"pitch": "+2st", "range": "+25%", "rate": "110%", "volume": "-3dB"}),
    ],
)
def test_each_dialect_has_its_units_and_says_what_it_took(dialect: str, prosody: dict[str, str]) -> None:
    marked, applied = ssml("Hello.", BOTH, dialect)
    element = next(e for e in ET.fromstring(marked).iter() if e.tag.endswith("prosody"))
    assert element.attrib == prosody
    taken = {"pitch": "pitch_st", "range": "range_x", "rate": "rate_x", "volume": "level_db"}
    assert applied == Knobs(**{knob: getattr(BOTH, knob) for name, knob in taken.items() if name in prosody})


def test_requests_beyond_the_provider_are_clamped() -> None:
    marked, applied = ssml("Hello.", Knobs(30, 9, 9, 40), "azure")
    assert applied == Knobs(7, 2, 2, 0)
    assert "volume" not in marked


def test_neutral_knobs_add_nothing() -> None:
    assert ssml("Hello.", dialect="google")[0] == "<speak>Hello.</speak>"


def test_azure_gets_its_voice_and_language() -> None:
    marked, _ = ssml("Guten Tag.", dialect="azure", voice="de-DE-KatjaNeural", language="de-DE")
    root = ET.fromstring(marked)
    assert root.get("{http://www.w3.org/XML/1998/namespace}lang") == "de-DE"
    assert root[0].get("name") == "de-DE-KatjaNeural"


@given(
    text=st.text(),
    voice=st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufffe\uffff"), max_size=9
    ),
    dialect=st.sampled_from(list(CAPABILITIES)),
    knobs=st.builds(Knobs, *[st.floats(-30, 30), st.floats(0.1, 5), st.floats(0.1, 5), st.floats(-30, 30)]),
)
def test_any_text_is_well_formed_and_comes_back(text: str, voice: str, dialect: str, knobs: Knobs) -> None:
    root = ET.fromstring(ssml(text, knobs, dialect, voice)[0])  # a stray < or & or control would not parse
    assert len([e for e in root.iter() if not e.tag.endswith(("speak", "voice", "prosody"))]) == 0
    kept = "".join(c for c in text if c.isalnum())
    assert "".join(c for c in "".join(root.itertext()) if c.isalnum()) == kept


def test_a_voice_behind_ssml_hears_the_knobs() -> None:
    heard: list[str] = []

    def speak(marked: str) -> Audio:
        heard.append(marked)
        return TONE

    said = SSML(speak, "google").synthesise("Hello & welcome.", Knobs(pitch_st=2, range_x=2))
    assert heard == ['<speak><prosody pitch="+2st">Hello &amp; welcome.</prosody></speak>']
    assert said.applied == Knobs(pitch_st=2)
    assert np.array_equal(said.audio.samples, TONE.samples)


def test_a_real_voice_behind_a_function() -> None:
    pytest.importorskip(
        "espeakng_loader", reason="the voice behind the function; pip install espeakng-loader"
    )
    espeak = load_tts("espeak")
    passed = Passthrough(lambda text: espeak.synthesise(text).audio.wav(), rate_hz=16_000)
    said = passed.synthesise("We open at nine.", BOTH)
    own = espeak.synthesise("We open at nine.").audio
    assert said.applied == Knobs()
    assert said.audio.rate_hz == 16_000  # espeak's 22,050 was resampled
    assert said.audio.duration_s == pytest.approx(own.duration_s, abs=0.001)
    assert said.audio.level_db == pytest.approx(own.level_db, abs=0.3)


def test_bytes_are_a_file_or_samples_at_the_rate() -> None:
    pcm = (TONE.samples * 32768).astype("<i2").tobytes()
    for sound in (TONE.wav(), pcm, bytearray(pcm), memoryview(pcm)):
        audio = Passthrough(lambda _, sound=sound: sound).synthesise("Hello.").audio  # type: ignore[misc]
        assert np.allclose(audio.samples, TONE.samples, atol=1e-4)


def test_nothing_to_say_is_not_sent() -> None:
    def speak(_: str) -> Audio:
        raise AssertionError("called")

    for voice in (SSML(speak), Passthrough(speak)):
        assert [len(voice.synthesise(text).audio.samples) for text in ("", " \n", "🙂")] == [0, 0, 0]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (None, "gave NoneType; the function must give"),
        (np.zeros(9), "gave ndarray; the function must give"),
        (b"odd", "not sound: 3 bytes is not a whole number"),
        (b"RIFF0000", "not sound: .* not readable"),
    ],
)
def test_a_wrong_result_is_named(result: object, message: str) -> None:
    for voice in (SSML(lambda _: result), Passthrough(lambda _: result)):  # type: ignore[arg-type,return-value]
        with pytest.raises(TTSError, match=message):
            voice.synthesise("Hello.")


def test_a_failure_keeps_its_cause() -> None:
    def speak(_: str) -> Audio:
        raise ConnectionError("no route to host")

    with pytest.raises(TTSError, match=r"mine failed on 'Hello.': ConnectionError: no route") as raised:
        Passthrough(speak, name="mine").synthesise("Hello.")
    assert isinstance(raised.value.__cause__, ConnectionError)


def test_names_and_an_unknown_dialect() -> None:
    assert load_tts("ssml:Joanna", speak=lambda _: TONE, dialect="polly").name == "ssml:polly:Joanna"
    with pytest.raises(TTSError, match=r"no SSML dialect 'klingon'. Select one of azure"):
        SSML(lambda _: TONE, dialect="klingon")  # type: ignore[arg-type]
