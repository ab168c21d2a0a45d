"""A voice of your own in 30 lines: recorded prompts, spoken by a person, made to entrain. Run: python examples/new_engine.py"""

from importlib.resources import files

from entrain import Audio, Entrainer, Targets, VoiceProfile
from entrain.tts import Capability, Knobs, Rendition, TTSError


class Prompts:
    """Plays what a person recorded. Any engine needs just these four members."""

    name, capability = "prompts:beckett", Capability()  # no knobs of its own: all is done on the waveform

    def __init__(self, prompts: dict[str, Audio]) -> None:
        self.prompts, self.rate_hz = prompts, next(iter(prompts.values())).rate_hz

    def synthesise(self, text: str, knobs: Knobs = Knobs()) -> Rendition:
        if text == "Hello.":  # Entrainer.load tries the voice
            return Rendition(Audio.empty(self.rate_hz), text)
        if text not in self.prompts:
            raise TTSError(f"{text!r} was not recorded. Select one of {', '.join(self.prompts)}.")
        return Rendition(self.prompts[text], text)


reading = Audio.read(str(files("moonshine_voice").joinpath("assets/beckett.wav")))
starts_s = {
    "Ever tried.": 0.1,
    "Ever failed.": 1.6,
    "No matter.": 3.3,
    "Try again.": 4.6,
    "Fail again.": 6.4,
    "Fail better.": 7.9,
}
voice = Prompts({line: reading.part(start_s, start_s + 1.3) for line, start_s in starts_s.items()})
with Entrainer.load(tts=voice, voice=VoiceProfile.measure(voice, list(starts_s)), recogniser=None) as agent:
    for shift_st in (-2, 0, 2):
        speech = agent.conversation().say("Fail better.", Targets.shifted(agent.voice, f0_shift_st=shift_st))
        print(f"{shift_st:+d} st:", speech.realised.f0_mean_st, "aimed at", speech.realised.aim_f0_mean_st)
        speech.audio.write(f"prompt{shift_st:+d}.wav")
