"""A spoken turn with a Rasa bot: what the plug-in adds to the wait, and whether the agent follows the user, heard in its sound."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from entrain.asr import load_recogniser
from entrain.audio import Audio
from entrain.conditioning import Ask, measure, psola
from entrain.prosody import extract
from entrain.tts import Rendition, load_tts

ROOT = Path(__file__).parents[1]
RUN = ROOT / "examples" / "rasa-bot" / "run.py"
QUESTIONS = (
    "When do you open?",
    "Where is the library?",
    "How much does a library card cost?",
    "Good morning, is this the library?",
    "Thank you very much.",
)
HEARD = {"pitch, st": "f0_mean_st", "rate, syll/s": "rate_syll_s", "level, dB": "level_db"}
# In Rasa's environment: what the plug-in's code and its HTTP take of the event loop's thread, whatever else the machine does.
OWN = """
import asyncio, json, sys, time
from asyncio.events import Handle
from entrain_rasa.server import Server
from entrain_rasa.talk import Talk

url, wav, n = sys.argv[1], open(sys.argv[2], "rb").read(), int(sys.argv[3])
steps, run = [], Handle._run

def timed(handle):
    began = time.thread_time()
    run(handle)
    steps.append((time.thread_time() - began) * 1e3)

Handle._run = timed

async def main():
    server = Server(url)
    for _ in range(n + 5):
        talk, steps[:] = Talk(server, "own"), []
        heard = await talk.hear(wav, "where is the library")
        said = await talk.say({"text": sys.argv[4]})
        assert "fault" not in heard["entrain"] and json.dumps(said)
        print(json.dumps([sum(steps), max(steps)]))
    await server.close()

asyncio.run(main())
"""
REPLY = "You find us beside the station, in the old brick house, and you are very welcome there."  # 5 s
WAYS = ("channel", "by hand", "no entrainment")


def run(console: Console, quick: bool = False) -> dict[str, object]:
    with bot(console) as servers, httpx2.Client(timeout=60, trust_env=False) as client:
        if servers is None:
            return {}
        loop = Loop(servers["rasa"]["url"], servers["entrain"]["url"], client)
        waits = latency(console, loop, 3 if quick else 40)
        own_ms = own(console, servers, 5 if quick else 100)
        return {"waits_ms": waits, "own_ms": own_ms, "follows": follows(console, loop, 6 if quick else 40)}


@contextmanager
def bot(console: Console) -> Iterator[dict[str, Any] | None]:
    """The example's servers; None where there is no Python for Rasa."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-u", str(RUN), "--stay", "--out", folder]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert process.stdout
        printed: list[str] = []
        for line in process.stdout:
            printed.append(line)
            if "Ctrl-C ends it" in line:
                break
        try:
            if process.poll() is None and "Ctrl-C ends it" in printed[-1]:
                yield json.loads((Path(folder) / "servers.json").read_text())
            else:
                console.print(f"Not measured with Rasa: {printed[-1].strip()}")
                yield None
        finally:
            process.terminate()
            process.wait(60)


class Loop:
    """The same spoken turn, three ways; each returns the seconds from the turn's end to the first reply's sound here, and that sound."""

    def __init__(self, rasa: str, entrain: str, client: httpx2.Client) -> None:
        self.rasa, self.entrain, self.client = rasa, entrain, client
        self.ears, self.voice = load_recogniser("moonshine"), load_tts("hibari")

    def channel(self, wav: bytes, sender: str) -> tuple[float, Audio]:
        """With the plug-in: one request."""
        began = time.perf_counter()
        with self.client.stream(
            "POST", f"{self.rasa}/webhooks/entrain/webhook", params={"sender": sender, "stream": "true"},
            content=wav, headers={"content-type": "audio/wav"},
        ) as answer:  # fmt: skip
            first: tuple[float, Audio] | None = None
            for line in answer.iter_lines():
                if first is None and (sound := json.loads(line).get("audio")):
                    first = time.perf_counter() - began, _audio(sound)
        assert first, "the bot said nothing"
        return first

    def by_hand(self, wav: bytes, sender: str, **steer: object) -> tuple[float, Audio]:
        """Without it, the same servers: heard by entrain's, answered over Rasa's REST channel, said by entrain's."""
        began, talk = time.perf_counter(), f"{self.entrain}/v1/conversations/{sender}"
        heard = self._post(f"{talk}/user_turn", {"audio": base64.b64encode(wav).decode()})
        words = self._ask(heard["turn"]["text"], sender)
        said = self._post(f"{talk}/agent_turn", {"text": words, **steer})
        return time.perf_counter() - began, _audio(said["audio"])

    def no_entrainment(self, wav: bytes, sender: str) -> tuple[float, Audio]:
        """Without entrain: the same recogniser and voice, in this process; nothing is measured, moved or remembered."""
        began = time.perf_counter()
        words = self._ask(self.ears.transcribe(Audio.read(io.BytesIO(wav))).text, sender)
        audio = self.voice.synthesise(words).audio
        audio.wav()
        return time.perf_counter() - began, audio

    def _ask(self, text: str, sender: str) -> str:
        messages = self._post(f"{self.rasa}/webhooks/rest/webhook", {"sender": sender, "message": text})
        return next(message["text"] for message in messages if "text" in message)

    def _post(self, url: str, body: dict[str, object]) -> Any:
        return self.client.post(url, json=body).raise_for_status().json()


def latency(console: Console, loop: Loop, n: int) -> dict[str, list[float]]:
    users = list(asked(n + 2, seed=1))
    waits: dict[str, list[float]] = {way: [] for way in WAYS}
    for i, wav in enumerate(track(users, "waits", console=console, transient=True)):
        for way in WAYS[i % 3 :] + WAYS[: i % 3]:  # side by side, so that a busy machine is busy for all
            wait_s, _ = getattr(loop, way.replace(" ", "_"))(wav, f"wait-{way.replace(' ', '-')}")
            if i >= 2:
                waits[way].append(wait_s * 1e3)
    table = Table("way", "p50 ms", "p95 ms", "more than by hand, p50 (p95)", "more than without entrainment, p50 (p95)",
                  title=f"User's sound is here → first sound of the bot's reply, {n} turns")  # fmt: skip
    for way in WAYS:
        cells = [f"{np.percentile(waits[way], q):.0f}" for q in (50, 95)]
        more = [np.subtract(waits[way], waits[other]) for other in WAYS[1:]]
        table.add_row(way, *cells, *(f"{np.median(m):.1f} ({np.percentile(m, 95):.1f})" for m in more))
    console.print(table)
    return waits


def own(console: Console, servers: dict[str, Any], n: int) -> dict[str, list[float]]:
    with tempfile.NamedTemporaryFile(suffix=".wav") as wav:
        wav.write(next(asked(1, seed=3)))
        wav.flush()
        command = [
            servers["rasa"]["command"][0],
            "-c",
            OWN,
            servers["entrain"]["url"],
            wav.name,
            str(n),
            REPLY,
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    turns = np.array([json.loads(line) for line in done.stdout.splitlines()[5:]])  # (n, 2)
    table = Table(
        "", "p50 ms", "p95 ms", "most", title=f"The plug-in in Rasa's process, a turn of {len(turns)}"
    )
    found = {"all": turns[:, 0].tolist(), "longest step": turns[:, 1].tolist()}
    for what, ms in found.items():
        table.add_row(what, *(f"{np.percentile(ms, q):.1f}" for q in (50, 95, 100)))
    console.print(table)
    return found


def follows(console: Console, loop: Loop, n: int) -> dict[str, dict[str, float]]:
    """Correlation over the turns between how the user sounded and how the agent did, both measured here."""
    rows: dict[str, dict[str, float]] = {}
    users = list(asked(n, seed=2))
    heard = [extract(Audio.read(io.BytesIO(wav))) for wav in users]
    for way, strategy in (("channel", ""), ("neutral", "neutral")):
        said = []
        for wav in track(users, way, console=console, transient=True):
            sender = f"follow-{way}"
            _, audio = loop.by_hand(wav, sender, strategy=strategy) if strategy else loop.channel(wav, sender)
            said.append(extract(audio))
        rows[way] = {label: _r(heard, said, name) for label, name in HEARD.items()}
    table = Table(
        "way",
        *HEARD,
        title=f"The agent's sound against the user's: r over {n} turns of a user whose manner wanders",
    )
    for way, r in rows.items():
        table.add_row(way, *(f"{value:+.2f}" for value in r.values()))
    console.print(table)
    return rows


def asked(n: int, seed: int) -> Iterator[bytes]:
    """Questions by a user whose pitch, rate and level wander from turn to turn, together: a mood."""
    rng, voice, mood = np.random.default_rng(seed), load_tts("hibari"), 0.0
    usual = [voice.synthesise(question).audio for question in QUESTIONS]
    voicings = [measure(Rendition(audio, ""))[1] for audio in usual]
    for i in range(n):
        mood = float(np.clip(0.6 * mood + rng.normal(0, 0.7), -1, 1))
        which = i % len(QUESTIONS)
        ask = Ask(f0_st=-2 + 4 * mood, duration_x=1.25**-mood)
        yield psola(usual[which], ask, voicings[which]).gain(5 * mood).wav()


def _audio(sound: str) -> Audio:
    return Audio.read(io.BytesIO(base64.b64decode(sound)))


def _r(heard: list[Any], said: list[Any], name: str) -> float:
    pairs = [(getattr(user, name), getattr(agent, name)) for user, agent in zip(heard, said, strict=True)]
    known = np.array([pair for pair in pairs if None not in pair], float)
    return float(np.corrcoef(known.T)[0, 1]) if len(known) > 2 else float("nan")
