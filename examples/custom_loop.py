"""entrain in a dialogue loop of your own, in 20 lines. Run: python examples/custom_loop.py turn1.wav turn2.wav …"""

import sys

from entrain import Audio, Entrainer


def my_dialogue_system(text: str) -> str:
    return f"You said: {text} Tell me more." if text else "I did not catch that."


with Entrainer.load(store="talks.sqlite") as agent, agent.conversation("kiosk-7") as talk:
    for number, path in enumerate(sys.argv[1:]):
        audio = Audio.read(path)
        hearing = talk.listen(audio.rate_hz)  # a live loop feeds the microphone's chunks as they come
        for start in range(0, len(audio.samples), 320):
            hearing.feed(audio.samples[start : start + 320])
        user = talk.hear(hearing)  # the user has stopped: prosody is ready, the words are recognised
        speech = talk.say(my_dialogue_system(user.text))  # or plan() + your own voice + spoke()
        print(user.text, "→", speech.text, "→", speech.audio.write(f"reply-{number}.wav"))
