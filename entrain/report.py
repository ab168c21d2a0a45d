"""A conversation → one HTML page: what was said, how both sounded, what the agent aimed at and what came out."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from statistics import fmean, median
from typing import Any

from entrain.audio import Audio, AudioError
from entrain.turn import FEATURES, Turn

Value = float | None

# Matplotlib draws in these; the page's style sheet gives them their colour in light and in dark.
INK, FAINT, USER, AGENT = "#010101", "#020202", "#030303", "#040404"
CSS_COLOURS = {INK: "currentColor", FAINT: "var(--faint)", USER: "var(--user)", AGENT: "var(--agent)"}
MARKER = {"user": "o", "agent": "s"}  # told apart without colour too
COLOUR = {"user": USER, "agent": AGENT}
MIME = {".wav": "wav", ".flac": "flac", ".ogg": "ogg", ".mp3": "mpeg"}


@dataclass(frozen=True)
class Dimension:
    """One thing the agent steers. A factor's misses are told in per cent, a shift's in its unit."""

    label: str
    feature: str
    unit: str
    digits: int
    change: str
    change_unit: str
    stems: tuple[str, ...]  # as in plan["weight_f0"] or plan["confidence_f0"]

    @property
    def is_factor(self) -> bool:
        return self.change.endswith("factor")


DIMENSIONS = (
    Dimension("Pitch", "f0_mean_st", "st re 100 Hz", 2, "f0_shift_st", "st", ("f0", "f0_mean", "f0_mean_st")),
    Dimension("Pitch range", "f0_range_st", "st", 2, "f0_range_factor", "×", ("range", "f0_range", "f0_range_st")),
    Dimension("Rate", "rate_syll_s", "syllables/s", 2, "rate_factor", "×", ("rate", "rate_syll_s")),
    Dimension("Level", "level_db", "dB re full scale", 1, "level_shift_db", "dB", ("level", "level_db")),
)
LABELS = {d.feature: f"{d.label}, {d.unit}" for d in DIMENSIONS} | {
    "jitter": "Jitter, ratio",
    "shimmer": "Shimmer, ratio",
    "nhr": "Noise to harmonics, ratio",
}


@dataclass(frozen=True)
class Aim:
    """One dimension of one agent turn: the change asked for, and the target against what came out."""

    asked: Value
    target: Value
    realised: Value
    weight: Value

    @property
    def both(self) -> bool:
        return self.target is not None and self.realised is not None and self.weight != 0


def write_report(
    turns: Sequence[Turn],
    path: str | PathLike[str],
    title: str = "Conversation",
    audio: Mapping[int, Audio | Path] = {},
    meta: Mapping[str, str] = {},
) -> Path:
    """Write one self-contained page about a conversation; returns its path. The same input gives the same bytes.

    `audio` is by position in `turns`: audio to embed, or a file of it; one that can't be read is named on the page.
    `meta` is shown at the top in its order: voice, strategy, strength, versions, the date.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    unknown = sorted(set(audio) - set(range(len(turns))))
    if unknown:
        raise ValueError(f"audio is given for turn {unknown[0]}; positions 0 to {len(turns) - 1} are allowed.")
    environment = Environment(
        loader=PackageLoader("entrain", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=number, clock=clock, hertz=hertz)
    aims = {i: [aim(turn, d) for d in DIMENSIONS] for i, turn in enumerate(turns) if turn.plan}
    page = environment.get_template("report.html").render(
        title=title,
        meta=meta,
        turns=turns,
        summary=summarise(turns),
        dimensions=DIMENSIONS,
        features=[(name, LABELS[name]) for name in FEATURES],
        aims=aims,
        players={i: player(sound) for i, sound in sorted(audio.items())},
        courses=[(label, Markup(svg)) for label, svg in courses(turns)],
        scatters=[(label, Markup(svg)) for label, svg in scatters(aims)],
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return path


def aim(turn: Turn, dimension: Dimension) -> Aim:
    """Target and outcome as absolute values where both are known, else as changes."""
    plan, realised = turn.plan or {}, turn.realised or {}
    known = [k for k in (dimension.feature, dimension.change) if None not in (plan.get(k), realised.get(k))]
    key = known[0] if known else dimension.feature
    weights = [plan.get(f"{kind}_{stem}") for kind in ("weight", "confidence") for stem in dimension.stems]
    weight = next((w for w in weights if w is not None), None)
    return Aim(plan.get(dimension.change), plan.get(key), realised.get(key), weight)


# --- In words ------------------------------------------------------------------------------------------------------


def summarise(turns: Sequence[Turn]) -> list[str]:
    """The conversation in a few plain sentences, from the turns alone."""
    if not turns:
        return ["There are no turns in this conversation."]
    who = {name: [turn for turn in turns if turn.speaker == name] for name in ("user", "agent")}
    length_s = max(turn.end_s for turn in turns) - min(turn.start_s for turn in turns)
    counts = " and ".join(f"{len(mine)} by the {name}" for name, mine in who.items())
    told = [f"{_count(len(turns), 'turn')} in {clock(length_s)} min, {counts}."]
    told += [_sounded(name, mine) for name, mine in who.items() if mine]
    told += [_steered(who["agent"])]
    n_faults = sum(bool(turn.fault) for turn in turns)
    told += [f"{_count(n_faults, 'turn')} had a fault, named in the transcript."] if n_faults else []
    return [sentence for sentence in told if sentence]


def _sounded(name: str, turns: Sequence[Turn]) -> str:
    means = {feature: _mean([getattr(turn.features, feature) for turn in turns]) for feature in FEATURES}
    pitch, span, rate = means["f0_mean_st"], means["f0_range_st"], means["rate_syll_s"]
    heard = [f"at {hertz(pitch)} Hz"] if pitch is not None else []
    heard += [f"over a range of {number(span, 1)} st"] if span is not None else []
    heard += [f"at {number(rate, 1)} syllables/s"] if rate is not None else []
    if not heard:
        return f"How the {name} sounded could not be measured."
    return f"On average the {name} spoke {_join(heard)}."


def _steered(turns: Sequence[Turn]) -> str:
    """What was asked of the agent, and how well it was met; silent about what is not known."""
    asked: list[str] = []
    met: list[str] = []
    for dimension in DIMENSIONS:
        aims = [aim(turn, dimension) for turn in turns if turn.plan]
        mean = _mean([a.asked for a in aims if a.weight != 0])
        if mean is not None:
            asked.append(f"{dimension.label.lower()} {change(mean, dimension)}")
        misses = [miss for a in aims if (miss := missed(a, dimension)) is not None]
        if misses:
            unit = "%" if dimension.is_factor else dimension.change_unit
            met.append(f"{number(max(misses), 2)} {unit} (median {number(median(misses), 2)}) in {dimension.label.lower()}")
    told = f"On average it was asked for {_join(asked)}." if asked else ""
    return " ".join(filter(None, [told, f"Targets were met within {_join(met)}." if met else ""]))


def missed(a: Aim, dimension: Dimension) -> Value:
    """How far the outcome lies from the target: in per cent for a factor, else in the dimension's unit."""
    if not a.both or (dimension.is_factor and not a.target):
        return None
    assert a.target is not None and a.realised is not None
    return abs(a.realised / a.target - 1) * 100 if dimension.is_factor else abs(a.realised - a.target)


def change(value: float, dimension: Dimension) -> str:
    if dimension.is_factor:
        return f"×{number(value, 2)}"
    return f"{number(value, dimension.digits, signed=True)} {dimension.change_unit}"


def number(value: Value, digits: int = 2, signed: bool = False) -> str:
    """With a real minus; a dash for what is missing; never −0."""
    if value is None:
        return "–"
    value = round(value, digits) + 0.0
    return f"{value:{'+' if signed and value else ''}.{digits}f}".replace("-", "−")


def clock(time_s: float) -> str:
    """Minutes and seconds, as in 2:05."""
    whole = round(abs(time_s))
    return f"{'−' if time_s < 0 and whole else ''}{whole // 60}:{whole % 60:02d}"


def hertz(pitch_st: float) -> str:
    return f"{100 * 2 ** (pitch_st / 12):.0f}"


def _mean(values: Sequence[Value]) -> Value:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"


# --- In sound ------------------------------------------------------------------------------------------------------


def player(sound: Audio | Path) -> dict[str, str]:
    """`source`, a data URI, or `fault`: why there is none."""
    try:
        if isinstance(sound, Audio):
            return {"source": _data_uri("flac", _flac(sound))} if len(sound.samples) else {"fault": "no samples"}
        kind = MIME.get(sound.suffix.lower())
        if kind and sound.is_file():
            return {"source": _data_uri(kind, sound.read_bytes())}
        return {"source": _data_uri("flac", _flac(Audio.read(sound)))}
    except (AudioError, OSError) as error:
        return {"fault": str(error)}


def _flac(audio: Audio) -> bytes:
    """Half of a wav's size, and every browser plays it."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, audio.samples, audio.rate_hz, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:audio/{kind};base64,{base64.b64encode(data).decode()}"


# --- In pictures ---------------------------------------------------------------------------------------------------


def courses(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    """Each dimension over time, in its own unit above and as z below: (label, svg), those never measured left out."""
    measured = [d for d in DIMENSIONS if any(getattr(turn.features, d.feature) is not None for turn in turns)]
    return [(d.label, _draw(lambda fig, d=d: _course(fig, turns, d), (4.4, 3.2), _told(turns, d))) for d in measured]
