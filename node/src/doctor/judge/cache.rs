//! Redis, of a node that is to use one: whether it answers, and how soon.

use std::time::Duration;

use hubbub_storage::cache::ANSWER_WITHIN;

use super::{super::facts::CacheFacts, Finding, about};

/// From here on answers are often too late to be used.
const SLOW: Duration = Duration::from_millis(ANSWER_WITHIN.as_millis() as u64 / 2);

pub(super) fn judge(cache: &CacheFacts) -> Finding {
    let url = &cache.url;
    match &cache.answer {
        Ok(took) if *took < SLOW => Finding::ok("redis", format!("Redis at {url} answers in {}", about(*took))),
        Ok(took) => Finding::warning(
            "redis",
            format!(
                "Redis at {url} answers in {}, and what takes {} is not waited for",
                about(*took),
                about(ANSWER_WITHIN)
            ),
            "look at its load, and at the network between it and this node",
        ),
        Err(why) => Finding::warning(
            "redis",
            format!(
                "Redis at {url} does not answer: {why}; the node works without it, and asks the store for more"
            ),
            "start it, mend the way to it, or correct `redis.url`; leave that empty to do without",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{alone, only},
        *,
    };
    use crate::doctor::{Report, State};

    fn found(answer: Result<Duration, String>, state: State) -> String {
        let mut facts = alone();
        facts.cache = Some(CacheFacts { url: "redis://cache:6379/0".to_owned(), answer });
        only(&Report::of(&facts).findings, "redis", state)
    }

    #[test]
    fn a_redis_that_does_not_answer_is_no_more_than_a_warning() {
        let said = found(Err("connection refused".to_owned()), State::Warning);
        for part in ["redis://cache:6379/0", "connection refused", "works without it", "redis.url"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(found(Ok(Duration::from_millis(30)), State::Warning).contains("30 ms"));
        assert!(found(Ok(Duration::from_millis(1)), State::Ok).contains("answers in 1 ms"));
    }

    #[test]
    fn without_one_nothing_is_said_of_it() {
        assert!(Report::of(&alone()).findings.iter().all(|finding| finding.check != "redis"));
    }
}
