"""A whole conversation from files: the user's recorded turns in; replies, a record and a report out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from entrain.audio import Audio, AudioError
from entrain.conversation import Conversation, Entrainer
from entrain.endpoint import find_turns
from entrain.history import History, HistoryError
from entrain.normalize import Register
from entrain.report import write_report
from entrain.responder import Responder
from entrain.store import Store
from entrain.strategy import Looked, look
from entrain.turn import Turn

THINKING_S = 0.4  # between a turn and its answer, on the conversation's clock


def user_turns(files: Sequence[Path], split_s: float = 0.0) -> list[Audio]:
    """The turns in these files: one a file, or, with `split_s`, one for each stretch between pauses that long."""
    if not files:
        raise AudioError("there are no user turns; give audio files: --user one.wav two.wav")
    turns: list[Audio] = []
    for path in files:
        audio = Audio.read(path)
        spans = find_turns(audio, split_s) if split_s > 0 else [(0.0, audio.duration_s)]
        turns += [audio.part(start_s, end_s) for start_s, end_s in spans]
    return turns


def hold(
    agent: Entrainer,
    turns: Iterable[Audio],
    responder: Responder,
    out: Path,
    texts: Sequence[str] = (),
    conversation_id: str | None = None,
    title: str = "",
    register: Register = "any",
    before_reply: Callable[[str, str], None] = lambda heard, reply: None,
) -> dict[str, Any]:
    """Answer every turn; write each reply's wav, `conversation.jsonl` as it goes, and `report.html`.

    `texts`: what the user says, a line a turn; a turn without one is recognised. `before_reply` is called with the user's words
    and the reply's before it is planned: there a Wizard of Oz sets the aims. Returns what was written, for JSON.
    """
    out.mkdir(parents=True, exist_ok=True)
    sounds: dict[int, Audio] = {}
    record = out / "conversation.jsonl"
    with agent.conversation(conversation_id, register) as talk, record.open("w", encoding="utf-8") as lines:
        first = len(talk.turns)
        for number, audio in enumerate(turns):
            given = texts[number] if number < len(texts) else None
            sounds[len(talk.turns) - first] = audio
            heard = talk.hear(audio, given, start_s=talk.now_s + (THINKING_S if number else 0.0))
            reply = responder.reply(heard.text, talk.turns)
            before_reply(heard.text, reply)
            speech = talk.say(reply)
            sounds[len(talk.turns) - 1 - first] = speech.audio
            speech.audio.write(out / f"{number + 1:02d}-agent.wav")
            lines.writelines(turn.model_dump_json() + "\n" for turn in (heard, speech.turn))
            lines.flush()  # a talk that is broken off has its record
        spoken = talk.turns[first:]
        page = report_talk(talk, first, out / "report.html", sounds, responder.name, title)
        return {
            "id": talk.id,
            "record": str(record),
            "report": str(page),
            "turns": [t.model_dump() for t in spoken],
        }


def report_talk(
    talk: Conversation, first: int, path: Path, audio: Mapping[int, Audio | Path], answers_by: str, title: str = ""
) -> Path:  # fmt: skip
    """The page about a talk from its turn `first` on; `audio` is by place from there."""
    agent = talk.entrainer
    meta = {"voice": agent.tts.name, "strategy": agent.strategy.name, "strength": f"{agent.policy.strength:g}",
            "waveform engine": agent.engine, "answers by": answers_by}  # fmt: skip
    looked = look(agent.strategy, talk.turns)
    return write_report(
        talk.turns[first:], path, title=title or f"Conversation {talk.id}", audio=audio, meta=meta,
        looked={i - first: Looked(at.turns[first:], at.words) for i, at in looked.items() if i >= first},
    )  # fmt: skip


def read_conversation(source: str, store: str | None = None) -> list[Turn]:
    """The turns of a `conversation.jsonl`, an exported `.json`, or a stored conversation's id.

    Raises `HistoryError` that names the file and line at fault.
    """
    path = Path(source)
    if not path.is_file():
        if store is None:
            raise HistoryError(
                f"there is no file {source!r}. Give a file, or --store for a stored conversation's id."
            )
        turns = Store(store).all_turns(source)
        if not turns:
            raise HistoryError(f"there is no conversation {source!r} in the store. See: entrain history list")
        return turns
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".jsonl":
        return History.from_json(text).turns
    turns: list[Turn] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            turns.append(Turn.model_validate_json(line))
        except ValidationError as error:
            raise HistoryError(f"{source}, line {number} is not a turn: {error}") from error
    return turns
