//! How far the clocks of other machines are ahead of this one's, each compared with the middle of the question to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use hubbub_actors::Hub;
use hubbub_protocol::{ids::NodeId, ports::Clock, time::Timestamp};

use super::facts::ClockFacts;
use crate::standing::Standing;

/// How far a clock that said `theirs` is ahead of ours, which said `before` and `after` around the question.
pub(super) fn ahead(before: Timestamp, theirs: Timestamp, after: Timestamp) -> ClockFacts {
    let unsure_ms = after.ms_since(before).div_ceil(2);
    let middle = before.0.saturating_add(i64::try_from(unsure_ms).unwrap_or(i64::MAX));
    ClockFacts { ahead_ms: theirs.0.saturating_sub(middle), unsure_ms }
}

/// The clocks of the other members, as far as they answer. All are asked at once, so the slowest of them makes each a
/// little less sure.
pub(super) async fn of_members(hub: &Hub, clock: &dyn Clock) -> BTreeMap<NodeId, ClockFacts> {
    let before = clock.now();
    let told = hub.standings().await;
    let after = clock.now();
    let read = |json: Option<Bytes>| Some(Standing::read(&json?)?.at);
    // A node that is only starting says nothing yet.
    let said = told.into_iter().filter_map(|(node, json)| Some((node, read(json)?))).filter(|(_, at)| at.0 > 0);
    said.map(|(node, at)| (node, ahead(before, at, after))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_compared_with_the_middle_of_the_question() {
        let apart = ahead(Timestamp(1_000), Timestamp(1_520), Timestamp(1_040));
        assert_eq!((apart.ahead_ms, apart.unsure_ms), (500, 20));
        let apart = ahead(Timestamp(1_000), Timestamp(900), Timestamp(1_000));
        assert_eq!((apart.ahead_ms, apart.unsure_ms), (-100, 0));
    }
}
