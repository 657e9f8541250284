//! `hubbub doctor`: looks at the node of the data directory, running or not, and says what to do.

use std::path::Path;

use super::{admin_link::AdminLink, cluster::Form, failure::Failure, output};
use crate::{
    config::Loaded,
    datadir::admin_socket,
    doctor::{Finding, Report, State, gather},
};

/// Looks, and prints what was found.
///
/// # Errors
/// [`Failure::Unwell`] when something is at fault; [`Failure::Usage`] for a configuration that cannot be used, when no
/// node runs.
pub async fn run(data_dir: &Path, config: impl FnOnce() -> Loaded, form: Form) -> Result<(), Failure> {
    let report: Report = match AdminLink::to_running(&admin_socket(data_dir)).await? {
        Some(link) => link.get("/v1/admin/doctor").await?,
        None => Report::of(&gather::stopped(data_dir, &config().finish()?).await),
    };
    if form.json {
        output::json(&report)?;
    } else {
        output::line(&shown(&report));
    }
    match report.count(State::Fault) {
        0 => Ok(()),
        1 => Err(Failure::Unwell("one check found a fault".to_owned())),
        faults => Err(Failure::Unwell(format!("{faults} checks found a fault"))),
    }
}

const fn word(state: State) -> &'static str {
    match state {
        State::Ok => "ok",
        State::Warning => "warning",
        State::Fault => "FAULT",
    }
}

/// The findings as a table, then what to do about those that are not well, the worst first.
fn shown(report: &Report) -> String {
    let row =
        |finding: &Finding| vec![word(finding.state).to_owned(), finding.check.clone(), finding.found.clone()];
    let rows: Vec<_> = report.findings.iter().map(row).collect();
    let mut text = output::table(&["STATE", "CHECK", "FOUND"], &rows);
    let mut unwell: Vec<&Finding> = report.findings.iter().filter(|finding| finding.remedy.is_some()).collect();
    unwell.sort_by_key(|finding| std::cmp::Reverse(finding.state));
    let remedy = |finding: &&Finding| vec![finding.check.clone(), finding.remedy.clone().unwrap_or_default()];
    if !unwell.is_empty() {
        let rows: Vec<_> = unwell.iter().map(remedy).collect();
        text = format!("{text}\n\n{}", output::table(&["CHECK", "WHAT TO DO"], &rows));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remedies_follow_the_table_the_worst_first() {
        let findings = vec![
            Finding::ok("disk", "much room"),
            Finding::warning("copies", "one copy", "set up a standby"),
            Finding::fault("leader", "nobody leads", "start the voters"),
        ];
        let report = Report { state: State::Fault, running: true, findings };
        let wanted = "STATE    CHECK   FOUND\nok       disk    much room\nwarning  copies  one copy\n\
                      FAULT    leader  nobody leads\n\nCHECK   WHAT TO DO\nleader  start the voters\n\
                      copies  set up a standby";
        assert_eq!(shown(&report), wanted);
    }

    #[tokio::test]
    async fn a_fault_has_an_exit_code_of_its_own() {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let config = || Loaded::of(None, Vec::new());
        run(folder.path(), config, Form { json: true }).await.expect("an empty directory is well enough");
        let missing = folder.path().join("missing");
        let failure = run(&missing, config, Form { json: false }).await.expect_err("there is nothing");
        assert_eq!((failure.exit_code(), failure.to_string().as_str()), (8, "one check found a fault"));
    }
}
