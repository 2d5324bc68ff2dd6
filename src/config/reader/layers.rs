//! Merges the sources: default.toml < a command's own defaults < file < environment < flags.
//!
//! Sections are merged key by key. `fields` and the lists of tables (`auth.issuers`, `receipts.keys`, `webhooks.endpoints`) are
//! replaced as a whole.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, nearest};
use super::sources::Sources;
use super::value::{Entries, Node, Source, Value};

/// The embedded reference page.
pub(in crate::config) const DEFAULT_TOML: &str = include_str!("../default.toml");

/// The largest file that is read (configuration, key, secret), in bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// The merged tree: sections with their keys.
pub(in crate::config) struct Layers {
    pub sections: Entries,
    /// Variable, section and key of each key that the environment can set: `BYTEPASS_SERVER_LISTEN`, `server`, `listen`.
    variables: Vec<(String, String, String)>,
    /// Whether a source could not be read at all.
    pub unreadable: bool,
}

impl Layers {
    /// Reads and merges all sources. Errors of a source go into `errors`, and the others are still read.
    pub fn read(sources: &Sources, errors: &mut Vec<ConfigError>) -> Layers {
        let sections = parse("default.toml", DEFAULT_TOML, &|_| Source::Default, errors);
        let mut layers = Layers {
            variables: variables(&sections),
            sections,
            unreadable: false,
        };
        if let Some((label, text)) = &sources.defaults {
            let layer = parse(label, text, &|_| Source::Layer(label), errors);
            layers.merge(layer);
        }
        if let Some(path) = &sources.file {
            let shown: Rc<str> = path.display().to_string().into();
            let place = |line| Source::File {
                path: shown.clone(),
                line,
            };
            match read_file(path) {
                Ok(text) => layers.merge(parse(&shown, &text, &place, errors)),
                Err(problem) => errors.push(ConfigError::of_source(&*shown, problem)),
            }
        }
        layers.unreadable = !errors.is_empty();
        layers.merge_env(sources, errors);
        for flag in &sources.overrides {
            let source = Source::Flag(flag.flag.to_owned());
            match flag.key.split_once('.') {
                Some((section, key)) => layers.set(section, key, &flag.value, source),
                None => errors.push(ConfigError::about(flag.key, &source, "unknown key")),
            }
        }
        layers
    }

    fn merge(&mut self, upper: Entries) {
        for (name, node) in upper {
            let lower = find(&mut self.sections, &name);
            match (lower, node) {
                (
                    Some(Node {
                        value: Value::Table(below),
                        ..
                    }),
                    Node {
                        value: Value::Table(above),
                        ..
                    },
                ) if name != "fields" => {
                    for (key, node) in above {
                        put(below, key, node);
                    }
                }
                (_, node) => put(&mut self.sections, name, node),
            }
        }
    }

    fn merge_env(&mut self, sources: &Sources, errors: &mut Vec<ConfigError>) {
        // Set first, so that BYTEPASS_TELEMETRY_LOG wins.
        if let Some(value) = sources.env.get("BYTEPASS_LOG") {
            let source = Source::Env("BYTEPASS_LOG".to_owned());
            self.set("telemetry", "log", value, source);
        }
        let variables = std::mem::take(&mut self.variables);
        for (name, value) in &sources.env {
            if !name.starts_with("BYTEPASS_") || is_not_ours(name) {
                continue;
            }
            let source = Source::Env(name.clone());
            match variables.iter().find(|(known, ..)| known == name) {
                Some((_, section, key)) => self.set(section, key, value, source),
                None => {
                    let known = variables.iter().map(|(known, ..)| known.as_str());
                    let hint = match nearest(name, known) {
                        Some(near) => format!("unknown variable; did you mean {near}?"),
                        None => "unknown variable; must be BYTEPASS_<SECTION>_<KEY>; \
                                 fields, issuers, keys and webhook endpoints are set in a file"
                            .to_owned(),
                    };
                    errors.push(ConfigError::of_source(source.to_string(), hint));
                }
            }
        }
    }

    fn set(&mut self, section: &str, key: &str, value: &str, source: Source) {
        let value = Value::Untyped(value.to_owned());
        let node = Node { value, source };
        match find(&mut self.sections, section) {
            Some(Node {
                value: Value::Table(entries),
                ..
            }) => put(entries, key.to_owned(), node),
            // Not a table, which is reported where the section is read.
            Some(_) => {}
            None => {
                let value = Value::Table(vec![(key.to_owned(), node.clone())]);
                put(
                    &mut self.sections,
                    section.to_owned(),
                    Node { value, ..node },
                );
            }
        }
    }
}

/// Variables with our prefix that are not settings: the path of the file (read by the command line), those of tests, and those that
/// Kubernetes sets in each pod beside a service named `bytepass`.
fn is_not_ours(name: &str) -> bool {
    let rest = name.strip_prefix("BYTEPASS_").unwrap_or(name);
    matches!(rest, "CONFIG" | "LOG" | "PORT" | "SERVICE_HOST")
        || rest.starts_with("TEST_")
        || rest.starts_with("SERVICE_PORT")
        || rest
            .strip_prefix("PORT_")
            .is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit()))
}

fn variables(sections: &Entries) -> Vec<(String, String, String)> {
    let mut variables = Vec::new();
    for (section, node) in sections.iter().filter(|(section, _)| section != "fields") {
        let Value::Table(entries) = &node.value else {
            continue;
        };
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| !["issuers", "keys", "endpoints"].contains(&key.as_str()))
        {
            let name = format!("BYTEPASS_{section}_{key}").to_ascii_uppercase();
            variables.push((name, section.clone(), key.clone()));
        }
    }
    variables
}

pub(in crate::config) fn find<'e>(entries: &'e mut Entries, name: &str) -> Option<&'e mut Node> {
    entries
        .iter_mut()
        .find(|(known, _)| known == name)
        .map(|(_, node)| node)
}

fn put(entries: &mut Entries, name: String, node: Node) {
    match find(entries, &name) {
        Some(known) => *known = node,
        None => entries.push((name, node)),
    }
}

/// Reads a small text file. The error continues a sentence that begins with the file's name.
fn read_file(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text))
        .map_err(|error| format!("can't be read: {error}"))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(format!(
            "can't be read: it is larger than {MAX_FILE_BYTES} bytes"
        ));
    }
    Ok(text)
}

/// A path in the configuration is relative to the folder of the file that contains it.
fn resolve(path: &str, named_in: &Source) -> PathBuf {
    match named_in {
        Source::File { path: file, .. } => Path::new(&**file)
            .parent()
            .unwrap_or(Path::new(""))
            .join(path),
        _ => PathBuf::from(path),
    }
}

/// Reads the file that a value names. The error contains the absolute path.
pub(in crate::config) fn named_file(node: &Node) -> Result<String, String> {
    let path = node.value.as_text().ok_or("must be a path, as a string")?;
    let path = resolve(path, &node.source);
    let tried = std::path::absolute(&path).unwrap_or(path);
    read_file(&tried).map_err(|problem| format!("{} {problem}", tried.display()))
}

fn parse(
    name: &str,
    text: &str,
    place: &dyn Fn(usize) -> Source,
    errors: &mut Vec<ConfigError>,
) -> Entries {
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|b| *b == b'\n').count();
    let (table, problems) = DeTable::parse_recoverable(text);
    if problems.is_empty() {
        return entries(table.get_ref(), &|offset| place(line_of(offset)));
    }
    for problem in problems {
        let line = line_of(problem.span().map_or(0, |span| span.start));
        // Only the message: the error's Display quotes the line, which may contain a secret.
        let message = problem.message();
        errors.push(ConfigError::of_source(format!("{name}:{line}"), message));
    }
    Entries::new()
}

fn entries(table: &DeTable<'_>, place: &dyn Fn(usize) -> Source) -> Entries {
    let mut rows: Vec<_> = table.iter().collect();
    rows.sort_by_key(|(key, _)| key.span().start);
    rows.into_iter()
        .map(|(key, value)| {
            let value = self::value(value, place);
            let source = place(key.span().start);
            (key.get_ref().to_string(), Node { value, source })
        })
        .collect()
}

fn value(value: &Spanned<DeValue<'_>>, place: &dyn Fn(usize) -> Source) -> Value {
    match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Float(number) => Value::Other(number.as_str().to_owned()),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(time) => Value::Other(time.to_string()),
        DeValue::Array(array) => Value::List(
            array
                .iter()
                .map(|item| Node {
                    value: self::value(item, place),
                    source: place(item.span().start),
                })
                .collect(),
        ),
        DeValue::Table(table) => Value::Table(entries(table, place)),
    }
}
