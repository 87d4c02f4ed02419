//! The load generator (written in its own step).
fn main() {}
