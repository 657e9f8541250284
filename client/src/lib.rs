//! A crate of Hubbub.
