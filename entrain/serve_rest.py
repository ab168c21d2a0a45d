"""REST: the user's turn, the agent's, what was really said; history, report, deletion."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse, Response
from pydantic import ValidationError

from entrain import __version__, messages
from entrain.audio import Audio
from entrain.conversation import Conversation
from entrain.report import write_report
from entrain.sessions import Session, Sessions, of
from entrain.sound import read_sound
from entrain.strategy import look
from entrain.turn import Turn

REPORT_CSP = (
    "default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:; frame-ancestors 'none'"
)
WHY = {
    401: "The token is missing or wrong.",
    404: "There is no such conversation.",
    409: "Out of order, busy, live, or changed by another worker.",
    413: "Too large, or too long a turn.",
    422: "The request is not as described here, or holds no audio.",
    429: "Too many requests.",
    503: "Full, or the store can't be reached.",
}
Responses = dict[int | str, dict[str, Any]]
PROBLEMS: Responses = {status: {"model": messages.Problem, "description": why} for status, why in WHY.items()}
# The same where a good answer is no JSON: FastAPI would say that errors are none either.
IN_JSON = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
PROBLEMS_IN_JSON: Responses = {
    status: {"content": IN_JSON, "description": why} for status, why in WHY.items()
}
Id = Annotated[
    str,
    InPath(pattern=messages.ID_PATTERN, description="The conversation's name, chosen by the host.", examples=["kiosk-7"]),
]  # fmt: skip


rest = APIRouter(responses=PROBLEMS)
BODIES = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/UserTurn"}},
            "multipart/form-data": {"schema": {"type": "object", "required": ["audio"], "properties": {
                "audio": {"type": "string", "format": "binary"}, "text": {"type": "string", "maxLength": 5000},
                "start_s": {"type": "number", "minimum": 0}, "turn": {"type": "integer", "minimum": 0},
                "register": {"type": "string", "enum": ["any", "low", "high"]}}}},
        },
    }
}  # fmt: skip


@rest.post("/v1/conversations/{id}/user_turn", tags=["conversation"], openapi_extra=BODIES)
async def user_turn(request: Request, id: Id) -> messages.Remembered:
    """The user's turn: measured, recognised unless its text is given, and remembered. JSON, or a form with a file."""
    sessions = of(request)
    body = await _user_turn(request)
    audio = await sessions.run(read_sound, body.audio, sessions.limits.turn_s)
    async with sessions.use(id, body.of_register, body.turn) as session:
        began = time.perf_counter()
        turn = await sessions.run(session.talk.hear, audio, body.text, start_s=body.start_s)
        session.heard_s = time.perf_counter() - began
        sessions.metrics.steps_s.labels("hear").observe(session.heard_s)
        return _remembered(sessions, session, turn)


@rest.post("/v1/conversations/{id}/agent_turn", tags=["conversation"])
async def agent_turn(request: Request, id: Id, body: messages.AgentTurn) -> messages.Reply:
    """How the reply should sound now; and, unless `synthesise` is false, the reply in the server's voice, which is remembered."""
    sessions = of(request)
    run = sessions.run
    async with sessions.use(id, number=body.turn) as session:
        await run(sessions.steer, session, body.strength, body.strategy)
        began = time.perf_counter()
        session.planned = targets = await run(session.talk.plan, body.text)
        plan_s = time.perf_counter() - began
        sessions.metrics.steps_s.labels("plan").observe(plan_s)
        if session.heard_s is not None:
            sessions.metrics.targets_s.observe(session.heard_s + plan_s)
            session.heard_s = None
        if not body.synthesise:
            return messages.Reply(targets=targets)
        with sessions.metrics.step("say"):
            speech = await run(session.talk.say, body.text, targets)
            wav = base64.b64encode(await run(speech.audio.wav)).decode()
        kept = _remembered(sessions, session, speech.turn)
        return messages.Reply(
            targets=targets, number=kept.number, turn=kept.turn, realised=speech.realised, audio=wav,
            rate_hz=speech.audio.rate_hz,
        )  # fmt: skip


@rest.post("/v1/conversations/{id}/spoke", tags=["conversation"])
async def spoke(request: Request, id: Id, body: messages.Spoke) -> messages.Remembered:
    """What the agent really said in the host's own voice: measured, if its audio is given, and remembered instead of the plan."""
    sessions = of(request)
    audio = await sessions.run(read_sound, body.audio, sessions.limits.turn_s) if body.audio else None
    async with sessions.use(id, number=body.turn) as session:
        targets, session.planned = body.targets or session.planned, None
        with sessions.metrics.step("spoke"):
            turn = await sessions.run(session.talk.spoke, body.text, audio, targets, body.start_s)
        return _remembered(sessions, session, turn)


@rest.get("/v1/conversations/{id}", tags=["kept"])
async def history(
    request: Request, id: Id, looked: Annotated[bool, Query(description="Where the model looked for each reply, too.")] = False
) -> messages.Conversation:  # fmt: skip
    """All that is kept of a conversation, every turn."""
    sessions = of(request)
    async with sessions.use(id, begin=False, change=False) as session:
        record = json.loads(await sessions.run(_export, session.talk))
        turns = [messages.private(Turn.model_validate(turn)) for turn in record["turns"]]
        where = await sessions.run(look, session.talk.entrainer.strategy, turns) if looked else None
    found = (
        None
        if where is None
        else {i: messages.LookedAt(turns=at.turns, words=at.words) for i, at in where.items()}
    )
    return messages.Conversation.model_validate(record | {"turns": turns, "looked": found})


@rest.get(
    "/v1/conversations/{id}/report", tags=["kept"], response_class=HTMLResponse, responses=PROBLEMS_IN_JSON
)
async def report(request: Request, id: Id) -> HTMLResponse:
    """The conversation as one self-contained page: both voices over time, the plan against the realised."""
    sessions = of(request)
    async with sessions.use(id, begin=False, change=False) as session:
        page = await sessions.run(_report, session.talk)
    return HTMLResponse(page, headers={"content-security-policy": REPORT_CSP})


@rest.delete("/v1/conversations/{id}", tags=["kept"])
async def delete(request: Request, id: Id) -> messages.Deleted:
    """Delete a conversation whole: turns, sound, and its live session, if one is going on. There is no way back."""
    return messages.Deleted(deleted=await of(request).forget(id))


@rest.get("/metrics", tags=["operation"], response_class=PlainTextResponse, responses=PROBLEMS_IN_JSON)
async def metrics(request: Request) -> Response:
    """Figures for Prometheus."""
    sessions = of(request)
    sessions.tidy()
    body, kind = sessions.metrics.text()
    return Response(body, media_type=kind)


@rest.get("/healthz", tags=["operation"])
async def healthz() -> messages.Health:
    """The server can answer. Needs no token."""
    return messages.Health(version=__version__)


def _remembered(sessions: Sessions, session: Session, turn: Turn) -> messages.Remembered:
    sessions.metrics.count(turn)
    return messages.Remembered(number=len(session.talk.history) - 1, turn=messages.private(turn))


async def _user_turn(request: Request) -> messages.UserTurn:
    """The body, of a form or of JSON; decoding megabytes is not for the event loop."""
    run = of(request).run
    try:
        if request.headers.get("content-type", "").startswith("multipart/form-data"):
            async with request.form(max_files=1, max_fields=8) as form:
                fields = {name: v if isinstance(v, str) else await v.read() for name, v in form.items()}
            return await run(messages.UserTurn.model_validate, fields)
        return await run(messages.UserTurn.model_validate_json, await request.body())
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_input=False, include_url=False)) from error


def _export(talk: Conversation) -> str:
    store, history = talk.entrainer.store, talk.history
    return history.to_json(store.all_turns(talk.id) if store and history.n_forgotten else None)


def _report(talk: Conversation) -> str:
    agent, turns = talk.entrainer, list(talk.turns)
    meta = {"voice": agent.tts.name, "strategy": agent.strategy.name, "strength": f"{talk.policy.strength:g}"}
    sounds: dict[int, Audio | Path] = {i: Path(t.audio_file) for i, t in enumerate(turns) if t.audio_file}
    with tempfile.TemporaryDirectory() as folder:
        looked = look(agent.strategy, turns)
        page = write_report(
            turns, Path(folder) / "report.html", f"Conversation {talk.id}", sounds, meta, looked
        )
        return page.read_text(encoding="utf-8")
