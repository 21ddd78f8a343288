"""The package on the project's own example models: what it accepts, and by which name it refuses."""

import json
import subprocess
import sys
import threading
from dataclasses import FrozenInstanceError
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

import proofmesh as pm

ROOT = Path(__file__).parents[3]
DIGITS = ROOT / "examples/digits"
STAGES = ["document", "encoding", "statement", "match", "lookups", "claims", "opening", "commitment"]
SEED = bytes(range(32))


def digits(**options):
    """The bundle's small model on its own calibration rows."""
    chosen = {"stored": (0, 16.0), "classes": [str(c) for c in range(10)], **options}
    return pm.import_onnx(DIGITS / "mlp.onnx", np.load(DIGITS / "data/calib_x_u8.npy"), **chosen)


@pytest.fixture(scope="module")
def x():
    return np.load(DIGITS / "test/unseen_x_u8.npy")


@pytest.fixture(scope="module")
def y():
    return np.load(DIGITS / "test/unseen_y.npy")


@pytest.fixture(scope="module")
def model():
    return digits()


@pytest.fixture(scope="module")
def proof(model, x):
    return pm.prove(model, x[3], context=b"job 7")


# Models


def test_a_model_says_what_it_is(model):
    assert model.name == "mlp"
    assert model.id.startswith("0x") and len(model.id) == 66
    assert np.prod(model.input_shape) == 64
    assert model.classes == list("0123456789")
    assert model.output_words == 1 and not model.private_weights
    assert model.report["calibration"]["rows"] > 100
    assert "multiply-adds" in str(model)


def test_the_integer_program_answers_as_the_float_model(model, x, y):
    found = model.evaluate(x, y)
    assert found["rows"] == len(x) and found["agreement"] > 0.97
    answers = model.run(x)
    assert answers.shape == (len(x), 1) and answers.dtype == np.int32
    assert (answers[:, 0] == y).mean() == pytest.approx(found["integer"]["accuracy"])


def test_import_does_not_depend_on_how_numbers_are_stored(model, x):
    calibration = np.load(DIGITS / "data/calib_x_u8.npy")
    source = (DIGITS / "mlp.onnx").read_bytes()
    options = {"stored": (0, 16.0), "classes": model.classes, "name": "mlp", "input_interval": model.input_interval}
    for stored in [np.int64, np.float64, np.float32, np.uint16]:
        again = pm.import_onnx(source, np.asfortranarray(calibration.astype(stored)), **options)
        assert again.id == model.id, stored
    strided = np.repeat(x, 2, axis=0)[::2]
    assert (model.run(strided) == model.run(x)).all()


def test_a_model_file_is_read_back(model, tmp_path, x):
    model.save(tmp_path / "m.pmesh")
    again = pm.Model.load(tmp_path / "m.pmesh")
    assert again.id == model.id and (again.run(x[:5]) == model.run(x[:5])).all()
    with pytest.raises(pm.ModelRefused) as refused:
        again.evaluate(x, np.zeros(len(x)))
    assert refused.value.name == "model.no-float-model"


@pytest.mark.parametrize(
    ("name", "act"),
    [
        ("model.onnx-malformed", lambda m, x: pm.import_onnx(b"no model", x)),
        ("model.data-malformed", lambda m, x: pm.import_onnx(DIGITS / "mlp.onnx", np.zeros((4, 5)))),
        ("model.data-malformed", lambda m, x: pm.import_onnx(DIGITS / "mlp.onnx", np.full((4, 64), np.nan))),
        ("model.data-malformed", lambda m, x: pm.import_onnx(DIGITS / "mlp.onnx", np.array([["a"] * 64]))),
        ("model.data-malformed", lambda m, x: pm.import_onnx(DIGITS / "mlp.onnx", np.full((4, 64), 1 << 25))),
        ("model.data-malformed", lambda m, x: pm.import_onnx(DIGITS / "mlp.onnx", np.zeros((0, 64)))),
        ("model.options-contradict", lambda m, x: digits(outputs="largest")),
        ("model.options-contradict", lambda m, x: digits(task="guess")),
        ("model.options-contradict", lambda m, x: digits(public_channels=(0, 99))),
        ("model.model-file-malformed", lambda m, x: pm.Model.from_bytes(b"PMESHMDL")),
        ("model.model-file-malformed", lambda m, x: pm.Model.from_bytes(m.to_bytes()[:-1])),
        ("model.data-malformed", lambda m, x: m.run(x[0][..., :5])),
        ("model.data-malformed", lambda m, x: m.run([])),
        ("model.data-malformed", lambda m, x: pm.prove(m, x[0] + 0.5)),
        ("model.data-malformed", lambda m, x: pm.prove(m, x[0].astype(int) + 1000)),
    ],
)
def test_models_and_data_are_refused_by_name(name, act, model, x):
    with pytest.raises(pm.ModelRefused) as refused:
        act(model, x)
    assert refused.value.name == name
    assert str(refused.value).startswith(name + ": ")


# Proofs


def test_an_honest_proof_passes_every_stage(model, proof, x):
    passed = pm.verify(model, proof)
    assert [check.name for check in passed] == STAGES
    assert (proof.outputs == model.run(x[3])).all()
    assert proof.statement.context == b"job 7"
    # A verifier needs no more than the public model file.
    assert pm.verify(pm.Model.from_bytes(model.to_bytes(public=True)), proof.data, proof.statement) == passed


def test_one_proof_of_several_rows(model, x):
    batch = pm.prove(model, x[:3])
    assert len(batch.statement.inputs) == 3
    assert (batch.outputs == model.run(x[:3])).all()
    pm.verify(model, batch)
    swapped = batch.statement.replace(inputs=batch.statement.inputs[::-1])
    with pytest.raises(pm.Refused, match=r"statement\.batch-order"):
        pm.verify(model, batch, swapped)


@pytest.mark.parametrize(
    ("check", "stage", "change"),
    [
        ("statement.model", "document", {"model": "0x" + "00" * 32}),
        ("statement.json", "document", {"model": "no id"}),
        ("statement.model", "document", {"weights": "0x" + "01" * 32}),
        ("statement.batch", "statement", {"inputs": ()}),
        ("statement.output", "match", {"outputs": np.array([[9]])}),
        ("statement.output", "statement", {"outputs": np.array([[10]])}),
        ("statement.context", "match", {"context": b"job 8"}),
        ("statement.input", "match", {"inputs": (pm.Input("0x" + "00" * 32, np.array([], np.int32)),)}),
    ],
)
def test_another_statement_is_refused_by_name(check, stage, change, model, proof):
    with pytest.raises(pm.Refused) as refused:
        pm.verify(model, proof, proof.statement.replace(**change))
    assert (refused.value.check, refused.value.stage) == (check, stage)
    assert [passed.name for passed in refused.value.passed] == STAGES[: STAGES.index(stage)]


def test_a_tampered_proof_is_refused(model, proof):
    rng = np.random.default_rng(1)
    for at in rng.integers(0, len(proof), 20):
        lie = bytearray(proof.data)
        lie[at] ^= 1 + rng.integers(255)
        with pytest.raises(pm.Refused):
            pm.verify(model, bytes(lie), proof.statement)
    for cut in [b"", proof.data[:100], proof.data + b"\0"]:
        with pytest.raises(pm.Refused) as refused:
            pm.verify(model, cut, proof.statement)
        assert refused.value.check == "proof.encoding"


def test_proofs_of_another_model_are_refused(model, proof):
    other = digits(name="another")
    with pytest.raises(pm.Refused) as refused:
        pm.verify(other, proof)
    assert refused.value.check == "statement.model" and refused.value.expected == model.id


def test_private_weights_stay_in_the_owners_file(x):
    owners = digits(private_weights=True)
    shown = pm.Model.from_bytes(owners.to_bytes(public=True))
    assert owners.id is None and len(shown.to_bytes()) < len(owners.to_bytes())
    with pytest.raises(pm.Failed) as failed:
        pm.prove(owners, x[0])
    assert failed.value.name == "prover.weight-seed"
    first, second = (pm.prove(owners, row, weight_seed=SEED) for row in x[:2])
    assert first.statement.weights == second.statement.weights is not None
    pm.verify(shown, first)
    with pytest.raises(pm.ModelRefused) as refused:
        pm.prove(shown, x[0], weight_seed=SEED)
    assert refused.value.name == "program.refused"


def test_a_proof_is_written_as_the_command_line_writes_it(model, proof, tmp_path):
    proof.save(tmp_path / "three.proof")
    document = json.loads((tmp_path / "three.proof.json").read_text())
    assert list(document) == ["model", "weights", "inputs", "outputs", "context"]
    again = pm.Proof.load(tmp_path / "three.proof")
    assert again.data == proof.data and again.statement.to_json() == proof.statement.to_json()
    pm.verify(model, again)


def test_the_native_vectors_verify_here():
    folder = ROOT / "vectors/verifier"
    weather = pm.Model.load(folder / "weather.pmesh")
    statement = pm.Statement.from_json((folder / "weather.json").read_text())
    data = (folder / "weather.proof").read_bytes()
    assert [check.name for check in pm.verify(weather, data, statement)] == STAGES
    cases = json.loads((ROOT / "vectors/verifier.json").read_text())["cases"]
    lies = [c for c in cases if c["base"] == "weather" and c["proof"] and not c["model"] and not c["document"]]
    assert len(lies) > 50
    for case in lies:
        at, removed, inserted = case["proof"]
        with pytest.raises(pm.Refused) as refused:
            pm.verify(weather, data[:at] + bytes.fromhex(inserted) + data[at + removed :], statement)
        found = refused.value
        assert (found.check, found.expected, found.got) == tuple(
            case["verdict"][k] for k in ("check", "expected", "got")
        )


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"model": 1}', "[" * 100_000, '{"inputs": [1], "outputs": [[1]]}']
)
def test_what_is_no_statement_is_refused(text):
    with pytest.raises(pm.Refused) as refused:
        pm.Statement.from_json(text)
    assert refused.value.check == "statement.json"


def test_inspect_describes_and_does_not_verify(model, proof):
    alone = pm.inspect(proof.data)
    assert alone["bytes"] == len(proof) and alone["model"] == model.id and "soundness" not in alone
    assert pm.inspect(proof, model)["soundness"]["bits"] >= 100
    with pytest.raises(pm.Refused) as refused:
        pm.inspect(proof.data[1:])
    assert refused.value.check == "proof.encoding" and refused.value.stage is None


def test_a_forecast_is_near_the_proof(model, proof):
    forecast = model.forecast()
    assert forecast["soundness_bits"] >= 100
    assert 0.5 < forecast["proof_bytes"] / len(proof) < 2


def test_values_are_frozen_and_bytes_need_a_statement(model, proof):
    with pytest.raises(FrozenInstanceError):
        proof.statement.context = b""
    with pytest.raises(TypeError):
        pm.verify(model, proof.data)


def test_the_lock_of_the_interpreter_is_free_while_proving(model, x):
    """Another thread runs while a proof is made."""
    ticks, done = 0, threading.Event()

    def tick():
        nonlocal ticks
        while not done.wait(0.001):
            ticks += 1

    thread = threading.Thread(target=tick)
    thread.start()
    pm.prove(model, x[:8])
    done.set()
    thread.join()
    assert ticks >= 3


def test_the_stubs_are_of_the_module():
    """Every public name of the native module is in its stub, and no other."""
    from proofmesh import _native

    stub = (Path(pm.__file__).parent / "_native.pyi").read_text()
    for name in [n for n in dir(_native) if not n.startswith("_")] + [
        n for n in dir(_native.Model) if not n.startswith("_")
    ]:
        assert f"def {name}(" in stub or f"class {name}" in stub, name


@pytest.mark.skipif(find_spec("skl2onnx") is None, reason="needs proofmesh[examples]")
def test_the_example_runs():
    example = Path(__file__).parents[1] / "examples/scikit_learn.py"
    done = subprocess.run([sys.executable, example], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "refused: statement.output" in done.stdout
