//! The verifier for WebAssembly: [`proofmesh_verifier`] behind five plain exports, which `pkg/verifier.js` calls.
//!
//! A call: [`argument`] makes room for each argument and says where it is; the caller writes the bytes there; [`verify`], [`inspect`] or
//! [`version`] leaves a JSON document and gives its length; [`answer`] says where it is. The wrapper makes a new instance for every call,
//! so a proof that makes the machine stop harms no later one, and memory is given back.
#![expect(unsafe_code, reason = "a name that JavaScript can call is not mangled")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use proofmesh_proof::reject::Reject;
use proofmesh_verifier::{InspectDoc, StatementDoc, read_program};
use serde::Serialize;

/// What goes in and out.
struct Call {
    /// Model file, statement's document, proof file.
    arguments: [Vec<u8>; 3],
    answer: Vec<u8>,
}

static CALL: Mutex<Call> =
    Mutex::new(Call { arguments: [Vec::new(), Vec::new(), Vec::new()], answer: Vec::new() });

fn call() -> MutexGuard<'static, Call> {
    CALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Leaves a document as the answer; gives its length in bytes.
fn reply(call: &mut Call, document: &impl Serialize) -> usize {
    call.answer = serde_json::to_vec(document).expect("a document is plain data");
    call.answer.len()
}

/// Makes room for `length` bytes of an argument (0: model file, 1: statement's document, 2: proof file) and says where.
///
/// Panics: when there is no such argument.
#[unsafe(no_mangle)]
pub extern "C" fn argument(index: usize, length: usize) -> *mut u8 {
    let mut call = call();
    call.arguments[index] = vec![0; length];
    call.arguments[index].as_mut_ptr()
}

/// Where the answer is.
#[unsafe(no_mangle)]
pub extern "C" fn answer() -> *const u8 {
    call().answer.as_ptr()
}

/// Checks the proof file; answers a [`proofmesh_verifier::VerdictDoc`].
#[unsafe(no_mangle)]
pub extern "C" fn verify() -> usize {
    let mut call = call();
    let [model, document, proof] = &call.arguments;
    let verdict = proofmesh_verifier::verify(model, document, proof);
    reply(&mut call, &verdict)
}

/// A description, or why there is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Inspected {
    Described(Box<InspectDoc>),
    Refused { check: &'static str, expected: String, got: String },
}

/// Describes the proof file; if there is a document, also its statement's soundness.
#[unsafe(no_mangle)]
pub extern "C" fn inspect() -> usize {
    let mut call = call();
    let [model, document, proof] = &call.arguments;
    let described = || {
        let statement = match document.is_empty() {
            true => None,
            false => Some(StatementDoc::read(document)?.about(&read_program(model)?)?),
        };
        proofmesh_verifier::inspect(proof, statement.as_ref())
    };
    let answer = match described() {
        Ok(document) => Inspected::Described(Box::new(document)),
        Err(Reject { check, expected, got }) => Inspected::Refused { check, expected, got },
    };
    reply(&mut call, &answer)
}

/// Answers the versions.
#[unsafe(no_mangle)]
pub extern "C" fn version() -> usize {
    reply(&mut call(), &proofmesh_verifier::version())
}
