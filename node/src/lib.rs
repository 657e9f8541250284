//! A node of Hubbub: the edge, REST, sign-in and the command line around the actors.

pub mod auth;
pub mod cli;
pub mod http;
pub mod state;

#[cfg(test)]
mod testing;
