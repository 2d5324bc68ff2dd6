//! Reads one table key by key. Each key becomes a line of `check-config` and, if its value is not allowed, an error.
//!
//! A key is read by the method of its type, which reports an error and returns `None`, so that all keys of a section are checked.
//! Keys that were not read are unknown and errors: a typo must not leave a default in force.

use std::ops::RangeInclusive;

use secrecy::SecretString;

use super::error::{ConfigError, nearest, one_of};
use super::value::{Entries, Node, Show, Source, Value};

/// One key, its value (secrets masked) and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The key, `server.listen`.
    pub key: String,
    /// The value in TOML's notation; `********` for a secret.
    pub value: String,
    /// `default`, `bytepass.toml:12`, `env BYTEPASS_SERVER_LISTEN`, `flag --listen`.
    pub source: String,
}

/// The keys that were read, and the errors.
#[derive(Default)]
pub(in crate::config) struct Report {
    pub explained: Vec<Explained>,
    pub errors: Vec<ConfigError>,
}

impl Report {
    /// Reports that the value of a key is not allowed. The key was read before.
    pub fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        let error = refusal(&self.explained, key, problem);
        self.errors.push(error);
    }
}

/// The error for a key that was read, with its value and source.
pub(in crate::config) fn refusal(
    explained: &[Explained],
    key: &str,
    problem: impl Into<String>,
) -> ConfigError {
    let read = explained.iter().rfind(|row| row.key == key);
    ConfigError {
        key: Some(key.to_owned()),
        value: read.map(|row| row.value.clone()),
        source: read.map_or("default".to_owned(), |row| row.source.clone()),
        problem: problem.into(),
    }
}

/// A table that is being read.
pub(in crate::config) struct Section<'r> {
    path: String,
    source: Source,
    entries: Entries,
    known: Vec<&'static str>,
    report: &'r mut Report,
}

impl<'r> Section<'r> {
    /// Opens the table at `path`. A node that is not a table is an error.
    pub fn open(path: String, node: Node, report: &'r mut Report) -> Option<Section<'r>> {
        let Value::Table(entries) = node.value else {
            let problem = format!("must be a table, [{path}]");
            report
                .errors
                .push(ConfigError::about(&path, &node.source, problem));
            return None;
        };
        Some(Section {
            path,
            source: node.source,
            entries,
            known: Vec::new(),
            report,
        })
    }

    /// The full key, `server.listen`.
    pub fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// The report, for errors about several keys.
    pub fn report(&mut self) -> &mut Report {
        self.report
    }

    /// Reports that a key's value is not allowed.
    pub fn refuse(&mut self, key: &str, problem: impl Into<String>) {
        let key = self.key(key);
        self.report.refuse(&key, problem);
    }

    /// Reports an error of the table as a whole.
    pub fn refuse_table(&mut self, problem: impl Into<String>) {
        let error = ConfigError::about(&self.path, &self.source, problem);
        self.report.errors.push(error);
    }

    /// Sets the default of a key of a field, an issuer or an endpoint, which default.toml only names in a comment.
    pub fn fallback(&mut self, key: &'static str, value: Value) {
        if !self.has(key) {
            let source = Source::Default;
            self.entries.push((key.to_owned(), Node { value, source }));
        }
    }

    /// Whether the key is set.
    pub fn has(&mut self, key: &'static str) -> bool {
        self.know(key);
        self.entries.iter().any(|(name, _)| name == key)
    }

    /// Adds a known key once: many are queried before they are read.
    fn know(&mut self, key: &'static str) {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
    }

    /// Removes and returns a value, without a line of `check-config`.
    pub fn take(&mut self, key: &'static str) -> Option<Node> {
        self.know(key);
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1)
    }

    /// Reads a required key. The error of `parse` says what is allowed.
    pub fn parse<T>(
        &mut self,
        key: &'static str,
        show: Show,
        parse: impl FnOnce(&Node) -> Result<T, String>,
    ) -> Option<T> {
        let Some(node) = self.take(key) else {
            let whole = self.key(key);
            let error = ConfigError::about(&whole, &self.source, "must be set");
            self.report.errors.push(error);
            return None;
        };
        self.report.explained.push(Explained {
            key: self.key(key),
            value: node.value.render(show),
            source: node.source.to_string(),
        });
        parse(&node)
            .map_err(|problem| self.refuse(key, problem))
            .ok()
    }

    /// A string that `parse` accepts.
    pub fn text<T>(
        &mut self,
        key: &'static str,
        show: Show,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        self.parse(key, show, |node| {
            parse(node.value.as_text().ok_or("must be a string")?)
        })
    }

    /// A text that `parse` understands, or `""` for none.
    pub fn optional<T>(
        &mut self,
        key: &'static str,
        show: Show,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<Option<T>> {
        self.text(key, show, |text| match text {
            "" => Ok(None),
            text => parse(text).map(Some),
        })
    }

    /// A secret, or `""` for none. Its value is never shown.
    pub fn secret(&mut self, key: &'static str) -> Option<Option<SecretString>> {
        self.optional(key, Show::Masked, |text| Ok(text.into()))
    }

    /// An integer within a range.
    pub fn integer<T>(&mut self, key: &'static str, range: RangeInclusive<T>) -> Option<T>
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        self.parse(key, Show::Plain, |node| {
            let number = node.value.as_integer().and_then(|n| T::try_from(n).ok());
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| {
                    let (least, greatest) = (range.start(), range.end());
                    format!("must be an integer from {least} to {greatest}")
                })
        })
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        self.parse(key, Show::Plain, |node| {
            node.value
                .as_boolean()
                .ok_or("must be true or false".to_owned())
        })
    }

    /// One of these names.
    pub fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Option<T> {
        self.parse(key, Show::Plain, |node| {
            let given = node.value.as_text();
            let found = choices.iter().find(|(name, _)| Some(*name) == given);
            found
                .map(|(_, value)| *value)
                .ok_or_else(|| format!("must be {}", one_of(choices.iter().map(|(name, _)| *name))))
        })
    }

    /// A list of strings that `parse` accepts.
    pub fn list<T>(
        &mut self,
        key: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        self.parse(key, Show::Plain, |node| {
            let texts = node.value.as_texts().ok_or("must be a list of strings")?;
            texts.into_iter().map(parse).collect()
        })
    }

    /// A list of tables, read one by one. `problem` says what is allowed where it is not a list of as many tables.
    pub fn tables<T>(
        &mut self,
        key: &'static str,
        count: RangeInclusive<usize>,
        problem: &str,
        read: impl Fn(&mut Section) -> Option<T>,
    ) -> Option<Vec<T>> {
        let path = self.key(key);
        let Node { value, source } = self.take(key)?;
        let nodes = match value {
            Value::List(nodes) if count.contains(&nodes.len()) => nodes,
            _ => {
                let error = ConfigError::about(&path, &source, problem);
                self.report.errors.push(error);
                return None;
            }
        };
        if nodes.is_empty() {
            self.report.explained.push(Explained {
                key: path.clone(),
                value: "[]".to_owned(),
                source: source.to_string(),
            });
        }
        let given = nodes.len();
        let mut tables = Vec::new();
        for (index, node) in nodes.into_iter().enumerate() {
            let section = Section::open(format!("{path}[{index}]"), node, self.report);
            if let Some(mut section) = section {
                tables.extend(read(&mut section));
                section.finish();
            }
        }
        (tables.len() == given).then_some(tables)
    }

    /// Reports the keys that are left as unknown. Their values are not shown, because each may be a secret under a wrong name.
    pub fn finish(self) {
        for (name, node) in self.entries {
            let near = nearest(&name, self.known.iter().copied());
            let problem = match near {
                Some(near) => format!("unknown key; did you mean \"{near}\"?"),
                None => format!("unknown key; [{}] has {}", self.path, self.known.join(", ")),
            };
            let key = format!("{}.{name}", self.path);
            let error = ConfigError::about(&key, &node.source, problem);
            self.report.errors.push(error);
        }
    }
}
