"""The same ONNX model proven by EZKL and by Proofmesh, one after the other in one run.

    cargo build --release
    python3 examples/peers/ezkl.py                          # the digits MLP, a minute
    python3 examples/peers/ezkl.py digits autoencoder       # and MLPerf Tiny's autoencoder, some minutes

EZKL 23.0.5 comes from PyPI into a virtual environment in a scratch folder; where it cannot be installed this says so and stops.
Every phase runs in a process of its own, whose time and peak memory are counted. EZKL gets its easiest terms: the input private and not
committed to, the weights fixed in the circuit, scales chosen by its own calibration for resources; its set-up (a structured reference
string made here, and the keys) is listed apart from the proof. Proofmesh commits to the input and needs no set-up; importing a model is
listed in its place.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EZKL = "23.0.5"
ROOT = Path(__file__).resolve().parents[2]
# Folder of the bundle (None: generated), model file.
MODELS = {"digits": (ROOT / "examples" / "digits", "mlp.onnx"), "autoencoder": (None, "model.onnx"), "lenet5": (None, "model.onnx")}

# What a phase's process runs: arguments are the folder, the phase, the model and the row as JSON.
PHASE = r"""
import asyncio, inspect, json, os, resource, sys, time
import ezkl
folder, phase, model = sys.argv[1:4]
at = lambda name: os.path.join(folder, name)

def call(function, *arguments, **named):
    async def run():
        result = function(*arguments, **named)
        return await result if inspect.isawaitable(result) else result
    result = asyncio.run(run())
    if result is False:
        raise SystemExit(f"{function.__name__} failed")
    return result

def settle():
    run_args = ezkl.PyRunArgs()
    run_args.input_visibility, run_args.output_visibility, run_args.param_visibility = "private", "public", "fixed"
    call(ezkl.gen_settings, model, at("settings.json"), py_run_args=run_args)
    call(ezkl.calibrate_settings, at("input.json"), model, at("settings.json"), "resources")
    call(ezkl.compile_circuit, model, at("circuit"), at("settings.json"))

def setup():
    logrows = json.load(open(at("settings.json")))["run_args"]["logrows"]
    call(ezkl.gen_srs, at("srs"), logrows)
    call(ezkl.setup, at("circuit"), at("vk"), at("pk"), srs_path=at("srs"))

def witness():
    call(ezkl.gen_witness, at("input.json"), at("circuit"), at("witness.json"))

def prove():
    call(ezkl.prove, at("witness.json"), at("circuit"), at("pk"), at("proof.json"), srs_path=at("srs"))

def verify():
    call(ezkl.verify, at("proof.json"), at("settings.json"), at("vk"), srs_path=at("srs"))

start = time.perf_counter()
{"settle": settle, "setup": setup, "witness": witness, "prove": prove, "verify": verify}[phase]()
seconds = time.perf_counter() - start
kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": seconds, "megabytes": kilobytes / 1024}))
"""

ROW = r"""
import json, sys
import numpy
data, sub, div, size, out = sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
row = (numpy.load(data)[0].astype(float).reshape(size) - sub) / div
json.dump({"input_data": [row.tolist()]}, open(out, "w"))
"""


def run(command, seconds=None):
    """A command's last line of output as JSON; raises with what it said where it failed."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=seconds)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise RuntimeError(said[-1] if said else f"exit code {done.returncode}")
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else None


def environment(scratch):
    """A Python with EZKL in the scratch folder, or None, said aloud."""
    venv = scratch / "venv"
    python = venv / "bin" / "python"
    try:
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
            pip = [python, "-m", "pip", "install", "--quiet", f"ezkl=={EZKL}", "numpy"]
            subprocess.run([str(c) for c in pip], check=True)
        version = subprocess.run([str(python), "-c", "import ezkl; print(ezkl.__version__)"], capture_output=True, text=True, check=True)
        print(f"EZKL {version.stdout.strip()}, asked for {EZKL}", file=sys.stderr)
        return python
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"SKIPPED: EZKL {EZKL} cannot be installed here: {error}", file=sys.stderr)
        return None


def ezkl(python, folder, model, limit):
    """Every phase of one proof by EZKL; stops at the first that fails or takes longer than the limit."""
    found = {}
    for phase in ["settle", "setup", "witness", "prove", "verify"]:
        print(f"  EZKL: {phase}", file=sys.stderr)
        found[phase] = run([python, "-c", PHASE, folder, phase, model], limit)
    # The proof is a list of bytes in some versions, 0x text in others.
    text = json.loads((folder / "proof.json").read_text())["proof"]
    found["bytes"] = (len(text) - 2) // 2 if isinstance(text, str) else len(text)
    return found


def proofmesh(binary, folder, bundle, file, data, runs):
    """Import, then proofs and verifications, each a process."""
    program = folder / "model.pmesh"
    print("  Proofmesh: import, prove, verify", file=sys.stderr)
    began = time.perf_counter()
    run([binary, "model", "import", bundle, "--file", file, "--out", program, "--json"])
    found = {"import": time.perf_counter() - began, "prove": [], "verify": [], "bytes": [], "megabytes": []}
    proof = folder / "row.proof"
    for _ in range(runs):
        made = run([binary, "prove", "--model", program, "--input", data, "--out", proof, "--json"])
        held = run([binary, "verify", proof, "--model", program, "--json"])
        assert held["holds"]
        found["prove"].append(made["prove_ms"])
        found["verify"].append(held["verify_ms"])
        found["bytes"].append(made["proof_bytes"])
        found["megabytes"].append(made["peak_megabytes"])
    return found


def one(name, binary, python, scratch, runs, limit):
    """One model's rows of the table."""
    bundle, file = MODELS[name]
    folder = scratch / name
    folder.mkdir(parents=True, exist_ok=True)
    if bundle is None:
        bundle = folder / "bundle"
        run([binary, "model", "make", name, "--out", bundle, "--json"])
    described = json.loads((bundle / "bundle.json").read_text())
    model = next(m for m in described["models"] if m["file"] == file)
    data = bundle / model["tests"][0]["x"]
    ours = proofmesh(binary, folder, bundle, file, data, runs)
    median = statistics.median
    rows = [
        f"| {name} | Proofmesh | {median(ours['prove']) / 1e3:.3f} | {median(ours['verify']):.1f} | {median(ours['megabytes']):.0f} "
        f"| {median(ours['bytes']):.0f} | import {ours['import']:.1f} |"
    ]
    if python is None:
        return rows + [f"| {name} | EZKL {EZKL} | skipped: not installed | | | | |"]
    transform = model.get("x_transform", {"sub": 0, "div": 1})
    size = 1
    for n in model["shape"]:
        size *= n
    sub, div = transform["sub"], transform["div"]
    run([python, "-c", ROW, data, sub, div, size, folder / "input.json"])
    try:
        theirs = ezkl(python, folder, bundle / file, limit)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        return rows + [f"| {name} | EZKL {EZKL} | did not finish: {error} | | | | |"]
    seconds = theirs["witness"]["seconds"] + theirs["prove"]["seconds"]
    memory = max(theirs[phase]["megabytes"] for phase in ["witness", "prove"])
    before = f"settings {theirs['settle']['seconds']:.1f}, keys {theirs['setup']['seconds']:.1f} ({theirs['setup']['megabytes']:.0f} MB)"
    verify = theirs["verify"]["seconds"] * 1e3
    return rows + [f"| {name} | EZKL {EZKL} | {seconds:.1f} | {verify:.0f} | {memory:.0f} | {theirs['bytes']} | {before} |"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help=f"some of {', '.join(MODELS)} [default: digits]")
    parser.add_argument("--proofmesh", type=Path, default=ROOT / "target" / "release" / "proofmesh")
    parser.add_argument("--scratch", type=Path, help="kept, and used again, if named")
    parser.add_argument("--runs", type=int, default=5, help="of Proofmesh; EZKL runs once")
    parser.add_argument("--limit", type=float, default=900, help="seconds that a phase of EZKL may take")
    args = parser.parse_args()
    unknown = [m for m in args.models if m not in MODELS]
    if unknown:
        parser.error(f"no such model: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as temporary:
        scratch = (args.scratch or Path(temporary)).resolve()
        scratch.mkdir(parents=True, exist_ok=True)
        python = environment(scratch)
        lines = ["| model | prover | prove s | verify ms | peak MB | proof bytes | before the first proof, s |", "|---|---|---|---|---|---|---|"]
        for name in args.models or ["digits"]:
            print(name, file=sys.stderr)
            lines += one(name, args.proofmesh.resolve(), python, scratch, args.runs, args.limit)
    print("\n".join(lines))
    print(f"\n{os.cpu_count()} processors; medians of {args.runs} proofs by Proofmesh, one by EZKL")


if __name__ == "__main__":
    main()
