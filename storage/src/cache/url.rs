//! Where a Redis is, and who we are there: parsed once, and shown without the password.

use std::{fmt, str::FromStr};

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo};

/// How a URL is written.
const FORM: &str = "write it as redis://USER:PASSWORD@HOST:PORT/NUMBER";

/// The URL of a Redis: `redis://USER:PASSWORD@HOST:PORT/NUMBER`.
#[derive(Clone)]
pub struct RedisUrl(ConnectionInfo);

impl RedisUrl {
    pub(super) const fn info(&self) -> &ConnectionInfo {
        &self.0
    }
}

impl FromStr for RedisUrl {
    type Err = String;

    /// # Errors
    /// A sentence that names the remedy and repeats no part of a password.
    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("rediss://") {
            return Err(
                "Redis over TLS (rediss://) is not spoken: use redis:// on a network of your own, or a tunnel"
                    .to_owned(),
            );
        }
        if !text.starts_with("redis://") {
            return Err(format!("this is no URL of a Redis: {FORM}"));
        }
        if text.contains(['?', '#']) {
            return Err(format!("a Redis URL has no parameters here: {FORM}"));
        }
        // The driver's error may quote the URL.
        let info = text.into_connection_info().map_err(|_| format!("the URL of Redis cannot be read: {FORM}"))?;
        match info.addr() {
            ConnectionAddr::Tcp(host, _) if !host.is_empty() => Ok(Self(info)),
            _ => Err(format!("the URL of Redis names no host: {FORM}")),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settings = self.0.redis_settings();
        let user = settings.username().map_or_else(String::new, |user| format!("{user}@"));
        write!(f, "redis://{user}{}/{}", self.0.addr(), settings.db())
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let url: RedisUrl = "redis://ada:s%2Fecret@cache.example:7000/3".parse().expect("a URL");
        assert_eq!(url.to_string(), "redis://ada@cache.example:7000/3");
        assert_eq!(format!("{url:?}"), "RedisUrl(redis://ada@cache.example:7000/3)");
        let plain: RedisUrl = "redis://127.0.0.1".parse().expect("a URL");
        assert_eq!(plain.to_string(), "redis://127.0.0.1:6379/0");
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused_without_repeating_it() {
        for (text, why) in [
            ("rediss://:secret@host", "TLS"),
            ("http://:secret@host", "no URL of a Redis"),
            ("redis://:secret@host:port", "cannot be read"),
            ("redis://:secret@host/secret", "cannot be read"),
            ("redis://:secret@host/0?protocol=resp3", "no parameters"),
            ("redis://", "redis://USER:PASSWORD@HOST:PORT/NUMBER"),
        ] {
            let refusal = text.parse::<RedisUrl>().expect_err(text);
            assert!(refusal.contains(why) && !refusal.contains("secret"), "{text}: {refusal}");
        }
    }
}
