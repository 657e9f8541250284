//! The query of a URL, and pages of lists.
//!
//! A cursor is opaque to clients: it is whatever the list needs to find its place again.

use std::str::FromStr;

use axum::{extract::FromRequestParts, http::request::Parts};
use hubbub_protocol::{
    error::{ErrorCode, Refusal},
    limits::{PAGE_DEFAULT, PAGE_MAX},
    rest::Page,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::error::ApiError;

/// The query as `T`; fields it does not know are ignored.
#[derive(Debug)]
pub struct ApiQuery<T>(pub T);

fn decode<T: DeserializeOwned>(query: &str) -> Result<T, Refusal> {
    let pairs = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        let mut refusal = Refusal::new(ErrorCode::BadRequest, message);
        refusal.field = Some(path).filter(|path| path != ".");
        refusal
    })
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for ApiQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(decode(parts.uri.query().unwrap_or_default())?))
    }
}

/// The query of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PageQuery {
    /// How many items, 1 to 100; 50 when absent.
    pub limit: Option<i64>,
    /// Where to go on: `next` of the page before.
    pub cursor: Option<String>,
}

/// The number of items asked for.
///
/// # Errors
/// `bad_request` for `limit`.
pub fn limit_of(limit: Option<i64>) -> Result<usize, Refusal> {
    let Some(limit) = limit else {
        return Ok(PAGE_DEFAULT);
    };
    usize::try_from(limit)
        .ok()
        .filter(|limit| (1..=PAGE_MAX).contains(limit))
        .ok_or_else(|| Refusal::field("limit", format!("`limit` must be from 1 to {PAGE_MAX}")))
}

impl PageQuery {
    /// The number of items asked for.
    ///
    /// # Errors
    /// `bad_request` for `limit`.
    pub fn limit(&self) -> Result<usize, Refusal> {
        limit_of(self.limit)
    }

    /// Where to go on.
    ///
    /// # Errors
    /// `bad_request` for a `cursor` that no page gave.
    pub fn after<T: FromStr>(&self) -> Result<Option<T>, Refusal> {
        let wrong = || Refusal::field("cursor", "no page gave this cursor");
        let cursor = self.cursor.as_deref();
        cursor.map(|cursor| cursor.parse().map_err(|_| wrong())).transpose()
    }
}

/// Makes a page of what was fetched with one item more than `limit`; `cursor` names an item's place.
#[must_use]
pub fn page<T, C: ToString>(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Page<T> {
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|item| cursor(item).to_string());
    Page { items, next }
}

/// Cuts a page out of a list that is in memory whole, sorted by `place`.
///
/// # Errors
/// `bad_request` for `limit` or `cursor`.
pub fn cut<T, C>(items: Vec<T>, query: &PageQuery, place: impl Fn(&T) -> C) -> Result<Page<T>, Refusal>
where
    C: Ord + FromStr + ToString,
{
    let (limit, after) = (query.limit()?, query.after::<C>()?);
    let beyond = |item: &T| after.as_ref().is_none_or(|after| place(item) > *after);
    let found: Vec<T> = items.into_iter().filter(|item| beyond(item)).take(limit + 1).collect();
    Ok(page(found, limit, place))
}

/// The same for a list that is sorted by nothing its items tell: the cursor counts.
///
/// # Errors
/// `bad_request` for `limit` or `cursor`.
pub fn cut_counted<T>(items: Vec<T>, query: &PageQuery) -> Result<Page<T>, Refusal> {
    let counted: Vec<(usize, T)> = (1..).zip(items).collect();
    let Page { items, next } = cut(counted, query, |(at, _)| *at)?;
    Ok(Page { items: items.into_iter().map(|(_, item)| item).collect(), next })
}

#[cfg(test)]
mod tests {
    use hubbub_protocol::ids::{Seq, UserId};

    use super::*;

    #[test]
    fn a_limit_out_of_range_is_refused_by_name() {
        for good in ["", "limit=1", "limit=100&other=7"] {
            let query: PageQuery = decode(good).expect(good);
            assert!(query.limit().is_ok(), "{good}");
        }
        for bad in ["limit=0", "limit=101", "limit=-1"] {
            let query: PageQuery = decode(bad).expect(bad);
            let refused = query.limit().expect_err(bad);
            assert_eq!(refused.field.as_deref(), Some("limit"));
        }
        for bad in ["limit=x", "limit=", "limit=1.5", "limit=99999999999999999999"] {
            let refused = decode::<PageQuery>(bad).expect_err(bad);
            assert_eq!(refused.field.as_deref(), Some("limit"), "{bad}");
        }
    }

    #[test]
    fn a_cursor_is_one_that_a_page_gave() {
        let query: PageQuery = decode("cursor=0000000000007").expect("a query");
        assert_eq!(query.after(), Ok(Some(UserId::from_raw(7))));
        let query: PageQuery = decode("cursor=elsewhere").expect("a query");
        let refused = query.after::<UserId>().expect_err("no id");
        assert_eq!(refused.field.as_deref(), Some("cursor"));
    }

    #[test]
    fn pages_of_a_list_in_memory_join_up() {
        let query = |cursor: Option<String>| PageQuery { limit: Some(2), cursor };
        let first = cut_counted(vec!['a', 'b', 'c'], &query(None)).expect("a page");
        assert_eq!((first.items, first.next.as_deref()), (vec!['a', 'b'], Some("2")));
        let last = cut_counted(vec!['a', 'b', 'c'], &query(first.next)).expect("a page");
        assert_eq!((last.items, last.next), (vec!['c'], None));
        let after_a_gone_one =
            cut(vec![Seq(1), Seq(3)], &query(Some("2".to_owned())), |seq| seq.0).expect("a page");
        assert_eq!(after_a_gone_one.items, [Seq(3)]);
    }

    #[test]
    fn a_page_tells_where_the_next_begins() {
        let full = page(vec![Seq(1), Seq(2), Seq(3)], 2, |seq| *seq);
        assert_eq!(full.items, [Seq(1), Seq(2)]);
        assert_eq!(full.next.as_deref(), Some("2"));
        let last = page(vec![Seq(1), Seq(2)], 2, |seq| *seq);
        assert_eq!(last.next, None);
    }
}
