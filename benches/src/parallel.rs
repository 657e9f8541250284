//! A number of like tasks, some at a time.

use std::future::Future;

use anyhow::Result;
use tokio::task::JoinSet;

/// Runs `make(0)` to `make(count - 1)`, at most `at_once` of them together, and returns their results in order.
///
/// # Errors
/// The first failure; the tasks still running are dropped.
pub(crate) async fn in_parallel<T, Fut>(count: usize, at_once: usize, make: impl Fn(usize) -> Fut) -> Result<Vec<T>>
where
    T: Send + 'static,
    Fut: Future<Output = Result<T>> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    let mut results = Vec::with_capacity(count);
    let mut next = 0;
    while results.len() < count {
        while next < count && tasks.len() < at_once.max(1) {
            let (index, task) = (next, make(next));
            tasks.spawn(async move { (index, task.await) });
            next += 1;
        }
        if let Some(finished) = tasks.join_next().await {
            let (index, result) = finished?;
            results.push((index, result?));
        }
    }
    results.sort_unstable_by_key(|(index, _)| *index);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use anyhow::ensure;

    use super::*;

    #[tokio::test]
    async fn results_keep_their_order_and_the_bound_holds() {
        let running = Arc::new(AtomicUsize::new(0));
        let results = in_parallel(50, 4, |index| {
            let running = Arc::clone(&running);
            async move {
                ensure!(running.fetch_add(1, Ordering::SeqCst) < 4, "more than four at once");
                for _ in 0..(50 - index) {
                    tokio::task::yield_now().await;
                }
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(index * 2)
            }
        })
        .await
        .expect("no more than four ran at once");
        assert_eq!(results, Vec::from_iter((0..50).map(|index| index * 2)));
    }

    #[tokio::test]
    async fn one_failure_fails_all() {
        let result = in_parallel(9, 3, |index| async move {
            ensure!(index != 5, "task {index} fails");
            Ok(())
        })
        .await;
        assert_eq!(result.expect_err("it fails").to_string(), "task 5 fails");
    }
}
