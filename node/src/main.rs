//! A program of Hubbub.
fn main() {}
