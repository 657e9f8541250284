//! The web client's cookies.
//!
//! A request with the header `X-CSRF` comes from our own page: other sites cannot set it without
//! our consent, and we give none. To such a request signing in answers with two cookies as well as
//! a body: the access token for every path of `/v1`, the refresh token for `/v1/auth` alone, both
//! `HttpOnly` and `SameSite=Strict`. The body then holds no refresh token, so that no script of the
//! page ever holds one.

use axum::http::{HeaderMap, HeaderValue, header};

/// The header that tells our own page from others.
pub const CSRF_HEADER: &str = "x-csrf";
/// Holds the access token.
pub const ACCESS_COOKIE: &str = "hubbub_access";
/// Holds the refresh token.
pub const REFRESH_COOKIE: &str = "hubbub_refresh";

/// Whether a request comes from our own page.
#[must_use]
pub fn from_our_page(headers: &HeaderMap) -> bool {
    headers.get(CSRF_HEADER).is_some_and(|value| !value.is_empty())
}

/// The value of the cookie `name`.
#[must_use]
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(known, _)| *known == name)
        .map(|(_, value)| value)
}

fn set(name: &str, value: &str, path: &str, age_s: u64, secure: bool) -> Option<HeaderValue> {
    let secure = if secure { "; Secure" } else { "" };
    let text = format!("{name}={value}; Path={path}; Max-Age={age_s}; HttpOnly; SameSite=Strict{secure}");
    let mut value = HeaderValue::from_str(&text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Adds the cookies of a sign-in to an answer, or takes them away when the tokens are empty.
pub fn write(headers: &mut HeaderMap, access: (&str, u64), refresh: (&str, u64), secure: bool) {
    let access = set(ACCESS_COOKIE, access.0, "/v1", access.1, secure);
    let refresh = set(REFRESH_COOKIE, refresh.0, "/v1/auth", refresh.1, secure);
    for cookie in access.into_iter().chain(refresh) {
        headers.append(header::SET_COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; hubbub_access=t.o.k"));
        headers.append(header::COOKIE, HeaderValue::from_static("hubbub_refresh=r"));
        assert_eq!(cookie(&headers, ACCESS_COOKIE), Some("t.o.k"));
        assert_eq!(cookie(&headers, REFRESH_COOKIE), Some("r"));
        assert_eq!(cookie(&headers, "hubbub"), None);
    }

    #[test]
    fn cookies_are_kept_from_scripts_and_other_sites() {
        let mut headers = HeaderMap::new();
        write(&mut headers, ("t", 900), ("r", 1_000), true);
        let cookies: Vec<_> = headers.get_all(header::SET_COOKIE).iter().collect();
        assert_eq!(cookies.len(), 2);
        for cookie in cookies {
            let text = cookie.to_str().expect("plain text");
            assert!(text.ends_with("HttpOnly; SameSite=Strict; Secure"), "{text}");
            assert!(!format!("{cookie:?}").contains("hubbub"), "not in logs");
        }
    }
}
