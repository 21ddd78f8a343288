"""Writes `cases.json.z`: the ONNX project's own operator cases (onnx.backend.test.data.node, Apache-2.0) for the operators that the importer reads.

Run once by hand: `pip install onnx==1.23.2`, then `python make_cases.py ../../src/parse/registry.rs`. The Rust tests read the file alone.

The importer reads one float32 input with a batch in front and has everything else as constants. So a case's first float input stays open, the
others become constants; a batch of several is cut into rows, and a tensor without a batch axis gets one, both only where ONNX's reference evaluator
gives the same numbers for it. What fits none of this is written with its reason and without numbers.
"""

import json
import re
import sys
import zlib

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases
from onnx.reference import ReferenceEvaluator

OPSET = 22
MOST = 20_000
FINAL = ("LogSoftmax", "Sigmoid", "Softmax")


def claimed(path):
    return set(re.findall(r'row\(\s*"(\w+)"', open(path).read()))


def lowered(model, name):
    """The one-operator model at an operator set that the importer reads, or why there is none."""
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version > OPSET:
            now, then = (onnx.defs.get_schema(name, v, "").since_version for v in (entry.version, OPSET))
            old = [t for t in onnx.defs.get_schema(name, OPSET, "").inputs]
            schema = onnx.defs.get_schema(name, OPSET, "")
            if any(a.name not in schema.attributes for a in model.graph.node[0].attribute):
                raise ValueError(f"needs operator set {now}")
            if len(model.graph.input) > len(old) and not old[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic:
                raise ValueError(f"needs operator set {now}")
            entry.version = OPSET
    return model


def open_model(model, arrays, at, output):
    """The model with input `at` open and the others constant."""
    graph = model.graph
    names = [i.name for i in graph.input]
    graph = onnx.GraphProto.FromString(graph.SerializeToString())
    value = helper.make_tensor_value_info(names[at], onnx.TensorProto.FLOAT, list(arrays[at].shape))
    out = helper.make_tensor_value_info(graph.output[0].name, helper.np_dtype_to_tensor_dtype(output.dtype), None)
    constants = [numpy_helper.from_array(a, n) for i, (a, n) in enumerate(zip(arrays, names)) if i != at]
    nodes = list(graph.node)
    if nodes[0].op_type in FINAL:
        # At the very end it would be left to the client.
        nodes[0].output[0] = "inner"
        constants.append(numpy_helper.from_array(np.float32(1), "one"))
        nodes.append(helper.make_node("Mul", ["inner", "one"], [out.name]))
    made = helper.make_graph(nodes, "case", [value], [out], constants)
    return helper.make_model(made, opset_imports=model.opset_import, ir_version=8)


def evaluate(model, x):
    return ReferenceEvaluator(model).run(None, {model.graph.input[0].name: x})[0]


def same(a, b):
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-5, atol=1e-6, equal_nan=True)


def views(arrays, at, expected):
    """Ways to give the case a batch of one in front: inputs with the open one first, and what must come out."""
    x = arrays[at]
    if 2 <= x.ndim <= 5 and x.shape[0] == 1:
        yield [(arrays, expected)]
    rank = x.ndim
    fronted = [a[None] if a.ndim == rank and a.dtype == x.dtype else a for a in arrays]
    if 1 <= x.ndim <= 4:
        yield [(fronted, expected[None])]
    if x.ndim >= 2 and expected.ndim >= 1 and expected.shape[0] == x.shape[0]:
        cut = lambda a, i: a[i : i + 1] if a.ndim == rank and a.shape[0] == x.shape[0] else a
        yield [([cut(a, i) for a in arrays], expected[i : i + 1]) for i in range(min(x.shape[0], 3))]
        keep = lambda a, i, k: a[i : i + 1] if k == at else a
        yield [([keep(a, i, k) for k, a in enumerate(arrays)], expected[i : i + 1]) for i in range(min(x.shape[0], 3))]


def rows_of(case, name):
    model = lowered(case.model, name)
    inputs, outputs = ([np.asarray(a) if isinstance(a, np.generic) else a for a in part] for part in case.data_sets[0])
    if any(not isinstance(a, np.ndarray) for a in [*inputs, *outputs]):
        raise ValueError("its values are no plain tensors")
    if len(inputs) != len(model.graph.input):
        raise ValueError("leaves out an input")
    floats = [i for i, a in enumerate(inputs) if a.dtype == np.float32 and a.size > 0]
    if not floats:
        raise ValueError("reads no float32 tensor, or an empty one")
    at = floats[0]
    if max(a.size for a in [*inputs, *outputs]) > MOST:
        raise ValueError(f"a tensor has more than {MOST} elements")
    expected = outputs[0]
    for view in views(inputs, at, expected):
        made = []
        try:
            for arrays, out in view:
                one = open_model(model, arrays, at, out)
                if not same(evaluate(one, arrays[at]), out):
                    break
                made.append((one, arrays[at], out))
            else:
                return made
        except Exception:
            continue
    raise ValueError("its result depends on more than one row of the batch, or it has no batch")


if __name__ == "__main__":
    wanted, cases = claimed(sys.argv[1]), []
    for case in collect_testcases(None):
        nodes = case.model.graph.node if case.model else []
        if len(nodes) != 1 or nodes[0].op_type not in wanted:
            continue
        entry = {"name": case.name.removeprefix("test_"), "op": nodes[0].op_type}
        try:
            rows = rows_of(case, nodes[0].op_type)
            entry["rows"] = [
                {
                    "model": m.SerializeToString().hex(),
                    "input": [float(f"{v:.9g}") for v in x.ravel().tolist()],
                    "output": [float(f"{v:.9g}") for v in y.astype(np.float32).ravel().tolist()],
                }
                for m, x, y in rows
            ]
        except ValueError as why:
            entry["out"] = str(why)
        cases.append(entry)
    text = json.dumps({"from": f"onnx {onnx.__version__}, Apache-2.0", "cases": cases}, allow_nan=True)
    text = text.replace("-Infinity", "-1e39").replace("Infinity", "1e39").replace("NaN", "null")
    packed = zlib.compress(text.encode(), 9)
    open("cases.json.z", "wb").write(packed)
    inside = sum("rows" in c for c in cases)
    print(f"{len(cases)} cases, {inside} with rows, {len(text)} bytes, {len(packed)} packed")
