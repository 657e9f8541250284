//! The values a key may have: how each is read, written, and described to whoever got it wrong.

use std::{net::SocketAddr, time::Duration};

use clap::ValueEnum;
use figment::value::{Num, Value};
use serde_json::json;

use super::units;
use crate::{auth::Registration, logs::LogFormat, net::Connections};

/// A type that a key can have.
pub trait Setting: Sized {
    /// Reads it from a file, a variable or a flag; nothing when it is not of this type.
    fn read(value: &Value) -> Option<Self>;

    /// Writes it as TOML does.
    fn toml(&self) -> String;

    /// Writes it for programs.
    fn json(&self) -> serde_json::Value {
        serde_json::Value::String(self.toml().trim_matches('"').to_owned())
    }
}

/// Which values of its type a key takes.
#[derive(Debug)]
pub enum Rule<T> {
    /// All of them: what they are.
    Any(&'static str),
    /// Those from the first to the last: what they are, and an example.
    Within(&'static str, T, T, &'static str),
    /// Those for which it holds: what they are.
    Where(&'static str, fn(&T) -> bool),
}

impl<T: Setting + PartialOrd> Rule<T> {
    /// What is accepted, in words that follow "must be".
    pub fn words(&self) -> String {
        match self {
            Self::Any(what) | Self::Where(what, _) => (*what).to_owned(),
            Self::Within(what, from, to, example) => {
                format!("{what} from {} to {}, such as {example}", bare(from), bare(to))
            }
        }
    }

    /// Whether `value` is accepted.
    pub fn takes(&self, value: &T) -> bool {
        match self {
            Self::Any(_) => true,
            Self::Within(_, from, to, _) => from <= value && value <= to,
            Self::Where(_, holds) => holds(value),
        }
    }
}

fn bare(value: &impl Setting) -> String {
    value.toml().trim_matches('"').to_owned()
}

/// A number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A text in the quotes of TOML.
pub fn quoted(text: &str) -> String {
    // A JSON text is a TOML text, for everything that JSON escapes.
    serde_json::Value::String(text.to_owned()).to_string()
}

/// The same text without the password that a URL in it carries.
pub fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else { return text.to_owned() };
    let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match authority.rsplit_once('@').and_then(|(who, host)| Some((who.split_once(':')?.0, host))) {
        Some((user, host)) => format!("{scheme}://{user}:***@{host}{path}"),
        None => text.to_owned(),
    }
}

/// What somebody gave, as they would write it.
pub fn found(value: &Value) -> String {
    match value {
        Value::String(_, text) => quoted(&masked(text)),
        Value::Char(_, letter) => quoted(&letter.to_string()),
        Value::Bool(_, yes) => yes.to_string(),
        Value::Num(_, number) => of_number(*number),
        Value::Empty(..) => "nothing".to_owned(),
        Value::Dict(..) => "a table".to_owned(),
        Value::Array(_, items) => format!("[{}]", items.iter().map(found).collect::<Vec<_>>().join(", ")),
    }
}

fn of_number(number: Num) -> String {
    match (number.to_u128(), number.to_i128(), number.to_f64()) {
        (Some(number), ..) => number.to_string(),
        (_, Some(number), _) => number.to_string(),
        (.., number) => number.map_or_else(|| "a number".to_owned(), |number| number.to_string()),
    }
}

/// A number without a fraction or sign.
fn whole(value: &Value) -> Option<u64> {
    let number = value.to_num()?;
    let signed = number.to_i128().and_then(|number| u64::try_from(number).ok());
    signed.or_else(|| number.to_u128().and_then(|number| u64::try_from(number).ok()))
}

/// The text of a value; a variable whose text looks like a number is a text all the same.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, letter) => Some(letter.to_string()),
        Value::Num(_, number) => Some(of_number(*number)),
        _ => None,
    }
}

impl Setting for Duration {
    fn read(value: &Value) -> Option<Self> {
        units::time(&text(value)?)
    }

    fn toml(&self) -> String {
        quoted(&units::of_time(*self))
    }
}

impl Setting for Size {
    fn read(value: &Value) -> Option<Self> {
        units::size(&text(value)?).map(Self)
    }

    fn toml(&self) -> String {
        quoted(&units::of_size(self.0))
    }
}

impl Setting for SocketAddr {
    fn read(value: &Value) -> Option<Self> {
        text(value)?.parse().ok()
    }

    fn toml(&self) -> String {
        quoted(&self.to_string())
    }
}

/// One of some words.
macro_rules! words {
    ($($Type:ty),+) => {$(
        impl Setting for $Type {
            fn read(value: &Value) -> Option<Self> {
                <Self as ValueEnum>::from_str(&text(value)?, false).ok()
            }

            fn toml(&self) -> String {
                self.to_possible_value().map_or_else(String::new, |value| quoted(value.get_name()))
            }
        }
    )+};
}

words!(Registration, LogFormat);

impl Setting for String {
    fn read(value: &Value) -> Option<Self> {
        text(value)
    }

    fn toml(&self) -> String {
        quoted(self)
    }
}

impl Setting for Vec<String> {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Array(_, items) => items.iter().map(text).collect(),
            _ => None,
        }
    }

    fn toml(&self) -> String {
        format!("[{}]", self.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(", "))
    }

    fn json(&self) -> serde_json::Value {
        json!(self)
    }
}

impl Setting for bool {
    fn read(value: &Value) -> Option<Self> {
        value.to_bool()
    }

    fn toml(&self) -> String {
        self.to_string()
    }

    fn json(&self) -> serde_json::Value {
        json!(self)
    }
}

impl Setting for u8 {
    fn read(value: &Value) -> Option<Self> {
        u8::try_from(whole(value)?).ok()
    }

    fn toml(&self) -> String {
        self.to_string()
    }

    fn json(&self) -> serde_json::Value {
        json!(self)
    }
}

impl Setting for Connections {
    fn read(value: &Value) -> Option<Self> {
        match value {
            Value::Num(..) => whole(value).map(Self::AtMost),
            Value::String(_, text) if text == "auto" => Some(Self::Auto),
            _ => None,
        }
    }

    fn toml(&self) -> String {
        match self {
            Self::Auto => quoted("auto"),
            Self::AtMost(connections) => connections.to_string(),
        }
    }

    fn json(&self) -> serde_json::Value {
        match self {
            Self::Auto => json!("auto"),
            Self::AtMost(connections) => json!(connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_of_a_url_is_shown() {
        assert_eq!(masked("postgres://ada:s3cret@db.example/chat"), "postgres://ada:***@db.example/chat");
        assert_eq!(masked("postgres://ada:p@ss:w@db/chat?x=a@b"), "postgres://ada:***@db/chat?x=a@b");
        assert_eq!(masked("postgres://db.example/chat"), "postgres://db.example/chat");
        assert_eq!(masked("sqlite"), "sqlite");
        let given = Value::from("postgres://ada:s3cret@db/chat");
        assert_eq!(found(&given), r#""postgres://ada:***@db/chat""#);
    }

    #[test]
    fn what_was_found_is_told_as_it_was_written() {
        assert_eq!(found(&Value::from(5)), "5");
        assert_eq!(found(&Value::from(-5)), "-5");
        assert_eq!(found(&Value::from(vec!["a", "b"])), r#"["a", "b"]"#);
        assert_eq!(found(&Value::from(true)), "true");
    }

    #[test]
    fn what_is_accepted_is_told_with_its_range() {
        let rule = Rule::Within("a time", Duration::from_millis(100), Duration::from_secs(600), "\"30s\"");
        assert_eq!(rule.words(), "a time from 100ms to 10min, such as \"30s\"");
        assert!(rule.takes(&Duration::from_secs(600)) && !rule.takes(&Duration::from_secs(601)));
    }
}
