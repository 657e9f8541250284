//! What one scrape is shown: rows of numbers under declared names.

use std::collections::BTreeMap;

use hubbub_actors::meter::{BOUNDS_US, Histogram};
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as HistogramRow, LabelPair, Metric as Row, MetricFamily, MetricType,
};

use super::catalog::{Kind, Metric};

/// Rows by metric.
#[derive(Debug, Default)]
pub struct Page(BTreeMap<&'static str, MetricFamily>);

/// A number as Prometheus has them.
#[expect(clippy::cast_precision_loss, reason = "beyond 2^53 nobody counts one by one")]
pub const fn number(number: u64) -> f64 {
    number as f64
}

/// Microseconds as seconds.
pub const fn seconds(us: u64) -> f64 {
    number(us) / 1e6
}

impl Page {
    /// One number of `metric`, with the values of its labels in their order.
    pub fn put(&mut self, metric: Metric, labels: &[&str], value: f64) {
        let mut row = row(metric, labels);
        match metric.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                row.set_counter(counter);
            }
            Kind::Gauge | Kind::Histogram => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                row.set_gauge(gauge);
            }
        }
        self.family(metric).mut_metric().push(row);
    }

    /// One count of `metric`.
    pub fn count(&mut self, metric: Metric, labels: &[&str], count: u64) {
        self.put(metric, labels, number(count));
    }

    /// One size of `metric`.
    pub fn size(&mut self, metric: Metric, size: usize) {
        self.count(metric, &[], size as u64);
    }

    /// Whether something is so.
    pub fn flag(&mut self, metric: Metric, labels: &[&str], is: bool) {
        self.count(metric, labels, u64::from(is));
    }

    /// One row of times.
    pub fn times(&mut self, metric: Metric, labels: &[&str], times: &Histogram) {
        let counts = times.counts();
        let mut sum = 0;
        let buckets = BOUNDS_US.iter().zip(counts).map(|(bound, count)| {
            sum += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(seconds(*bound));
            bucket.set_cumulative_count(sum);
            bucket
        });
        let mut histogram = HistogramRow::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(counts.iter().sum());
        histogram.set_sample_sum(seconds(times.sum_us()));
        let mut row = row(metric, labels);
        row.set_histogram(histogram);
        self.family(metric).mut_metric().push(row);
    }

    fn family(&mut self, metric: Metric) -> &mut MetricFamily {
        self.0.entry(metric.name).or_insert_with(|| {
            let mut family = MetricFamily::default();
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.replace('`', ""));
            family.set_field_type(match metric.kind {
                Kind::Counter => MetricType::COUNTER,
                Kind::Gauge => MetricType::GAUGE,
                Kind::Histogram => MetricType::HISTOGRAM,
            });
            family
        })
    }

    /// All of it.
    #[must_use]
    pub fn into_families(self) -> Vec<MetricFamily> {
        self.0.into_values().collect()
    }
}

fn row(metric: Metric, labels: &[&str]) -> Row {
    debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
    let pairs = metric.labels.iter().zip(labels).map(|(name, value)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    });
    Row::from_label(pairs.collect())
}

/// What `fill` puts on a page, as text.
#[cfg(test)]
pub fn shown(fill: impl FnOnce(&mut Page)) -> String {
    let mut page = Page::default();
    fill(&mut page);
    prometheus::TextEncoder::new().encode_to_string(&page.into_families()).expect("names and values can be written")
}
