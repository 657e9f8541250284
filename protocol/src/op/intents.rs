//! Which pushes a session wants: a set of classes, named on the wire.

/// Which pushes a session wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Intents(u8);

impl Intents {
    const NAMES: [&'static str; 6] = ["messages", "reactions", "members", "typing", "presence", "unread"];
    /// Messages, edits, deletions, pins, threads.
    pub const MESSAGES: Self = Self(1);
    /// Reactions.
    pub const REACTIONS: Self = Self(2);
    /// Members.
    pub const MEMBERS: Self = Self(4);
    /// Who is typing.
    pub const TYPING: Self = Self(8);
    /// Presence.
    pub const PRESENCE: Self = Self(16);
    /// Unread counts.
    pub const UNREAD: Self = Self(32);
    /// None: only answers, and what the account itself is told.
    pub const NONE: Self = Self(0);
    /// All, the default.
    pub const ALL: Self = Self(63);

    /// Whether `wanted` is among them.
    #[must_use]
    pub const fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Those named; names of later versions count for nothing.
    #[must_use]
    pub fn named(names: &[String]) -> Self {
        let bit = |name: &String| Self::NAMES.iter().position(|known| known == name).map_or(0, |at| 1 << at);
        Self(names.iter().map(bit).fold(0, |bits, bit| bits | bit))
    }

    /// Their names.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        (0..Self::NAMES.len()).filter(|at| self.0 & (1 << at) != 0).map(|at| Self::NAMES[at]).collect()
    }
}
