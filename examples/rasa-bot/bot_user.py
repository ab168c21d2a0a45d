"""The user, for who gives no recordings: the installed voice says the same sentences as two kinds of speaker. Runs in entrain's
environment: python bot_user.py FOLDER writes FOLDER/slow-and-low/1.wav … and FOLDER/fast-and-loud/1.wav …"""

from __future__ import annotations

import sys
from pathlib import Path

from entrain.conditioning import Ask, measure, psola
from entrain.tts import Rendition, load_tts

SENTENCES = (
    "Good morning, is this the library?",
    "When do you open?",
    "Where is the library?",
    "How much does a library card cost?",
    "Can you please help me? I need some help with my book.",
    "Thank you very much.",
    "Goodbye, see you soon.",
)
KINDS = {  # pitch, duration; dB
    "slow-and-low": (Ask(f0_st=-6.0, duration_x=1.25), -6.0),
    "fast-and-loud": (Ask(f0_st=2.0, duration_x=0.8), 6.0),
}


def record(folder: Path) -> None:
    voice = load_tts("hibari")
    for number, sentence in enumerate(SENTENCES, 1):
        usual = voice.synthesise(sentence).audio
        _, voicing = measure(Rendition(usual, ""))
        for kind, (ask, level_db) in KINDS.items():
            path = folder / kind / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            psola(usual, ask, voicing).gain(level_db).write(path)


if __name__ == "__main__":
    record(Path(sys.argv[1]))
