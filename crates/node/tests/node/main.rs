//! The node as others meet it: its commands, its API, its demo, and its death at any moment.

mod bench;
mod chains;
mod cli;
mod crash;
mod demo;
mod document;
mod fuzz;
mod http;
mod live;
mod monitor;
mod mosquitto;
mod own;
mod parts;
mod place;
mod poster;
mod secrets;
mod types;
mod wrapped;
mod yields;
