//! Arguments to the command.

fn main() {}
