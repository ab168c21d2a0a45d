"""The end of a turn: false cut-offs and latency, by silence alone and with Smart Turn.

On synthetic phrases that come in two lengths by the same voice ("Are you a student?", "Are you a student here at this university?"): the
longer is spoken with a pause where the shorter would end, as long as people's pauses in AMI are. And on the AMI clips themselves: a gap
after which the same person goes on is a pause, one after which another speaks is an end.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.spatial.distance import cdist

from benchmarks.voice_activity import AMI, RATE_HZ
from entrain import Audio
from entrain.endpoint import Endpointer, EndpointPolicy, find_turns
from entrain.smart_turn import SmartTurn, log_mel
from entrain.vad import load_vad
from entrain_training.vad.labels import Segments, auc, rttm

PHRASES = AMI.parents[1] / "turn_phrases"
STEP_S = 0.032  # of Silero
LONGEST_S = 2.0  # after so much silence the same person begins another turn
LEAD_S, REST_S = 0.5, 2.5
ALLOWED = 0.05  # of the pauses may be taken for an end
SILENCES_S = np.arange(0.25, 2.01, 0.05)
COMPLETE_P = (0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98)


@dataclass
class Stream:
    """Sound, where its pauses and ends lie, and its speech probabilities."""

    samples: NDArray[np.float32]  # (N,)
    pauses: list[tuple[float, float]]
    ends: list[tuple[float, float]]
    """Each (start, end) of the silence, seconds; an end's silence lasts until somebody else speaks."""
    probabilities: list[float]

    def sound(self, start_s: float, end_s: float) -> NDArray[np.float32]:
        return self.samples[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]


class Remembered:
    """Smart Turn, asked once for each stretch: the same under every policy."""

    def __init__(self, smart_turn: SmartTurn) -> None:
        self.smart_turn, self.ms = smart_turn, []
        self.answers: dict[bytes, float] = {}

    def complete(self, samples: NDArray[np.float32]) -> float:
        key = samples.tobytes()
        if key not in self.answers:
            started = time.perf_counter()
            self.answers[key] = self.smart_turn.complete(samples)
            self.ms.append((time.perf_counter() - started) * 1e3)
        return self.answers[key]


@dataclass(frozen=True)
class Outcome:
    cut: float
    """Share of the pauses that were taken for an end."""
    found: float
    """Share of the ends that were noticed before somebody else spoke."""
    mean_ms: float
    """From the end of speech to the decision, of those found."""
    p50_ms: float
    p95_ms: float


def run(console: Console, quick: bool = False) -> dict[str, object]:
    clips = sorted(AMI.glob("*.flac"))
    if not clips:
        console.print(f"turn_end: left out, since the recordings are not there ({AMI}).")
        return {}
    spoken = rttm(AMI / "debug.train.rttm")
    figures: dict[str, object] = {}
    meetings = [meeting(clip, spoken[clip.stem]) for clip in clips]
    pauses_s = [end - start for stream in meetings for start, end in stream.pauses]
    detector = Remembered(SmartTurn())
    for name, streams in (("phrases", phrases(pauses_s, quick)), ("AMI", meetings)):
        figures[name] = end_table(console, name, streams, detector)
    console.print(
        f"Smart Turn: {np.median(detector.ms):.0f} ms a pause on one core (p95 {np.percentile(detector.ms, 95):.0f}), not in the latencies above."
    )
    return figures | {
        "smart_turn_ms": float(np.median(detector.ms)),
        "auc_by_silence": by_silence(console, quick),
    }


# --- the end of a turn ----------------------------------------------------------------------------------------------


def end_table(console: Console, name: str, streams: list[Stream], detector: Remembered) -> dict[str, object]:
    n_pauses, n_ends = (sum(len(getattr(s, kind)) for s in streams) for kind in ("pauses", "ends"))
    table = Table("decided by", "silence", "complete_p", "false cut-offs", "ends found", "latency ms: mean", "p50", "p95",
                  title=f"End of turn, {name}: {n_pauses} pauses, {n_ends} ends")  # fmt: skip
    rows: dict[str, object] = {}

    def row(by: str, policy: EndpointPolicy, smart: bool) -> None:
        outcome = measure(streams, policy, detector if smart else None)
        silence_s = policy.max_silence_s if smart else policy.end_silence_s
        table.add_row(by, f"{silence_s:.2f} s", f"{policy.complete_p}" if smart else "", f"{outcome.cut:.1%}", f"{outcome.found:.0%}",
                      f"{outcome.mean_ms:.0f}", f"{outcome.p50_ms:.0f}", f"{outcome.p95_ms:.0f}")  # fmt: skip
        rows[f"{by} {silence_s:.2f} s"] = {
            "silence_s": silence_s,
            "complete_p": policy.complete_p if smart else None,
        } | vars(outcome)

    row("silence alone", silence_only(0.3), False)
    row("silence alone", silence_only(0.6), False)
    row("Smart Turn, as it comes", EndpointPolicy(), True)
    row("silence alone, ≤ 5 %", best(streams, map(silence_only, SILENCES_S), None), False)
    both = (with_turn(p, s) for p in COMPLETE_P for s in SILENCES_S)
    row("Smart Turn, ≤ 5 %", best(streams, both, detector), True)
    console.print(table)
    return rows


def silence_only(silence_s: float) -> EndpointPolicy:
    return EndpointPolicy(end_silence_s=float(silence_s), max_silence_s=max(1.2, float(silence_s)))


def with_turn(complete_p: float, silence_s: float) -> EndpointPolicy:
    return EndpointPolicy(complete_p=complete_p, max_silence_s=float(silence_s))


def best(
    streams: list[Stream], policies: Iterable[EndpointPolicy], detector: Remembered | None
) -> EndpointPolicy:
    """The quickest on average that cuts off no more than is allowed, on these very streams; if none does, the one that cuts off least."""
    tried = [(measure(streams, policy, detector), policy) for policy in policies]
    good = [(o.mean_ms, i) for i, (o, _) in enumerate(tried) if o.cut <= ALLOWED]
    chosen = min(good)[1] if good else min((o.cut, i) for i, (o, _) in enumerate(tried))[1]
    return tried[chosen][1]


def measure(streams: list[Stream], policy: EndpointPolicy, detector: Remembered | None) -> Outcome:
    cuts: list[bool] = []
    late_ms: list[float | None] = []
    for stream in streams:
        decided_s = decisions(stream, policy, detector)
        cuts += [any(start <= at < end for at in decided_s) for start, end in stream.pauses]
        for start, end in stream.ends:
            within = [at for at in decided_s if start <= at < end]
            late_ms.append((within[0] - start) * 1e3 if within else None)
    found = [ms for ms in late_ms if ms is not None]
    p50, p95 = np.percentile(found, [50, 95]) if found else (np.inf, np.inf)
    mean = np.mean(found) if found else np.inf
    return Outcome(float(np.mean(cuts)), len(found) / len(late_ms), float(mean), float(p50), float(p95))


def decisions(stream: Stream, policy: EndpointPolicy, detector: Remembered | None) -> list[float]:
    """When each end was decided, seconds."""
    endpointer, decided_s = Endpointer(policy, STEP_S, detector), []
    for probability in stream.probabilities:
        boundaries = endpointer.feed(probability, stream.sound)
        decided_s += [endpointer.now_s for boundary in boundaries if boundary.kind == "end"]
    return decided_s


# --- phrases --------------------------------------------------------------------------------------------------------


def phrases(pauses_s: list[float], quick: bool) -> list[Stream]:
    rng, streams = np.random.default_rng(0), []
    longer = sorted(PHRASES.glob("*_long_*.flac"))
    for path in longer[:: 10 if quick else 1]:
        long, short = Audio.read(path), Audio.read(path.with_name(path.name.replace("_long_", "_short_")))
        [*_, (_, end_s)], [*_, (_, short_end_s)] = find_turns(long), find_turns(short)
        cut_s = where(short.part(0, short_end_s), long)
        pause_s = float(rng.choice(pauses_s))
        streams.append(stream_of([long.part(0, cut_s), long.part(cut_s, end_s)], [pause_s], rng))
        streams.append(stream_of([short.part(0, short_end_s)], [], rng))
    return streams


def where(short: Audio, long: Audio) -> float:
    """Where in `long` the words of `short` end, seconds: dynamic time warping of log-Mel spectra from both beginnings."""
    cost = cdist(log_mel(short.samples).T, log_mel(long.samples).T)  # (S, L), 10 ms each
    total = np.full((len(cost) + 1, cost.shape[1] + 1), np.inf)
    total[0, 0] = 0
    for i, row in enumerate(cost, 1):
        for j, here in enumerate(row, 1):
            total[i, j] = here + min(total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])
    return int(np.argmin(total[-1])) * 0.01


def stream_of(parts: list[Audio], pauses_s: list[float], rng: np.random.Generator) -> Stream:
    """The parts with pauses between them in a quiet room (−66 dB), with time before and after."""
    sound = [np.zeros(round(LEAD_S * RATE_HZ))]
    silences: list[tuple[float, float]] = []
    for part, pause_s in zip(parts, [*pauses_s, REST_S], strict=True):
        sound += [part.samples, np.zeros(round(pause_s * RATE_HZ))]
        end_s = sum(map(len, sound)) / RATE_HZ
        silences.append((end_s - pause_s, end_s))
    whole = np.concatenate(sound)
    whole = (whole + rng.standard_normal(len(whole)) * 5e-4).astype(np.float32)
    return Stream(whole, silences[:-1], silences[-1:], load_vad("silero").stream().feed(whole).tolist())


# --- meetings -------------------------------------------------------------------------------------------------------


def meeting(path: Path, segments: Segments) -> Stream:
    """Silences of .2 s and more by Silero; by hand, who speaks before and after. Where nobody is marked, it is neither."""
    samples = Audio.read(path).samples
    stream = Stream(samples, [], [], load_vad("silero").stream().feed(samples).tolist())
    speech_s = np.flatnonzero(np.array(stream.probabilities) >= 0.35) * STEP_S
    for start_s, end_s in zip((speech_s[:-1] + STEP_S).tolist(), speech_s[1:].tolist(), strict=True):
        before, after = speakers(segments, start_s), speakers(segments, end_s)
        if end_s - start_s > LONGEST_S or (
            end_s - start_s >= 0.2 and before and after and not before & after
        ):
            stream.ends.append((start_s, end_s))
        elif end_s - start_s >= 0.2 and before & after:
            stream.pauses.append((start_s, end_s))
    return stream


def speakers(segments: Segments, at_s: float) -> set[str]:
    """Who is marked within .3 s: the marks are that loose."""
    return {speaker for start_s, end_s, speaker in segments if start_s - 0.3 <= at_s <= end_s + 0.3}


# --- how much silence Smart Turn is shown ---------------------------------------------------------------------------


def by_silence(console: Console, quick: bool) -> dict[str, float]:
    """Area under Smart Turn's curve, ends against pauses, on a third of the phrases: it takes much silence for an end."""
    smart_turn, areas = SmartTurn(), {}
    streams = phrases([1.0], quick)[:: 1 if quick else 3]
    for silence_s in (0.1, 0.2, 0.4, 0.8):
        ends, pauses = (
            [smart_turn.complete(stream.sound(0, start_s + silence_s)) for stream in streams for start_s, _ in getattr(stream, kind)]
            for kind in ("ends", "pauses")
        )  # fmt: skip
        label = np.repeat([True, False], [len(ends), len(pauses)])
        areas[f"{silence_s} s"] = auc(np.array(ends + pauses), label)
    told = ", ".join(f"{area:.2f} after {silence}" for silence, area in areas.items())
    console.print(f"Smart Turn, ends against pauses of the phrases, area under the curve: {told} of silence.")
    return areas
