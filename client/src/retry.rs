//! Whether a send that came to nothing is tried again, and when: a table, and nothing else.
//!
//! A send keeps its key, so trying again is safe whatever became of the try before. What decides is whether it can
//! do any good before the caller's deadline.

use std::time::Duration;

use crate::error::RequestError;

/// Pause before a send is tried again, where the node names none; doubled with each try up to [`PAUSE_MAX`].
const PAUSE: Duration = Duration::from_millis(100);
/// Longest such pause: a send should go out soon after the node is well again.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How long to wait before try `tries + 1`; `None` when `error` is final, or `left` does not reach that far.
/// A pause of ours is jittered by `draw`, from 0 to 1; one that the node names is kept to.
pub(crate) fn pause(error: &RequestError, tries: u32, left: Duration, draw: f64) -> Option<Duration> {
    let ours = || PAUSE.saturating_mul(1 << tries.min(8)).min(PAUSE_MAX).mul_f64(0.5 + draw.clamp(0.0, 1.0) / 2.0);
    let pause = match error {
        RequestError::Refused(refusal) if refusal.retryable => {
            refusal.retry_after_ms.map_or_else(ours, Duration::from_millis)
        }
        RequestError::Disconnected | RequestError::Late => ours(),
        RequestError::Refused(_) | RequestError::Ended(_) | RequestError::NoToken(_) | RequestError::Unreadable => {
            return None;
        }
    };
    (pause < left).then_some(pause)
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::error::{ErrorCode, Refusal};

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn refused(code: ErrorCode) -> RequestError {
        RequestError::Refused(Refusal::new(code, "no"))
    }

    #[test]
    fn what_may_pass_is_tried_again_and_what_is_final_is_not() {
        for code in [ErrorCode::Moving, ErrorCode::Busy, ErrorCode::Unavailable, ErrorCode::RateLimited] {
            assert!(pause(&refused(code), 0, MINUTE, 0.5).is_some(), "{code}");
        }
        for code in [ErrorCode::NotMember, ErrorCode::Empty, ErrorCode::Internal, ErrorCode::Unknown] {
            assert_eq!(pause(&refused(code), 0, MINUTE, 0.5), None, "{code}");
        }
        assert!(pause(&RequestError::Disconnected, 0, MINUTE, 0.5).is_some());
        assert!(pause(&RequestError::Late, 0, MINUTE, 0.5).is_some());
        assert_eq!(pause(&RequestError::Ended(4004), 0, MINUTE, 0.5), None);
        assert_eq!(pause(&RequestError::Unreadable, 0, MINUTE, 0.5), None);
    }

    #[test]
    fn the_time_that_the_node_names_is_kept_to() {
        let slow = RequestError::Refused(Refusal::new(ErrorCode::SlowMode, "slow").after_ms(4_200));
        assert_eq!(pause(&slow, 5, MINUTE, 0.0), Some(Duration::from_millis(4_200)));
        assert_eq!(pause(&slow, 0, Duration::from_secs(4), 0.0), None);
    }

    #[test]
    fn our_own_pauses_grow_to_two_seconds() {
        let at = |tries| pause(&RequestError::Disconnected, tries, MINUTE, 1.0);
        assert_eq!(at(0), Some(Duration::from_millis(100)));
        assert_eq!(at(2), Some(Duration::from_millis(400)));
        assert_eq!(at(40), Some(PAUSE_MAX));
    }
}
