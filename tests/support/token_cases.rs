//! Cases of forged and malformed tokens: a name, the token, and the reason of its refusal.

use serde_json::Value;

use super::token_signers::*;

pub const SHAPE: &str = "the token must be three parts separated by dots";
pub const ENCODING: &str = "a part of the token is empty or not canonical base64url";
pub const HEADER: &str = "the token's header must be a JSON object with distinct members";
pub const CLAIMS: &str = "the token's claims must be a JSON object with distinct members";
pub const MEMBER: &str = "the token's header has a member that is not accepted";
pub const TYP: &str = "the token's typ is not accepted";
pub const ALG: &str = "the token's algorithm is not accepted";
pub const OTHER_ALG: &str = "the token's algorithm is not its key's";
pub const KID_SHAPE: &str = "the token's key id is not accepted";
pub const KID_UNKNOWN: &str = "the token's key is unknown";
pub const SIGNATURE: &str = "the token's signature is wrong";
pub const ISSUER: &str = "the token's issuer is unknown";
pub const AUDIENCE: &str = "the token is for another audience";
pub const TIME: &str = "a time in the token must be a number";
pub const NO_EXP: &str = "the token has no exp";
pub const EXPIRED: &str = "the token has expired";
pub const TOO_LONG: &str = "the token lives longer than this issuer's tokens may";
pub const NOT_YET: &str = "the token is not valid yet";
pub const FROM_FUTURE: &str = "the token was issued in the future";
pub const SUBJECT: &str =
    "the token's sub must be a string of 1 to 200 bytes without control characters";
pub const SCOPE: &str = "the token's scope must be a string";
pub const FIELDS: &str = "the token's fields must be a list of field names or Model.*";

/// Name, token, and the reason of its refusal.
pub type Case = (String, String, &'static str);

pub async fn all_are_refused(cases: impl Fn(&Signer) -> Vec<Case>, at_least: usize) {
    for signer in Signer::all() {
        let auth = trusting(&signer);
        let good = signer.token(&claims());
        assert!(auth.authenticate(&good, at(NOW)).await.is_ok());
        let cases = cases(&signer);
        assert!(cases.len() >= at_least, "only {} cases", cases.len());
        for (name, token, expected) in cases {
            let case = format!("{} {name}", signer.algorithm.as_str());
            let outcome = auth.authenticate(&token, at(NOW)).await;
            assert_eq!(reason(outcome, &case), expected, "{case}");
        }
    }
}

/// Good claims under another header.
pub fn headed(signer: &Signer, name: &str, value: Value, why: &'static str) -> Case {
    let case = format!("header {name} = {value:.40}");
    let mut header = signer.header();
    header[name] = value;
    let token = signer.raw(&header.to_string(), &claims().to_string());
    (case, token, why)
}

/// A good header over other claims.
pub fn claiming(signer: &Signer, name: &str, value: Value, why: &'static str) -> Case {
    let case = format!("claim {name} = {value:.40}");
    let mut claims = claims();
    claims[name] = value;
    (case, signer.token(&claims), why)
}

/// Header, claims and signature.
pub fn parts(token: &str) -> [String; 3] {
    let parts: Vec<String> = token.split('.').map(str::to_owned).collect();
    parts.try_into().unwrap()
}
