//! The command line of mosd.

fn main() {}
