"""The agent must not answer itself. Echoes of known strength and delay, with and without a user who talks over them."""

from __future__ import annotations

from importlib.resources import files

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrain.audio import Audio
from entrain.echo import EchoCanceller, EchoError, EchoGate, Samples
from entrain.prosody import extract

RATE_HZ = 16_000
FRAME = 512  # 32 ms
USER_S = 5.0  # when the user begins
ROOM_DB = -75.0  # the microphone's own noise


@pytest.fixture(scope="module")
def voices() -> tuple[Samples, Samples]:
    """Agent and user, 10 s each at −26 dB: two stretches of one reading."""
    reading = Audio.read(str(files("moonshine_voice").joinpath("assets/two_cities.wav"))).resample(RATE_HZ)
    parts = [reading.part(start_s, start_s + 10) for start_s in (0.0, 20.0)]
    agent, user = (part.gain(-26 - (part.level_db or 0)).samples for part in parts)
    return agent, user


def echo_of(agent: Samples, level_db: float, delay_s: float) -> Samples:
    late = np.concatenate([np.zeros(round(delay_s * RATE_HZ)), agent])[: len(agent)]
    room = np.random.default_rng(0).standard_normal(len(agent)) * 10 ** (ROOM_DB / 20)
    return (late * 10 ** (level_db / 20) + room).astype(np.float32)


def with_user(heard: Samples, user: Samples, level_db: float) -> Samples:
    out, begin = heard.copy(), round(USER_S * RATE_HZ)
    out[begin:] += user[: len(out) - begin] * np.float32(10 ** (level_db / 20))
    return out


def gated(agent: Samples, heard: Samples) -> np.ndarray:
    """(K,) bool: which frames pass."""
    gate = EchoGate(RATE_HZ)
    passed: list[bool] = []
    for at in range(0, len(heard) - FRAME + 1, FRAME):
        gate.played(agent[at : at + FRAME])
        passed.append(gate.passes(heard[at : at + FRAME]))
    return np.array(passed)


def longest_s(passed: np.ndarray) -> float:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], passed.astype(int), [0]])))
    return float((edges[1::2] - edges[::2]).max(initial=0)) * FRAME / RATE_HZ


@pytest.mark.parametrize("delay_s", [0.02, 0.12, 0.3])
@pytest.mark.parametrize("level_db", [-3, -12, -30])
def test_an_echo_alone_is_never_long_enough_to_be_a_turn(
    voices: tuple[Samples, Samples], level_db: float, delay_s: float
):
    agent, _ = voices
    passed = gated(agent, echo_of(agent, level_db, delay_s))
    assert longest_s(passed) < 0.1  # EndpointPolicy.min_speech_s
    assert passed.mean() < 0.02


@pytest.mark.parametrize("delay_s", [0.02, 0.12, 0.3])
@pytest.mark.parametrize("level_db", [-3, -12, -30])
def test_a_louder_user_is_let_through(voices: tuple[Samples, Samples], level_db: float, delay_s: float):
    agent, user = voices
    passed = gated(agent, with_user(echo_of(agent, level_db, delay_s), user, level_db + 10))
    begin = round(USER_S * RATE_HZ / FRAME)
    voiced = begin + int(np.argmax(np.abs(user) > 0.02) / FRAME)  # where the user's sound sets in
    assert passed[voiced : voiced + 4].any()  # 128 ms, of which the first frame may hold a few samples only
    assert longest_s(passed[voiced : voiced + 20]) > 0.15


def test_with_a_headset_even_a_soft_user_is_let_through(voices: tuple[Samples, Samples]):
    agent, user = voices
    passed = gated(agent, with_user(echo_of(agent, -200, 0), user, -15))
    begin = round(USER_S * RATE_HZ / FRAME)
    voiced = begin + int(np.argmax(np.abs(user) > 0.02) / FRAME)
    assert passed[voiced : voiced + 4].any()
    assert passed[voiced : voiced + 20].mean() > 0.7


def test_a_silent_agent_gates_nothing(voices: tuple[Samples, Samples]):
    _, user = voices
    assert gated(np.zeros_like(user), user * np.float32(0.01)).all()


def test_the_gate_follows_when_the_loudspeaker_is_turned_up(voices: tuple[Samples, Samples]):
    agent, _ = voices
    long = np.tile(agent, 2)
    heard = np.concatenate([echo_of(agent, -25, 0.1), echo_of(agent, -10, 0.1)])
    passed = gated(long, heard)
    assert longest_s(passed[-len(passed) // 4 :]) < 0.1


def test_the_gate_takes_what_is_played_at_another_rate(voices: tuple[Samples, Samples]):
    agent, _ = voices
    fast, heard = Audio(agent, RATE_HZ).resample(48_000).samples, echo_of(agent, -6, 0.1)
    gate = EchoGate(48_000)
    passed: list[bool] = []
    for at in range(0, len(heard) - FRAME + 1, FRAME):
        gate.played(fast[3 * at : 3 * (at + FRAME)])
        passed.append(gate.passes(heard[at : at + FRAME]))
    assert longest_s(np.array(passed)) < 0.1


# --- the canceller ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def webrtc() -> None:
    pytest.importorskip("livekit.rtc", reason="pip install 'entrain[live]'")


def cancelled(agent: Samples, heard: Samples, rate_hz: int = RATE_HZ, **options: bool) -> Samples:
    canceller = EchoCanceller(rate_hz, **options)
    out: list[Samples] = []
    for at in range(0, len(heard), rate_hz // 50):
        canceller.played(agent[at : at + rate_hz // 50])
        out.append(canceller.clean(heard[at : at + rate_hz // 50]))
    return np.concatenate(out)


def level(samples: Samples) -> float:
    return Audio(samples, RATE_HZ).level_db or -120.0


@pytest.mark.usefixtures("webrtc")
@pytest.mark.parametrize("delay_s", [0.02, 0.1, 0.3])
def test_the_echo_is_taken_out(voices: tuple[Samples, Samples], delay_s: float):
    agent, _ = voices
    heard = echo_of(agent, -6, delay_s)
    settled = slice(2 * RATE_HZ, None)
    assert level(heard[settled]) - level(cancelled(agent, heard)[settled]) > 25  # ERLE, dB


@pytest.mark.usefixtures("webrtc")
def test_the_user_is_left_in(voices: tuple[Samples, Samples]):
    agent, user = voices
    heard = with_user(echo_of(agent, -12, 0.1), user, 0)
    after = slice(round(USER_S * RATE_HZ), None)
    cleaned = cancelled(agent, heard)[after]
    kept = np.correlate(cleaned[:RATE_HZ], user[: RATE_HZ // 2], "valid")
    scale = np.linalg.norm(user[: RATE_HZ // 2]) * np.linalg.norm(cleaned[: RATE_HZ // 2])
    assert kept.max() / scale > 0.7
    assert abs(level(cleaned) - level(user[: len(cleaned)])) < 3


@pytest.mark.usefixtures("webrtc")
def test_while_the_agent_is_silent_nothing_is_touched(voices: tuple[Samples, Samples]):
    """Level, pitch and all: prosody is what we are here for."""
    agent, user = voices
    silence = np.zeros(RATE_HZ, np.float32)
    played = np.concatenate([agent[: 2 * RATE_HZ], silence, silence])
    heard = np.concatenate([echo_of(agent[: 2 * RATE_HZ], -10, 0.1), silence, user[:RATE_HZ]])
    out = cancelled(played, heard)
    late = RATE_HZ // 100
    assert out[3 * RATE_HZ + late :] == pytest.approx(user[: RATE_HZ - late], abs=1e-7)


@pytest.mark.usefixtures("webrtc")
def test_pitch_and_level_survive_the_canceller(voices: tuple[Samples, Samples]):
    """A user who talks over an agent whose echo does not reach the microphone (a headset)."""
    agent, user = voices
    heard, cleaned = extract(Audio(user, RATE_HZ)), extract(Audio(cancelled(agent, user), RATE_HZ))
    assert abs(cleaned.f0_mean_st - heard.f0_mean_st) < 0.3
    assert abs(cleaned.level_db - heard.level_db) < 1.0  # and no automatic gain: that would be many dB


@pytest.mark.usefixtures("webrtc")
def test_noise_suppression_is_apart_and_says_what_it_costs(voices: tuple[Samples, Samples]):
    _, user = voices
    hiss = np.random.default_rng(1).standard_normal(2 * RATE_HZ).astype(np.float32) * np.float32(0.003)
    heard = np.concatenate([hiss, user])
    cleaned = cancelled(np.zeros_like(heard), heard, echo=False, noise=True)
    assert level(hiss) - level(cleaned[RATE_HZ : 2 * RATE_HZ]) > 6
    shift_db = level(cleaned[2 * RATE_HZ :]) - level(user)
    assert -3 < shift_db < 0  # as the docstring has it


@pytest.mark.usefixtures("webrtc")
@settings(deadline=None, max_examples=20)
@given(sizes=st.lists(st.integers(0, 700), min_size=1, max_size=30))
def test_any_chunks_give_the_same_sound(sizes: list[int]):
    heard = np.random.default_rng(0).standard_normal(sum(sizes)).astype(np.float32) * np.float32(0.1)
    canceller, at = EchoCanceller(RATE_HZ), 0
    out: list[Samples] = []
    for size in sizes:
        canceller.played(heard[at : at + size] * 0)
        out.append(canceller.clean(heard[at : at + size]))
        assert len(out[-1]) == size
        at += size
    whole = EchoCanceller(RATE_HZ)
    whole.played(heard * 0)
    assert np.concatenate(out) == pytest.approx(whole.clean(heard), abs=1e-6)


@pytest.mark.usefixtures("webrtc")
@pytest.mark.parametrize("rate_hz", [11_025, 96_000])
def test_a_rate_that_webrtc_does_not_take(rate_hz: int):
    with pytest.raises(EchoError, match="8000 to 48000"):
        EchoCanceller(rate_hz)


def test_without_the_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "livekit.rtc", None)
    with pytest.raises(EchoError, match=r"pip install 'entrain\[live\]'"):
        EchoCanceller(RATE_HZ)
