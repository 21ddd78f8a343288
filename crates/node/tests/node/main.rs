//! The node as others meet it: its commands, its API, its demo, and its death at any moment.

mod bench;
mod chains;
mod cli;
mod crash;
mod demo;
mod document;
mod engines;
mod fuzz;
mod guards;
mod http;
mod live;
mod meter;
mod monitor;
mod mosquitto;
mod own;
mod parts;
mod place;
mod poster;
mod registered;
mod reorg;
mod secrets;
mod servers;
mod storage;
mod types;
mod wrapped;
mod yields;
