//! What nodes tell each other of a user: a node's [`Share`] goes to the user's home, how the user [`Stand`]s comes back.
//!
//! Both are whole states, never changes, so the newest one alone counts and a repeat does no harm.
//!
//! # Invariants
//!
//! * Of two things a user said, all nodes take the same one for newer: whoever says something says it *after*
//!   everything known there, whatever the clocks of the nodes show.

use hubbub_protocol::{
    emoji::Emoji,
    ids::{NodeId, UserId},
    push::{Presence, Status},
    time::Timestamp,
};
use serde::{Deserialize, Serialize};

/// What a user said last of being present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// How present.
    pub status: Status,
    /// A line of the user's own.
    pub text: Option<String>,
    /// An emoji beside it.
    pub emoji: Option<Emoji>,
    /// When, and on which node: the order of what was said.
    pub at: (Timestamp, NodeId),
}

impl Said {
    /// When something is said that is newer than all that is `known`.
    #[must_use]
    pub fn after(known: Option<&Self>, now: Timestamp, node: NodeId) -> (Timestamp, NodeId) {
        (known.map_or(now, |known| now.max(known.at.0.plus_ms(1))), node)
    }

    /// The newer of two.
    #[must_use]
    pub fn newer(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(if other.at > one.at { other } else { one }),
            (one, other) => one.or(other),
        }
    }
}

/// What one node has of a user.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// A session, connected or waiting for its client: mentions are counted there.
    pub sessions: bool,
    /// A device that is connected: pushes go there.
    pub devices: bool,
    /// The last device has gone, and not for long enough to say so.
    pub away: bool,
    /// Somebody who watches the user's presence.
    pub watches: bool,
    /// The newest thing the user said, as far as the node knows.
    pub said: Option<Said>,
}

impl Share {
    /// Whether the node need not be known of.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        !(self.sessions || self.devices || self.away || self.watches)
    }

    /// Whether the user is there.
    #[must_use]
    pub const fn is_present(&self) -> bool {
        self.devices || self.away
    }

    /// What is left of it when the node is gone: a user who was there may be on the way to another node.
    #[must_use]
    pub fn left_behind(self) -> Self {
        Self { sessions: false, devices: false, away: self.is_present(), watches: false, said: self.said }
    }
}

/// How a user stands, as the home knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stand {
    /// Whether the user is on any node, or has gone a moment ago.
    pub present: bool,
    /// What the user said last.
    pub said: Option<Said>,
    /// Whether the home has been told by every node that may have the user. Until then an absence is a guess.
    pub settled: bool,
}

impl Stand {
    /// What others are shown.
    #[must_use]
    pub fn shown(&self, user: UserId) -> Presence {
        let offline = Presence { user, status: Status::Offline, text: None, emoji: None };
        match &self.said {
            _ if !self.present => offline,
            None => Presence { status: Status::Online, ..offline },
            Some(said) if said.status == Status::Invisible => offline,
            Some(Said { status, text, emoji, .. }) => {
                Presence { user, status: *status, text: text.clone(), emoji: emoji.clone() }
            }
        }
    }

    /// This, or what was `known` before, when this is no more than a guess that the user is not there.
    #[must_use]
    pub fn or_known(self, known: Option<Self>) -> Self {
        match known {
            Some(known) if !self.settled && !self.present && known.present => known,
            _ => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: Status, at_ms: i64, node: u64) -> Said {
        Said { status, text: None, emoji: None, at: (Timestamp(at_ms), NodeId(node)) }
    }

    #[test]
    fn what_is_said_later_is_newer_even_where_the_clock_is_behind() {
        let first = said(Status::Dnd, 5_000, 1);
        let at = Said::after(Some(&first), Timestamp(3_000), NodeId(2));
        let second = Said { at, ..said(Status::Idle, 0, 2) };
        for (one, other) in [(&first, &second), (&second, &first)] {
            assert_eq!(Said::newer(Some(one.clone()), Some(other.clone())).as_ref(), Some(&second));
        }
        let at_once = said(Status::Idle, 5_000, 2);
        assert_eq!(Said::newer(Some(at_once.clone()), Some(first)), Some(at_once), "all nodes agree on one");
    }

    #[test]
    fn the_invisible_and_the_absent_look_the_same() {
        let ada = UserId::from_raw(7);
        let hidden = Stand { present: true, said: Some(said(Status::Invisible, 1, 1)), settled: true };
        let absent = Stand { said: Some(said(Status::Dnd, 1, 1)), settled: true, ..Stand::default() };
        assert_eq!(hidden.shown(ada), absent.shown(ada));
        assert_eq!(hidden.shown(ada).status, Status::Offline);
    }

    #[test]
    fn a_guess_that_somebody_is_gone_does_not_stand_against_what_was_known() {
        let here = Stand { present: true, said: None, settled: true };
        let guess = Stand::default();
        let gone = Stand { settled: true, ..Stand::default() };
        assert_eq!(guess.clone().or_known(Some(here.clone())), here);
        assert_eq!(gone.clone().or_known(Some(here)), gone);
        assert_eq!(guess.clone().or_known(None), guess);
    }

    #[test]
    fn a_node_that_is_gone_leaves_no_more_than_that_the_user_was_there() {
        let share = Share { sessions: true, devices: true, watches: true, ..Share::default() };
        assert_eq!(share.left_behind(), Share { away: true, ..Share::default() });
        assert!(Share { watches: true, sessions: true, ..Share::default() }.left_behind().is_empty());
    }
}
