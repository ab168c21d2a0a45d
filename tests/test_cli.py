"""The commands, as a person types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from entrain.audio import Audio
from entrain.history import History

BECKETT = str(files("moonshine_voice").joinpath("assets/beckett.wav"))


def entrain(*args: str, code: int = 0, typed: str = "") -> str:
    """Run the command in a process of its own; its standard output, or its standard error where it should fail."""
    done = subprocess.run(
        [sys.executable, "-m", "entrain", *args],
        input=typed,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=os.environ | {"COLUMNS": "140"},
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr if code else done.stdout


def test_help_of_every_command_teaches():
    assert "Begin with" in entrain("--help")
    for command in ("say", "converse", "features", "report", "measure", "voice", "doctor", "demo", "history"):
        assert len(entrain(command, "--help")) > 200


@pytest.mark.parametrize("verb", ["train", "evaluate"])
def test_every_kind_of_network_has_the_same_options(verb: str):
    assert all(f" {kind} " in entrain(verb, "--help") for kind in ("model", "vad", "wake", "emotion"))
    shared = {
        "train": ("--resume", "--set", "--seed", "--epochs", "--accelerator", "--json"),
        "evaluate": ("--out", "--json"),
    }
    for kind in ("model", "vad", "wake", "emotion"):
        told = entrain(verb, kind, "--help")
        assert "Example: entrain" in told
        assert all(option in told for option in shared[verb])


def test_version():
    assert entrain("--version").strip() == "0.1.0"


def test_say_writes_audio_and_reports_what_was_realised(tmp_path):
    out = tmp_path / "slow.wav"
    result = json.loads(
        entrain("say", "We open at nine.", "--pitch", "-1.5", "--rate", "0.9", "-o", str(out), "--json")
    )
    assert abs(result["f0_mean_st"] - result["aim_f0_mean_st"]) < 0.2
    assert Audio.read(out).rate_hz == 24_000


def test_features_as_json_with_the_canonical_profile(data):
    path = str(data / "two_channel" / "LJ025-0076.wav")
    result = json.loads(entrain("features", path, "--profile", "praat-75-600", "--json"))
    assert result["jitter"] == pytest.approx(0.012706831021543774, rel=1e-6)


def test_a_conversation_from_files_then_its_report_and_history(tmp_path):
    (tmp_path / "replies.txt").write_text("Try again.\nFail better.\n")
    out, store = tmp_path / "talk", str(tmp_path / "talks.sqlite")
    turns = []
    for i, (start_s, end_s) in enumerate([(0.0, 3.1), (3.2, 6.0)]):
        turns.append(str(Audio.read(BECKETT).part(start_s, end_s).write(tmp_path / f"user{i}.wav")))
    result = json.loads(entrain("converse", "--user", *turns, "--replies", str(tmp_path / "replies.txt"), "-o", str(out),
                                "--store", store, "--conversation", "b", "--json"))  # fmt: skip
    assert [turn["speaker"] for turn in result["turns"]] == ["user", "agent"] * 2
    assert "ever tried" in result["turns"][0]["text"].lower()
    assert (out / "02-agent.wav").exists()
    assert "<html" in (out / "report.html").read_text()
    assert len((out / "conversation.jsonl").read_text().splitlines()) == 4

    entrain("report", str(out / "conversation.jsonl"), "-o", str(tmp_path / "again.html"))
    assert "Fail better" in (tmp_path / "again.html").read_text()
    for page in (out / "report.html", tmp_path / "again.html"):
        assert page.read_text().count("Where the model looked") == 2
    following = {
        strategy: json.loads(
            entrain("say", "Try again, then.", "--after", str(out / "conversation.jsonl"), "--strategy", strategy,
                    "-o", str(tmp_path / "next.wav"), "--json")
        )
        for strategy in ("neural", "neutral")
    }  # fmt: skip
    assert following["neural"]["f0_mean_st"] != following["neutral"]["f0_mean_st"]
    assert following["neutral"]["engine"] == "none"
    measures = json.loads(entrain("measure", str(out / "conversation.jsonl"), "--draws", "20", "--json"))
    assert {m["name"]: m["n"] for m in measures}["global_proximity"] == 4
    assert entrain("history", "list", "--store", store).split() == ["b"]
    exported = entrain("history", "export", "b", "--store", store)
    assert len(History.from_json(exported)) == 4
    entrain("history", "delete", "b", "--store", store)
    (tmp_path / "b.json").write_text(exported)
    entrain("history", "import", str(tmp_path / "b.json"), "--store", store)
    assert entrain("history", "export", "b", "--store", store) == exported


def test_a_wizard_decides_at_the_prompt(tmp_path):
    (tmp_path / "replies.txt").write_text("Fail better.\n")
    result = json.loads(entrain("converse", "--user", BECKETT, "--replies", str(tmp_path / "replies.txt"), "--strategy", "wizard",
                                "-o", str(tmp_path), "--json", typed="f0_mean_st=-1.2 rate_syll_s=0.5\n"))  # fmt: skip
    plan = result["turns"][-1]["plan"]
    assert plan["f0_shift_st"] < -1
    assert plan["rate_factor"] > 1.03
    assert plan["weight_level"] == 0


def test_doctor_finds_what_the_main_job_needs():
    findings = {f["what"]: f for f in json.loads(entrain("doctor", "--json"))}
    assert all(f["ok"] for f in findings.values() if f["needed"])
    assert all(f["mend"] for f in findings.values() if not f["ok"])


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["features", __file__], "not readable as audio"),
        (["features", "nowhere.wav"], "no such file"),
        (["features", BECKETT, "--profile", "x"], "Select one of"),
        (["say", "Hi.", "--tts", "siri"], "Select one of"),
        (["say", "🙂"], "nothing to say"),
        (["say", "Hi.", "--after", "nowhere.jsonl"], "no file"),
        (["say", "Hi.", "--after", "talk.jsonl", "--pitch", "1"], "leave --pitch"),
        (["converse", "--user", BECKETT, "--strategy", "neural:nowhere"], "entrain train"),
        (["say", "Hi.", "--engine", "sox"], "Select one of"),
        (["converse"], "--user one.wav"),
        (["converse", "--user", BECKETT, "--responder", "oracle"], "Select one of"),
        (["report", "nowhere.jsonl"], "no file"),
        (["report", __file__], "not a conversation"),
        (["measure", "nowhere.jsonl"], "no file"),
        (["measure", "nowhere.csv"], "No such file"),
    ],
    ids=lambda value: " ".join(value)[:30] if isinstance(value, list) else "",
)
def test_what_a_user_can_mend_is_a_sentence_and_exit_code_2(args, says):
    message = " ".join(entrain(*args, code=2).split())
    assert says in message
    assert "Traceback" not in message


def test_import_is_light():
    code = "import sys, entrain; assert not {'torch', 'parselmouth', 'hibari', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_demo_moves_the_agent_both_ways(tmp_path):
    table = entrain("demo", "--out", str(tmp_path / "demo"))
    rows = {
        cells[1].strip(): cells[4].split()
        for line in table.splitlines()
        if len(cells := line.split("│")) == 6
    }
    slow_low, fast_high = (rows[name] for name in ("slow and low", "fast and high"))
    assert float(slow_low[0]) < -0.3 < 0.3 < float(fast_high[0]), "semitones against the control"
    assert float(slow_low[2][1:]) < 1.03 < float(fast_high[2][1:]), "rate against the control"
    pages = list(Path(tmp_path / "demo").glob("*/report.html"))
    assert len(pages) == 4


def test_the_command_line_needs_nothing_optional_to_start():
    code = "import sys, entrain.cli; print([m for m in ('starlette', 'fastapi', 'sounddevice', 'torch') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
