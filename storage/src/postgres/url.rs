//! Where a database is, and who we are there: parsed once, and shown without the password.

use std::{fmt, str::FromStr};

use sqlx::postgres::PgConnectOptions;

/// Parameters that a URL may carry. Others are refused: a mistyped `sslmode` must not go unnoticed.
const PARAMETERS: [&str; 5] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "options"];

/// The URL of a PostgreSQL database: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`.
#[derive(Clone)]
pub struct PostgresUrl {
    pub(super) options: PgConnectOptions,
}

impl PostgresUrl {
    pub(crate) const fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Whether `text` means a PostgreSQL database.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }
}

impl FromStr for PostgresUrl {
    type Err = String;

    /// # Errors
    /// A sentence that names the remedy and repeats no part of a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let form = "write it as postgres://USER:PASSWORD@HOST:PORT/DATABASE";
        if !Self::is_meant(text) {
            return Err(format!("the store's URL is none of PostgreSQL's: {form}"));
        }
        let query = text.split_once('?').map_or("", |(_, query)| query);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            if !PARAMETERS.contains(&name) && !name.starts_with("options[") {
                let known = PARAMETERS.join(", ");
                return Err(format!("the store's URL has the unknown parameter `{name}`: it may have {known}"));
            }
        }
        // The driver's error may quote the URL.
        let options = text.parse().map_err(|_| format!("the store's URL cannot be read: {form}"))?;
        Ok(Self { options })
    }
}

impl fmt::Display for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = &self.options;
        write!(f, "postgres://{}@{}:{}", options.get_username(), options.get_host(), options.get_port())?;
        options.get_database().map_or(Ok(()), |database| write!(f, "/{database}"))
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_its_password() {
        let text = "postgres://ada:s%2Fecret@db.example:6000/chat?sslmode=require";
        let url: PostgresUrl = text.parse().expect("a URL");
        assert_eq!(url.to_string(), "postgres://ada@db.example:6000/chat");
        assert_eq!(format!("{url:?}"), "PostgresUrl(postgres://ada@db.example:6000/chat)");
    }

    #[test]
    fn what_is_no_url_is_refused_without_repeating_it() {
        for text in [
            "postgres://ada:secret@host:port/x",
            "mysql://ada:secret@host/x",
            "postgres://ada:secret@/x?password=secret",
        ] {
            let refusal = text.parse::<PostgresUrl>().expect_err("no URL of ours");
            assert!(!refusal.contains("secret"), "{refusal}");
        }
    }
}
