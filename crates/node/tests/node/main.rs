//! The node as others meet it: its commands, its API, its demo, and its death at any moment.

mod bench;
mod chains;
mod cli;
mod crash;
mod demo;
mod http;
mod live;
mod mosquitto;
mod own;
mod parts;
mod place;
mod types;
