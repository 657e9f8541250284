//! How a command ends: an exit code a script can act on, and one sentence on standard error.
//!
//! | code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | failed |
//! | 2 | the command line is wrong |
//! | 3 | no node runs there |
//! | 4 | refused |
//! | 5 | not found |
//! | 6 | conflict, or in use |
//! | 7 | damaged, or written by a newer version |
//! | 8 | `doctor` found a fault |

use hubbub_protocol::error::{ErrorCode, Refusal};
use hubbub_storage::{ErrorChain, StoreError};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Anything without a code of its own.
    #[error("{0}")]
    Failed(String),
    /// The command line asks for something impossible.
    #[error("{0}")]
    Usage(String),
    /// A running node is needed.
    #[error("{0}")]
    NotRunning(String),
    /// Whoever asks may not.
    #[error("{0}")]
    Refused(String),
    /// What it is about is not there.
    #[error("{0}")]
    NotFound(String),
    /// Something is there already, or in use.
    #[error("{0}")]
    Conflict(String),
    /// The data cannot be used by this version.
    #[error("{0}")]
    Damaged(String),
    /// A look at the node found a fault.
    #[error("{0}")]
    Unwell(String),
}

/// How TLS begins to say that it does not believe who answers.
const NOT_BELIEVED: &str = "invalid peer certificate";

impl Failure {
    /// The exit code of the process.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::NotRunning(_) => 3,
            Self::Refused(_) => 4,
            Self::NotFound(_) => 5,
            Self::Conflict(_) => 6,
            Self::Damaged(_) => 7,
            Self::Unwell(_) => 8,
        }
    }

    /// The same; one that comes of a certificate that is not believed names what helps.
    #[must_use]
    pub fn with_authority(self) -> Self {
        let Self::NotRunning(text) = &self else { return self };
        if !text.contains(NOT_BELIEVED) || text.contains("--ca") {
            return self;
        }
        Self::NotRunning(format!(
            "{text}: if an authority of your own has signed it, name the file of its certificate with --ca, or by the \
             variable HUBBUB_CA"
        ))
    }

    /// The same, about a file.
    #[must_use]
    pub fn about(self, file: &str) -> Self {
        let about = |text: String| format!("{file}: {text}");
        match self {
            Self::Failed(text) => Self::Failed(about(text)),
            Self::Usage(text) => Self::Usage(about(text)),
            Self::NotRunning(text) => Self::NotRunning(about(text)),
            Self::Refused(text) => Self::Refused(about(text)),
            Self::NotFound(text) => Self::NotFound(about(text)),
            Self::Conflict(text) => Self::Conflict(about(text)),
            Self::Damaged(text) => Self::Damaged(about(text)),
            Self::Unwell(text) => Self::Unwell(about(text)),
        }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let Refusal { code, message, .. } = refusal;
        match code {
            ErrorCode::BadRequest => Self::Usage(message),
            ErrorCode::NotFound => Self::NotFound(message),
            ErrorCode::Conflict => Self::Conflict(message),
            ErrorCode::Unauthorized
            | ErrorCode::Forbidden
            | ErrorCode::NotMember
            | ErrorCode::RegistrationClosed => Self::Refused(message),
            _ => Self::Failed(message),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match &error {
            StoreError::Open(sentence) if sentence.contains("newer version") || sentence.contains("damaged") => {
                Self::Damaged(sentence.clone())
            }
            StoreError::Open(sentence) => Self::Failed(sentence.clone()),
            other => Self::Failed(ErrorChain(other).to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_becomes_the_documented_exit_code() {
        let exit = |code| Failure::from(Refusal::new(code, "no")).exit_code();
        assert_eq!(exit(ErrorCode::BadRequest), 2);
        assert_eq!(exit(ErrorCode::Forbidden), 4);
        assert_eq!(exit(ErrorCode::NotFound), 5);
        assert_eq!(exit(ErrorCode::Conflict), 6);
        assert_eq!(exit(ErrorCode::Unavailable), 1);
    }
}
