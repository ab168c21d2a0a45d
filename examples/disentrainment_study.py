"""One user, three agents: one that entrains, one that does not, one that moves away. Run: python examples/disentrainment_study.py

Prints, over the agents' replies, the correlation of the agent's pitch and rate with the user's just before: plus for the
first, about none for the second, minus for the third. The replies' words are the same for all three.
"""

from importlib.resources import files
from pathlib import Path

import numpy as np

from entrain import Entrainer, Policy
from entrain.conditioning import Ask, measure, psola
from entrain.converse import user_turns
from entrain.strategy import Matching, Neutral
from entrain.tts import Rendition

REPLY = (
    "I see, and what did they do about it then?"  # the same each time, so that only entrainment can vary it
)


def wavering_user():
    """A real reading whose speaker rises and falls from turn to turn."""
    turns = user_turns([Path(str(files("moonshine_voice").joinpath("assets/two_cities.wav")))], split_s=0.35)[
        :10
    ]
    for number, turn in enumerate(turns):
        phase = np.sin(2 * np.pi * number / 5)
        yield psola(turn, Ask(f0_st=2.5 * phase, duration_x=1 - 0.2 * phase), measure(Rendition(turn, ""))[1])


with Entrainer.load() as agent:
    turns = list(wavering_user())
    for name, strategy, sign in (
        ("entrain", Matching(), 1),
        ("neutral", Neutral(), 1),
        ("disentrain", Matching(), -1),
    ):
        agent.strategy = strategy
        agent.policy = Policy(sign=sign, step_f0_st=3, step_rate=1.25)  # let it follow at once
        with agent.conversation() as talk:
            for turn in turns:
                talk.hear(turn)
                talk.say(REPLY)
            user, us = talk.history.by("user"), talk.history.by("agent")
        for feature in ("f0_mean_st", "rate_syll_s"):
            pairs = [
                (getattr(a.features, feature), getattr(b.features, feature))
                for a, b in zip(user, us, strict=True)
            ]
            x, y = np.array([pair for pair in pairs if None not in pair], float).T
            r = np.corrcoef(x, y)[0, 1] if y.std() > 1e-6 else 0.0
            print(f"{name:<11} {feature:<12} r = {r:+.2f} over {len(x)} replies")
