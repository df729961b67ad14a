//! The `lore` command.
fn main() {}
