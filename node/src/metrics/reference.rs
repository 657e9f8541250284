//! The reference of all metrics, as Markdown: `docs/metrics.md`.

use std::fmt::Write;

use super::catalog::{SECTIONS, SERIES_MAX};

const HEAD: &str = "\
# Metrics

`GET /metrics` on the admin listener, in Prometheus' text form.
Names are nouns, with the unit at the end; counters begin with the process, and end in `_total`.
No metric has a label for a room or a user, or for anything else that a client may choose.
Written by `hubbub metrics reference`; a test compares the two.
";

const TAIL: &str = "
`process_…` tells of memory, CPU, open files and threads of the process.

Histograms, `hubbub_ops_total`, `hubbub_op_errors_total` and `hubbub_http_requests_total` are counted while `metrics.enabled` is on, as it is by default.
A row shows once there is something to count: an op or a route that nobody has asked for has none.

[deploy/prometheus/alerts.yml](../deploy/prometheus/alerts.yml) has alerts to begin with, [deploy/grafana/hubbub.json](../deploy/grafana/hubbub.json) a dashboard.

## Health

`GET /healthz` says that the process runs; `GET /readyz` whether it serves, with `reasons` when it does not (503), and with `warnings` of what will stop it or what it cannot do meanwhile: a disk that fills up, a cluster without a majority.
Both are on the public listener too; the admin listener answers while the node still starts.
";

/// The reference.
#[must_use]
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    let _ = writeln!(text, "All series of a node together are at most {SERIES_MAX}, whatever clients do.");
    for section in SECTIONS {
        let _ = write!(text, "\n## {}\n\n| name | kind | meaning |\n|---|---|---|\n", section.title);
        for metric in section.metrics {
            let labels = metric.labels.join(",");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(text, "| `{}{labels}` | {} | {} |", metric.name, metric.kind.as_str(), metric.help);
        }
    }
    text.push_str(TAIL);
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_page_of_metrics_is_what_the_program_prints() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let page = std::fs::read_to_string(file).expect("docs/metrics.md is there");
        assert!(page == super::markdown(), "write it anew: hubbub metrics reference > docs/metrics.md");
    }
}
