"""What services are told: which, in what words, when, and by whom."""

from __future__ import annotations

import gc
import sys
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest
from livekit.agents import inference
from sessions import Fixed

from entrain import Audio
from entrain.levers import rate
from entrain.tts import Knobs
from livekit.plugins.entrain.settings import PLUGINS, dial_of, levers_of, release

FASTER = Knobs(rate_x=1.1, level_db=2.0)


@dataclass
class ProsodyConfig:
    rate: Any = None
    volume: Any = None


@dataclass
class VoiceSettings:
    stability: float
    similarity_boost: float
    speed: Any = None


@dataclass
class Options:
    speed: Any = None
    volume: Any = None
    prosody: Any = None
    voice_settings: Any = None
    extra_kwargs: dict[str, Any] = field(default_factory=dict[str, Any])


def service(name: str, model: str = "", **options: Any) -> Any:
    """A TTS of that plug-in's module, whose `update_options` keeps what it is told."""

    class Service(Fixed):
        def __init__(self) -> None:
            super().__init__(lambda _: Audio.empty(24_000))
            self._opts, self.told = Options(**options), list[dict[str, Any]]()

        @property
        def model(self) -> str:
            return model

        def update_options(self, **values: Any) -> None:
            self.told.append(values)
            for key, value in values.items():
                setattr(self._opts, key, value)

    Service.__module__ = f"livekit.plugins.{name}.tts"
    return Service()


def knobs_of(voice: Any) -> set[str]:
    return {lever.knob for lever in levers_of(voice)}


def test_which_voice_has_which_levers():
    assert knobs_of(service("cartesia", "sonic-3")) == {"rate_x", "level_db"}
    assert knobs_of(service("cartesia", "sonic-2")) == set(), "its speeds have names"
    assert knobs_of(service("minimax")) == {"pitch_st", "rate_x", "level_db"}
    assert knobs_of(service("azure")) == {"rate_x"}
    assert knobs_of(service("aws")) == set()
    assert knobs_of(service("elevenlabs")) == set(), "the other settings would be replaced"
    assert knobs_of(service("elevenlabs", voice_settings=VoiceSettings(0.5, 0.75))) == {"rate_x"}
    assert levers_of(Fixed(lambda _: Audio.empty(24_000))) == ()


def test_names_of_every_plug_in_are_known_to_the_table():
    for name in PLUGINS:
        voice = service(
            name, "sonic-3" if name == "cartesia" else "", voice_settings=VoiceSettings(0.5, 0.75)
        )
        assert len(levers_of(voice)) == len(PLUGINS[name][1]), name


def test_only_what_has_changed_is_told():
    voice = service("cartesia", "sonic-3")
    dial = dial_of(voice, "me")
    assert dial is not None
    dial.turn(Knobs())
    dial.turn(FASTER)
    dial.turn(FASTER)
    dial.turn(Knobs(rate_x=1.1))
    assert voice.told == [{"speed": 1.1, "volume": 1.259}, {"volume": 1.0}]
    assert dial.turn(Knobs(pitch_st=1.0, rate_x=1.1)).rest == Knobs(pitch_st=1.0)


def test_the_host_settings_are_moved_and_given_back():
    voice = service("cartesia", "sonic-3", speed=1.2)
    dial = dial_of(voice, "me")
    assert dial is not None
    dial.turn(FASTER)
    assert voice.told == [{"speed": 1.32, "volume": 1.259}]
    release("me")
    assert (voice._opts.speed, voice._opts.volume) == (1.2, 1.0)


def test_settings_that_are_objects_keep_their_other_fields():
    azure, eleven = (
        service("azure", prosody=ProsodyConfig(volume=50.0)),
        service("elevenlabs", voice_settings=VoiceSettings(0.5, 0.75)),
    )
    for voice in (azure, eleven):
        dial = dial_of(voice, "me")
        assert dial is not None
        dial.turn(FASTER)
    assert azure.told == [{"prosody": ProsodyConfig(rate=1.1, volume=50.0)}]
    assert eleven.told == [{"voice_settings": VoiceSettings(0.5, 0.75, 1.1)}]


def test_an_object_that_the_host_did_not_give_is_made():
    voice = service("azure")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "livekit.plugins.azure.tts", sys.modules[__name__])
        dial = dial_of(voice, "me")
        assert dial is not None
        dial.turn(FASTER)
    assert voice.told == [{"prosody": ProsodyConfig(rate=1.1)}]


def test_a_shared_voice_is_told_by_one_session_only():
    voice = service("cartesia", "sonic-3")
    mine = dial_of(voice, "me")
    assert mine is not None
    assert dial_of(voice, "me") is mine
    assert dial_of(voice, "another") is None
    release("another")
    assert dial_of(voice, "me") is mine
    release("me")
    assert dial_of(voice, "another") is not None


def test_the_gateway_takes_them_as_extra_arguments():
    voice = inference.TTS("cartesia/sonic-3", api_key="key", api_secret="secret", extra_kwargs={"speed": 0.9})
    dial = dial_of(voice, "me")
    assert dial is not None
    dial.turn(FASTER)
    assert voice._opts.extra_kwargs == {"speed": 0.99, "volume": 1.259}
    release("me")
    assert voice._opts.extra_kwargs == {"speed": 0.9, "volume": 1.0}
    assert (
        dial_of(
            inference.TTS("deepgram/aura-2", api_key="key", api_secret="secret"),
            "me",
        )
        is None
    )


def test_a_voice_of_ones_own_has_the_levers_it_is_given():
    voice = service("nobody's")
    assert dial_of(voice, "me") is None
    dial = dial_of(voice, "me", rate("speed", 0.5, 2.0))
    assert dial is not None
    dial.turn(FASTER)
    assert voice.told == [{"speed": 1.1}]


def test_a_voice_that_is_gone_is_forgotten():
    voice = service("cartesia", "sonic-3")
    assert dial_of(voice, "me") is not None
    gone = weakref.ref(voice)
    del voice
    gc.collect()
    assert gone() is None
