"""Entrainer and Conversation: hear the user, plan the reply's sound, say it, remember what it really sounded like."""

from __future__ import annotations

import hashlib
import logging
import math
import shutil
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from entrain.asr import Recogniser, Transcript, load_recogniser
from entrain.audio import Audio
from entrain.conditioning import (
    Conditioned,
    Realised,
    condition,
    load_engine,
    measure,
    outcome,
    request,
    resolve,
)
from entrain.emotion import Felt
from entrain.history import History
from entrain.normalize import Normalizer, Register
from entrain.prosody import extract, with_text
from entrain.sentences import sentences
from entrain.store import Store
from entrain.strategy import NEURAL, Follows, Strategy, load_strategy
from entrain.swift import Thought, can_be_swift, say_swiftly, shortfall, without_lead
from entrain.targets import SPOKEN, Policy, Targets, set_targets
from entrain.tts import TTS, Knobs, Rendition, load_tts
from entrain.turn import Features, Turn, Who, Word
from entrain.voice import VoiceProfile
from entrain.worker import Hearing, Judge, Worker, labels_of

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Speech:
    """A reply, ready to play. `audio` has no samples when there was nothing to say or the voice failed (`fault` says so)."""

    audio: Audio
    text: str
    targets: Targets
    realised: Realised
    turn: Turn
    fault: str = ""


@dataclass(frozen=True)
class Piece:
    """Some sound of a reply that is being said: all of its sentence `number` or, of the first, perhaps only a part."""

    number: int
    text: str
    """The whole sentence."""
    audio: Audio
    usual: Audio | None = None
    """How the voice says this sentence when left alone; of the first, with its last piece."""
    notes: tuple[str, ...] = ()
    """What could not be realised."""


class Entrainer:
    """An agent that can entrain: a voice, ears, a strategy and a policy. Make one with `load`; it serves any number of
    conversations."""

    def __init__(
        self, tts: TTS, voice: VoiceProfile, strategy: Strategy, policy: Policy = Policy(),
        recogniser: Recogniser | None = None, store: Store | None = None, engine: str = "psola",
        native: bool = False, keep_audio: Path | None = None, worker: Worker | None = None, emotion: str = "",
    ) -> None:  # fmt: skip
        load_engine(engine)
        self.tts, self.voice, self.strategy, self.policy = tts, voice, strategy, policy
        self.recogniser, self.store, self.engine, self.native = recogniser, store, engine, native
        self.keep_audio, self.emotion = keep_audio, emotion
        self.worker = worker or Worker()
        self._open: weakref.WeakSet[Conversation] = weakref.WeakSet()

    @classmethod
    def load(
        cls, tts: str | TTS = "hibari", strategy: str | Strategy = NEURAL, strength: float = 1.0,
        policy: Policy | None = None, recogniser: str | Recogniser | None = "moonshine",
        store: str | Path | Store | None = None, engine: str = "psola", native: bool = False,
        voice: VoiceProfile | str | Path | None = None, keep_audio: str | Path | None = None,
        emotion: str | Path | None = None,
    ) -> Entrainer:  # fmt: skip
        """An agent from names; everything has an offline default.

        `tts`: "hibari", "espeak", "piper", "coqui:…" or your own `TTS`. `strategy`: "neural" (the model), "neural:FOLDER", "weighted", "matching",
        "neutral", "wizard" or your own. `strength` 0…1 (or a whole `policy`). `store`: a file or database URL to remember conversations across restarts.
        `keep_audio`: a folder, only if sound shall be kept. `native`: let the voice move its own pitch within its safe span. `emotion`: the folder
        of a model that `entrain train emotion` wrote; it then judges every turn.
        """
        policy = policy or Policy(strength=strength)
        worker = Worker()  # first: it loads Praat while the voice is loaded here
        model = str(Path(emotion).absolute()) if emotion else ""
        try:
            feels = worker.submit(labels_of, model) if model else None
            voice_of = load_tts(tts) if isinstance(tts, str) else tts
            voice_of.synthesise("Hello.")  # a voice that can't speak says so now; and its network is warm
            if voice is None:
                voice = VoiceProfile.of(voice_of)
            if feels:
                feels.result()  # one that can't be loaded says so now
            return cls(
                tts=voice_of,
                voice=voice if isinstance(voice, VoiceProfile) else VoiceProfile.load(voice),
                strategy=load_strategy(strategy, policy.anchor) if isinstance(strategy, str) else strategy,
                policy=policy,
                recogniser=load_recogniser(recogniser) if isinstance(recogniser, str) else recogniser,
                store=Store(store) if isinstance(store, (str, Path)) else store,
                engine=engine,
                native=native,
                keep_audio=Path(keep_audio) if keep_audio else None,
                worker=worker,
                emotion=model,
            )
        except BaseException:
            worker.close()
            raise

    def conversation(self, conversation_id: str | None = None, register: Register = "any") -> Conversation:
        """Begin a conversation, or go on with the stored one of that name.

        `register`: "low" or "high" if it is known that the user has such a voice; their pitch is then compared with such voices
        only, and the agent follows their moods rather than their kind.
        """
        conversation_id = conversation_id or uuid.uuid4().hex
        history = self.store.load(conversation_id) if self.store else None
        talk = Conversation(self, history or self._fresh(conversation_id, register))
        self._open.add(talk)
        return talk

    def _fresh(self, conversation_id: str, register: Register = "any") -> History:
        return History(conversation_id, Normalizer.for_person(register), self.voice.normalizer)

    def forget(self, conversation_id: str) -> bool:
        """Delete all that is kept of a conversation, sound included; True if there was anything. One that is still going
        on begins anew."""
        for talk in [talk for talk in self._open if talk.id == conversation_id]:
            talk.history = self._fresh(conversation_id)  # or its next turn would save the deleted ones again
        kept = self.audio_folder(conversation_id)
        had_audio = kept is not None and kept.exists()
        if kept is not None and had_audio:
            shutil.rmtree(kept)
        return (self.store.delete(conversation_id) if self.store else False) or had_audio

    def audio_folder(self, conversation_id: str) -> Path | None:
        """Where this conversation's sound is kept, if it is; a hash, since ids may be names or paths."""
        if self.keep_audio is None:
            return None
        return self.keep_audio / hashlib.sha256(conversation_id.encode()).hexdigest()[:16]

    def close(self) -> None:
        self.worker.close()
        if self.store:
            self.store.close()

    def __enter__(self) -> Entrainer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Conversation:
    """One talk with one person. Nothing here raises into the host: a fault is logged once, that turn is neutral, and the
    talk goes on. Calls from several threads are taken one after the other."""

    def __init__(self, entrainer: Entrainer, history: History) -> None:
        self.entrainer, self.history = entrainer, history
        self.policy = entrainer.policy
        """How far the agent goes in this talk; may be replaced between turns."""
        self._lock = threading.RLock()
        self._logged: set[str] = set()
        self._fault = ""

    @property
    def id(self) -> str:
        return self.history.id

    @property
    def turns(self) -> list[Turn]:
        return self.history.turns

    @property
    def now_s(self) -> float:
        """End of the last turn, on the conversation's clock."""
        return max((turn.end_s for turn in self.turns[-2:]), default=0.0)

    def listen(self, rate_hz: int) -> Hearing:
        """Begin a user's turn that is still being spoken: `feed` the result as audio comes, then give it to `hear`. Its
        prosody is then extracted meanwhile, and at the turn's end little is left."""
        return self.entrainer.worker.listen(rate_hz, self._judge("user"))

    def hear(
        self,
        audio: Audio | Hearing,
        text: str | None = None,
        words: Iterable[Word] = (),
        start_s: float | None = None,
    ) -> Turn:
        """The user's turn, ended. `text` None: it is recognised. `start_s`: seconds since the conversation began (default:
        where the last turn ended). Silent, clipped or too short audio gives a turn with masked features."""
        with self._lock:
            self._fault = ""
            heard = audio.audio if isinstance(audio, Hearing) else audio
            said = Transcript(str(text or ""), tuple(words))
            features = self._guard("features", lambda: self._features(audio, said), Features())
            feeling = self._feel("user", audio)
            if text is None:
                said = self._guard("recognition", lambda: self._recognise(heard, features), said)
                features = self._guard("rate", lambda: with_text(features, said.text, said.words), features)
            return self._remember("user", heard, said.text, features, said.words, start_s, feeling)

    def plan(self, text: str) -> Targets:
        """How the reply `text` should sound now."""
        with self._lock:
            agent = self.entrainer
            neutral = Targets.none(agent.voice)

            def targets() -> Targets:
                prediction = agent.strategy.predict(self.history, text)
                return set_targets(prediction, agent.voice, self.policy, self._last_targets())

            return self._guard("plan", targets, neutral)

    def say(self, text: str, targets: Targets | None = None) -> Speech:
        """Plan (unless given `targets`), synthesise, make it sound so, and remember what came out."""
        with self._lock:
            self._fault = ""
            text = str(text)
            targets = targets or self.plan(text)
            rendition = self._voice(text)
            made = self._guard("conditioning", lambda: self._condition(rendition, targets), None)
            if made is None:
                made = Conditioned(rendition.audio, Features(), Features(), Realised())
            fault = self._fault
            turn = self._remember_agent(made.audio, text, made.after, targets, made.realised)
            return Speech(made.audio, text, targets, made.realised, turn, fault)

    def think(self, text: str) -> Thought | None:
        """Begin to make the reply's first sentence, whatever its targets will be: for `pieces`, while the user's turn is still
        remembered and the reply planned. Returns at once; None where there is nothing to say."""
        first = sentences(text)[:1]
        return Thought(self.entrainer.tts, first[0]) if first else None

    def pieces(self, text: str, targets: Targets, thought: Thought | None = None) -> Iterator[Piece]:
        """The reply in the agent's voice, sentence by sentence, as soon as each is made: for a live talk, where the first
        plays while the next is made. Nothing is remembered: call `spoke` with what was really played.

        The first sentence begins at once, without a silence, and does not wait to be measured where the voice can (`entrain.swift`); the
        others go through the closed loop. `thought`: of `think`, if that was begun before.
        """
        if (thought := thought or self.think(text)) is None:
            return
        yield from self._first(thought, targets)
        for number, sentence in enumerate(sentences(text)[1:], 1):
            self._fault = ""
            yield self._piece(number, sentence, self._voice(sentence), targets)

    def _first(self, thought: Thought, targets: Targets) -> Iterator[Piece]:
        self._fault, tts = "", self.entrainer.tts
        try:
            if not can_be_swift(tts, targets):
                yield self._piece(0, thought.sentence, without_lead(thought.said()), targets)
                return
            notes = shortfall(tts, targets)
            for audio in say_swiftly(thought, targets):
                yield Piece(0, thought.sentence, audio, None, notes)
            # How it would have been said, for the aims: made while it plays.
            yield Piece(0, thought.sentence, Audio.empty(tts.rate_hz), without_lead(thought.said()).audio)
        except Exception as error:
            self._failed("voice", error)
            yield Piece(0, thought.sentence, Audio.empty(tts.rate_hz), None, (self._fault,))

    def _piece(self, number: int, sentence: str, rendition: Rendition, targets: Targets) -> Piece:
        made = self._guard("conditioning", lambda: self._condition(rendition, targets), None)
        audio = made.audio if made else rendition.audio
        notes = made.realised.not_realised if made else ()
        return Piece(
            number, sentence, audio, rendition.audio, (*notes, self._fault) if self._fault else notes
        )

    def _voice(self, text: str) -> Rendition:
        tts = self.entrainer.tts
        return self._guard("voice", lambda: tts.synthesise(text), Rendition(Audio.empty(tts.rate_hz), text))

    def spoke(
        self,
        text: str,
        audio: Audio | None = None,
        targets: Targets | None = None,
        start_s: float | None = None,
        usual: Audio | None = None,
        notes: tuple[str, ...] = (),
    ) -> Turn:
        """For hosts with a voice of their own: what the agent really said and how it really sounded (what was played, if it
        was interrupted). It is measured here, and remembered instead of the plan.

        `usual`: how the voice says the same text when left alone, if that is known: what is aimed at is told from there. `notes`: what
        could not be realised.
        """
        with self._lock:
            self._fault = ""
            audio = audio or Audio.empty(self.entrainer.tts.rate_hz)
            features = self._guard("features", lambda: self._features(audio, Transcript(text)), Features())
            realised = None
            if targets and usual is not None:
                left_alone = self._guard(
                    "features", lambda: self._features(usual, Transcript(text)), Features()
                )
                realised = outcome(left_alone, targets, features, "live", notes)
            told = () if realised else notes  # what came out has them already
            return self._remember_agent(audio, str(text), features, targets, realised, start_s, told)

    def close(self) -> None:
        """Save what could not be saved yet, and say so if it still can't be."""
        with self._lock:
            self._save()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- the steps ------------------------------------------------------------------------------------------------

    def _features(self, audio: Audio | Hearing, said: Transcript) -> Features:
        if isinstance(audio, Hearing):
            return audio.finish(said.text, said.words)
        if not isinstance(audio, Audio):  # pyright: ignore[reportUnnecessaryIsInstance]  a host may not be typed
            raise TypeError(f"hear needs an Audio or a Hearing, not {type(audio).__name__}")
        return self.entrainer.worker.run(extract, audio, said.text, said.words)

    def _judge(self, speaker: Who) -> Judge | None:
        folder = self.entrainer.emotion
        return Judge(folder, self.history.manners.get(speaker)) if folder else None

    def _feel(self, speaker: Who, audio: Audio | Hearing) -> Future[Felt] | None:
        """Begin to judge a turn's emotion, beside what else is done with it; None where nothing judges, or nothing sounds."""
        judge = self._judge(speaker)
        if judge is None or not isinstance(audio, (Audio, Hearing)):  # pyright: ignore[reportUnnecessaryIsInstance]
            return None
        if isinstance(audio, Hearing):
            return self._guard("emotion", lambda: audio.feel(judge), None)
        return self._guard("emotion", lambda: self.entrainer.worker.feel(judge, audio), None)

    def _emotion(self, speaker: Who, feeling: Future[Felt] | None) -> dict[str, float] | None:
        """What was felt; what was learnt of the speaker is kept."""
        felt = self._guard("emotion", lambda: _plausible(feeling.result()), None) if feeling else None
        if felt and felt.manner:
            self.history.manners[speaker] = felt.manner
        return felt.probabilities if felt else None

    def _recognise(self, audio: Audio, features: Features) -> Transcript:
        if self.entrainer.recogniser is None or not features.voiced_s:
            return Transcript("")  # recognisers make up words for silence
        return self.entrainer.recogniser.transcribe(audio)

    def _condition(self, rendition: Rendition, targets: Targets) -> Conditioned:
        agent = self.entrainer
        if not agent.native or targets.neutral:
            return agent.worker.run(condition, rendition, targets, agent.engine)
        usual, _ = agent.worker.run(measure, rendition)
        ask, _ = request(resolve(targets, usual), usual)
        moved = agent.tts.synthesise(rendition.text, Knobs(pitch_st=ask.f0_st, range_x=ask.range_x))
        return agent.worker.run(condition, moved, targets, agent.engine, usual)

    def _last_targets(self) -> Targets | None:
        """The aims of the last reply: the step limit holds across a restart too."""
        plans = [turn.plan for turn in self.history.by("agent")[-1:] if turn.plan]
        return Targets.model_validate(plans[0]) if plans else None

    def _remember_agent(
        self, audio: Audio, text: str, features: Features, targets: Targets | None, realised: Realised | None,
        start_s: float | None = None, notes: tuple[str, ...] = (),
    ) -> Turn:  # fmt: skip
        plan = targets.model_dump(exclude={"anchor", "capped"}) if targets else None
        if targets:
            held_back = tuple(f"{name} held back by a cap or the step limit" for name in targets.capped)
            notes = held_back + notes
        came_out = None
        if plan and realised:
            plan |= {name: aim for name in SPOKEN if (aim := getattr(realised, f"aim_{name}")) is not None}
        if plan:
            came_out = {name: getattr(features, name) for name in SPOKEN}
        notes += realised.not_realised if realised else ()
        feeling = self._feel("agent", audio) if len(audio.samples) else None
        return self._remember(
            "agent", audio, text, features, (), start_s, feeling, plan=plan, realised=came_out, notes=notes
        )

    def _remember(
        self, speaker: Who, audio: Any, text: str, features: Features, words: tuple[Word, ...],
        start_s: float | None, feeling: Future[Felt] | None, **more: Any,
    ) -> Turn:  # fmt: skip
        if start_s is None or not math.isfinite(start_s):
            start_s = self.now_s
        duration_s = audio.duration_s if isinstance(audio, Audio) else 0.0
        emotion = self._emotion(speaker, feeling)
        turn = Turn(
            speaker=speaker, start_s=start_s, end_s=start_s + duration_s, text=text, words=words,
            features=features, fault=self._fault, emotion=emotion,
            audio_file=self._guard("keeping audio", lambda: self._keep(speaker, audio), ""), **more,
        )  # fmt: skip
        turn = self.history.add(turn)
        strategy = self.entrainer.strategy
        if isinstance(strategy, Follows):
            self._guard("strategy", lambda: strategy.follow(self.history), None)
        self._save()
        return turn

    def _keep(self, speaker: str, audio: Audio) -> str:
        folder = self.entrainer.audio_folder(self.id)
        if folder is None:
            return ""
        folder.mkdir(parents=True, exist_ok=True)
        return str(audio.write(folder / f"{len(self.history):04d}-{speaker}.wav"))

    def _save(self) -> None:
        store = self.entrainer.store
        if store:
            self._guard("store", lambda: store.save(self.history), None)

    def _guard(self, step: str, action: Callable[[], T], otherwise: T) -> T:
        """Do a step of the talk; if it fails, log it once, note it on the turn, and go on with `otherwise`."""
        try:
            return action()
        except Exception as error:
            self._failed(step, error)
            return otherwise

    def _failed(self, step: str, error: Exception) -> None:
        self._fault = f"{step}: {error}"
        if step not in self._logged:
            self._logged.add(step)
            log.error("conversation %s: %s failed; going on without it", self.id, step, exc_info=error)


def _plausible(felt: Felt) -> Felt:
    """A model of somebody's own may give anything; a turn holds numbers only."""
    wrong = [label for label, p in (felt.probabilities or {}).items() if not 0 <= p <= 1]
    if wrong:
        raise ValueError(f"{wrong[0]} has a probability that is none")
    return felt
