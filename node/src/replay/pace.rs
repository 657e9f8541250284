//! When a line is played: at once, or as long after the first one as it was written after it. Pure.

use std::{str::FromStr, time::Duration};

use hubbub_protocol::time::Timestamp;

/// Fastest multiple of the recorded speed; beyond, `max` is meant.
const FACTOR_MAX: f64 = 1_000_000.0;

/// How fast.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Speed {
    /// As fast as the node answers.
    Max,
    /// So many times as fast as it was written.
    Recorded(f64),
}

impl FromStr for Speed {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "max" {
            return Ok(Self::Max);
        }
        let factor = text.strip_suffix('x').and_then(|factor| factor.parse::<f64>().ok());
        match factor {
            Some(factor) if factor > 0.0 && factor <= FACTOR_MAX => Ok(Self::Recorded(factor)),
            _ => Err("write `max`, or how many times as fast as recorded, such as `1x` or `10x`".to_owned()),
        }
    }
}

/// The clock of a replay, begun with a line.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    speed: Speed,
    begun: Option<Timestamp>,
}

impl Pace {
    /// A clock that stands.
    #[must_use]
    pub const fn new(speed: Speed) -> Self {
        Self { speed, begun: None }
    }

    /// Whether it has to be begun before it can tell a wait.
    #[must_use]
    pub const fn stands(&self) -> bool {
        matches!((self.speed, self.begun), (Speed::Recorded(_), None))
    }

    /// Begins with a line of `ts` that has been played now.
    pub const fn begin(&mut self, ts: Timestamp) {
        self.begun = Some(ts);
    }

    /// How long after the beginning a line of `ts` is due.
    #[must_use]
    pub fn due(&self, ts: Timestamp) -> Duration {
        match (self.speed, self.begun) {
            (Speed::Recorded(factor), Some(begun)) => Duration::from_millis(ts.ms_since(begun)).div_f64(factor),
            _ => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_are_read_and_others_refused() {
        assert_eq!("max".parse(), Ok(Speed::Max));
        assert_eq!("1x".parse(), Ok(Speed::Recorded(1.0)));
        assert_eq!("2.5x".parse(), Ok(Speed::Recorded(2.5)));
        for wrong in ["", "x", "0x", "-1x", "10", "NaNx", "infx", "fast"] {
            assert!(wrong.parse::<Speed>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn ten_times_as_fast_takes_a_tenth_of_the_time() {
        let mut pace = Pace::new(Speed::Recorded(10.0));
        assert!(pace.stands());
        pace.begin(Timestamp(1_000));
        assert!(!pace.stands());
        assert_eq!(pace.due(Timestamp(61_000)), Duration::from_secs(6));
        assert_eq!(pace.due(Timestamp(0)), Duration::ZERO, "an archive in disorder does not go back");
    }

    #[test]
    fn at_full_speed_nothing_waits() {
        let pace = Pace::new(Speed::Max);
        assert!(!pace.stands());
        assert_eq!(pace.due(Timestamp(1 << 40)), Duration::ZERO);
    }
}
