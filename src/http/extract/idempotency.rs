//! The `Idempotency-Key` of a request, and the hash of the request's body.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HeaderName;
use actix_web::{FromRequest, HttpRequest};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::broker::IdempotencyKey;
use crate::http::problem::{Code, Problem};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest key, in characters.
const MAX_CHARS: usize = 255;

/// The value of the header, if the request has one.
pub struct IdempotencyHeader(Option<String>);

impl IdempotencyHeader {
    /// The key with a hash over the parsed body, so that white space and the order of members make no difference.
    pub fn key_for(self, body: &impl Serialize) -> Result<Option<IdempotencyKey>, Problem> {
        let Some(key) = self.0 else {
            return Ok(None);
        };
        let text =
            serde_json::to_vec(body).map_err(|error| Problem::internal(error.to_string()))?;
        let body_hash = hex::encode(Sha256::digest(text));
        Ok(Some(IdempotencyKey { key, body_hash }))
    }
}

impl FromRequest for IdempotencyHeader {
    type Error = Problem;
    type Future = Ready<Result<IdempotencyHeader, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(read(req).map(IdempotencyHeader))
    }
}

fn read(req: &HttpRequest) -> Result<Option<String>, Problem> {
    let mut values = req.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let bytes = value.as_bytes();
    let fits = (1..=MAX_CHARS).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic);
    match std::str::from_utf8(bytes) {
        Ok(key) if fits && values.next().is_none() => Ok(Some(key.to_owned())),
        _ => {
            let detail =
                "Idempotency-Key must be one header with 1 to 255 visible ASCII characters";
            Err(Problem::new(Code::InvalidRequest, detail))
        }
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;
    use serde_json::json;

    use super::*;

    fn read_of(keys: &[&str]) -> Option<Option<String>> {
        let request = keys.iter().fold(TestRequest::default(), |request, key| {
            request.append_header((IDEMPOTENCY_KEY, *key))
        });
        read(&request.to_http_request()).ok()
    }

    #[test]
    fn key_must_be_one_header_of_visible_ascii() {
        let longest = "k".repeat(MAX_CHARS);
        for key in ["1", "\"8e03978e-40d5-43dd-bc93-6894a57f9324\"", &longest] {
            assert_eq!(read_of(&[key]), Some(Some(key.to_owned())));
        }
        assert_eq!(read_of(&[]), Some(None));
        let long = "k".repeat(MAX_CHARS + 1);
        for key in ["", "a b", "a\tb", "é", &long] {
            assert_eq!(read_of(&[key]), None, "{key:?}");
        }
        assert_eq!(read_of(&["a", "a"]), None);
    }

    #[test]
    fn equal_bodies_have_equal_hashes() {
        let hash = |body| {
            let key = IdempotencyHeader(Some("a".to_owned())).key_for(&body);
            key.ok().flatten().map(|key| key.body_hash)
        };
        assert_eq!(hash(json!({"a": 1})), hash(json!({"a": 1})));
        assert_ne!(hash(json!({"a": 1})), hash(json!({"a": 2})));
        assert_eq!(hash(json!({})).map(|hash| hash.len()), Some(64));
    }
}
