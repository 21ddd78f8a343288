"""Makes the int8 TFLite models of this folder and records what TensorFlow Lite's kernels give on them.

Run once by hand, Python 3.11: `pip install tensorflow==2.21.0`, then `python make_tflite.py`. The Rust tests read the files alone.
Kernels: reference and optimized built-ins (one rounding), and the XNNPACK delegate, which an interpreter uses unless told not to.
"""

import tempfile

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

KERNELS = {
    "reference": tf.lite.experimental.OpResolverType.BUILTIN_REF,
    "builtin": tf.lite.experimental.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    "xnnpack": tf.lite.experimental.OpResolverType.BUILTIN,
}
ROWS = 256


def cnn():
    """Every operator that is read: padded and strided convolutions, depthwise, Relu6, residual sum, pools, mean, dense, softmax."""
    layers = tf.keras.layers
    x = inputs = layers.Input((12, 10, 2), batch_size=1)
    x = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    y = layers.ReLU(6.0)(y)
    y = layers.Conv2D(8, 1)(y)
    x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.MaxPool2D(2, strides=1)(x)
    x = layers.Conv2D(12, 2, activation="relu")(x)
    y = layers.AveragePooling2D((3, 1), strides=(1, 1))(x)
    x = layers.GlobalAveragePooling2D()(y)
    x = layers.Dense(5)(x)
    x = layers.Softmax()(x)
    return tf.keras.Model(inputs, x)


def autoencoder():
    """Dense layers with a narrow middle, as in the anomaly model of MLPerf Tiny."""
    layers = tf.keras.layers
    x = inputs = layers.Input((40,), batch_size=1)
    for width in [32, 32, 4, 32]:
        x = layers.Dense(width, activation="relu")(x)
    return tf.keras.Model(inputs, layers.Dense(40)(x))


def convert(model, rows):
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: ([row[None]] for row in rows)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
        return converter.convert()


def before_softmax(content):
    """The same file with the softmax's operand as its output: the last integers that a program proves."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
    graph = model.subgraphs[0]
    softmax = next((o for o in graph.operators if o.outputs[0] == graph.outputs[0] and len(o.inputs) == 1), None)
    if softmax is None:
        return content
    graph.outputs = np.array([softmax.inputs[0]], dtype=np.int32)
    graph.operators.remove(softmax)
    model.signatureDefs = None
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def record(content, inputs, kernels):
    interpreter = tf.lite.Interpreter(model_content=before_softmax(content), experimental_op_resolver_type=kernels)
    interpreter.allocate_tensors()
    rows = []
    for row in inputs:
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], row[None])
        interpreter.invoke()
        rows.append(interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0].copy())
    return np.stack(rows)


if __name__ == "__main__":
    for name, make in [("cnn", cnn), ("autoencoder", autoencoder)]:
        rng = np.random.default_rng(7)
        tf.keras.utils.set_random_seed(7)
        model = make()
        for w in model.weights:
            if w.path.endswith("bias"):
                w.assign(rng.normal(0, 0.3, w.shape))
        shape = model.inputs[0].shape[1:]
        calibration = rng.normal(0, 1, (200, *shape)).astype(np.float32)
        content = convert(model, calibration)
        inputs = np.concatenate([
            np.clip(np.round(rng.normal(0, 32, (ROWS - 16, *shape))), -128, 127),
            rng.integers(0, 2, (16, *shape)) * 255 - 128,
        ]).astype(np.int8)
        recorded = {}
        for kernels, kind in KERNELS.items():
            recorded[kernels] = record(content, inputs, kind)
        open(f"{name}.tflite", "wb").write(content)
        for what, rows in {"input": inputs, **recorded}.items():
            np.savez_compressed(f"{name}.{what}.npz", x=rows)
        for kernels, rows in recorded.items():
            different = (rows != recorded["reference"]).mean()
            print(f"{name}: {len(content)} bytes, {kernels}: {different:.4%} of numbers differ from the reference kernels")
