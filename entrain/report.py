"""A conversation → one HTML page: what was said, how both sounded, what the agent aimed at and what came out."""

from __future__ import annotations

import base64
import io
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from os import PathLike
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

import numpy as np

from entrain.audio import Audio, AudioError
from entrain.strategy import Looked
from entrain.turn import FEATURES, Turn

Value = float | None

# Matplotlib draws in these; the page's style sheet turns them into colours for light and for dark.
INK, FAINT, USER, AGENT = "#010101", "#020202", "#030303", "#040404"
CSS = {INK: "currentColor", FAINT: "var(--faint)", USER: "var(--user)", AGENT: "var(--agent)"}
SPEAKERS = {"user": (USER, "o"), "agent": (AGENT, "s")}  # by marker too, for who can't tell the colours apart
LOOK: dict[str, Any] = {
    "svg.fonttype": "none", "svg.hashsalt": "entrain", "font.size": 9, "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": FAINT, "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.grid": True, "grid.color": FAINT, "grid.linewidth": 0.5,
}  # fmt: skip


class Dimension(NamedTuple):
    """One thing the agent steers: the measured feature, and the change asked of the voice."""

    label: str
    feature: str
    unit: str
    change: str
    change_unit: str  # "×" for a factor, whose misses are told in per cent
    weight: str
    aim: str = ""  # what target and outcome are told in, if not the feature itself


DIMENSIONS = (
    Dimension("Pitch", "f0_mean_st", "st re 100 Hz", "f0_shift_st", "st", "f0"),
    Dimension("Pitch range", "f0_range_st", "st", "f0_range_factor", "×", "range"),
    Dimension("Rate", "rate_syll_s", "syllables/s", "rate_factor", "×", "rate"),
    Dimension("Level", "level_db", "dB re full scale", "level_shift_db", "dB", "level"),
)


class Aim(NamedTuple):
    """One dimension of one agent turn: the change asked for, and the target against what came out."""

    asked: Value
    target: Value
    realised: Value
    weight: Value

    @property
    def known(self) -> bool:
        return None not in (self.target, self.realised) and self.weight != 0


def write_report(
    turns: Sequence[Turn], path: str | PathLike[str], title: str = "Conversation",
    audio: Mapping[int, Audio | Path] = {}, meta: Mapping[str, str] = {}, looked: Mapping[int, Looked] = {},
) -> Path:  # fmt: skip
    """Write one self-contained page about a conversation; returns its path. The same input gives the same bytes.

    `audio` is by position in `turns`: sound to embed, or a file of it; one that can't be read is named on the page.
    `meta` is shown at the top in its order: voice, strategy, strength, versions, the date. `looked`: by position too, where the
    model looked for that reply (`Neural.look`).
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    unknown = sorted(set(audio) - set(range(len(turns))))
    if unknown:
        raise ValueError(f"audio is given for turn {unknown[0]}; there are {len(turns)} turns, from 0 on.")
    steering = [told_as(d, turns) for d in DIMENSIONS]
    aims = {i: [aim(turn, d) for d in steering] for i, turn in enumerate(turns) if turn.plan}
    columns = dict(zip(steering, zip(*aims.values(), strict=True), strict=False))  # dimension → its aims
    jinja: Any = Environment(loader=PackageLoader("entrain"), autoescape=True, undefined=StrictUndefined)
    jinja.trim_blocks = jinja.lstrip_blocks = True
    jinja.globals.update(number=number, change=change, clock=clock, share=share, likeliest=likeliest)
    speakers = {name: Speaker.of([turn for turn in turns if turn.speaker == name]) for name in SPEAKERS}
    page = jinja.get_template("report.html").render(
        title=title, meta=meta, turns=turns, speakers=speakers, dimensions=steering, features=FEATURES,
        aims=aims, steered=steered(columns), players={i: player(sound) for i, sound in audio.items()},
        courses={d: Markup(drawn) for d, drawn in courses(turns).items()},
        emotions=Markup(emotions(turns)), felt={name: felt(turns, name) for name in SPEAKERS},
        looked={i: (most_looked(look.turns), look.words) for i, look in looked.items()},
        scatters={d: Markup(drawn) for d, drawn in scatters(columns).items()},
    )  # fmt: skip
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8", errors="replace", newline="\n")
    return path


def most_looked(weights: Sequence[float], at_most: int = 6) -> list[tuple[int, float]]:
    """The turns that count most, each with its weight, in the order of the talk."""
    places = sorted(range(len(weights)), key=lambda i: -weights[i])[:at_most]
    return [(i, weights[i]) for i in sorted(places)]


def told_as(d: Dimension, turns: Sequence[Turn]) -> Dimension:
    """Target and outcome are told as features; as changes where both are known only so."""
    known = [any(aim(turn, d._replace(aim=name)).known for turn in turns) for name in (d.feature, d.change)]
    return d._replace(aim=d.change, unit=d.change_unit) if known == [False, True] else d


def aim(turn: Turn, d: Dimension) -> Aim:
    plan, realised, key = turn.plan or {}, turn.realised or {}, d.aim or d.feature
    names = [f"{kind}_{n}" for kind in ("weight", "confidence") for n in (d.weight, d.feature, d.change)]
    weight = next((plan[name] for name in names if name in plan), None)
    return Aim(plan.get(d.change), plan.get(key), realised.get(key), weight)


# --- In numbers ----------------------------------------------------------------------------------------------------


class Speaker(NamedTuple):
    """One speaker's turns in numbers; `mean`, `low` and `high` by feature, of the turns where it was measured."""

    n_turns: int
    n_measured: dict[str, int]
    mean: dict[str, float]
    low: dict[str, float]
    high: dict[str, float]

    @classmethod
    def of(cls, turns: Sequence[Turn]) -> Speaker:
        columns = {d.feature: [getattr(turn.features, d.feature) for turn in turns] for d in DIMENSIONS}
        known = {name: [value for value in column if value is not None] for name, column in columns.items()}
        found = {name: values for name, values in known.items() if values}
        mean, low, high = ({name: of(values) for name, values in found.items()} for of in (fmean, min, max))
        return cls(len(turns), {name: len(values) for name, values in known.items()}, mean, low, high)


def steered(columns: Mapping[Dimension, Sequence[Aim]]) -> list[tuple[Dimension, Value, Value]]:
    """(dimension, mean change asked for, largest miss), None where not known, of what was steered at all."""
    told: list[tuple[Dimension, Value, Value]] = []
    for d, aims in columns.items():
        asked = [a.asked for a in aims if a.asked is not None and a.weight != 0]
        misses = [abs(miss) for a in aims if (miss := missed(a, d)) is not None]
        told.append((d, fmean(asked) if asked else None, max(misses, default=None)))
    return told


def missed(a: Aim, d: Dimension) -> Value:
    """The outcome less the target: in per cent for a factor, else in the dimension's unit."""
    if a.target is None or a.realised is None or a.weight == 0:
        return None
    if d.change_unit != "×":
        return a.realised - a.target
    return (a.realised / a.target - 1) * 100 if a.target else None


def change(value: float, d: Dimension) -> str:
    return f"×{number(value)}" if d.change_unit == "×" else f"{number(value, signed=True)} {d.change_unit}"


def number(value: Value, digits: int = 2, signed: bool = False) -> str:
    """With a real minus, a dash for what is missing, and never −0."""
    if value is None:
        return "–"
    value = round(value, digits) + 0.0
    return f"{value:{'+' if signed and value else ''}.{digits}f}".replace("-", "−")


def share(value: float) -> str:
    """Of the whole, as in 12%: also how CSS has it."""
    return f"{100 * value:.0f}%"


def clock(time_s: float) -> str:
    """Minutes and seconds, as in 2:05."""
    whole = abs(round(time_s))
    return f"{'−' if round(time_s) < 0 else ''}{whole // 60}:{whole % 60:02d}"


def likeliest(emotion: Mapping[str, float] | None) -> str:
    """The most probable, as in "angry 71%"; a dash where none is known."""
    if not emotion:
        return "–"
    label = max(emotion, key=lambda label: emotion[label])
    return f"{label} {share(emotion[label])}"


def felt(turns: Sequence[Turn], speaker: str) -> dict[str, int]:
    """In how many of the speaker's turns each emotion was the most probable, the commonest first."""
    told = [turn.emotion for turn in turns if turn.speaker == speaker and turn.emotion]
    return dict(Counter(max(emotion, key=lambda label: emotion[label]) for emotion in told).most_common())


# --- In sound and pictures -----------------------------------------------------------------------------------------


def player(sound: Audio | Path) -> dict[str, str]:
    """`source`, a data URI of FLAC (half of a wav, and every browser plays it), or `fault`: why there is none."""
    soundfile: Any = import_module("soundfile")  # 0.13 is untyped

    buffer = io.BytesIO()
    try:
        sound = sound if isinstance(sound, Audio) else Audio.read(sound)
        if not len(sound.samples):
            return {"fault": "it holds no samples."}
        soundfile.write(buffer, sound.samples, sound.rate_hz, format="FLAC", subtype="PCM_16")
    except (AudioError, OSError, soundfile.LibsndfileError) as error:
        return {"fault": str(error)}
    return {"source": f"data:audio/flac;base64,{base64.b64encode(buffer.getvalue()).decode()}"}


def courses(turns: Sequence[Turn]) -> dict[Dimension, str]:
    """Each dimension over time, in its own unit and as z: dimension → svg. What was never measured is left out."""
    measured = [d for d in DIMENSIONS if any(getattr(turn.features, d.feature) is not None for turn in turns)]
    return {d: svg(partial(_course, turns, d), (4.4, 3.3), d.feature) for d in measured}


def _course(turns: Sequence[Turn], d: Dimension, figure: Any) -> None:
    unit, per_unit = _clock(turns)
    size = _marker(turns)
    own, z = figure.subplots(2, 1, sharex=True)
    for speaker, (colour, marker) in SPEAKERS.items():
        mine = [turn for turn in turns if turn.speaker == speaker]
        times = [(turn.start_s + turn.end_s) / 2 / per_unit for turn in mine]
        as_z = [turn.z[FEATURES.index(d.feature)] for turn in mine]
        # As floats None is NaN, which leaves a gap and draws no zero.
        heard = np.array([getattr(turn.features, d.feature) for turn in mine], float)
        aimed = np.array([(turn.plan or {}).get(d.feature) for turn in mine], float)
        own.plot(times, heard, color=colour, marker=marker, markersize=size, linewidth=size / 3)
        own.plot(times, aimed, "D", color=colour, markersize=size + 2, fillstyle="none", mew=size / 4)
        z.plot(times, np.array(as_z, float), color=colour, marker=marker, markersize=size, linewidth=size / 3)
    z.axhline(0, color=FAINT, linewidth=1.2, zorder=1)
    own.set_ylabel(d.unit)
    z.set(ylabel="z", xlabel=unit)
    figure.align_ylabels()


def emotions(turns: Sequence[Turn]) -> str:
    """How probable each emotion was over time, a strip for each label: svg; empty where no turn was judged."""
    labels = list(dict.fromkeys(label for turn in turns for label in turn.emotion or {}))
    return svg(partial(_strips, turns, labels), (8.8, 0.6 + 0.3 * len(labels)), "emotion") if labels else ""


def _strips(turns: Sequence[Turn], labels: Sequence[str], figure: Any) -> None:
    (unit, per_unit), axes, size = _clock(turns), figure.subplots(), _marker(turns)
    for speaker, (colour, marker) in SPEAKERS.items():
        mine = [turn for turn in turns if turn.speaker == speaker and turn.emotion]
        sides = np.array([[t.start_s, t.start_s, t.end_s, t.end_s] for t in mine]).reshape(-1) / per_unit
        for row, label in enumerate(labels):
            p = np.outer([(t.emotion or {}).get(label, 0.0) for t in mine], [0, 1, 1, 0]).reshape(-1)
            foot = -row - 0.4
            axes.fill_between(sides, foot, foot + 0.8 * p, color=colour, alpha=0.6, linewidth=0)
        best = [-labels.index(max(t.emotion, key=t.emotion.__getitem__)) for t in mine if t.emotion]
        middle = [(t.start_s + t.end_s) / 2 / per_unit for t in mine]
        axes.plot(middle, best, linestyle="", marker=marker, color=colour, markersize=size)
    axes.set_yticks([-row for row in range(len(labels))], labels, parse_math=False)
    axes.set(xlabel=unit, ylim=(0.5 - len(labels), 0.5))
    axes.grid(visible=False, axis="y")


def _clock(turns: Sequence[Turn]) -> tuple[str, int]:
    """What a plot's time is told in, and how many seconds that is."""
    return ("minutes", 60) if max(turn.end_s for turn in turns) > 180 else ("seconds", 1)


def _marker(turns: Sequence[Turn]) -> float:
    """Size of markers: many turns need finer ones."""
    return 3.5 * min(1.0, (60 / len(turns)) ** 0.5)


def scatters(columns: Mapping[Dimension, Sequence[Aim]]) -> dict[Dimension, str]:
    """Target against outcome of each dimension: dimension → svg."""
    known = {d: [(a.target, a.realised) for a in aims if a.known] for d, aims in columns.items()}
    return {d: svg(partial(_scatter, at), (2.4, 2.4), d.change) for d, at in known.items() if at}


def _scatter(pairs: Sequence[tuple[Value, Value]], figure: Any) -> None:
    axes, points = figure.subplots(), np.array(pairs, float)  # (N, 2)
    margin = 0.08 * np.ptp(points) or 0.5
    limits = points.min() - margin, points.max() + margin
    axes.axline((limits[0], limits[0]), slope=1, color=FAINT, linewidth=1.2)
    axes.plot(*points.T, color=AGENT, linestyle="", marker="s", markersize=4, alpha=0.75)
    axes.set(xlim=limits, ylim=limits, xlabel="target", ylabel="came out", aspect="equal")
    axes.locator_params(nbins=4)


def svg(paint: Callable[[Any], None], size_in: tuple[float, float], name: str) -> str:
    """What `paint` draws, as SVG to stand in the page; `name` keeps its ids apart from other figures'."""
    from matplotlib import style
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with style.context(["default", LOOK]):
        figure: Any = Figure(figsize=size_in, layout="constrained")
        paint(figure)
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    view, body = re.findall(r'viewBox="([^"]*)"[^>]*>(.*)', buffer.getvalue(), re.DOTALL)[0]
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|\s*<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", body).replace("xlink:href", "href")
    body = re.sub("|".join(CSS), lambda match: CSS[match[0]], body)
    return f'<svg viewBox="{view}" aria-hidden="true">{body}'
