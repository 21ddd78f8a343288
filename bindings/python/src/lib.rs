//! Proofmesh for Python: what `proofmesh/__init__.py` calls. Arrays come in as buffers of float32, documents go out as JSON text; the
//! Python side makes classes and arrays of them. Long work runs without the interpreter's lock.
//!
//! Raises `Failure(name, message)` with the stable names of the command line: `model.*`, `program.refused`, `prover.*`, `input.*`.

mod model;

use proofmesh_graph::program::WeightMode;
use proofmesh_graph::tensor::Tensor;
use proofmesh_prover::{Job, ProveError, Proved, os_rng, salt};
use proofmesh_verifier::StatementDoc;
use pyo3::create_exception;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Serialize;

use model::Model;

create_exception!(_native, Failure, PyException, "A refusal: its stable name, and a sentence.");

/// A refusal for Python.
fn failure(name: impl Into<String>, message: impl ToString) -> PyErr {
    Failure::new_err((name.into(), message.to_string()))
}

fn import_failure(error: &proofmesh_model::ImportError) -> PyErr {
    failure(format!("model.{}", error.name()), error)
}

fn prove_failure(error: &ProveError) -> PyErr {
    let name = match error {
        ProveError::Program(_) => "program.refused",
        ProveError::Statement(reject) => reject.check,
        ProveError::Randomness(_) => "machine.randomness",
        _ => "prover.failed",
    };
    failure(name, error)
}

/// JSON text of a document.
fn json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("a document is plain data")
}

/// Proves rows under fresh salts in one proof: the proof file and the statement's document.
///
/// Errors: rows that do not fit, private weights without the seed of their salt, what the prover refuses.
#[pyfunction]
fn prove(
    py: Python<'_>,
    model: &Model,
    rows: &Bound<'_, PyAny>,
    context: Vec<u8>,
    weight_seed: Option<[u8; 32]>,
) -> PyResult<(Vec<u8>, String)> {
    let inputs = model.inputs(&model::numbers(rows)?)?;
    let program = &model.file.program;
    if program.weights == WeightMode::Private && weight_seed.is_none() {
        return Err(failure(
            "prover.weight-seed",
            "private weights need the seed of their salt: 32 secret bytes, always the same",
        ));
    }
    let made = py.detach(|| prove_inputs(model, &inputs, &context, weight_seed.unwrap_or_default()));
    let proved = made.map_err(|error| prove_failure(&error))?;
    Ok((proved.file, json(&StatementDoc::of(&proved.statement))))
}

fn prove_inputs(
    model: &Model,
    inputs: &[Tensor],
    context: &[u8],
    weight_seed: [u8; 32],
) -> Result<Proved, ProveError> {
    let mut rng = os_rng()?;
    let salts: Vec<_> = inputs.iter().map(|_| salt(&mut rng)).collect();
    let weight_salt = Some(salt(&mut StdRng::from_seed(weight_seed)));
    let job = Job { program: &model.file.program, inputs, salts: &salts, weight_salt, context };
    proofmesh_prover::prove(&job, &mut rng)
}

/// The verdict on a proof, as JSON. A refusal is an answer.
#[pyfunction]
fn verify(py: Python<'_>, model: &Model, document: &str, proof: &[u8]) -> String {
    py.detach(|| json(&proofmesh_verifier::verify_program(&model.file.program, document.as_bytes(), proof)))
}

/// A description of a proof, as JSON; with a model and a document also its statement's soundness. A refusal is an answer.
#[pyfunction]
#[pyo3(signature = (proof, model=None, document=None))]
fn inspect(proof: &[u8], model: Option<&Model>, document: Option<&str>) -> String {
    let about = model.zip(document);
    let about = about.map(|(model, document)| (&model.file.program, document.as_bytes()));
    json(&proofmesh_verifier::inspect(proof, about))
}

/// The native part of the package `proofmesh`.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("Failure", module.py().get_type::<Failure>())?;
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_class::<Model>()?;
    module.add_function(wrap_pyfunction!(prove, module)?)?;
    module.add_function(wrap_pyfunction!(verify, module)?)?;
    module.add_function(wrap_pyfunction!(inspect, module)?)
}
