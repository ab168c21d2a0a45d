"""The model that ships: rate learnt from free corpora of real talk, the other features from the simulator; with its card.

    python -m entrain_training.ship prepared        writes entrain/data/model (`make weights` prepares the tables first)

No free corpus of two-party talk has pitch and level at scale. So each conversation is there twice: as it is, with its rate only; and
again with the six other features simulated on its turns, at moderate coupling and without effects of the words. Both copies have the
same speakers, so they are never parted between training and test. What ships is the very network that was evaluated.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from entrain.turn import FEATURES
from entrain.weights import SHIPPED
from entrain_training.coupling import COUPLINGS
from entrain_training.evaluate import evaluate
from entrain_training.findings import RunResult
from entrain_training.scores import Score
from entrain_training.sham import Sham
from entrain_training.simulate import fill_table
from entrain_training.table import read_table, write_table
from entrain_training.train import Training, fit

pc: Any = import_module("pyarrow.compute")
pa: Any = import_module("pyarrow")

OUT = Path(__file__).parents[1] / "entrain" / SHIPPED
SIMULATED = tuple(name for name in FEATURES if name != "rate_syll_s")
COUPLING = COUPLINGS["moderate"].model_copy(update={"text": 0.0})
AGAIN = " with simulated voices"  # after the id of a conversation's second copy


def with_voices(table: Any, seed: int) -> Any:
    """A table of turns that have only their rate, again with the other six features simulated."""
    names = pc.binary_join_element_wise(table["conv"], pa.scalar(AGAIN), "")
    place = table.column_names.index("conv")
    return fill_table(table.set_column(place, table.schema.field("conv"), names), SIMULATED, COUPLING, seed)


def model_card(result: RunResult, learnt_from: dict[str, Any]) -> str:
    """What it was trained on, how it does, and what it can't: for people, as Markdown."""
    rows = [row for row in result.scores if row.feature == "rate_syll_s" and row.fed == "recorded"]
    lines = [
        "# The model that ships with entrain",
        "",
        "Predicts how a human partner would say the next reply. Made by `make weights`; licence GPL-3.0-or-later.",
        "",
        "| learnt | from |",
        "|---|---|",
        "| rate | real talk: AMI (English meetings), Spjallrómur (Icelandic chats), both CC BY 4.0; turn tables, no audio |",
        f"| {', '.join(SIMULATED)} | a simulator: {COUPLING.model_dump()} |",
        "",
        "**Not learnt from people: pitch, pitch range, level, voice quality.** There it does what the simulator was told that people do:",
        "follow the partner's last turn (r = .2) and drift towards their level. The simulator's words ask for nothing.",
        "PriMock57 (English consultations, CC BY 4.0) was only used for the test: its doctors recur and can't be told apart.",
        "",
        f"## Rate, {result.n_turns:,} turns of {result.n_speakers} speakers it never heard ({result.n_shared_speakers} shared)",
        "",
        "| corpus | turns | smooth L1 | skill | 95 % interval | best trivial predictor |",
        "|---|---|---|---|---|---|",
        *(_row(row) for row in rows),
        "",
        "Skill is 1 − loss / loss of the best trivial predictor. With partners from other conversations instead of the true ones:",
        "",
        *map(_told, result.sham),
        "",
        "Most of the skill is in the reply's own words; what the partner adds is small, as in people.",
        f"Trained on {learnt_from['n_turns']:,} turns of {learnt_from['n_conversations']} conversations, each in two copies.",
        "Icelandic words are unknown to its vocabulary (91 %): of those it sees only length. It has seen meetings, chats and",
        "consultations, no children, no phone calls, no conversation with a machine.",
        "",
    ]
    return "\n".join(lines)


def _row(row: Score) -> str:
    figures = (
        f"{row.smooth_l1.value:.4f} | {row.skill.value:.3f} | {row.skill.low:.3f} to {row.skill.high:.3f}"
    )
    return f"| {row.corpus} | {row.turns}: {row.n:,} | {figures} | {row.best} |"


def _told(sham: Sham) -> str:
    more = sham.more_percent
    return f"- {sham.corpus}, {sham.kind}: loss {more.value:+.2f} % ({more.low:+.2f} to {more.high:+.2f}), p = {sham.p:.4f}"


def main(
    prepared: Annotated[Path, typer.Argument(help="Folder of prepared tables: ami, primock57, spjallromur.")],
    out: Annotated[Path, typer.Option(help="Where the model goes.")] = OUT,
    run: Annotated[Path, typer.Option(help="Where the training is kept; an unfinished one goes on.")] = Path(
        "runs/ship"
    ),
    epochs: Annotated[int, typer.Option(help="At most.")] = 14,
    seed: Annotated[int, typer.Option()] = 0,
) -> None:
    """Train, evaluate and write the model that ships."""
    tables = [prepared / name for name in ("ami", "primock57", "spjallromur")]
    voiced = run.parent / f"{run.name}-voices.parquet"
    run.parent.mkdir(parents=True, exist_ok=True)
    write_table([with_voices(read_table(table), seed) for table in tables], voiced)
    trained = fit([*tables, voiced], run, Training(epochs=epochs, seed=seed), resume=run.exists())
    result = evaluate([run], tables).runs[0]
    replace(trained, card=trained.card | {"rate": _figures(result)}).save(out)
    (out / "README.md").write_text(model_card(result, trained.card), encoding="utf-8")
    print(f"Written to {out}. Read its README.md.")


def _figures(result: RunResult) -> list[dict[str, Any]]:
    return [row.model_dump() for row in result.scores if row.feature == "rate_syll_s"]


if __name__ == "__main__":
    typer.run(main)
