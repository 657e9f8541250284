//! The store: whether it answers and how soon, its clock, its schema, and what a crash may take.

use std::time::Duration;

use hubbub_storage::{Durability, Vitals};

use super::{
    super::facts::{ReachedStore, StoreFacts},
    Finding, about, clocks,
};

/// A read from a database in the same region takes one or two; from here on people notice.
const READ_SLOW: Duration = Duration::from_millis(50);
/// From here on pages of history fail, which wait for a few seconds.
const READ_BAD: Duration = Duration::from_secs(1);
/// A commit takes 1 to 10 ms on a disk of today; from here on each message waits as long.
const WRITE_SLOW: Duration = Duration::from_millis(100);
/// From here on sends fail: a statement is given up after 5 s.
const WRITE_BAD: Duration = Duration::from_secs(2);
pub(super) fn judge(store: &StoreFacts) -> Vec<Finding> {
    match store {
        StoreFacts::Absent => {
            vec![Finding::ok("store", "there is no store yet: the node's first start makes it")]
        }
        StoreFacts::Unreachable(why) => {
            let remedy =
                "start the store, mend the way to it, or correct `store.url`; sends are refused until then";
            vec![Finding::fault("store", format!("the store does not answer: {why}"), remedy)]
        }
        StoreFacts::Reached(store) => {
            let mut findings = speed(store);
            findings.extend(store.ahead.map(clocks::of_store));
            findings.extend(durability(&store.vitals.durability));
            findings.push(schema(&store.vitals));
            findings
        }
    }
}

fn speed(store: &ReachedStore) -> Vec<Finding> {
    let read = store.read.map(|took| {
        let found = format!("the store answers a read in {}", about(took));
        let remedy = "look at the database's load, and at the network between it and this node";
        match took {
            took if took >= READ_BAD => Finding::fault("store", found, remedy),
            took if took >= READ_SLOW => Finding::warning("store", found, remedy),
            _ => Finding::ok("store", found),
        }
    });
    let read = read.unwrap_or_else(|| Finding::ok("store", "the store answers"));
    let write = store.write.as_ref().map(|wrote| match wrote {
        Ok(took) => {
            let found = format!("the store brings a write to disk in {}", about(*took));
            let remedy = "look at the store's disk: how busy it is, and how long a sync takes";
            match took {
                took if *took >= WRITE_BAD => Finding::fault("store_writes", found, remedy),
                took if *took >= WRITE_SLOW => Finding::warning("store_writes", found, remedy),
                _ => Finding::ok("store_writes", found),
            }
        }
        Err(why) => {
            let found = format!("the store cannot write, and sends are refused until it can: {why}");
            let remedy =
                "make room if its disk is full, let the user of `store.url` write, or make the server a primary";
            Finding::fault("store_writes", found, remedy)
        }
    });
    [read].into_iter().chain(write).collect()
}

fn durability(durability: &Durability) -> Vec<Finding> {
    match durability {
        Durability::Memory => vec![Finding::fault(
            "durability",
            "the store is memory, and ends with the process",
            "this is for tests: set `store.url`",
        )],
        Durability::Sqlite { synchronous, journal } => vec![embedded(*synchronous, journal)],
        Durability::Postgres { fsync, full_page_writes, synchronous_commit, synchronous_standby_names } => vec![
            database(*fsync, *full_page_writes, synchronous_commit),
            copies(synchronous_commit, synchronous_standby_names),
        ],
    }
}

fn embedded(synchronous: i64, journal: &str) -> Finding {
    if synchronous < 2 {
        let found = format!("the embedded store does not sync each commit (synchronous = {synchronous})");
        return Finding::fault("durability", found, "run a release of Hubbub that was not changed: it sets FULL");
    }
    let found =
        format!("each commit is synced (journal {journal}); messages live on one copy, this machine's disk");
    Finding::ok("durability", found)
}

fn database(fsync: bool, full_page_writes: bool, synchronous_commit: &str) -> Finding {
    if !fsync {
        let found = "the server runs with fsync off: a crash of its machine loses acknowledged messages";
        return Finding::fault("durability", found, "set `fsync = on` in postgresql.conf and reload the server");
    }
    if matches!(synchronous_commit, "off" | "local") {
        let found = format!("commits are acknowledged early (synchronous_commit = {synchronous_commit})");
        let remedy = "remove what sets it for this user or database: `ALTER ROLE … RESET synchronous_commit`";
        return Finding::fault("durability", found, remedy);
    }
    if !full_page_writes {
        let found = "the server runs with full_page_writes off: a loss of power may leave torn pages";
        let remedy = "set `full_page_writes = on`, unless the server's file system never tears a page, as ZFS";
        return Finding::warning("durability", found, remedy);
    }
    let found = format!("commits are on the server's disk first (synchronous_commit = {synchronous_commit})");
    Finding::ok("durability", found)
}

fn copies(synchronous_commit: &str, standbys: &str) -> Finding {
    if standbys.trim().is_empty() {
        return Finding::warning(
            "copies",
            "acknowledged messages live on one copy: the database has no synchronous standby, and the loss of its disk \
             loses them",
            "set up a standby and `synchronous_standby_names`, or accept this and keep backups",
        );
    }
    if synchronous_commit == "remote_write" {
        let found =
            format!("commits wait for {standbys}, though not for its disk (synchronous_commit = remote_write)");
        return Finding::warning("copies", found, "set `synchronous_commit = on`");
    }
    Finding::ok("copies", format!("commits wait for a standby: {standbys}"))
}

fn schema(vitals: &Vitals) -> Finding {
    let Vitals { schema, schema_known, .. } = vitals;
    match schema {
        0 if *schema_known > 0 => Finding::ok("schema", "the store is empty: the first start makes its tables"),
        _ if schema > schema_known => Finding::fault(
            "schema",
            format!("the store has schema {schema}, and this program knows {schema_known}"),
            "start the newer version of Hubbub, or restore a backup made by this one",
        ),
        _ if schema < schema_known => Finding::warning(
            "schema",
            format!("the store has schema {schema}, and this program's next start brings it to {schema_known}"),
            "make a backup before: an older version cannot read it afterwards",
        ),
        _ => Finding::ok("schema", format!("the store has schema {schema}, which this program writes")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{only, postgres, sqlite},
        *,
    };
    use crate::doctor::{State, facts::ClockFacts};

    fn of(store: ReachedStore) -> Vec<Finding> {
        judge(&StoreFacts::Reached(Box::new(store)))
    }

    #[test]
    fn a_store_that_does_not_answer_is_a_fault_and_one_that_was_never_made_is_none() {
        let said = only(&judge(&StoreFacts::Unreachable("connection refused".to_owned())), "store", State::Fault);
        assert!(said.contains("connection refused") && said.contains("store.url"), "{said}");
        only(&judge(&StoreFacts::Absent), "store", State::Ok);
    }

    #[test]
    fn slow_reads_are_told_by_how_slow_they_are() {
        let read = |ms| of(ReachedStore { read: Some(Duration::from_millis(ms)), ..postgres() });
        only(&read(49), "store", State::Ok);
        assert!(only(&read(50), "store", State::Warning).contains("50 ms"));
        only(&read(1_000), "store", State::Fault);
        only(&of(ReachedStore { read: None, ..postgres() }), "store", State::Ok);
    }

    #[test]
    fn slow_and_failed_writes_are_told() {
        let write = |wrote| of(ReachedStore { write: Some(wrote), ..sqlite() });
        only(&write(Ok(Duration::from_millis(99))), "store_writes", State::Ok);
        only(&write(Ok(Duration::from_millis(100))), "store_writes", State::Warning);
        only(&write(Ok(Duration::from_secs(2))), "store_writes", State::Fault);
        assert!(only(&write(Err("disk full".to_owned())), "store_writes", State::Fault).contains("disk full"));
        let unasked = of(ReachedStore { write: None, ..sqlite() });
        assert!(unasked.iter().all(|finding| finding.check != "store_writes"));
    }

    #[test]
    fn clocks_apart_are_told_as_far_as_they_are_surely_apart() {
        let clock = |ahead_ms, unsure_ms| {
            of(ReachedStore { ahead: Some(ClockFacts { ahead_ms, unsure_ms }), ..postgres() })
        };
        only(&clock(250, 0), "clock", State::Ok);
        assert!(only(&clock(251, 0), "clock", State::Warning).contains("251 ms ahead of"));
        assert!(only(&clock(-2_001, 0), "clock", State::Fault).contains("2001 ms behind"));
        only(&clock(-2_001, 1), "clock", State::Warning);
        only(&clock(300, 50), "clock", State::Ok);
    }

    #[test]
    fn what_a_crash_may_take_is_told() {
        let with = |fsync, full_page_writes, synchronous_commit: &str, standbys: &str| {
            let durability = Durability::Postgres {
                fsync,
                full_page_writes,
                synchronous_commit: synchronous_commit.to_owned(),
                synchronous_standby_names: standbys.to_owned(),
            };
            of(ReachedStore { vitals: Vitals { durability, ..postgres().vitals }, ..postgres() })
        };
        only(&with(true, true, "on", "b"), "durability", State::Ok);
        assert!(only(&with(false, true, "on", "b"), "durability", State::Fault).contains("fsync = on"));
        only(&with(true, true, "off", "b"), "durability", State::Fault);
        only(&with(true, true, "local", "b"), "durability", State::Fault);
        only(&with(true, false, "on", "b"), "durability", State::Warning);
        only(&with(true, true, "on", "b"), "copies", State::Ok);
        assert!(only(&with(true, true, "on", ""), "copies", State::Warning).contains("one copy"));
        only(&with(true, true, "remote_write", "b"), "copies", State::Warning);
    }

    #[test]
    fn an_embedded_store_that_does_not_sync_and_one_in_memory_are_faults() {
        let with = |durability| of(ReachedStore { vitals: Vitals { durability, ..sqlite().vitals }, ..sqlite() });
        let sqlite = |synchronous| Durability::Sqlite { synchronous, journal: "wal".to_owned() };
        assert!(only(&with(sqlite(2)), "durability", State::Ok).contains("one copy"));
        only(&with(sqlite(3)), "durability", State::Ok);
        only(&with(sqlite(1)), "durability", State::Fault);
        only(&with(Durability::Memory), "durability", State::Fault);
    }

    #[test]
    fn a_schema_of_another_version_is_told() {
        let with = |schema| of(ReachedStore { vitals: Vitals { schema, ..sqlite().vitals }, ..sqlite() });
        only(&with(3), "schema", State::Ok);
        assert!(only(&with(2), "schema", State::Warning).contains("brings it to 3"));
        assert!(only(&with(4), "schema", State::Fault).contains("newer version"));
        assert!(only(&with(0), "schema", State::Ok).contains("empty"));
    }
}
