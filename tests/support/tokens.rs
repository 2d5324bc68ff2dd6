//! Bearer tokens made without the code under test, so that its mistakes can't hide.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;
use serde_json::{Map, Value, json};

/// A JWT in the making: headers and claims that a test can change one by one.
#[derive(Debug, Clone)]
pub struct Token {
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl Token {
    /// A valid HS256 token for this subject: ten minutes, no scope yet.
    pub fn new(issuer: &str, audience: &str, subject: &str) -> Token {
        let token = Token {
            header: Map::new(),
            claims: Map::new(),
        };
        token
            .header("alg", json!("HS256"))
            .header("typ", json!("JWT"))
            .claim("iss", json!(issuer))
            .claim("aud", json!(audience))
            .claim("sub", json!(subject))
            .claim("iat", json!(now_secs()))
            .claim("exp", json!(now_secs() + 600))
    }

    /// Sets a header, or removes it if the value is null.
    pub fn header(mut self, name: &str, value: Value) -> Token {
        set(&mut self.header, name, value);
        self
    }

    /// Sets a claim, or removes it if the value is null.
    pub fn claim(mut self, name: &str, value: Value) -> Token {
        set(&mut self.claims, name, value);
        self
    }

    /// The space-separated scopes.
    pub fn scope(self, scopes: &str) -> Token {
        self.claim("scope", json!(scopes))
    }

    /// Narrows the token to these fields.
    pub fn fields(self, fields: &[&str]) -> Token {
        self.claim("fields", json!(fields))
    }

    /// Sets the expiry to `secs` from now; may be negative.
    pub fn expires_in(self, secs: i64) -> Token {
        self.claim("exp", json!(now_secs() + secs))
    }

    /// The token, signed by HMAC-SHA256 whatever its header says.
    pub fn sign(&self, secret: &[u8]) -> String {
        let signed = self.unsigned();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let signature = hmac::sign(&key, signed.as_bytes());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// Header and claims without a signature: for other algorithms, and for attacks.
    pub fn unsigned(&self) -> String {
        let part = |map: &Map<String, Value>| {
            URL_SAFE_NO_PAD.encode(serde_json::to_vec(map).expect("JSON"))
        };
        format!("{}.{}", part(&self.header), part(&self.claims))
    }
}

fn set(map: &mut Map<String, Value>, name: &str, value: Value) {
    if value.is_null() {
        map.remove(name);
    } else {
        map.insert(name.to_owned(), value);
    }
}

/// Now, seconds since 1970.
pub fn now_secs() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("the clock is past 1970");
    i64::try_from(since.as_secs()).expect("the clock is before the year 292 billion")
}
