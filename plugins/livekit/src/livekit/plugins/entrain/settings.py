"""What LiveKit's TTS plug-ins let themselves be told between replies: the keywords of their `update_options`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import is_dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary, ref

from livekit.agents import tts

from entrain.levers import NEUTRAL, VOICES, Lever, Setting, renamed, setting
from entrain.tts import Knobs

# By the plug-in's module: our table of that voice, and what `update_options` calls its levers (1.8.9). A dot: a field of an object.
PLUGINS: dict[str, tuple[str, dict[str, str]]] = {
    "azure": ("azure", {"rate": "prosody.rate"}),
    "cartesia": ("cartesia", {"generation_config.speed": "speed", "generation_config.volume": "volume"}),
    "deepgram": ("deepgram", {"speed": "speed"}),
    "elevenlabs": ("elevenlabs", {"voice_settings.speed": "voice_settings.speed"}),
    "fishaudio": ("fish", {"prosody.speed": "speed", "prosody.volume": "volume"}),
    "google": ("google", {"speaking_rate": "speaking_rate", "volume_gain_db": "volume_gain_db"}),
    "hume": ("hume", {"speed": "speed"}),
    "inworld": ("inworld", {"speaking_rate": "speaking_rate"}),
    "minimax": ("minimax", {"pitch": "pitch", "speed": "speed", "volume": "vol"}),
    "neuphonic": ("neuphonic", {"speed": "speed"}),
    "openai": ("openai", {"speed": "speed"}),
    "rime": ("rime", {"speed_alpha": "speed_alpha"}),
}
# Through LiveKit Inference ("cartesia/sonic-3") they are keys of `extra_kwargs`.
GATEWAY = {"cartesia", "fishaudio", "inworld", "rime"}
MODELS = {"cartesia": "sonic-3"}  # older ones have named speeds
KINDS = {"prosody": "ProsodyConfig"}  # an object that the host need not have given, and its class

_dials: WeakKeyDictionary[tts.TTS, Dial] = WeakKeyDictionary()


def levers_of(voice: tts.TTS) -> tuple[Lever, ...]:
    """What this TTS can be told; none where it is not in the table, or wants what the host has not given."""
    module = type(voice).__module__.split(".")
    inside = ""
    if module[:3] == ["livekit", "plugins", "google"] and "beta" in module:
        return ()  # Gemini takes words only
    name = module[2] if module[:2] == ["livekit", "plugins"] and len(module) > 2 else ""
    if module[:3] == ["livekit", "agents", "inference"]:
        name, inside = voice.model.partition("/")[0], "extra_kwargs."
    if name not in PLUGINS or (inside and name not in GATEWAY):
        return ()
    if not voice.model.rpartition("/")[2].startswith(MODELS.get(name, "")):
        return ()
    table, names = PLUGINS[name]
    levers = renamed(VOICES[table], {theirs: inside + ours for theirs, ours in names.items()})
    if name == "google" and voice.capabilities.streaming:  # which sends it no gain
        levers = tuple(lever for lever in levers if lever.knob != "level_db")
    return tuple(lever for lever in levers if _reachable(voice, lever.name))


def _reachable(voice: tts.TTS, name: str) -> bool:
    outer = name.rpartition(".")[0]
    held = getattr(getattr(voice, "_opts", None), outer, None)
    return not outer or outer in KINDS or isinstance(held, Mapping) or is_dataclass(held)


class Dial:
    """The settings of one TTS object, as one owner's replies need them. Told only what has changed, since some services begin a new
    connection at each change."""

    def __init__(self, voice: tts.TTS, levers: Sequence[Lever], owner: object) -> None:
        self.levers, self.owner = tuple(levers), owner
        self._voice = ref(voice)  # or what is remembered of it would keep it
        self.usual = {lever.name: _read(voice, lever.name) for lever in levers}
        self.told = setting(self.levers, NEUTRAL, self.usual).values

    def turn(self, asked: Knobs) -> Setting:
        """Raises what the plug-in's `update_options` raises."""
        found = setting(self.levers, asked, self.usual)
        changed = {name: value for name, value in found.values.items() if value != self.told.get(name)}
        if changed:
            voice: Any = self._voice()
            voice.update_options(**self._keywords(voice, changed))
            self.told |= changed
        return found

    def _keywords(self, voice: tts.TTS, values: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in values.items():
            outer, _, last = name.rpartition(".")
            if not outer:
                found[last] = value
                continue
            held = found.get(outer, getattr(getattr(voice, "_opts", None), outer, None))
            if isinstance(held, Mapping):
                found[outer] = {**found.get(outer, {}), last: value}  # update_options merges them
            elif is_dataclass(held) and not isinstance(held, type):
                found[outer] = replace(held, **{last: value})
            else:
                found[outer] = getattr(sys.modules[type(voice).__module__], KINDS[outer])(**{last: value})
        return found


def dial_of(voice: tts.TTS, owner: object, levers: Sequence[Lever] | None = None) -> Dial | None:
    """None where it has no levers, or another session has it: what one sets, the other would say."""
    if voice not in _dials and (found := levers_of(voice) if levers is None else tuple(levers)):
        _dials[voice] = Dial(voice, found, owner)
    dial = _dials.get(voice)
    return dial if dial is not None and dial.owner is owner else None


def release(owner: object) -> None:
    """Its voices are as the host had set them, and another may have them."""
    for voice, dial in list(_dials.items()):
        if dial.owner is owner:
            del _dials[voice]
            dial.turn(NEUTRAL)


def _read(voice: tts.TTS, name: str) -> Any:
    held: Any = getattr(voice, "_opts", None)
    for part in name.split("."):
        held = held.get(part) if isinstance(held, Mapping) else getattr(held, part, None)
    return held
