"""The table of what Pipecat's voices can be told, against the source of the Pipecat that is installed."""

from __future__ import annotations

import ast
from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pipecat.services
import pytest
from pipecat.services.cartesia.tts import CartesiaTTSService, GenerationConfig
from pipecat.services.openai.tts import OpenAITTSService
from pipecat.services.rime.tts import RimeTTSService
from pipecat.services.settings import TTSSettings

from entrain.levers import Knobs, setting
from pipecat_entrain.told import LEVERS, delta, levers_of, now

SERVICES = Path(pipecat.services.__file__).parent


def settings_in_source() -> dict[str, tuple[str, set[str]]]:
    """Of every service, whether its client is installed or not: the module, and the fields that its settings declare."""
    found: dict[str, tuple[str, set[str]]] = {}
    for path in sorted(SERVICES.rglob("tts*.py")):
        module = "pipecat.services." + ".".join(path.relative_to(SERVICES).with_suffix("").parts)
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("TTSSettings"):
                names = {field.target.id for field in node.body if isinstance(field, ast.AnnAssign)}  # type: ignore[union-attr]
                found[node.name] = module, names
    return found


SOURCE = settings_in_source()


@pytest.mark.parametrize("name", LEVERS)
def test_every_setting_of_the_table_is_there(name: str):
    _, declared = SOURCE[name]
    assert {lever.name.split(".")[0] for lever in LEVERS[name]} <= declared


@pytest.mark.parametrize("name", LEVERS)
def test_an_update_of_them_is_what_the_service_takes(name: str):
    """Where its client is installed: the service's own class of settings, updated by its own method."""
    try:
        kind = getattr(import_module(SOURCE[name][0]), name)
    except ImportError as missing:
        pytest.skip(str(missing))
    settings = kind(**{field.name: None for field in fields(kind) if field.name != "extra"})
    levers = levers_of(settings)
    chosen = setting(levers, Knobs(pitch_st=1.0, rate_x=1.1, level_db=2.0))
    settings.apply_update(delta(settings, chosen.values))
    assert levers
    assert all(now(settings, lever.name) == chosen.values[lever.name] for lever in levers)
    assert chosen.applied.rate_x == 1.1, "all can be quicker"


def test_of_a_setting_that_holds_several_the_others_stay():
    settings = CartesiaTTSService.Settings(generation_config=GenerationConfig(emotion="content"))
    chosen = setting(levers_of(settings), Knobs(rate_x=1.1))
    settings.apply_update(delta(settings, chosen.values))
    assert (settings.generation_config.speed, settings.generation_config.emotion) == (1.1, "content")


def test_what_the_host_has_set_is_what_is_moved():
    settings = OpenAITTSService.Settings(speed=1.2)
    levers = levers_of(settings)
    usual = {lever.name: now(settings, lever.name) for lever in levers}
    assert setting(levers, Knobs(rate_x=1.1), usual).values == {"speed": pytest.approx(1.32)}


def test_what_is_heard_by_some_of_its_voices_only():
    assert [lever.name for lever in levers_of(RimeTTSService.Settings(model="coda"))] == ["timeScaleFactor"]
    assert [lever.name for lever in levers_of(RimeTTSService.Settings(model="mistv2"))] == ["speedAlpha"]


def test_a_service_without_settings_is_told_nothing():
    assert levers_of(TTSSettings(model=None, voice=None, language=None)) == ()
