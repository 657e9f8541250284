//! What a node tells of itself in numbers: `/metrics`.
//!
//! * [`catalog`] declares every metric; [`reference`](mod@reference) writes docs/metrics.md from it.
//! * [`ops`] counts requests on sockets and what was left out for slow clients, [`routes`] REST requests; how long
//!   messages take is measured in [`hubbub_actors::meter`].
//! * [`collect`] reads them and the rest of the node at each scrape into a [`page`].
//!
//! # Invariant
//!
//! * What is shown is declared, and the series it may have are bounded by lists that are fixed when the node starts.

pub mod catalog;
pub mod collect;
pub mod ops;
pub mod page;
pub mod reference;
pub mod routes;

use prometheus::{
    Encoder, Registry, TextEncoder,
    core::{Collector, Desc},
    process_collector::ProcessCollector,
    proto::MetricFamily,
};

pub use self::{
    collect::Parts,
    ops::{EdgeMeters, OpRow, op_names},
    routes::Routes,
};

/// The metrics of a node.
#[derive(Debug)]
pub struct Metrics(Registry);

/// [`Parts`] as the registry asks for them.
struct Collected {
    parts: Parts,
    descriptions: Vec<Desc>,
}

impl Collector for Collected {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.parts.page().into_families()
    }
}

impl Metrics {
    /// Those of a node with these parts.
    ///
    /// # Errors
    /// A metric was declared wrongly; a test looks first.
    pub fn new(parts: Parts) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let described = catalog::all().map(|metric| {
            let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
            Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, std::collections::HashMap::new())
        });
        let descriptions = described.collect::<Result<Vec<_>, _>>()?;
        registry.register(Box::new(Collected { parts, descriptions }))?;
        registry.register(Box::new(ProcessCollector::for_self()))?;
        Ok(Self(registry))
    }

    /// All of them now, in Prometheus' text form.
    ///
    /// # Errors
    /// A name or a value cannot be written.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.0.gather(), &mut text)?;
        Ok(text)
    }
}
