//! What a node stands on: the event log, the blobs, the store of keys. Each is one file here, embedded;
//! larger engines come behind the same calls.

pub mod blobs;
pub mod crash;
pub mod keys;
pub mod log;
