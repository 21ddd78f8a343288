//! The verifier for WebAssembly: [`proofmesh_verifier`] behind five plain exports, which `pkg/verifier.js` calls.
//!
//! A call: [`argument`] makes room for each argument and says where it is; the caller writes the bytes there; [`verify`], [`inspect`] or
//! [`version`] leaves a JSON document and gives its length; [`answer`] says where it is. The wrapper makes a new instance for every call,
//! so a proof that makes the machine stop harms no later one, and memory is given back.
#![expect(unsafe_code, reason = "a name that JavaScript can call is not mangled")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use proofmesh_verifier::read_program;
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

/// Describes the proof file; if there is a document, also its statement's soundness. Answers a [`proofmesh_verifier::Inspected`].
#[unsafe(no_mangle)]
pub extern "C" fn inspect() -> usize {
    let mut call = call();
    let [model, document, proof] = &call.arguments;
    let program = if document.is_empty() { None } else { Some(read_program(model)) };
    let answer = match program {
        None => proofmesh_verifier::inspect(proof, None),
        Some(Ok(program)) => proofmesh_verifier::inspect(proof, Some((&program, document))),
        Some(Err(reject)) => reject.into(),
    };
    reply(&mut call, &answer)
}

/// Answers the versions.
#[unsafe(no_mangle)]
pub extern "C" fn version() -> usize {
    reply(&mut call(), &proofmesh_verifier::version())
}
