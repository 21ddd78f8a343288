//! Project tasks: ci, tidy, bless, bench.
fn main() {}
