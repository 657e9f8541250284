//! A text that is not to be seen where it does not belong: in logs and in failed tests.

use std::{fmt, ops::Deref};

/// A token or the like. Its debug output says that it is there, not what it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Op;

    #[test]
    fn no_token_is_shown() {
        let op = Op::Reauth { token: Secret::from("eyJ.abc.def") };
        let shown = format!("{op:?}");
        assert!(!shown.contains("abc") && shown.contains("***"), "{shown}");
    }
}
