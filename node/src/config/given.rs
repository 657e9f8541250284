//! What the operator gave: keys and values of a file and of the environment, not yet judged.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use figment::{
    Error, Profile, Provider,
    providers::{Env, Format, Toml},
    value::{Dict, Value},
};

use super::{Problem, keys};

/// What variables of the environment begin with.
pub const PREFIX: &str = "HUBBUB__";

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file.
    File(PathBuf),
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(&'static str),
}

impl Origin {
    /// Whether neither goes ahead of the other.
    #[must_use]
    pub const fn is_beside(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::File(_), Self::File(_))
                | (Self::Variable(_), Self::Variable(_))
                | (Self::Flag(_), Self::Flag(_))
        )
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One value that was given.
#[derive(Debug, Clone)]
pub struct Given {
    /// The key, as it was written, with that of its table.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Where it stands.
    pub origin: Origin,
}

/// What a file gives.
///
/// # Errors
/// The file is not there, or is no TOML.
pub fn of_file(path: &Path) -> Result<Vec<Given>, Problem> {
    let origin = Origin::File(path.to_owned());
    let trouble = |message: String| Problem { key: None, origin: origin.clone(), message };
    if !path.is_file() {
        return Err(trouble("there is no configuration file of that name: check --config".to_owned()));
    }
    let bytes = fs::read(path).map_err(|error| trouble(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        trouble("is no text in UTF-8: write TOML, as `hubbub config reference` shows it".to_owned())
    })?;
    let data = Toml::string(&text).data().map_err(|error| {
        trouble(format!("is no TOML ({}): `hubbub config reference` shows how it looks", one_line(&error)))
    })?;
    Ok(flat(data.into_values(), |_| origin.clone()))
}

/// What the environment gives.
#[must_use]
pub fn of_environment() -> Vec<Given> {
    // A variable that is no text cannot be one of ours.
    let data = Env::prefixed(PREFIX).split("__").data().unwrap_or_default();
    flat(data.into_values(), |key| Origin::Variable(keys::variable(key)))
}

fn flat(dicts: impl Iterator<Item = Dict>, origin: impl Fn(&str) -> Origin) -> Vec<Given> {
    let mut given = Vec::new();
    for dict in dicts {
        spread("", dict, &mut |key, value| given.push(Given { origin: origin(&key), key, value }));
    }
    given
}

/// Names each value by the way to it; a table that is empty is a value too.
fn spread(above: &str, dict: Dict, take: &mut impl FnMut(String, Value)) {
    for (name, value) in dict {
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        match value {
            Value::Dict(_, inner) if !inner.is_empty() => spread(&key, inner, take),
            value => take(key, value),
        }
    }
}

/// A parser draws the place below its message; one line of it is enough.
fn one_line(error: &Error) -> String {
    let text = error.to_string();
    let told = text.lines().filter(|line| !line.trim_start().starts_with(|c: char| c == '|' || c.is_ascii_digit()));
    let told = told.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(", ");
    let default = format!(" for key \"{}\"", Profile::Default);
    told.replace(&default, "").replace("TOML parse error ", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Result<Vec<Given>, String> {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let path = folder.path().join("hubbub.toml");
        fs::write(&path, bytes).expect("a writable folder");
        of_file(&path).map_err(|problem| problem.to_string())
    }

    #[test]
    fn keys_are_named_with_their_tables() {
        let given = file(b"[edge]\nheartbeat = \"5s\"\n[store]\n").expect("TOML");
        let keys: Vec<&str> = given.iter().map(|given| given.key.as_str()).collect();
        assert_eq!(keys, ["edge.heartbeat", "store"]);
    }

    #[test]
    fn garbage_is_refused_in_one_line_that_names_the_place() {
        for (bytes, place) in [
            (&b"[edge\nheartbeat = 5"[..], "line 1, column"),
            (b"[edge]\nheartbeat = = 5", "line 2, column"),
            (b"\x7fELF\x02\x01\x01\x00", "line 1, column"),
            (b"edge = \"\xff\xfe\"", "UTF-8"),
            (b"a = 1\na = 2\n", "duplicate key"),
        ] {
            let sentence = file(bytes).expect_err("no TOML");
            assert!(sentence.contains(place), "{sentence}");
            assert!(sentence.contains("hubbub.toml") && sentence.contains("hubbub config reference"), "{sentence}");
            assert_eq!(sentence.lines().count(), 1, "{sentence}");
        }
    }
}
