//! The command line.

pub mod admin_link;
pub mod failure;
pub mod output;
pub mod token;
pub mod user;
