//! What our two SQL stores share: the statements of all facts, and rows into values.
//!
//! A store gives two ways in, [`Database::read`] and [`Database::write`], and has [`MetaStore`] for
//! them ([`facts`]). Statements and rows are values here, so nothing in this module waits or connects.
//!
//! [`MetaStore`]: crate::MetaStore

pub(crate) mod columns;
pub(crate) mod effects;
pub(crate) mod events;
mod facts;
pub(crate) mod people;
pub(crate) mod rows;
pub(crate) mod statement;
pub(crate) mod tally;
#[cfg(test)]
pub(crate) mod testing;

use std::fmt::Debug;

use async_trait::async_trait;

use self::{columns::Columns, statement::Statement};
use crate::{effect::Effect, error::StoreError};

/// What a list bound to a parameter holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListOf {
    Numbers,
    Texts,
}

/// What the last statement of a transaction gave.
#[derive(Debug)]
pub(crate) struct Written<Row> {
    /// Rows it returned.
    pub(crate) rows: Vec<Row>,
    /// Rows it changed.
    pub(crate) affected: u64,
}

/// A database that carries out our statements.
#[async_trait]
pub(crate) trait Database: Send + Sync + Debug {
    /// A row of its.
    type Row: Columns;

    /// The list bound to a parameter, as a table `wanted` of one column `value`.
    fn list(parameter: usize, of: ListOf) -> String;

    /// The pairs bound from a parameter on by [`Database::bind_pairs`], as a table `wanted` of the columns `value` and
    /// `other`.
    fn pairs(parameter: usize) -> String;

    /// Binds pairs of numbers.
    fn bind_pairs(statement: Statement, pairs: impl Iterator<Item = (i64, i64)>) -> Statement;

    /// The statements for effects, in order.
    fn effects(effects: &[Effect]) -> Vec<Statement> {
        effects.iter().flat_map(effects::statements).collect()
    }

    /// Reads the rows of one statement.
    async fn read(&self, what: &'static str, statement: Statement) -> Result<Vec<Self::Row>, StoreError>;

    /// Carries statements out in one transaction, all or none, and returns what the last one gave.
    async fn write(&self, what: &'static str, statements: Vec<Statement>)
    -> Result<Written<Self::Row>, StoreError>;
}

/// A limit as a database takes it.
pub(crate) fn limit_of(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
