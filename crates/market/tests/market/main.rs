//! The market from outside: lies first, then lives of jobs, random sequences, hostile bytes, vectors.

mod audits;
mod conserved;
mod disputes;
mod guards;
mod hostile;
mod lies;
mod lives;
mod stand_in;
mod unfair;
mod vectors;
mod world;
