"""Makes the int8 ONNX models of this folder with onnxruntime's own quantiser and records what onnxruntime computes on them.

Run once by hand, Python 3.11: `pip install onnx==1.23.2 onnxruntime==1.32.0`, then `python make_onnx.py`. The Rust tests read the files alone.
Recorded twice: with graph optimisations (QDQ pairs become integer kernels) and without (each layer runs in float32 between roundings).
"""

import os
import tempfile

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

ROWS = 256


class Rows(CalibrationDataReader):
    def __init__(self, rows):
        self.rows = iter(rows)

    def get_next(self):
        row = next(self.rows, None)
        return None if row is None else {"x": row[None]}


class Graph:
    def __init__(self, shape, seed):
        self.rng, self.nodes, self.constants, self.shape = np.random.default_rng(seed), [], [], shape

    def constant(self, array):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op, *inputs, **attributes):
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [output], f"{op}_{len(self.nodes)}", **attributes))
        return output

    def layer(self, op, x, shape, bias, **attributes):
        loud = self.rng.uniform(0.3, 1.5, (shape[0],) + (1,) * (len(shape) - 1))
        weights = (self.rng.normal(0, 1.5 / np.sqrt(np.prod(shape[1:])), shape) * loud).astype(np.float32)
        b = self.rng.normal(0, 0.3, bias).astype(np.float32)
        return self.add(op, x, self.constant(weights), self.constant(b), **attributes)

    def model(self, output):
        info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self.nodes, "g", [info("x", [1, *self.shape])], [info(output, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)


def cnn():
    g = Graph((2, 12, 10), 3)
    a = g.add("Relu", g.layer("Conv", "x", (8, 2, 3, 3), 8, strides=[2, 2], pads=[1, 1, 1, 1]))
    b = g.add("Relu", g.layer("Conv", a, (8, 1, 3, 3), 8, pads=[1, 1, 1, 1], group=8))
    b = g.layer("Conv", b, (8, 8, 1, 1), 8)
    c = g.add("Relu", g.add("Add", a, b))
    c = g.add("MaxPool", c, kernel_shape=[2, 2], strides=[1, 1])
    c = g.add("Relu", g.layer("Conv", c, (12, 8, 2, 2), 12))
    c = g.add("Flatten", g.add("GlobalAveragePool", c))
    return g.model(g.layer("Gemm", c, (5, 12), 5, transB=1)), g.shape


def dense():
    g = Graph((40,), 4)
    x = "x"
    for i, width in enumerate([32, 4, 24]):
        inner = [40, 32, 4][i]
        weights = g.constant(g.rng.normal(0, 1.5 / np.sqrt(inner), (inner, width)).astype(np.float32))
        x = g.add("MatMul", x, weights)
        x = g.add("Relu", x)
    return g.model(x), g.shape


def run(model, rows, optimised, output):
    """The integers of `output`, a quantised value."""
    model = onnx.ModelProto.FromString(model)
    del model.graph.output[:]
    kind = TensorProto.UINT8 if any(i.name == ZERO[output] and i.data_type == 2 for i in model.graph.initializer) else TensorProto.INT8
    model.graph.output.append(helper.make_tensor_value_info(output, kind, None))
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return np.stack([session.run(None, {"x": row[None]})[0][0] for row in rows])


ZERO = {}


def unfused(content):
    """Layers that still run in float32 after onnxruntime's optimisations: on x86 some with signed activations do."""
    with tempfile.TemporaryDirectory() as folder:
        options = ort.SessionOptions()
        options.optimized_model_filepath = os.path.join(folder, "optimised.onnx")
        options.log_severity_level = 3
        ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        nodes = onnx.load(options.optimized_model_filepath).graph.node
        return [n.op_type for n in nodes if n.op_type in ("Conv", "Gemm", "MatMul", "Add", "GlobalAveragePool")]


def quantised_output(model):
    """What the last DequantizeLinear reads, and the scale and zero point of the first QuantizeLinear."""
    constants = {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}
    last = next(n for n in reversed(model.graph.node) if n.op_type == "DequantizeLinear")
    first = next(n for n in model.graph.node if n.op_type == "QuantizeLinear")
    ZERO[last.input[0]] = last.input[2]
    return last.input[0], constants[first.input[1]], constants[first.input[2]]


if __name__ == "__main__":
    for name, make, form, activations, per_channel in [
        ("cnn_qdq", cnn, QuantFormat.QDQ, QuantType.QUInt8, True),
        ("cnn_qdq_signed", cnn, QuantFormat.QDQ, QuantType.QInt8, True),
        ("cnn_qlinear", cnn, QuantFormat.QOperator, QuantType.QUInt8, False),
        ("dense_qdq", dense, QuantFormat.QDQ, QuantType.QUInt8, False),
    ]:
        model, shape = make()
        rng = np.random.default_rng(9)
        calibration = rng.normal(0, 1, (200, *shape)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            source, target = os.path.join(folder, "a.onnx"), os.path.join(folder, "b.onnx")
            onnx.save(model, source)
            quantize_static(
                source, target, Rows(calibration), quant_format=form, per_channel=per_channel,
                activation_type=activations, weight_type=QuantType.QInt8,
                extra_options={"ActivationSymmetric": False},
            )
            content = open(target, "rb").read()
        output, scale, zero = quantised_output(onnx.ModelProto.FromString(content))
        low, high = (0, 255) if activations == QuantType.QUInt8 else (-128, 127)
        q = np.concatenate([
            np.clip(np.round(rng.normal(0, 40, (ROWS - 16, *shape)) + int(zero)), low, high),
            rng.integers(0, 2, (16, *shape)) * 255 + low,
        ])
        rows = ((q - float(zero)) * scale).astype(np.float32)
        fused, plain = (run(content, rows, optimised, output) for optimised in (True, False))
        open(f"{name}.onnx", "wb").write(content)
        for what, values in {"input": q.astype(fused.dtype), "fused": fused, "plain": plain}.items():
            np.savez_compressed(f"{name}.{what}.npz", x=values)
        far = np.abs(fused.astype(int) - plain.astype(int))
        print(f"{name}: {len(content)} bytes, without fusion {(far > 0).mean():.4%} of numbers differ, by {far.max()} at most; with it in float32: {unfused(content)}")
