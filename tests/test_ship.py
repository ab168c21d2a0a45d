"""The model that ships: made by its command from small tables, and read again as it is when it ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from entrain.turn import FEATURES
from entrain.weights import Trained
from entrain_training import ship
from entrain_training.coupling import COUPLINGS
from entrain_training.prepare import prepare
from entrain_training.simulate import simulate
from entrain_training.table import conversations, read_table

CORPORA = ("ami", "primock57", "spjallromur")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three tables of turns with a rate, as the free corpora are."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, name in enumerate(CORPORA):
        rows = [
            f"{name}-small,{talk.id},{'AB'[who]},{start_s:.2f},{end_s:.2f},{text},{4 + z[3]:.3f}"
            for talk in simulate(24, (10, 16), COUPLINGS["moderate"], seed)
            for who, start_s, end_s, text, z in zip(
                talk.speaker, talk.start_s, talk.end_s, talk.text, talk.z.clip(-3), strict=True
            )
        ]
        csv = folder / f"{name}.csv"
        csv.write_text("\n".join(["corpus,conv,speaker,start,end,text,rate", *rows]) + "\n")
        prepare(csv, folder / name)
    return folder


def test_a_copy_has_the_same_people_and_all_features(prepared: Path) -> None:
    table = read_table(prepared / "ami")
    copy = ship.with_voices(table, seed=0)
    assert copy["speaker"] == table["speaker"]
    assert copy["rate_syll_s"] == table["rate_syll_s"]
    assert conversations(copy) == conversations(table)
    assert not set(copy["conv"].to_pylist()) & set(table["conv"].to_pylist())
    for name in ship.SIMULATED:
        assert table[name].null_count == len(table)
        assert 0 < copy[name].null_count < len(table) / 4


def test_what_ships_is_what_was_evaluated(prepared: Path, tmp_path: Path) -> None:
    out, run = tmp_path / "model", tmp_path / "run"
    ship.main(prepared, out, run, epochs=1, seed=0)
    shipped, trained = Trained.load(out), Trained.load(run)
    assert shipped.learnt == {name: "simulated" if name in ship.SIMULATED else "real" for name in FEATURES}
    assert (shipped.usual, shipped.scales) == (trained.usual, trained.scales)
    assert shipped.card == trained.card | {"rate": shipped.card["rate"]}
    assert (out / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    told = (out / "README.md").read_text(encoding="utf-8")
    assert shipped.card["rate"]
    assert all(
        f"{row['smooth_l1']['value']:.4f}" in told for row in shipped.card["rate"] if row["fed"] == "recorded"
    )
