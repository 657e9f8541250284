//! REST requests, counted and timed by route.
//!
//! # Invariants
//!
//! * The rows are the routes of the interface's description and one for everything else, so no path, method or status
//!   that somebody sends can add one.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::http::{Method, StatusCode};
use hubbub_actors::meter::{Histogram, Meters, Stamp};
use utoipa::openapi::{OpenApi, PathItem};

/// Routes there may be; there are about 90.
pub const ROUTES_MAX: usize = 140;
/// What a request counts as that asks for no route.
pub const OTHER: &str = "other";
/// The classes of the status.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Requests of one route.
#[derive(Debug)]
pub struct RouteMeter {
    /// Its path, with the names of its parts.
    pub path: String,
    /// Its method.
    pub method: String,
    /// How long the answers took.
    pub took: Histogram,
    /// Answers, in the order of [`CLASSES`].
    pub answered: [AtomicU64; CLASSES.len()],
}

impl RouteMeter {
    fn new(path: &str, method: &str) -> Self {
        let (took, answered) = (Histogram::default(), Default::default());
        Self { path: path.to_owned(), method: method.to_owned(), took, answered }
    }
}

/// A request's route, and when it came.
#[derive(Debug, Clone, Copy)]
pub struct Asked {
    row: usize,
    since: Stamp,
}

/// All routes.
#[derive(Debug)]
pub struct Routes {
    times: Arc<Meters>,
    /// The routes, and then what is none.
    rows: Vec<RouteMeter>,
    by_path: HashMap<String, Vec<(Method, usize)>>,
}

fn methods(item: &PathItem) -> impl Iterator<Item = Method> {
    let named = [
        (&item.get, Method::GET),
        (&item.put, Method::PUT),
        (&item.post, Method::POST),
        (&item.delete, Method::DELETE),
        (&item.patch, Method::PATCH),
        (&item.head, Method::HEAD),
    ];
    named.into_iter().filter(|(there, _)| there.is_some()).map(|(_, method)| method)
}

impl Routes {
    /// The routes that `api` describes, by the clock of `times`.
    #[must_use]
    pub fn of(api: &OpenApi, times: Arc<Meters>) -> Self {
        let (mut rows, mut by_path) = (Vec::new(), HashMap::<String, Vec<(Method, usize)>>::new());
        for (path, item) in &api.paths.paths {
            for method in methods(item) {
                rows.push(RouteMeter::new(path, method.as_str()));
                by_path.entry(path.clone()).or_default().push((method, rows.len() - 1));
            }
        }
        rows.push(RouteMeter::new(OTHER, OTHER));
        Self { times, rows, by_path }
    }

    /// The rows.
    #[must_use]
    pub fn rows(&self) -> &[RouteMeter] {
        &self.rows
    }

    /// A request has come, for the route whose path is `path` if it is for one.
    #[must_use]
    pub fn asked(&self, path: Option<&str>, method: &Method) -> Asked {
        let of_path = path.and_then(|path| self.by_path.get(path)).into_iter().flatten();
        let row =
            of_path.into_iter().find(|(known, _)| known == method).map_or(self.rows.len() - 1, |(_, row)| *row);
        Asked { row, since: self.times.stamp() }
    }

    /// It was answered.
    pub fn answered(&self, asked: Asked, status: StatusCode) {
        if asked.since.is_none() {
            return;
        }
        let (row, class) = (&self.rows[asked.row], usize::from(status.as_u16() / 100).clamp(1, CLASSES.len()) - 1);
        row.answered[class].fetch_add(1, Ordering::Relaxed);
        row.took.observe(asked.since, self.times.stamp());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    fn routes() -> Routes {
        Routes::of(&http::openapi(), Arc::new(Meters::new(true)))
    }

    #[test]
    fn there_is_place_for_every_route() {
        let routes = routes();
        assert!(routes.rows.len() > 60 && routes.rows.len() <= ROUTES_MAX + 1, "{}", routes.rows.len());
    }

    #[test]
    fn no_path_method_or_status_adds_a_row() {
        let routes = routes();
        let before = routes.rows.len();
        let bad = Method::from_bytes(b"BREW").expect("a token");
        for (path, method) in
            [(Some("/v1/nowhere"), &Method::GET), (None, &Method::GET), (Some("/v1/users/me"), &bad)]
        {
            for status in [100, 200, 404, 599, 999] {
                let asked = routes.asked(path, method);
                assert_eq!(asked.row, before - 1);
                routes.answered(asked, StatusCode::from_u16(status).expect("a status"));
            }
        }
        assert_eq!(routes.rows.len(), before);
        let told = |class: usize| routes.rows[before - 1].answered[class].load(Ordering::Relaxed);
        assert_eq!([told(0), told(1), told(2), told(3), told(4)], [3, 3, 0, 3, 6]);
    }

    #[test]
    fn a_route_is_told_by_path_and_method() {
        let routes = routes();
        let asked = routes.asked(Some("/v1/auth/login"), &Method::POST);
        assert_eq!(
            (routes.rows[asked.row].path.as_str(), routes.rows[asked.row].method.as_str()),
            ("/v1/auth/login", "POST")
        );
    }
}
