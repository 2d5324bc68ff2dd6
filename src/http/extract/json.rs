//! Parses JSON bodies strictly: only known members, each once and of its type. The problem points to the wrong member.

use std::fmt;
use std::marker::PhantomData;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use futures::future::LocalBoxFuture;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_path_to_error::{Path, Segment};

use super::body;
use crate::http::problem::{Code, Problem};

/// The longest detail that contains client input, in characters.
const MAX_DETAIL_CHARS: usize = 300;

/// The body as a `T`. Every `T` has `deny_unknown_fields`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Json<T>, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body::read(req, payload.take());
        Box::pin(async move { parse(&body.await?).map(Json) })
    }
}

/// Parses exactly one JSON object.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if text.is_empty() {
        let detail = "the body must be a JSON object, with Content-Type: application/json";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    if std::str::from_utf8(text).is_err() {
        let detail = "the body must be UTF-8";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    // A derived `Deserialize` also accepts an array of the members in order, and its errors name the Rust type.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) => Problem::invalid_member("", "the body must be a JSON object"),
            Err(error) => not_json(&error.to_string()),
        });
    }
    // Tracking the path costs twice as much, so only a failed parse is repeated with it.
    if let Ok(value) = serde_json::from_slice(text) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let detail = error.inner().to_string();
        if error.inner().is_data() {
            let pointer = pointer_of(error.path(), &detail);
            Problem::invalid_member(
                &pointer,
                shortened(&in_plain_words(without_position(&detail))),
            )
        } else {
            not_json(&detail)
        }
    })?;
    reader.end().map_err(|error| not_json(&error.to_string()))?;
    Ok(value)
}

fn not_json(detail: &str) -> Problem {
    let detail = format!("the body is not valid JSON: {}", shortened(detail));
    Problem::new(Code::InvalidRequest, detail)
}

/// The parser's message without "at line 1 column 85", because the pointer names the member.
fn without_position(detail: &str) -> &str {
    match detail.rfind(" at line ") {
        Some(end) => &detail[..end],
        None => detail,
    }
}

/// The parser's messages, as a sentence about the member that the pointer names.
fn in_plain_words(detail: &str) -> String {
    if detail.starts_with("missing field") {
        return "is required".to_owned();
    }
    if detail.starts_with("duplicate field") {
        return "must occur only once".to_owned();
    }
    match detail.split_once(", expected ") {
        Some((start, known)) if start.starts_with("unknown field") => {
            format!("is unknown; expected {known}")
        }
        Some((start, allowed)) if start.starts_with("invalid ") => format!("must be {allowed}"),
        _ => detail.to_owned(),
    }
}

fn shortened(detail: &str) -> String {
    detail.chars().take(MAX_DETAIL_CHARS).collect()
}

/// The JSON pointer (RFC 6901) to the member that failed.
fn pointer_of(path: &Path, detail: &str) -> String {
    let mut pointer = String::new();
    for segment in path.iter() {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", escaped(key))),
            Segment::Enum { variant } => pointer.push_str(&format!("/{}", escaped(variant))),
            Segment::Unknown => {}
        }
    }
    // A missing or duplicate member is reported at its parent; its name is only in the parser's message.
    let named = detail
        .strip_prefix("missing field `")
        .or_else(|| detail.strip_prefix("duplicate field `"))
        .and_then(|rest| rest.split('`').next());
    match named {
        Some(name) if !pointer.ends_with(&format!("/{name}")) => format!("{pointer}/{name}"),
        _ => pointer,
    }
}

fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The parsed value of a member, or the problem that points to it.
pub fn member<T, E: fmt::Display>(pointer: &str, parsed: Result<T, E>) -> Result<T, Problem> {
    parsed.map_err(|error| Problem::invalid_member(pointer, error.to_string()))
}

/// Accepts an object or null, but no array of its values in order, which a derived `Deserialize` accepts.
pub fn object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object or null")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_any(Object(PhantomData))
}

/// The largest integer that every JSON parser represents exactly.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// A number of bytes, written in digits only, so that every parser reads the same value.
pub fn whole_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, WHOLE_BYTES)?.ok_or_else(|| D::Error::custom(WHOLE_BYTES))
}

/// Like [`whole_bytes`], for a member that may be absent or null.
pub fn whole_bytes_or_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    whole(deserializer, WHOLE_BYTES)
}

/// A whole number, written in digits only; may be absent or null.
pub fn whole_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    whole(deserializer, WHOLE_NUMBER)
}

fn whole<'de, D: Deserializer<'de>>(
    deserializer: D,
    wanted: &'static str,
) -> Result<Option<u64>, D::Error> {
    let number = Option::<serde_json::Number>::deserialize(deserializer)
        .map_err(|_| D::Error::custom(wanted))?;
    number.map_or(Ok(None), |number| {
        let whole = number.as_u64().filter(|&number| number <= MAX_EXACT);
        whole.map(Some).ok_or_else(|| D::Error::custom(wanted))
    })
}

const WHOLE_NUMBER: &str = "must be a whole number, written in digits without quotes";
const WHOLE_BYTES: &str =
    "must be a whole number of bytes, 0 to 9007199254740991, written in digits without quotes";
