//! A JSON body, read strictly: known members only, each once, each of its own type; what is wrong is pointed at.

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

/// The most characters of a detail that repeats what a client sent.
const MAX_DETAIL_CHARS: usize = 300;

/// A request's body as a `T`. The types that it is used with carry `deny_unknown_fields`.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Json<T> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Json<T>, Problem>>;

    fn from_request(req: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let body = body::read(req, payload.take());
        Box::pin(async move { parse(&body.await?).map(Json) })
    }
}

/// Parses one JSON text and nothing after it.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> Result<T, Problem> {
    if text.is_empty() {
        let detail = "the body is empty; send a JSON object with Content-Type: application/json";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    if std::str::from_utf8(text).is_err() {
        let detail = "the body is not UTF-8";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    // A derived reader would also take an array with the members in their order, and names its Rust type to the rest.
    if text.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(text) {
            Ok(_) => Problem::invalid_member("", "the body must be a JSON object"),
            Err(error) => not_json(&error.to_string()),
        });
    }
    // The tracked reading below costs twice as much, so it is kept for telling what is wrong.
    if let Ok(value) = serde_json::from_slice(text) {
        return Ok(value);
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value: T = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let detail = error.inner().to_string();
        if error.inner().is_data() {
            let pointer = pointer_of(error.path(), &detail);
            Problem::invalid_member(&pointer, shortened(without_place(&detail)))
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

/// The parser's words without "at line 1 column 85": the pointer says where.
fn without_place(detail: &str) -> &str {
    match detail.rfind(" at line ") {
        Some(end) => &detail[..end],
        None => detail,
    }
}

fn shortened(detail: &str) -> String {
    detail.chars().take(MAX_DETAIL_CHARS).collect()
}

/// The JSON pointer (RFC 6901) to what the parser complains of.
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
    // A member that is missing or there twice is reported at its parent: its name stands in the parser's message.
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

/// A member that is an object or null: an array with the same values in order is neither.
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

/// The largest integer that every JSON parser reads exactly.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// A number of bytes: digits and nothing else, so that no two parsers read two sizes.
pub fn whole_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    whole(deserializer, WHOLE_BYTES)?.ok_or_else(|| D::Error::custom(WHOLE_BYTES))
}

/// The same where the member may be left out or null.
pub fn whole_bytes_or_null<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    whole(deserializer, WHOLE_BYTES)
}

/// A whole number that may be left out or null: digits and nothing else.
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
