//! What a member may do, as a set of bits, and how the set of one member in one room comes about.
//!
//! On the wire a set is the decimal sum of its bits in a string, so that no client loses bit 40.

use std::{fmt, ops::BitOr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A set of rights.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Permissions(pub u64);

macro_rules! bits {
    ($($(#[$doc:meta])* $name:ident = $bit:literal, $text:literal;)*) => {
        impl Permissions {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
            /// Every right there is.
            pub const ALL: Self = Self($((1 << $bit))|*);
            /// Each right with its name on the wire.
            pub const NAMES: &'static [(Self, &'static str)] = &[$((Self::$name, $text)),*];
        }
    };
}

bits! {
    /// See that the room exists, its name and its members.
    VIEW = 0, "view";
    /// Send messages.
    SEND = 1, "send";
    /// Read what was said before.
    HISTORY = 2, "history";
    /// React to messages.
    REACT = 3, "react";
    /// Attach files.
    ATTACH = 4, "attach";
    /// Have links shown with a preview.
    EMBED = 5, "embed";
    /// Notify everyone by `@everyone` and `@here`.
    MENTION_EVERYONE = 6, "mention_everyone";
    /// Pin messages.
    PIN = 7, "pin";
    /// Delete messages of others.
    MANAGE_MESSAGES = 8, "manage_messages";
    /// Send without waiting in slow mode.
    BYPASS_SLOW_MODE = 9, "bypass_slow_mode";
    /// Begin threads.
    CREATE_THREAD = 10, "create_thread";
    /// Send in threads.
    SEND_IN_THREADS = 11, "send_in_threads";
    /// Archive and rename threads of others.
    MANAGE_THREADS = 12, "manage_threads";
    /// Make, change and delete rooms.
    MANAGE_ROOM = 13, "manage_room";
    /// Make, change and give roles.
    MANAGE_ROLES = 14, "manage_roles";
    /// Remove members.
    KICK = 15, "kick";
    /// Ban members.
    BAN = 16, "ban";
    /// Silence members for a time.
    TIMEOUT = 17, "timeout";
    /// Make invites.
    INVITE = 18, "invite";
    /// See and revoke invites of others.
    MANAGE_INVITES = 19, "manage_invites";
    /// Read the community's own log.
    VIEW_AUDIT = 20, "view_audit";
    /// Change the community.
    MANAGE_COMMUNITY = 21, "manage_community";
    /// Make and delete custom emoji.
    MANAGE_EMOJI = 22, "manage_emoji";
    /// Make and delete webhooks.
    MANAGE_WEBHOOKS = 23, "manage_webhooks";
    /// Use commands of bots.
    USE_COMMANDS = 24, "use_commands";
    /// Begin polls.
    CREATE_POLL = 25, "create_poll";
    /// Change one's own name in the community.
    CHANGE_NAME = 26, "change_name";
    /// Change the names of others.
    MANAGE_NAMES = 27, "manage_names";
    /// Move messages between rooms.
    MOVE_MESSAGES = 28, "move_messages";
    /// Send in announcement rooms.
    PUBLISH = 29, "publish";
    /// Everything, whatever else is said.
    ADMINISTRATOR = 40, "administrator";
}

impl Permissions {
    /// What every member of a community may do unless somebody says otherwise.
    pub const MEMBER: Self = Self(
        Self::VIEW.0
            | Self::SEND.0
            | Self::HISTORY.0
            | Self::REACT.0
            | Self::ATTACH.0
            | Self::EMBED.0
            | Self::CREATE_THREAD.0
            | Self::SEND_IN_THREADS.0
            | Self::INVITE.0
            | Self::USE_COMMANDS.0
            | Self::CREATE_POLL.0
            | Self::CHANGE_NAME.0,
    );
    /// What the people of a direct or group conversation may do in it.
    pub const CONVERSATION: Self = Self(
        Self::VIEW.0
            | Self::SEND.0
            | Self::HISTORY.0
            | Self::REACT.0
            | Self::ATTACH.0
            | Self::EMBED.0
            | Self::PIN.0
            | Self::MENTION_EVERYONE.0,
    );
    /// None.
    pub const NONE: Self = Self(0);

    /// Whether every right of `wanted` is here; an administrator has them all.
    #[must_use]
    pub const fn has(self, wanted: Self) -> bool {
        self.0 & Self::ADMINISTRATOR.0 != 0 || self.0 & wanted.0 == wanted.0
    }

    /// These without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

impl BitOr for Permissions {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(bit, _)| self.0 & bit.0 != 0).map(|(_, name)| name);
        f.debug_set().entries(names).finish()
    }
}

impl Serialize for Permissions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_has_every_right() {
        assert!(Permissions::ADMINISTRATOR.has(Permissions::BAN | Permissions::SEND));
        assert!(!Permissions::MEMBER.has(Permissions::BAN));
    }

    #[test]
    fn a_set_is_a_decimal_string() {
        let json = serde_json::to_string(&(Permissions::VIEW | Permissions::ADMINISTRATOR)).expect("plain data");
        assert_eq!(json, "\"1099511627777\"");
        let back: Permissions = serde_json::from_str(&json).expect("our own form");
        assert_eq!(back, Permissions::VIEW | Permissions::ADMINISTRATOR);
    }
}
