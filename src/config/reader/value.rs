//! A configured value before its type is checked, and its source. Neither has `Debug`: the value may be a secret.

use std::fmt;
use std::rc::Rc;

use super::urls::Authority;

/// The source of a value.
#[derive(Clone)]
pub(in crate::config) enum Source {
    /// The embedded default.toml.
    Default,
    /// The defaults of a command, by its name.
    Layer(&'static str),
    /// A line of the configuration file.
    File { path: Rc<str>, line: usize },
    /// An environment variable.
    Env(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::Layer(label) => f.write_str(label),
            Source::File { path, line } => write!(f, "{path}:{line}"),
            Source::Env(name) => write!(f, "env {name}"),
            Source::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value and its source.
#[derive(Clone)]
pub(in crate::config) struct Node {
    pub value: Value,
    pub source: Source,
}

/// The members of a table, in the order of the file.
pub(in crate::config) type Entries = Vec<(String, Node)>;

/// A TOML value, or an untyped text from the environment or a flag, which is parsed as the type of its key.
#[derive(Clone)]
pub(in crate::config) enum Value {
    Text(String),
    Untyped(String),
    Integer(i64),
    Boolean(bool),
    List(Vec<Node>),
    Table(Entries),
    /// A float, a time or an integer beyond 64 bits, which no key accepts.
    Other(String),
}

/// How much of a value is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum Show {
    /// All of it.
    Plain,
    /// Only whether there is one.
    Masked,
    /// A URL, without its password.
    Url,
    /// The name of an environment variable; masked if it is not one, because it may be a secret.
    Variable,
}

/// Replaces a secret.
pub(in crate::config) const MASK: &str = "********";

impl Value {
    /// The value in errors and `check-config`, in TOML's notation.
    pub fn render(&self, show: Show) -> String {
        match self {
            Value::Text(text) | Value::Untyped(text) if text.is_empty() => "\"\"".to_owned(),
            _ if show == Show::Masked => MASK.to_owned(),
            // Any part of another type may be the secret.
            _ if show != Show::Plain && self.as_text().is_none() => MASK.to_owned(),
            Value::Text(text) | Value::Untyped(text) if show == Show::Url => {
                quote(&mask_password(text))
            }
            Value::Text(text) if show == Show::Variable && !is_variable(text) => MASK.to_owned(),
            Value::Text(text) => quote(text),
            // `8` from the environment is shown like `8` from a file.
            Value::Untyped(text) if text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok() => {
                text.clone()
            }
            Value::Untyped(text) => quote(text),
            Value::Integer(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            Value::List(nodes) => {
                let shown: Vec<_> = nodes.iter().map(|node| node.value.render(show)).collect();
                format!("[{}]", shown.join(", "))
            }
            // Its members may be secrets; each is shown on a line of its own.
            Value::Table(_) => "{…}".to_owned(),
            Value::Other(text) => text.clone(),
        }
    }

    /// The string, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) | Value::Untyped(text) => Some(text),
            _ => None,
        }
    }

    /// The whole number, if it is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Value::Integer(number) => Some(*number),
            Value::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// `true` or `false`, if it is one of them.
    pub fn as_boolean(&self) -> Option<bool> {
        match self {
            Value::Boolean(flag) => Some(*flag),
            Value::Untyped(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// The strings of a list, or of a comma-separated text from the environment.
    pub fn as_texts(&self) -> Option<Vec<&str>> {
        match self {
            Value::List(nodes) => nodes.iter().map(|node| node.value.as_text()).collect(),
            Value::Untyped(text) => {
                let parts = text.split(',').map(str::trim);
                Some(parts.filter(|part| !part.is_empty()).collect())
            }
            _ => None,
        }
    }
}

/// A quoted string on one line: control characters are escaped.
fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c.is_control() => quoted.extend(c.escape_unicode()),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

fn is_variable(text: &str) -> bool {
    text.chars()
        .all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// Masks each part of a URL that could be a password. The text need not be a URL.
fn mask_password(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        // `host=… password=…`, or a URL without a scheme: any part may be the secret.
        return MASK.to_owned();
    };
    // In a URL without a host the password is where the port would be. A file's name has neither.
    if scheme != "sqlite" && Authority::of(text).is_none() {
        return MASK.to_owned();
    }
    // A password with an unescaped `/` or `@` ends at the last `@`.
    let rest = match rest.rsplit_once('@') {
        None => rest.to_owned(),
        Some((userinfo, host)) => match userinfo.split_once(':') {
            None if scheme.starts_with("postgres") => format!("{userinfo}@{host}"),
            None => format!("{MASK}@{host}"),
            Some((user, _)) => format!("{user}:{MASK}@{host}"),
        },
    };
    let Some((path, query)) = rest.split_once('?') else {
        return format!("{scheme}://{rest}");
    };
    let shown = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, _)) if name.to_ascii_lowercase().contains("pass") => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    });
    format!("{scheme}://{path}?{}", shown.collect::<Vec<_>>().join("&"))
}
