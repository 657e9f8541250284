//! The reactions of a message in the order in which an archive should have them. Pure.

use std::collections::{HashMap, HashSet};

use hubbub_protocol::{emoji::Emoji, ids::UserId, message::Reacted};

/// A reaction of a user, or of so many unnamed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Of {
    /// A user.
    User(UserId),
    /// So many who are not named.
    Unnamed(u32),
}

/// The reactions `now` on a message: those of them that came with it, in the order of `first`, then
/// those made since.
#[must_use]
pub fn in_order(first: Vec<(Emoji, Of)>, now: &[Reacted]) -> Vec<(Emoji, Of)> {
    let mut users: HashSet<(&Emoji, UserId)> = HashSet::new();
    let mut unnamed: HashMap<&Emoji, u32> = HashMap::new();
    for reacted in now {
        users.extend(reacted.users.iter().map(|user| (&reacted.emoji, *user)));
        unnamed.insert(&reacted.emoji, reacted.unnamed);
    }
    let (mut shown, mut rest) = (users.clone(), unnamed.clone());
    let mut reactions = Vec::new();
    for (emoji, of) in &first {
        let stands = match of {
            Of::User(user) => {
                shown.remove(&(emoji, *user));
                users.contains(&(emoji, *user))
            }
            Of::Unnamed(count) => rest.get_mut(emoji).is_some_and(|rest| {
                *rest = rest.saturating_sub(*count);
                true
            }),
        };
        if stands {
            reactions.push((emoji.clone(), of.clone()));
        }
    }
    for reacted in now {
        let emoji = &reacted.emoji;
        let later = reacted.users.iter().filter(|user| shown.contains(&(emoji, **user)));
        reactions.extend(later.map(|user| (emoji.clone(), Of::User(*user))));
        if let Some(count @ 1..) = rest.get(emoji) {
            reactions.push((emoji.clone(), Of::Unnamed(*count)));
        }
    }
    reactions
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: UserId = UserId::from_raw(1);
    const BOB: UserId = UserId::from_raw(2);

    #[test]
    fn what_an_archive_said_keeps_its_order_and_later_reactions_follow() {
        let emoji = Emoji::from_archive;
        let reacted =
            |name, users: &[UserId], unnamed| Reacted { emoji: emoji(name), users: users.to_vec(), unnamed };
        let first = vec![
            (emoji("x"), Of::User(ADA)),
            (emoji("y"), Of::Unnamed(2)),
            (emoji("x"), Of::User(BOB)),
            (emoji("x"), Of::User(ADA)),
            (emoji("z"), Of::User(ADA)),
        ];
        let now = [reacted("x", &[ADA, BOB], 0), reacted("y", &[ADA], 2), reacted("w", &[BOB], 0)];
        let mut wanted = first[..4].to_vec();
        wanted.push((emoji("y"), Of::User(ADA)));
        wanted.push((emoji("w"), Of::User(BOB)));
        assert_eq!(in_order(first, &now), wanted, "`z` was taken back");
    }
}
