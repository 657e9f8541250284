//! A node of Hubbub: the edge, REST, sign-in and the command line around the actors.

pub mod archive;
pub mod auth;
pub mod belonging;
pub mod cache;
pub mod cli;
pub mod clock;
pub mod config;
pub mod datadir;
pub mod disk;
pub mod doctor;
pub mod edge;
pub mod health;
pub mod http;
pub mod logs;
pub mod member;
pub mod membership;
pub mod metrics;
pub mod net;
pub mod replay;
pub mod serve;
pub mod standing;
pub mod state;
pub mod store;
pub mod web;

#[cfg(test)]
mod testing;
