//! A client against a node that misbehaves on demand: one file for each promise the crate makes.

mod closing;
mod exactly_once;
mod node;
mod rest;
mod sending;
mod silence;
