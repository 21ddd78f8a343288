//! Proofmesh, the node: roles composed of tasks. The commands are in [`cmd`], what they stand on in the other
//! modules.
//!
//! No rule of money or of soundness is in this crate: `market` and `graph` have them. This one talks to the
//! user, the disk, the network.

pub mod api;
pub mod archive;
pub mod audit;
pub mod book;
pub mod buyer;
pub mod challenge;
pub mod client;
pub mod cmd;
pub mod config;
pub mod coordinator;
mod cores;
pub mod defence;
pub mod demo;
pub mod device;
pub mod doctor;
pub mod engine;
pub mod fault;
pub mod hire;
pub mod keys;
pub mod load;
pub mod machine;
pub mod member;
pub mod meter;
pub mod monitor;
pub mod onchain;
pub mod operator;
pub mod out;
pub mod own;
pub mod owner;
pub mod pledge;
mod plot;
pub mod security;
pub mod storage;
pub mod supervise;
mod tally;
pub mod time;
pub mod up;
pub mod weather;
pub mod wire;
pub mod work;
pub mod wrapped;
pub mod zk;
