#![doc = include_str!("../README.md")]

pub mod backoff;
pub mod handle;
pub mod ledger;
pub mod rest;
pub mod socket;
mod task;
pub mod track;

pub use handle::{Client, Config, RequestError, TokenSource, Update, Updates};
