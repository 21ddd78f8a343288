# %% [markdown]
# # From scikit-learn to a verified proof
#
# A classifier is trained, exported to ONNX and imported; then the class of one image is proven, without showing the
# image, and verified. Needs `pip install proofmesh[examples]`. The cells run in any editor that knows `# %%`, or all at
# once: `python scikit_learn.py`.

# %% Train
import numpy as np
from skl2onnx import to_onnx
from skl2onnx.helpers.onnx_helper import select_model_inputs_outputs
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier

import proofmesh

images, digits = load_digits(return_X_y=True)  # 8x8 pixels from 0 to 16
images = (images / 16).astype(np.float32)
x_train, x_test, y_train, y_test = train_test_split(images, digits, random_state=0)
classifier = MLPClassifier((32,), max_iter=60, tol=1e-2, random_state=0).fit(x_train, y_train)
print(f"scikit-learn: {classifier.score(x_test, y_test):.1%} of {len(x_test)} images")

# %% Export and import
# The softmax changes nothing about which score is the largest: the model is cut before it.
exported = to_onnx(classifier, x_train[:1], target_opset=17, options={"zipmap": False})
softmax = next(node for node in exported.graph.node if node.op_type == "Softmax")
scores = select_model_inputs_outputs(exported, outputs=[softmax.input[0]])
model = proofmesh.import_onnx(
    scores.SerializeToString(),
    calibration=x_train,
    name="digits-from-scikit-learn",
    classes=[str(c) for c in classifier.classes_],
    input_range=(0, 1),
)
print(model)

# %% How good is the integer program?
found = model.evaluate(x_test, y_test)
print(
    f"integers {found['integer']['accuracy']:.1%}, float {found['float']['accuracy']:.1%}, same answer {found['agreement']:.1%}"
)
assert found["agreement"] > 0.97

# %% Prove
# `context` binds the proof to one use: here to a request that somebody made.
proof = proofmesh.prove(model, x_test[7], context=b"request 42")
(digit,) = proof.outputs[0]
print(f"{proof!r}: the hidden image is a {model.classes[digit]}")
assert digit == model.run(x_test[7])[0, 0]

# %% Verify
# A verifier has the model file and decides itself what it wants to see: this digit, this request.
verifiers_model = proofmesh.Model.from_bytes(model.to_bytes(public=True))
wanted = proof.statement.replace(context=b"request 42")
for check in proofmesh.verify(verifiers_model, proof.data, wanted):
    print(f"  ok  {check.name:<10} {check.about}")
print(f"{proofmesh.inspect(proof, verifiers_model)['soundness']['bits']:.0f} proven bits")

# %% A lie is refused by name
another = wanted.replace(outputs=(wanted.outputs + 1) % 10)
try:
    proofmesh.verify(verifiers_model, proof.data, another)
except proofmesh.Refused as refusal:
    print(f"refused: {refusal.check}")
    assert refusal.check == "statement.output"
else:
    raise SystemExit("a lie was accepted")
