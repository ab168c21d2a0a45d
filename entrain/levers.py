"""What voices elsewhere let themselves be told: their settings by name, in their units, from a reply's targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from entrain.targets import Targets
from entrain.tts import Capability, Knobs, Span, TTSError

Knob = Literal["pitch_st", "range_x", "rate_x", "level_db"]
Unit = Literal["x", "length", "%", "+%", "st", "dB", "+st", "+dB"]

# A factor in each unit that takes one; a length is the inverse of a rate. Those with a plus are texts with a sign.
FACTORS: dict[str, Callable[[float], float]] = {
    "x": lambda factor: factor,
    "length": lambda factor: 1 / factor,
    "%": lambda factor: 100 * factor,
    "+%": lambda factor: 100 * (factor - 1),
}
AS_FACTOR: dict[str, Callable[[float], float]] = {
    "pitch_st": lambda st: 2 ** (st / 12),
    "level_db": lambda db: 10 ** (db / 20),
}
STEPS: dict[Knob, float] = {"pitch_st": 0.25, "range_x": 0.1, "rate_x": 0.02, "level_db": 0.5}
"""What is finer is not heard, and some services begin a new connection at each change: the dead-band of `conditioning`."""
NEUTRAL = Knobs()


@dataclass(frozen=True)
class Lever:
    """One setting of a voice: `name` as the service has it (dots for one in another), of which of our knobs, how far it goes
    (in our unit: semitones, factors, dB), and in what unit it is given."""

    name: str
    knob: Knob
    low: float
    high: float
    unit: Unit = "x"
    whole: bool = False
    """It takes whole numbers only."""
    step: float = 0.0
    """It takes multiples of this only."""

    def value(self, asked: float) -> float | str:
        """In the service's unit.

        >>> Lever("volume", "level_db", -12, 6, "+%").value(2)
        '+25.9%'
        """
        value = asked
        if self.unit in FACTORS:
            value = FACTORS[self.unit](AS_FACTOR.get(self.knob, float)(asked))
        if self.step:
            value = self.step * round(value / self.step)
        if self.unit.startswith("+"):
            return f"{round(value, 1):+g}{self.unit[1:]}"
        return round(value) if self.whole else round(value, 3)


def rate(name: str, low: float, high: float, unit: Unit = "x") -> tuple[Lever, ...]:
    """A voice that only knows faster and slower: most do."""
    return (Lever(name, "rate_x", low, high, unit),)


# As their makers document them (November 2026); nothing here was heard: no cloud can be reached from where this is built.
VOICES: dict[str, tuple[Lever, ...]] = {
    "azure": (  # <prosody> of SSML
        Lever("pitch", "pitch_st", -12, 7, "+%"), Lever("rate", "rate_x", 0.5, 2), Lever("volume", "level_db", -12, 6, "+%"),
    ),
    "google": (
        Lever("pitch", "pitch_st", -20, 20, "st"), Lever("speaking_rate", "rate_x", 0.25, 2),
        Lever("volume_gain_db", "level_db", -12, 16, "dB"),
    ),
    "polly": (Lever("rate", "rate_x", 0.2, 2, "%"), Lever("volume", "level_db", -12, 4, "+dB")),
    "cartesia": (
        Lever("generation_config.speed", "rate_x", 0.6, 1.5), Lever("generation_config.volume", "level_db", -6, 6),
    ),
    "deepgram": rate("speed", 0.7, 1.5),
    "elevenlabs": rate("voice_settings.speed", 0.7, 1.2),
    "fish": (Lever("prosody.speed", "rate_x", 0.5, 2), Lever("prosody.volume", "level_db", -12, 12, "dB")),
    "hume": rate("speed", 0.5, 2),
    "inworld": rate("speaking_rate", 0.5, 1.5),
    "minimax": (
        Lever("pitch", "pitch_st", -12, 12, "st", whole=True), Lever("speed", "rate_x", 0.5, 2), Lever("volume", "level_db", -12, 6),
    ),
    "neuphonic": rate("speed", 0.7, 2),
    "openai": rate("speed", 0.25, 4),
    "piper": rate("length_scale", 0.6, 1.6, "length"),
    "rime": rate("speed_alpha", 0.5, 2, "length"),  # below 1 is faster
}  # fmt: skip


def voice(name: str) -> tuple[Lever, ...]:
    """The levers of a well-known voice."""
    if name not in VOICES:
        raise TTSError(f"there is no table of levers for {name!r}. Select one of {', '.join(VOICES)}.")
    return VOICES[name]


def knobs(targets: Targets) -> Knobs:
    """What of the targets is really to be done, in steps that are heard."""
    asked = dict(zip(("pitch_st", "range_x", "rate_x", "level_db"), targets.done, strict=True))
    return Knobs(**{name: _stepped(name, value) for name, value in asked.items()})


def _stepped(knob: str, value: float) -> float:
    usual: float = getattr(NEUTRAL, knob)
    step = STEPS[knob]  # pyright: ignore[reportArgumentType]
    return round(usual + step * round((value - usual) / step), 3)


def capability(levers: Sequence[Lever]) -> Capability:
    return Capability(**{lever.knob: Span(lever.low, lever.high, "guidance") for lever in levers})


@dataclass(frozen=True)
class Setting:
    """What a voice is to be told for one reply."""

    values: dict[str, Any]
    """Each of its levers, neutral ones too, so that the last reply's are taken back."""
    applied: Knobs
    """What that is of what was asked."""
    rest: Knobs
    """What it can't: for the waveform, where there is one to be moved."""
    notes: tuple[str, ...]
    """The same in words, for the turn: what is not realised if nobody moves the waveform."""


def setting(levers: Sequence[Lever], asked: Knobs, usual: Mapping[str, Any] = {}) -> Setting:
    """`usual`: what the host has set the levers to, by name, where that is not neutral: factors are multiplied by it, and
    semitones and dB added. A text or a None there is taken as neutral."""
    applied = capability(levers).clamp(asked)
    values = {
        lever.name: _from(lever, getattr(applied, lever.knob), usual.get(lever.name)) for lever in levers
    }
    rest = Knobs(
        round(asked.pitch_st - applied.pitch_st, 3), round(asked.range_x / applied.range_x, 3),
        round(asked.rate_x / applied.rate_x, 3), round(asked.level_db - applied.level_db, 3),
    )  # fmt: skip
    return Setting(values, applied, rest, _beyond(asked, applied))


def _from(lever: Lever, asked: float, usual: Any) -> float | str:
    value, neutral = lever.value(asked), lever.value(getattr(NEUTRAL, lever.knob))
    if (
        isinstance(value, str)
        or isinstance(neutral, str)
        or isinstance(usual, bool)
        or not isinstance(usual, (int, float))
    ):
        return value
    return round(usual * value / neutral if neutral else usual + value, 3)  # a neutral of 0 is added to


def _beyond(asked: Knobs, applied: Knobs) -> tuple[str, ...]:
    said = {
        "pitch_st": "pitch, st",
        "range_x": "pitch range, factor",
        "rate_x": "rate, factor",
        "level_db": "level, dB",
    }
    return tuple(
        f"{what}: asked {getattr(asked, knob):.2f}, given {getattr(applied, knob):.2f}"
        for knob, what in said.items()
        if getattr(asked, knob) != getattr(applied, knob)
    )


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"a.b": 1}` → `{"a": {"b": 1}}`: as a request holds them.

    >>> nested({"generation_config.speed": 1.1, "generation_config.volume": 0.9})
    {'generation_config': {'speed': 1.1, 'volume': 0.9}}
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        *outer, last = name.split(".")
        place = found
        for part in outer:
            place = place.setdefault(part, {})
        place[last] = value
    return found


def renamed(levers: Sequence[Lever], names: Mapping[str, str]) -> tuple[Lever, ...]:
    """The same under the names that a framework gives them; those it does not name are out of its reach."""
    return tuple(replace(lever, name=names[lever.name]) for lever in levers if lever.name in names)
