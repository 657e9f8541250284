//! What can go wrong between us and the database, said so that a caller can act on it.

use std::{error::Error, fmt};

use hubbub_protocol::ids::{RoomId, Seq};

/// The cause below a [`StoreError`], whatever the store.
pub type Cause = Box<dyn Error + Send + Sync>;

/// A failure of the store's. A refused append is no failure: see [`crate::AppendOutcome`].
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The append may or may not have happened.
    #[error("could not append to the log")]
    Append(#[source] Cause),
    /// A read failed; nothing changed.
    #[error("could not read {what}")]
    Read {
        /// What was to be read.
        what: &'static str,
        /// Why not.
        source: Cause,
    },
    /// A write of facts failed and was rolled back.
    #[error("could not write {what}")]
    Write {
        /// What was to be written.
        what: &'static str,
        /// Why not.
        source: Cause,
    },
    /// A fact collides with one that is there.
    #[error("{what} is taken")]
    Taken {
        /// What is.
        what: &'static str,
    },
    /// Stored bytes that we cannot read.
    #[error("event {seq} of room {room} is stored in a form we cannot read")]
    Undecodable {
        /// The room.
        room: RoomId,
        /// The event.
        seq: Seq,
        /// Why not.
        source: Cause,
    },
    /// The store cannot be opened: the sentence says what is wrong and what to do.
    #[error("{0}")]
    Open(String),
}

/// What keeps a store from its work, and what to do about it, above what the store itself said.
#[derive(Debug, thiserror::Error)]
#[error("{sentence}")]
pub struct Trouble {
    pub(crate) sentence: &'static str,
    pub(crate) source: Cause,
}

/// What is true of the database after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aftermath {
    /// Nothing was written; trying again is safe.
    Unchanged,
    /// The write may or may not have happened; reload before deciding anything else.
    Unknown,
    /// Trying again will fail in the same way; a person has to look.
    NeedsRepair,
}

impl StoreError {
    /// What an operator has to do, when that is known.
    #[must_use]
    pub fn trouble(&self) -> Option<&Trouble> {
        self.source().and_then(|source| source.downcast_ref())
    }

    /// What is true of the database now.
    #[must_use]
    pub const fn aftermath(&self) -> Aftermath {
        match self {
            Self::Read { .. } | Self::Write { .. } | Self::Taken { .. } => Aftermath::Unchanged,
            Self::Append(_) => Aftermath::Unknown,
            Self::Undecodable { .. } | Self::Open(_) => Aftermath::NeedsRepair,
        }
    }
}

/// Shows an error and all its causes on one line, for logs: `error = %ErrorChain(&error)`.
#[derive(Debug)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'static));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_each_thing_once() {
        let error = StoreError::Append("disk gone".into());
        assert_eq!(ErrorChain(&error).to_string(), "could not append to the log: disk gone");
        assert_eq!(error.aftermath(), Aftermath::Unknown);
    }
}
