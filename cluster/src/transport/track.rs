//! The one-way streams of a link: its lanes, and for each class one for answers.
//!
//! Answers have a stream of their own, since a lane may wait for a receiver that itself waits for an answer.

use hubbub_protocol::peer::{Class, Lane};

/// Which of the two connections to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Purpose {
    /// Everything that is waited for.
    Main,
    /// Bulk, so that a snapshot does not fill the window of all else.
    Bulk,
}

impl Purpose {
    pub(super) const ALL: [Self; 2] = [Self::Main, Self::Bulk];

    pub(super) const fn of(class: Class) -> Self {
        match class {
            Class::Bulk => Self::Bulk,
            Class::Raft | Class::Control | Class::Append | Class::Deliver => Self::Main,
        }
    }
}

/// A one-way stream of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Track {
    /// Casts and asks.
    Lane(Lane),
    /// Answers to the asks of a class.
    Answers(Class),
}

/// The number that stands for answers, above every lane's.
const ANSWERS: u8 = 0xff;

impl Track {
    /// All tracks of a connection.
    pub(super) fn all(purpose: Purpose) -> impl Iterator<Item = Self> {
        Class::ALL.into_iter().filter(move |class| Purpose::of(*class) == purpose).flat_map(|class| {
            let lanes = (0..class.lanes()).map(move |number| Self::Lane(Lane { class, number }));
            lanes.chain([Self::Answers(class)])
        })
    }

    pub(super) const fn class(self) -> Class {
        match self {
            Self::Lane(lane) => lane.class,
            Self::Answers(class) => class,
        }
    }

    /// The first bytes of its stream: class and number.
    pub(super) const fn preamble(self) -> [u8; 2] {
        let number = match self {
            Self::Lane(lane) => lane.number,
            Self::Answers(_) => ANSWERS,
        };
        [self.class() as u8, number]
    }

    /// The track of `purpose` that begins with `preamble`.
    pub(super) fn of(purpose: Purpose, preamble: [u8; 2]) -> Option<Self> {
        Self::all(purpose).find(|track| track.preamble() == preamble)
    }

    /// Its priority among the streams of a connection; higher goes first.
    pub(super) const fn priority(self) -> i32 {
        match self.class() {
            Class::Raft => 3,
            Class::Control => 2,
            Class::Append => 1,
            Class::Deliver | Class::Bulk => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::limits::STREAMS_MAX;

    #[test]
    fn each_track_has_a_preamble_of_its_own_that_never_changes() {
        let main: Vec<Track> = Track::all(Purpose::Main).collect();
        assert_eq!(main.len(), 2 + 1 + 8 + 8 + 4);
        assert!(u32::try_from(main.len()).expect("few") <= STREAMS_MAX);
        for track in main {
            assert_eq!(Track::of(Purpose::Main, track.preamble()), Some(track));
            assert_eq!(Track::of(Purpose::Bulk, track.preamble()), None);
        }
        assert_eq!(Track::Lane(Lane { class: Class::Deliver, number: 5 }).preamble(), [3, 5]);
        assert_eq!(Track::Answers(Class::Bulk).preamble(), [4, 255]);
        assert_eq!(Track::of(Purpose::Main, [2, 8]), None);
    }
}
