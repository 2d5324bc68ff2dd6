//! Parses a token (compact JWS, RFC 7515): its shape, encoding and header. Nothing in the result is verified yet.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use super::keys::{Algorithm, MAX_KID_BYTES};
use super::signer::GRANT_TYPE;
use super::strict_json;

/// The longest token, in bytes. A longer one is refused without being parsed.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Header members that would bring a key of the token's own or change what is signed.
const REFUSED_MEMBERS: [&str; 6] = ["crit", "jku", "jwk", "x5u", "x5c", "b64"];

/// The kind of a token, by its `typ`. A receipt is neither, so it is never accepted as a bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A token of a configured issuer.
    Caller,
    /// A grant that the broker signed.
    Grant,
}

/// A parsed token. Nothing in it is verified.
pub(super) struct Jws<'a> {
    /// The signed bytes: header and payload as received.
    pub(super) message: &'a str,
    pub(super) kind: Kind,
    /// The signature, in canonical base64url.
    pub(super) signature: &'a str,
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    pub(super) claims: Map<String, Value>,
}

impl<'a> Jws<'a> {
    /// Parses a token. The error is a fixed text for the client.
    pub(super) fn parse(token: &'a str) -> Result<Jws<'a>, &'static str> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err("the token is longer than 8 KiB");
        }
        let mut parts = token.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err("the token must be three parts separated by dots");
        };
        // The decoder refuses padding, other alphabets, whitespace and non-zero trailing bits: a token has one spelling.
        let decode = |part: &str| match URL_SAFE_NO_PAD.decode(part) {
            Ok(bytes) if !bytes.is_empty() => Ok(bytes),
            _ => Err("a part of the token is empty or not canonical base64url"),
        };
        let (header_json, claims_json) = (decode(header)?, decode(payload)?);
        decode(signature)?;
        let members = strict_json::object(&header_json)
            .ok_or("the token's header must be a JSON object with distinct members")?;
        let (kind, algorithm, kid) = read_header(&members)?;
        let claims = strict_json::object(&claims_json)
            .ok_or("the token's claims must be a JSON object with distinct members")?;
        Ok(Jws {
            message: &token[..header.len() + 1 + payload.len()],
            kind,
            signature,
            algorithm,
            kid,
            claims,
        })
    }
}

fn read_header(
    members: &Map<String, Value>,
) -> Result<(Kind, Algorithm, Option<String>), &'static str> {
    if REFUSED_MEMBERS
        .iter()
        .any(|name| members.contains_key(*name))
    {
        return Err("the token's header has a member that is not accepted");
    }
    let kind = match members.get("typ") {
        None => Kind::Caller,
        Some(Value::String(typ)) => match typ.to_ascii_lowercase().as_str() {
            "jwt" | "at+jwt" => Kind::Caller,
            GRANT_TYPE => Kind::Grant,
            _ => return Err("the token's typ is not accepted"),
        },
        Some(_) => return Err("the token's typ is not accepted"),
    };
    let algorithm = members
        .get("alg")
        .and_then(Value::as_str)
        .and_then(Algorithm::parse)
        .ok_or("the token's algorithm is not accepted")?;
    let kid = match members.get("kid") {
        None => None,
        Some(Value::String(kid)) if (1..=MAX_KID_BYTES).contains(&kid.len()) => Some(kid.clone()),
        Some(_) => return Err("the token's key id is not accepted"),
    };
    Ok((kind, algorithm, kid))
}
