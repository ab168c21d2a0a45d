"""Is it the user, or the agent heard by its own microphone? A gate by level, and WebRTC's echo canceller."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

from entrain.optional import require

Samples = NDArray[np.float32]  # (N,)

BLOCK_S = 0.02
SILENT_DB = -60.0  # softer playing has no echo that matters
LEARN_FRAMES = 96  # 3 s of 32 ms frames: who breaks in fills at most a fifth before the agent stops
LEARN_FIRST = 12
LOUD_SHARE = 0.8  # of those frames are no louder than the echo is said to be
MARGIN_DB = 6.0
"""Above the echo's level so estimated; the loudest frames of speech lie so far above that share."""
OPEN_FRAMES, OF_FRAMES = 2, 4
"""So many of so many frames louder than the echo are no accident: the gate opens …"""
HOLD_FRAMES = 8
"""… and stays open for .25 s after the last, or the softer sounds of the user's words would be cut out."""

TAIL_FRAMES = 60  # of 10 ms: so long after the agent's last sound its echo may still come


class EchoError(RuntimeError):
    """Echo can't be cancelled; the message says what to install or change."""


class EchoGate:
    """While the agent speaks, and shortly after, lets through only what is louder than its own echo would be.

    The coupling, microphone less loudspeaker in dB, is learnt from the last seconds during which the agent spoke; the delay
    need not be known, only that it is at most `max_delay_s`: the loudest moment of that time is what is compared with. Until
    something is learnt (half a second of the first reply) an echo as loud as what is played is taken to be possible.
    `rate_hz` is that of what is played. `played` and `passes` may be called from two threads.
    """

    def __init__(self, rate_hz: int, max_delay_s: float = 0.4) -> None:
        self.rate_hz, self.max_delay_s = rate_hz, max_delay_s
        self.coupling_db = 0.0
        """How loud the echo is, less what is played."""
        n_blocks = round(max_delay_s / BLOCK_S)
        self._recent_db = np.full(n_blocks + 2, -np.inf)  # one more for where blocks and frames don't meet
        self._at = 0
        self._rest = np.zeros(0, np.float32)
        self._n_sounding = self._n_quiet = 0
        self._excess_db: deque[float] = deque(maxlen=LEARN_FRAMES)
        self._louder: deque[bool] = deque(maxlen=OF_FRAMES)
        self._n_open = 0

    def played(self, samples: Samples) -> None:
        """What goes to the loudspeaker now, `(N,)`; silence too, as it passes."""
        n_block = round(BLOCK_S * self.rate_hz)
        samples = np.concatenate([self._rest, samples])
        whole = len(samples) // n_block * n_block
        self._rest = samples[whole:]
        for block in samples[:whole].reshape(-1, n_block):
            self._note(_level_db(block))

    def passes(self, samples: Samples) -> bool:
        """Is this frame of the microphone, `(N,)` of 10 to 50 ms at any rate, more than the agent's echo?"""
        loudest_db = float(self._recent_db.max())
        if loudest_db < SILENT_DB:
            return True
        excess_db = _level_db(samples) - loudest_db
        if self._n_sounding > len(self._recent_db):  # or the echo may not have come yet
            self._learn(excess_db)
        return self._open(excess_db > self.coupling_db + MARGIN_DB)

    def _open(self, louder: bool) -> bool:
        self._louder.append(louder)
        self._n_open = HOLD_FRAMES if louder and sum(self._louder) >= OPEN_FRAMES else self._n_open - 1
        return louder or self._n_open > 0

    def _note(self, level_db: float) -> None:
        self._recent_db[self._at] = level_db
        self._at = (self._at + 1) % len(self._recent_db)
        self._n_quiet = 0 if level_db > SILENT_DB else self._n_quiet + 1
        self._n_sounding = self._n_sounding + 1 if self._n_quiet < len(self._recent_db) else 0

    def _learn(self, excess_db: float) -> None:
        self._excess_db.append(excess_db)
        if len(self._excess_db) >= LEARN_FIRST:
            self.coupling_db = float(np.quantile(self._excess_db, LOUD_SHARE))


def _level_db(samples: Samples) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * float(np.log10(power + 1e-12))


class EchoCanceller:
    """WebRTC's audio processing (the `livekit` wheel): takes the agent's own voice out of the microphone's sound.

    `echo`: cancel it, by 30 dB or so after two seconds, whatever the room's delay up to .3 s. `noise`: suppress steady noise,
    always: clean speech is then .3 to 2.3 dB softer, and its syllables are counted otherwise (rate up to ×1.17), so it is off unless
    asked for. Automatic gain is never on: level is a feature.

    A canceller changes what it touches: it leaves the pitch of each frame (.01 st) but moves which frames are voiced, and so the
    mean of a low voice's turn by up to .2 st. So while the agent is silent, which is when users mostly talk, the microphone's
    sound is passed on untouched.

    `played` and `clean` take any number of samples, from one thread. What comes out is 10 ms later than what went in; where the
    echo is cancelled, 9 ms more. `delay_s`: how long after `played` the echo is heard, as far as known.
    """

    def __init__(self, rate_hz: int, delay_s: float = 0.0, echo: bool = True, noise: bool = False) -> None:
        if rate_hz % 100 or not 8_000 <= rate_hz <= 48_000:
            raise EchoError(f"rate_hz is {rate_hz}; whole hundreds from 8000 to 48000 are allowed.")
        self._rtc: Any = require("livekit.rtc", "pip install 'entrain[live]'", EchoError)
        self._apm = self._rtc.AudioProcessingModule(
            echo_cancellation=echo, noise_suppression=noise, high_pass_filter=False, auto_gain_control=False
        )
        self.rate_hz, self.echo, self.noise, self.delay_ms = rate_hz, echo, noise, round(1000 * delay_s)
        self._n_quiet = TAIL_FRAMES
        """Frames since the agent last sounded."""
        self._share = 0.0
        """How much of what comes out is cancelled: 0 or 1."""
        self._n_frame = rate_hz // 100  # 10 ms, the only length it takes
        self._played = self._heard = np.zeros(0, np.float32)
        self._cleaned = np.zeros(self._n_frame, np.float32)

    def played(self, samples: Samples) -> None:
        """What goes to the loudspeaker now, `(N,)`; silence too, as it passes."""
        frames, self._played = self._frames(self._played, samples)
        for frame in frames if self.echo else ():
            self._n_quiet = 0 if _level_db(frame) > SILENT_DB else self._n_quiet + 1
            self._apm.process_reverse_stream(self._pcm(frame))

    def clean(self, samples: Samples) -> Samples:
        """The microphone's sound `(N,)` → the user's alone `(N,)`."""
        frames, self._heard = self._frames(self._heard, samples)
        done = [self._cleaned, *(self._clean(frame) for frame in frames)]
        cleaned = np.concatenate(done)
        out, self._cleaned = cleaned[: len(samples)], cleaned[len(samples) :]
        return out

    def _clean(self, frame: Samples) -> Samples:
        pcm = self._pcm(frame)
        if self.echo:
            self._apm.set_stream_delay_ms(self.delay_ms)
        self._apm.process_stream(pcm)
        cleaned = np.frombuffer(pcm.data, np.int16).astype(np.float32) / np.float32(32_768)
        return cleaned if self.noise else self._blend(frame, cleaned)

    def _blend(self, frame: Samples, cleaned: Samples) -> Samples:
        """The one or the other, with a fade over the frame in which that changes."""
        before, self._share = self._share, float(self._n_quiet < TAIL_FRAMES)
        share = np.linspace(before, self._share, self._n_frame, dtype=np.float32)
        return (share * cleaned + (1 - share) * frame).astype(np.float32)

    def _frames(self, rest: Samples, samples: Samples) -> tuple[Samples, Samples]:
        """Whole frames `(K, 10 ms)`, and what is left for the next call."""
        samples = np.concatenate([rest, samples])
        whole = len(samples) // self._n_frame * self._n_frame
        return samples[:whole].reshape(-1, self._n_frame), samples[whole:]

    def _pcm(self, frame: Samples) -> Any:
        pcm = np.clip(np.rint(frame * 32_768), -32_768, 32_767).astype("<i2")
        return self._rtc.AudioFrame(bytearray(pcm.tobytes()), self.rate_hz, 1, self._n_frame)
