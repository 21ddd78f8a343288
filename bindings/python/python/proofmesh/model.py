"""Models: from ONNX to an integer program, and model files."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from .errors import ModelRefused, named

Task = Literal["classify", "binary", "reconstruct"]

#: Integers beyond it are not exact in float32.
_EXACT = 1 << 24


class _Doc(TypedDict):
    """What the native side says of a model."""

    name: str
    id: str | None
    private_weights: bool
    input_shape: tuple[int, int, int]
    input_interval: tuple[int, int]
    output_words: int
    classes: list[str]
    report: dict[str, Any]


def document(text: str) -> dict[str, Any]:
    """A document that the native side wrote."""
    return cast(dict[str, Any], json.loads(text))


def numbers(x: ArrayLike, what: str) -> tuple[NDArray[np.float32], str]:
    """The array as contiguous float32, without a copy if it is that already, and how it was stored."""
    array = np.asarray(x)
    if array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
        raise ModelRefused("model.data-malformed", f"{what}: {array.dtype} is no array of numbers")
    if array.dtype.kind in "iu" and array.size and max(-int(array.min()), int(array.max())) > _EXACT:
        raise ModelRefused("model.data-malformed", f"{what}: an integer is beyond 2^24")
    stored = {"int8": "i8", "uint8": "u8"}.get(array.dtype.name, "float" if array.dtype.kind == "f" else "int")
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(converted).all():
        raise ModelRefused("model.data-malformed", f"{what}: a value is not finite in float32")
    return converted, stored


def table(x: ArrayLike, what: str) -> tuple[NDArray[np.float32], str]:
    """As :func:`numbers`, each row flat."""
    array, stored = numbers(x, what)
    if array.ndim < 2 or array.size == 0:
        raise ModelRefused("model.data-malformed", f"{what}: {array.shape} holds no rows of numbers")
    return array.reshape(len(array), -1), stored


class Model:
    """An integer program with what is needed to use it. Made by :func:`import_onnx` or :meth:`load`."""

    def __init__(self, native: _native.Model) -> None:
        self.native = native

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Reads a model file (``.pmesh``)."""
        return cls.from_bytes(Path(path).read_bytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> Model:
        """Reads a model file's bytes."""
        with named():
            return cls(_native.Model.decode(data))

    def to_bytes(self, *, public: bool = False) -> bytes:
        """The model file. ``public=True`` leaves private weights out: what verifiers get."""
        with named():
            return self.native.encode(public)

    def save(self, path: str | os.PathLike[str], *, public: bool = False) -> None:
        """Writes the model file; see :meth:`to_bytes`."""
        Path(path).write_bytes(self.to_bytes(public=public))

    @cached_property
    def _doc(self) -> _Doc:
        return cast(_Doc, json.loads(self.native.describe()))

    @property
    def name(self) -> str:
        """Name of the program; bound by its id."""
        return self._doc["name"]

    @property
    def id(self) -> str | None:
        """The model's id, ``0x`` text. None with private weights: their commitment belongs to it, see a statement."""
        return self._doc["id"]

    @property
    def private_weights(self) -> bool:
        """Whether statements hide the weights."""
        return self._doc["private_weights"]

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Channels, rows, columns of one input."""
        c, h, w = self._doc["input_shape"]
        return c, h, w

    @property
    def input_interval(self) -> tuple[int, int]:
        """Bounds of the input integers, proven for every input."""
        lo, hi = self._doc["input_interval"]
        return lo, hi

    @property
    def output_words(self) -> int:
        """Public integers that one input gives."""
        return self._doc["output_words"]

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the output; may be empty."""
        return list(self._doc["classes"])

    @property
    def report(self) -> dict[str, Any]:
        """What the import found: scales, clipping, tables, figures on the calibration set, warnings."""
        return self._doc["report"]

    def rows(self, x: ArrayLike) -> NDArray[np.float32]:
        """Rows of numbers as this model reads them. One input may come without the axis of rows."""
        array, _ = numbers(x, "x")
        size = int(np.prod(self.input_shape))
        if array.size == 0 or array.size % size:
            raise ModelRefused(
                "model.data-malformed",
                f"x: {array.shape} does not fill rows of {self.input_shape}, {size} numbers each",
            )
        return array.reshape(-1, size)

    def run(self, x: ArrayLike) -> NDArray[np.int32]:
        """Runs the integer program without a proof: the public outputs of each row, ``[rows, output_words]``."""
        with named():
            words = self.native.run(self.rows(x))
        return np.array(words, dtype=np.int32).reshape(-1, self.output_words)

    def evaluate(self, x: ArrayLike, y: ArrayLike) -> dict[str, Any]:
        """The integer program beside the float model on labelled rows: scores, share of equal answers, error.

        Only for a model that this process imported: a model file does not hold the float model.
        """
        rows, stored = table(x, "x")
        labels, _ = numbers(y, "y")
        with named():
            return document(self.native.evaluate(rows, list(rows.shape), stored, labels))

    def forecast(self, batch: int = 1) -> dict[str, Any]:
        """About what a proof of so many inputs costs: milliseconds, bytes of memory and of proof, bits of soundness."""
        with named():
            return document(self.native.forecast(batch))

    def __str__(self) -> str:
        named_by = self.id or "with the commitment to its weights"
        return f"model          {self.name}\nid             {named_by}\n{self.native.report()}"

    def __repr__(self) -> str:
        return f"<proofmesh.Model {self.name!r} {self.id or 'with private weights'} input {self.input_shape}>"


def import_onnx(
    onnx: str | os.PathLike[str] | bytes,
    calibration: ArrayLike,
    *,
    name: str | None = None,
    classes: Sequence[str] = (),
    task: Task = "classify",
    outputs: Sequence[str] | str = (),
    private_weights: bool = False,
    public_channels: tuple[int, int] = (0, 0),
    stored: tuple[int, float] | None = None,
    input_range: tuple[float, float] | None = None,
    input_interval: tuple[int, int] | None = None,
    onnx_output: str | None = None,
    clip: bool = False,
    target_error: float | None = None,
) -> Model:
    """Turns an ONNX model into an integer program.

    Parameters
    ----------
    onnx
        Path or bytes of the model.
    calibration
        Typical inputs, one a row.
    name
        Name of the program, bound by its id; by default the file's.
    outputs
        What a proof shows, in order: ``"values"``, ``"argmax"``, or a trigger on an input channel such as
        ``"min(0)<=-40"``. By default the class, or the values where there are no classes.
    private_weights
        Whether statements hide the weights behind a commitment.
    public_channels
        First and past-the-last input channel that statements show.
    stored
        ``(sub, div)``: rows hold integers q that stand for ``(q - sub) / div``.
    input_range
        Smallest and largest value of the sensor, for real values. Without it and without ``stored`` the
        calibration set's.
    input_interval
        Bounds of the input integers, proven for every input.
    onnx_output
        Which of several ONNX outputs to prove.
    clip
        Clip outliers of hidden values where that lowers the error.
    target_error
        Largest error of the output that 8 bits may cause, as a share of its spread.

    Raises
    ------
    ModelRefused
        ``model.onnx-malformed``, ``model.node-unsupported`` (with the node's name and what to do),
        ``model.model-unsupported``, ``model.data-malformed``, ``model.options-contradict``,
        ``model.program-out-of-bounds``.
    """
    if isinstance(onnx, bytes):
        source, data = "", onnx
    else:
        source, data = Path(onnx).name, Path(onnx).read_bytes()
    rows, kind = table(calibration, "calibration")
    options = {
        "name": name or Path(source).stem or "model",
        "source_file": source,
        "onnx_output": onnx_output,
        "private_weights": private_weights,
        "outputs": [outputs] if isinstance(outputs, str) else list(outputs),
        "public_channels": public_channels,
        "stored": stored,
        "input_range": input_range,
        "input_interval": input_interval,
        "classes": [str(c) for c in classes],
        "task": task,
        "clip": clip,
        "target_error": target_error,
    }
    with named():
        return Model(_native.Model.import_onnx(data, rows, list(rows.shape), kind, json.dumps(options)))
