"""Proofs: make them, verify them, describe them."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import _native
from .errors import Refused, named
from .model import Model, document


@dataclass(frozen=True)
class Check:
    """A stage of the check that passed, and what has been seen by then."""

    name: str
    about: str


@dataclass(frozen=True, eq=False)
class Input:
    """One input of a statement."""

    #: Salted commitment to the private elements, ``0x`` text.
    commitment: str
    #: The public elements, row-major.
    public: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Statement:
    """What a proof shows, without the program, which the model file holds.

    Put it together yourself when you verify: one that came with the proof says only what its prover wanted to
    prove. ``dataclasses.replace`` changes a field.
    """

    #: The model's id.
    model: str
    #: Commitment to private weights.
    weights: str | None
    #: The inputs in order.
    inputs: tuple[Input, ...]
    #: Public outputs of each input, ``[inputs, words]``.
    outputs: NDArray[np.int32]
    #: What the proof is bound to.
    context: bytes

    @classmethod
    def from_json(cls, text: str | bytes) -> Statement:
        """Reads the document that ``proofmesh prove`` writes beside a proof. Raises :class:`Refused`, ``statement.json``."""
        try:
            doc = json.loads(text)
            inputs = (Input(i["commitment"], np.array(i["public"], np.int32)) for i in doc["inputs"])
            outputs = np.array(doc["outputs"], np.int32).reshape(len(doc["outputs"]), -1)
            context = bytes.fromhex(doc["context"].removeprefix("0x"))
            return cls(doc["model"], doc["weights"], tuple(inputs), outputs, context)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            raise Refused("statement.json", "a statement", repr(error)) from None

    def to_json(self) -> str:
        """The document."""
        doc = {
            "model": self.model,
            "weights": self.weights,
            "inputs": [{"commitment": i.commitment, "public": np.asarray(i.public).tolist()} for i in self.inputs],
            "outputs": np.asarray(self.outputs).tolist(),
            "context": "0x" + bytes(self.context).hex(),
        }
        return json.dumps(doc, indent=2)

    def replace(self, **changes: Any) -> Statement:
        """The statement with other fields."""
        return replace(self, **changes)


@dataclass(frozen=True, eq=False)
class Proof:
    """A proof file and the statement that its prover makes."""

    data: bytes
    statement: Statement

    @property
    def outputs(self) -> NDArray[np.int32]:
        """Public outputs of each input, ``[inputs, words]``."""
        return self.statement.outputs

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the proof to PATH and its statement to PATH.json, as the command line does."""
        path = Path(path)
        path.write_bytes(self.data)
        path.with_name(path.name + ".json").write_text(self.statement.to_json())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Proof:
        """Reads a proof and the statement beside it."""
        path = Path(path)
        text = path.with_name(path.name + ".json").read_text()
        return cls(path.read_bytes(), Statement.from_json(text))

    def __len__(self) -> int:
        return len(self.data)

    def __repr__(self) -> str:
        return f"<proofmesh.Proof {len(self.data)} bytes, {len(self.statement.inputs)} inputs, outputs {self.outputs.tolist()}>"


def prove(
    model: Model,
    x: ArrayLike,
    *,
    context: bytes = b"",
    weight_seed: bytes | None = None,
) -> Proof:
    """Proves what the model says about rows, in one proof; the rows stay hidden.

    Parameters
    ----------
    x
        One input or several; each is committed under a fresh salt.
    context
        What the proof is bound to: job, device, nonce.
    weight_seed
        With private weights: 32 secret bytes from which the salt of their commitment follows, the same for
        every proof of one model (``secrets.token_bytes(32)`` once).

    Raises
    ------
    ModelRefused
        Rows that do not fit the model.
    Failed
        ``prover.weight-seed``, ``prover.failed``, ``machine.randomness``, ``statement.*``.
    """
    rows = model.rows(x)
    with named():
        data, statement = _native.prove(model.native, rows, bytes(context), weight_seed)
    return Proof(data, Statement.from_json(statement))


def verify(model: Model, proof: Proof | bytes, statement: Statement | None = None) -> tuple[Check, ...]:
    """Verifies a proof; gives the stages that passed, in order.

    Without ``statement`` the proof's own is checked: that shows only that the prover can prove *something* about
    this model. Compare its outputs, inputs and context with what you wanted, or give your own.

    Raises
    ------
    Refused
        With the name of the check that failed, the same as the native verifier's.
    """
    if statement is None:
        if not isinstance(proof, Proof):
            raise TypeError("verify: bytes need a statement")
        statement = proof.statement
    data = proof.data if isinstance(proof, Proof) else bytes(proof)
    verdict = document(_native.verify(model.native, statement.to_json(), data))
    passed = tuple(Check(**check) for check in verdict["checks"])
    if verdict["ok"]:
        return passed
    raise Refused(verdict["check"], verdict["expected"], verdict["got"], verdict["stage"], passed)


def inspect(proof: Proof | bytes, model: Model | None = None) -> dict[str, Any]:
    """Describes a proof without verifying it; with its model also how sound a proof of its statement is.

    Raises
    ------
    Refused
        ``proof.size``, ``proof.encoding``; with a model also those of the statement.
    """
    statement = proof.statement.to_json() if isinstance(proof, Proof) and model is not None else None
    data = proof.data if isinstance(proof, Proof) else bytes(proof)
    native = model.native if model is not None else None
    answer = document(_native.inspect(data, native, statement))
    if "check" in answer:
        raise Refused(answer["check"], answer["expected"], answer["got"])
    return answer
