"""The ears' page: whole, self-contained, the same in three forms."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from entrain.report import svg
from entrain_training.sections import Figure, Grid, Section, commit, read, write


def _line(figure: Any) -> None:
    figure.subplots().plot([0, 1], [0, 1])


SECTION = Section(
    name="vad", title="Voice activity <b>", note="Five seeds: 0 to 4.",
    grids=(Grid(title="By network", head=("network", "AUC"), rows=(("lstm", "0.950"), ("a|b", "0.9"))),),
    figures=(Figure(title="ROC", svg=svg(partial(_line), (3, 2), "roc"), alt="True against false."),),
    left_out=("ten-vad: not installed",), data={"auc": 0.95},
)  # fmt: skip


def test_a_page_in_three_forms(tmp_path: Path):
    page = write([SECTION], tmp_path, "Trained ears")
    html = page.read_text()
    for told in (
        "Trained ears",
        "Voice activity &lt;b&gt;",
        "0.950",
        "<svg",
        "ten-vad: not installed",
        "Five seeds",
    ):
        assert told in html
    assert "http" not in html.split("</style>")[1].replace("http://www.w3.org", "")  # nothing from elsewhere
    assert "| a\\|b | 0.9 |" in (tmp_path / "results.md").read_text()
    stored = json.loads((tmp_path / "results.json").read_text())
    assert stored["sections"][0]["data"] == {"auc": 0.95}
    assert stored["about"]["commit"] == commit()
    assert read(tmp_path) == (SECTION,)
