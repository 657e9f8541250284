//! Sign-in as a whole.
