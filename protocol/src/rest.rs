//! The shapes of REST: what is posted, what is answered.
//!
//! Bodies of `POST`, `PUT` and `PATCH` refuse unknown fields.

use serde::{Deserialize, Serialize};

mod accounts;
mod communities;
mod masked;
mod messages;
mod rooms;

pub use accounts::*;
pub use communities::*;
pub use messages::*;
pub use rooms::*;

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next: Option<String>,
}
