"""A trained model on disk: config.json and model.safetensors, checked by sha256; and the same for other runtimes as ONNX."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import dataclass, field
from importlib import import_module
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import PositiveFloat, TypeAdapter, ValidationError
from safetensors import SafetensorError
from torch import Tensor, nn

from entrain.model import CONTEXT, MEL_BANDS, SHAPE, Model, ModelConfig, N, Now, State
from entrain.optional import require
from entrain.turn import FEATURES, SCHEMA
from entrain.words import Words

SHIPPED = "data/model"
FORMAT = 1

Learnt = Literal["real", "simulated", "no"]


class WeightsError(ValueError):
    """The model can't be read or used; the message names the file and says what to do."""


@dataclass(frozen=True)
class Trained:
    """A model ready to predict, and what is known of its training."""

    model: Model
    learnt: dict[str, Learnt]
    """Feature → from people, from the simulator, or not at all."""
    usual: tuple[float, ...] = (1.0,) * N
    """Scale of each feature's z where nothing is known of the conversation."""
    card: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it was trained on and how it does: for people."""
    scales: tuple[tuple[float, ...], ...] = ()
    """Deciles (9) of the scales that it predicted for each feature of people whom it did not know: how sure it usually is. Empty: not
    known."""

    def save(self, folder: str | Path) -> Path:
        """Write config.json and model.safetensors to `folder`, each whole or not at all."""
        folder = Path(folder)
        tensors = {name: t.detach().cpu().contiguous() for name, t in self.model.state_dict().items()}
        content: bytes = import_module("safetensors.torch").save(tensors)
        record = {
            "schema": SCHEMA,
            "format": FORMAT,
            "model": self.model.config.model_dump(mode="json"),
            "learnt": self.learnt,
            "usual": [round(value, 6) for value in self.usual],
            "scales": [[round(value, 6) for value in of] for of in self.scales],
            "sha256": hashlib.sha256(content).hexdigest(),
            "card": self.card,
        }
        _write(folder / "model.safetensors", content)
        _write(folder / "config.json", (json.dumps(record, indent=1) + "\n").encode())
        return folder

    @classmethod
    def load(cls, folder: str | Path | None = None) -> Trained:
        """From `folder`, or the one that ships. Raises `WeightsError` for a missing, truncated or altered file, or a newer form."""
        root = Path(str(files("entrain").joinpath(SHIPPED))) if folder is None else Path(folder)
        record = _read_config(root / "config.json")
        content = _read(root / "model.safetensors")
        found = hashlib.sha256(content).hexdigest()
        if found != record.get("sha256"):
            raise WeightsError(
                f"{root / 'model.safetensors'} is truncated or was altered (sha256 {found[:12]}…; config.json says "
                f"{str(record.get('sha256'))[:12]}…). Copy both files again from where the model was trained."
            )
        try:
            model = Model(ModelConfig.model_validate(record["model"]))
            model.load_state_dict(import_module("safetensors.torch").load(content))
            learnt = TypeAdapter(dict[str, Learnt]).validate_python(record["learnt"])
            usual = TypeAdapter(tuple[PositiveFloat, ...]).validate_python(record["usual"])
            scales = TypeAdapter(tuple[tuple[PositiveFloat, ...], ...]).validate_python(
                record.get("scales", ())
            )
        except (KeyError, TypeError, ValidationError, RuntimeError, SafetensorError) as error:
            raise WeightsError(
                f"{root / 'config.json'} does not describe the weights beside it: {error}"
            ) from error
        sizes = {len(learnt), len(usual), len(scales) or N}
        if model.config.features != FEATURES or set(learnt) != set(FEATURES) or sizes != {N}:
            raise WeightsError(
                f"{root / 'config.json'}: `model.features`, `learnt`, `usual` and `scales` must be of {', '.join(FEATURES)}."
            )
        return cls(model.eval(), learnt, usual, record.get("card", {}), scales)

    def check_words(self, words: Words) -> None:
        """Raises `WeightsError` if the model was trained with other vectors, or another tokeniser, than these."""
        config = self.model.config
        for name, own, given in (
            ("word vectors", config.vocabulary, words.id),
            ("tokeniser", config.tokeniser, ModelConfig().tokeniser),
        ):
            if config.words and own != given:
                raise WeightsError(
                    f"this model was trained with the {name} {own!r}, not {given!r}: its words would mean nothing. "
                    "Give the vectors it was trained with (--vectors), or train again."
                )


def _read_config(path: Path) -> dict[str, Any]:
    content = _read(path)
    try:
        record = json.loads(content)
        schema, form = record["schema"], record["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is not the config of an entrain model: {error}") from error
    if schema != SCHEMA or not isinstance(form, int) or form > FORMAT:
        raise WeightsError(
            f"{path} has schema {schema!r}, format {form!r}; this entrain reads {SCHEMA!r}, up to {FORMAT}. "
            "Upgrade entrain, or train the model again."
        )
    return record


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsError(
            f"{path} can't be read ({error}). Give a folder that `entrain train` has written."
        ) from error


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            temporary.write_bytes(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(
            f"the model can't be written to {path} ({error}). Make room or give another folder."
        ) from error


# --- ONNX -------------------------------------------------------------------------------------------------------------

INPUTS = (*(f"past_{name}" for name in State._fields), *Now._fields)
OUTPUTS = ("location", "scale", "over_turns", "over_words", *(f"next_{name}" for name in State._fields))


class OneTurn(nn.Module):
    """`foresee`, then `observe`, of one conversation: the graph that is exported. A text or sound of no length is given one row, of
    anything, and the length 0."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        n_state = len(State._fields)
        state, now = State(*tensors[:n_state]), Now(*tensors[n_state:])
        foreseen = self.model.foresee(state, now)
        return (*foreseen[:4], *self.model.observe(state, now, foreseen))


def export_onnx(trained: Trained, path: str | Path) -> Path:
    """The model as an ONNX graph of one turn: inputs and outputs named as `State` (past_…, next_…), `Now` and `Foresight`, which give
    their shapes; past turns, words and Mel vectors may be of any number. Raises `WeightsError` where the packages are missing."""
    onnx = require("onnx", "pip install 'entrain[onnx]'", WeightsError)
    require("onnxscript", "pip install 'entrain[onnx]'", WeightsError)
    export = import_module("torch.onnx").export
    model, path = trained.model.eval(), Path(path)
    past = _past(model, 0 if model.config.attention == "none" else 3)
    example = (*past, *silent(model, 5))
    config = model.config
    longer = {"past_us": 1, "past_keys": 1, "past_values": 1} if config.attention != "none" else {}
    longer |= {name: 0 for name in ("words", "mel") if getattr(config, name)}
    any_size = torch.export.Dim.DYNAMIC
    shapes = tuple({longer[name]: any_size} if name in longer else {} for name in INPUTS)
    gru: Any = torch.ops.aten.gru.input
    gru._dispatch_cache.clear()  # else torch 2.13 finds the last export's kernel there, and fixes the number of words
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program: Any = export(
            OneTurn(model),
            example,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_shapes=(shapes,),
            dynamo=True,
            verbose=False,
        )
    graph = program.model_proto
    del graph.graph.value_info[:]  # shapes between, some of them the example's
    used = {name for node in graph.graph.node for name in node.input}
    # Where the variant does not look, the example's lengths are written: inputs that must not be asked for, and one output.
    for unread in [given for given in graph.graph.input if given.name not in used]:
        graph.graph.input.remove(unread)
    for output in graph.graph.output:
        if output.name == "over_words":
            output.type.tensor_type.shape.dim[0].dim_param = "words"
    content = {"schema": SCHEMA, "vocabulary": config.vocabulary, "tokeniser": config.tokeniser}
    onnx.helper.set_model_props(
        graph, content | {"features": ",".join(FEATURES), "config": config.model_dump_json()}
    )
    _write(path, graph.SerializeToString())
    return path


def _past(model: Model, n: int) -> State:
    start, turns = model.start(), torch.zeros(1, n, model.config.hidden)
    return start._replace(keys=turns, values=turns.clone(), us=torch.ones(1, n))


def silent(model: Model, n: int = 1) -> Now:
    """A turn of which nothing is known yet, of `n` words and Mel vectors that are zeros."""
    zeros, none = torch.zeros, torch.zeros(1, dtype=torch.long)
    words = zeros(n, model.config.word_dim)
    return Now(
        zeros(1, N), zeros(1, N), zeros(1), zeros(1, len(CONTEXT)), zeros(1, model.config.n_emotion),
        zeros(1, len(SHAPE)), words, none + n,
        zeros(n, MEL_BANDS), none + n, torch.ones(1),
    )  # fmt: skip
