"""Exceptions. Each has a stable ``name``, the same as the command line's and the verifier's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from . import _native

if TYPE_CHECKING:
    from .proof import Check


class ProofmeshError(Exception):
    """Anything that Proofmesh refuses."""

    #: Stable name, such as ``model.node-unsupported``.
    name: str

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name


class ModelRefused(ProofmeshError):
    """A model, its options or its data do not fit; the message names the node and says what to do."""


class Failed(ProofmeshError):
    """No proof was made."""


class Refused(ProofmeshError):
    """A proof does not show what its statement says, or cannot be read."""

    #: Stable name of the check that failed, such as ``opening.relation``; the same as :attr:`name`.
    check: str
    #: What would have passed.
    expected: str
    #: What came.
    got: str
    #: The stage of the check that failed; None if the proof was only read.
    stage: str | None
    #: The stages that passed before it.
    passed: tuple[Check, ...]

    def __init__(
        self,
        check: str,
        expected: str,
        got: str,
        stage: str | None = None,
        passed: tuple[Check, ...] = (),
    ) -> None:
        super().__init__(check, f"expected {expected}, got {got}")
        self.check, self.expected, self.got = check, expected, got
        self.stage, self.passed = stage, passed


@contextmanager
def named() -> Iterator[None]:
    """Native refusals become the exceptions above."""
    try:
        yield
    except _native.Failure as failure:
        name, message = failure.args
        kind = ModelRefused if name.startswith(("model.", "program.")) else Failed
        raise kind(name, message) from None
