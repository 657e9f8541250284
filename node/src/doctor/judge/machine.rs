//! The machine: the data directory, its disk, open files, buffers of UDP.

use super::{
    super::facts::{DiskFacts, FileFacts, SocketFacts},
    Facts, Finding, sized,
};
use crate::net::{Connections, FILES_FEW};

/// Free space at which sends fail any moment: what the embedded store's journal takes.
const SPACE_GONE_BYTES: u64 = 4 << 20;

pub(super) fn judge(facts: &Facts) -> Vec<Finding> {
    let mut findings = vec![node(facts)];
    if let Some(fault) = &facts.data_fault {
        let remedy = "do what the sentence says, then look again";
        findings.push(Finding::fault("data", fault.clone(), remedy));
    }
    findings.extend(facts.disk.map(|found| disk(found, &facts.data_dir)));
    findings.push(files(facts.files, facts.running));
    findings.extend(facts.sockets.map(sockets));
    findings
}

fn node(facts: &Facts) -> Finding {
    if facts.running {
        return Finding::ok("node", format!("the node of {} runs", facts.data_dir));
    }
    let found = format!("no node runs over {}: what only a running one knows was not looked at", facts.data_dir);
    Finding::warning("node", found, "start it with `hubbub serve`, then look again")
}

fn disk(DiskFacts { free_bytes, space_min_bytes }: DiskFacts, data_dir: &str) -> Finding {
    let found = format!("the disk of {data_dir} has {} left", sized(free_bytes));
    let remedy = "make room, or move the data directory to a larger disk; sends fail when it is full";
    if free_bytes < SPACE_GONE_BYTES {
        return Finding::fault("disk", found, remedy);
    }
    if free_bytes < space_min_bytes {
        let found = format!("{found}, less than `store.space_min` ({})", sized(space_min_bytes));
        return Finding::warning("disk", found, remedy);
    }
    Finding::ok("disk", found)
}

fn files(FileFacts { may_open, wanted }: FileFacts, running: bool) -> Finding {
    let connections = wanted.of(may_open);
    let files = may_open.map_or_else(|| "any number of files".to_owned(), |files| format!("{files} files"));
    let whose = if running { "the node" } else { "a node started from this shell" };
    let found = format!("{whose} may open {files}, enough for {connections} connections of clients");
    let remedy = "raise the limit: `ulimit -n`, or `LimitNOFILE=` of the service";
    match wanted {
        Connections::AtMost(wanted) if connections < wanted => {
            Finding::warning("open_files", format!("{found}; `limits.connections` is {wanted}"), remedy)
        }
        Connections::Auto if may_open.is_some_and(|files| files < FILES_FEW) => {
            Finding::warning("open_files", found, remedy)
        }
        Connections::Auto | Connections::AtMost(_) => Finding::ok("open_files", found),
    }
}

fn sockets(SocketFacts { receive_bytes_max, send_bytes_max, wanted_bytes }: SocketFacts) -> Finding {
    let (receive, send) = (sized(receive_bytes_max), sized(send_bytes_max));
    let found = format!("UDP sockets may buffer {receive} received and {send} to be sent");
    if receive_bytes_max.min(send_bytes_max) >= wanted_bytes {
        return Finding::ok("udp_buffers", found);
    }
    Finding::warning(
        "udp_buffers",
        format!(
            "{found}; links between nodes ask for {}, and lose packets under load with less",
            sized(wanted_bytes)
        ),
        format!(
            "`sysctl -w net.core.rmem_max={wanted_bytes} net.core.wmem_max={wanted_bytes}`, the same in \
             /etc/sysctl.d for the next boot, then restart the node"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::samples::{alone, member, only},
        *,
    };
    use crate::doctor::State;

    #[test]
    fn a_node_that_does_not_run_is_told() {
        let mut facts = alone();
        facts.running = false;
        let said = only(&judge(&facts), "node", State::Warning);
        assert!(said.contains("/var/lib/hubbub") && said.contains("hubbub serve"), "{said}");
    }

    #[test]
    fn a_data_directory_that_cannot_be_used_is_a_fault() {
        let mut facts = alone();
        facts.data_fault = Some("it is in use by process 7".to_owned());
        assert!(only(&judge(&facts), "data", State::Fault).contains("process 7"));
    }

    #[test]
    fn scarce_room_is_a_warning_and_none_a_fault() {
        let disk = |free_bytes| {
            let facts = Facts { disk: Some(DiskFacts { free_bytes, space_min_bytes: 64 << 20 }), ..alone() };
            judge(&facts)
        };
        assert!(only(&disk(64 << 20), "disk", State::Ok).contains("64 MiB"));
        let said = only(&disk((64 << 20) - 1), "disk", State::Warning);
        assert!(said.contains("store.space_min") && said.contains("make room"), "{said}");
        only(&disk(SPACE_GONE_BYTES), "disk", State::Warning);
        only(&disk(SPACE_GONE_BYTES - 1), "disk", State::Fault);
    }

    #[test]
    fn open_files_that_do_not_suffice_for_the_connections_are_told() {
        let files = |may_open, wanted| judge(&Facts { files: FileFacts { may_open, wanted }, ..alone() });
        only(&files(None, Connections::Auto), "open_files", State::Ok);
        only(&files(Some(FILES_FEW), Connections::Auto), "open_files", State::Ok);
        only(&files(Some(FILES_FEW - 1), Connections::Auto), "open_files", State::Warning);
        only(&files(Some(1_024), Connections::AtMost(700)), "open_files", State::Ok);
        let said = only(&files(Some(1_024), Connections::AtMost(5_000)), "open_files", State::Warning);
        assert!(said.contains("768 connections") && said.contains("is 5000") && said.contains("ulimit"), "{said}");
    }

    #[test]
    fn small_udp_buffers_are_told_with_the_command_that_raises_them() {
        let mut facts = member();
        let buffers = SocketFacts { receive_bytes_max: 212_992, send_bytes_max: 8 << 20, wanted_bytes: 8 << 20 };
        facts.sockets = Some(buffers);
        let said = only(&judge(&facts), "udp_buffers", State::Warning);
        assert!(said.contains("208 KiB") && said.contains("net.core.rmem_max=8388608"), "{said}");
        facts.sockets = Some(SocketFacts { send_bytes_max: 212_992, receive_bytes_max: 8 << 20, ..buffers });
        only(&judge(&facts), "udp_buffers", State::Warning);
    }
}
