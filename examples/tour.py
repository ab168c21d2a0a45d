"""Five minutes with entrain, offline. Run: python examples/tour.py"""

from importlib.resources import files

from entrain import Audio, Entrainer, Targets, extract

# 1. How does somebody talk? A turn's audio → seven features; None (with a reason) for what can't be measured.
reading = Audio.read(str(files("moonshine_voice").joinpath("assets/beckett.wav")))
turn = reading.part(0.0, 2.0)
print("the user:", extract(turn, "Ever tried."))

# 2. An agent: voice, ears, strategy. `load` takes a few seconds; everything is in the packages.
with Entrainer.load(strategy="weighted") as agent:
    print(
        "the agent's own voice:",
        f"{agent.voice.mean[0]:.1f} st re 100 Hz, {agent.voice.mean[3]:.1f} syllables/s",
    )

    # 3. A conversation: hear, plan, say. The words are recognised when they are not given.
    with agent.conversation("tour") as talk:
        heard = talk.hear(turn)
        print("heard:", heard.text, "| z:", [None if z is None else round(z, 2) for z in heard.z])
        print("plan:", talk.plan("Try again, and fail better."))
        speech = talk.say("Try again, and fail better.")
        speech.audio.write("tour-reply.wav")
        print("realised:", speech.realised)

        # 4. A person may decide instead (Wizard of Oz): exactly this much lower and slower.
        slow = talk.say(
            "Try again, and fail better.", Targets.shifted(agent.voice, f0_shift_st=-2, rate_factor=0.85)
        )
        slow.audio.write("tour-slow.wav")
        print("as told:", slow.realised)
print("Now play tour-reply.wav and tour-slow.wav; then look at examples/custom_loop.py.")
