"""Prove what a model says about private inputs, and verify such proofs.

>>> model = import_onnx("model.onnx", calibration=x_train)        # doctest: +SKIP
>>> proof = prove(model, x[0], context=b"job 7")                  # doctest: +SKIP
>>> verify(model, proof)                                          # doctest: +SKIP

A proof shows that a committed model, on a committed input that stays hidden, gives the outputs of the
proof's statement. Whoever verifies puts the statement together: :class:`Statement` says what is in it.
"""

from ._native import __version__
from .errors import Failed, ModelRefused, ProofmeshError, Refused
from .model import Model, import_onnx
from .proof import Check, Input, Proof, Statement, inspect, prove, verify

__all__ = [
    "Check",
    "Failed",
    "Input",
    "Model",
    "ModelRefused",
    "Proof",
    "ProofmeshError",
    "Refused",
    "Statement",
    "__version__",
    "import_onnx",
    "inspect",
    "prove",
    "verify",
]
