#![doc = include_str!("../README.md")]

mod backoff;
mod config;
mod connection;
mod core;
mod error;
mod fetch;
mod handle;
mod incoming;
pub mod ledger;
mod ops;
pub mod rest;
mod retry;
mod socket;
mod task;
mod token;
mod told;
mod track;
pub mod trust;
mod update;
mod verdict;

pub use backoff::Backoff;
pub use config::Config;
pub use error::RequestError;
pub use fetch::Backfill;
pub use handle::{Client, Draft};
pub use token::{Account, TokenSource};
pub use update::{Update, Updates};
