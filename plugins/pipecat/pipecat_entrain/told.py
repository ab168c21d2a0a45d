"""What each of Pipecat's voices lets itself be told while the pipeline runs: read in the source of 1.14, by the class of its settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args, get_type_hints

from pipecat.services.settings import TTSSettings
from pipecat.utils.types import NotGiven

from entrain.levers import VOICES, Lever, nested, rate, renamed


@dataclass(frozen=True)
class Percent(Lever):
    """As SSML has a rate: "110%"."""

    def value(self, asked: float) -> str:
        return f"{super().value(asked):g}%"


# Not here, since nothing of theirs can be changed, or nothing of it is heard: AsyncAI, Camb, Gemini, Gradium, Groq (1.0 only), Mistral, NVIDIA,
# Piper, Pocket, Resemble, Speechify, Speechmatics, Together, XTTS. `Conditioned` moves those on their waveform.
LEVERS: dict[str, tuple[Lever, ...]] = {
    "AWSPollyTTSSettings": (
        Lever("pitch", "pitch_st", -7, 7, "+%"), Percent("rate", "rate_x", 0.2, 2, "%"), Lever("volume", "level_db", -12, 4, "+dB"),
    ),
    "AzureTTSSettings": (
        Lever("pitch", "pitch_st", -12, 7, "+%"), Lever("rate", "rate_x", 0.5, 2, "+%"), Lever("volume", "level_db", -12, 6, "+%"),
    ),
    "CartesiaTTSSettings": VOICES["cartesia"],
    "DeepgramFluxTTSSettings": (Lever("speed", "rate_x", 0.5, 1.5, step=0.05),),
    "DeepgramTTSSettings": VOICES["deepgram"],
    "ElevenLabsHttpTTSSettings": rate("speed", 0.7, 1.2),
    "ElevenLabsTTSSettings": rate("speed", 0.7, 1.2),
    "FishAudioTTSSettings": (Lever("prosody_speed", "rate_x", 0.5, 2), Lever("prosody_volume", "level_db", -12, 12, "dB", whole=True)),
    "GoogleHttpTTSSettings": (
        Lever("pitch", "pitch_st", -20, 20, "+st"), Percent("rate", "rate_x", 0.25, 2, "%"), Lever("volume", "level_db", -12, 16, "+dB"),
        Lever("speaking_rate", "rate_x", 0.25, 2),
    ),
    "GoogleTTSSettings": rate("speaking_rate", 0.25, 2),
    "HumeTTSSettings": VOICES["hume"],
    "InworldTTSSettings": VOICES["inworld"],
    "KokoroTTSSettings": rate("speed", 0.5, 2),
    "MiniMaxTTSSettings": VOICES["minimax"],
    "NeuphonicTTSSettings": VOICES["neuphonic"],
    "OpenAITTSSettings": VOICES["openai"],
    "RimeTTSSettings": (*renamed(VOICES["rime"], {"speed_alpha": "speedAlpha"}), *rate("timeScaleFactor", 0.5, 2, "length")),
    "RimeV1TTSSettings": rate("time_scale_factor", 0.5, 2, "length"),
    "SarvamHttpTTSSettings": rate("pace", 0.5, 2),
    "SmallestTTSSettings": rate("speed", 0.5, 2),
    "SonioxTTSSettings": rate("speed", 0.7, 1.3),
    "XAITTSSettings": rate("speed", 0.7, 1.5),
    "XAIWebsocketTTSSettings": rate("speed", 0.7, 1.5),
}  # fmt: skip

# Who hears some of these with some of its voices only; the service sends or leaves out the same.
HEARS: dict[str, Callable[[Any, str], bool]] = {
    "AWSPollyTTSSettings": lambda now, name: name != "pitch" or now.engine == "standard",
    "GoogleHttpTTSSettings": lambda now, name: (name == "speaking_rate") == _speaks_plain_text(now.voice),
    "RimeTTSSettings": lambda now, name: (name == "timeScaleFactor") == (now.model == "coda"),
}


def _speaks_plain_text(voice: Any) -> bool:
    return any(kind in str(voice).lower() for kind in ("chirp", "journey"))


def levers_of(settings: TTSSettings) -> tuple[Lever, ...]:
    """Of a service with these settings; none where nothing can be told it. What its host has set to a text ("slow") is the host's."""
    for kind in type(settings).__mro__:
        if kind.__name__ in LEVERS:
            hears = HEARS.get(kind.__name__, lambda now, name: True)
            known = [lever for lever in LEVERS[kind.__name__] if hears(settings, lever.name)]
            return tuple(lever for lever in known if not isinstance(now(settings, lever.name), str))
    return ()


def now(settings: TTSSettings, name: str) -> Any:
    """What is set; None where nothing is."""
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def delta(settings: TTSSettings, values: Mapping[str, Any]) -> TTSSettings:
    """The values, as an update of these settings; of a setting that holds several, the others stay."""
    given: dict[str, Any] = {}
    for name, value in nested(values).items():
        given[name] = value
        if isinstance(value, dict):
            kinds = get_args(get_type_hints(type(settings))[name])
            kind = next(kind for kind in kinds if kind not in (NoneType, NotGiven))
            given[name] = kind(**{**vars(now(settings, name) or kind()), **value})
    return type(settings)(**given)
