//! The errors of a configuration.

use std::fmt;

use super::value::Source;

/// One error: the key, its value (secrets masked), its source, and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The key, `storage.checksum_proof`; `None` for an error of a whole source.
    pub key: Option<String>,
    /// The value, masked if secret; `None` where the key has none.
    pub value: Option<String>,
    /// `bytepass.toml:12`, `env BYTEPASS_DATABASE_URL`, `flag --listen`, `default`.
    pub source: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl ConfigError {
    /// An error without a value: an unknown or a missing key.
    pub(in crate::config) fn about(
        key: &str,
        source: &Source,
        problem: impl Into<String>,
    ) -> ConfigError {
        ConfigError {
            key: Some(key.to_owned()),
            value: None,
            source: source.to_string(),
            problem: problem.into(),
        }
    }

    /// An error of a whole source: a file that is not TOML.
    pub(in crate::config) fn of_source(
        source: impl Into<String>,
        problem: impl Into<String>,
    ) -> ConfigError {
        ConfigError {
            key: None,
            value: None,
            source: source.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, problem) = (&self.source, &self.problem);
        match (&self.key, &self.value) {
            (Some(key), Some(value)) => write!(f, "{key} = {value} ({source}): {problem}"),
            (Some(key), None) => write!(f, "{key} ({source}): {problem}"),
            (None, _) => write!(f, "{source}: {problem}"),
        }
    }
}

/// All errors of a configuration, in the order of its sections; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// `errors` must not be empty.
    pub(in crate::config) fn of(errors: Vec<ConfigError>) -> ConfigErrors {
        ConfigErrors(errors)
    }

    /// Each error.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// `"a", "b" or "c"`.
pub(in crate::config) fn one_of<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<_> = names
        .into_iter()
        .map(|name| format!("\"{name}\""))
        .collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

/// The known name that is most similar: at most a third of its letters differ, or it has the same last word.
pub(in crate::config) fn nearest<'a>(
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let tail = name.rsplit('_').next().filter(|tail| tail.len() >= 3);
    let rank = |known: &str| {
        let letters = distance(name, known);
        let ending = tail.is_some_and(|tail| known.ends_with(&format!("_{tail}")));
        match (letters * 3 <= known.len().max(name.len()), ending) {
            (true, _) => Some(letters),
            (false, true) => Some(letters + 1000),
            (false, false) => None,
        }
    };
    known
        .filter_map(|known| rank(known).map(|rank| (rank, known)))
        .min()
        .map(|(_, known)| known)
}

/// The Levenshtein distance of the first 100 bytes.
fn distance(left: &str, right: &str) -> usize {
    let cut = |text: &str| text.bytes().take(100).collect::<Vec<_>>();
    let (left, right) = (cut(left), cut(right));
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
