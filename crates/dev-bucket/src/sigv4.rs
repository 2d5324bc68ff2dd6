//! Reads what a Signature Version 4 claims: date, region, service and signed headers. s3s verifies the signature itself.

use chrono::{NaiveDateTime, TimeDelta, Utc};
use http::{HeaderMap, HeaderValue};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

/// The greatest difference between a signed request's time and the server's clock.
const MAX_SKEW: TimeDelta = TimeDelta::minutes(15);

/// The longest lifetime of a presigned URL in seconds: 7 days.
pub(super) const MAX_EXPIRES_SECS: u32 = 7 * 24 * 60 * 60;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The claims of a signature, not yet verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Signed {
    region: String,
    service: String,
    headers: Vec<String>,
    in_query: bool,
}

impl Signed {
    /// Whether the signature covers the header (lower case).
    pub(super) fn covers(&self, header: &str) -> bool {
        self.headers.iter().any(|name| name == header)
    }

    /// Refuses signatures for another region or service.
    pub(super) fn require_scope(&self, region: &str) -> S3Result<()> {
        if self.region == region && self.service == "s3" {
            return Ok(());
        }
        Err(self.malformed(format!(
            "the signature is for {}/{}, expecting {region}/s3",
            self.region, self.service
        )))
    }

    fn malformed(&self, message: String) -> S3Error {
        malformed(self.in_query, message)
    }
}

/// Reads an `Authorization` header of Signature Version 4.
///
/// # Errors
/// `AuthorizationHeaderMalformed`, `RequestTimeTooSkewed`.
pub(super) fn parse_header(value: &HeaderValue, headers: &HeaderMap) -> S3Result<Signed> {
    let refuse = || {
        malformed(
            false,
            format!("expecting {ALGORITHM} Credential=…, SignedHeaders=…, Signature=…"),
        )
    };
    let text = value.to_str().map_err(|_| refuse())?;
    let rest = text.strip_prefix(ALGORITHM).ok_or_else(refuse)?;
    let mut fields = rest.split(',').map(str::trim);
    // The order is fixed because s3s reads the fields in this order: both must see the same values.
    let mut next = |name: &str| {
        let field = fields.next().and_then(|field| field.strip_prefix(name));
        field
            .and_then(|field| field.strip_prefix('='))
            .ok_or_else(refuse)
    };
    let credential = next("Credential")?;
    let signed_headers = next("SignedHeaders")?;
    next("Signature")?;
    if fields.next().is_some() {
        return Err(refuse());
    }
    let date = headers
        .get("x-amz-date")
        .and_then(|date| date.to_str().ok());
    require_near(date.ok_or_else(refuse)?, false, true)?;
    signed(credential, signed_headers, false)
}

/// Reads the query of a presigned URL.
///
/// # Errors
/// `AuthorizationQueryParametersError`, `RequestTimeTooSkewed`.
pub(super) fn parse_query(query: &[(String, String)]) -> S3Result<Signed> {
    let value = |name: &str| {
        let mut found = query
            .iter()
            .filter(|(other, _)| other.eq_ignore_ascii_case(name));
        match (found.next(), found.next()) {
            // s3s compares the names case-sensitively.
            (Some((other, value)), None) if other == name => Ok(value.as_str()),
            _ => Err(malformed(true, format!("{name} must be in the query once"))),
        }
    };
    if value("X-Amz-Algorithm")? != ALGORITHM {
        return Err(malformed(
            true,
            format!("X-Amz-Algorithm must be {ALGORITHM}"),
        ));
    }
    value("X-Amz-Signature")?;
    let expires = value("X-Amz-Expires")?.parse::<u32>();
    if !expires.is_ok_and(|secs| (1..=MAX_EXPIRES_SECS).contains(&secs)) {
        return Err(malformed(
            true,
            format!("X-Amz-Expires must be between 1 and {MAX_EXPIRES_SECS} seconds"),
        ));
    }
    require_near(value("X-Amz-Date")?, true, false)?;
    signed(
        value("X-Amz-Credential")?,
        value("X-Amz-SignedHeaders")?,
        true,
    )
}

fn signed(credential: &str, signed_headers: &str, in_query: bool) -> S3Result<Signed> {
    let scope: Vec<&str> = credential.split('/').collect();
    let [_key, _date, region, service, "aws4_request"] = scope[..] else {
        return Err(malformed(
            in_query,
            "the credential must be <key>/<date>/<region>/s3/aws4_request".to_owned(),
        ));
    };
    let headers: Vec<String> = signed_headers.split(';').map(str::to_owned).collect();
    let signed = Signed {
        region: region.to_owned(),
        service: service.to_owned(),
        headers,
        in_query,
    };
    if !signed.covers("host") {
        return Err(signed.malformed("the header host must be signed".to_owned()));
    }
    Ok(signed)
}

// s3s allows a skew of 7 days, so that a form's policy may be older than 15 minutes. All other requests are checked here.
fn require_near(date: &str, in_query: bool, past_too: bool) -> S3Result<()> {
    let date = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ")
        .map_err(|_| malformed(in_query, "the date must be YYYYMMDD'T'HHMMSS'Z'".to_owned()))?;
    let age = Utc::now().naive_utc() - date;
    if -age > MAX_SKEW || (past_too && age > MAX_SKEW) {
        return Err(s3_error!(
            RequestTimeTooSkewed,
            "the request's time is more than 15 minutes away from the server's"
        ));
    }
    Ok(())
}

fn malformed(in_query: bool, message: String) -> S3Error {
    let code = if in_query {
        S3ErrorCode::AuthorizationQueryParametersError
    } else {
        S3ErrorCode::AuthorizationHeaderMalformed
    };
    S3Error::with_message(code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> S3Result<Signed> {
        let mut headers = HeaderMap::new();
        let date = Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
        headers.insert("x-amz-date", date.parse().unwrap());
        parse_header(&HeaderValue::from_str(text).unwrap(), &headers)
    }

    #[test]
    fn header_claims_are_read() {
        let signed = header(
            "AWS4-HMAC-SHA256 Credential=K/20260101/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-date,Signature=00",
        )
        .unwrap();
        assert!(signed.covers("host") && signed.covers("x-amz-date"));
        assert!(!signed.covers("x-amz-meta-a"));
        assert!(signed.require_scope("eu-west-1").is_ok());
        assert!(signed.require_scope("us-east-1").is_err());
    }

    #[test]
    fn header_with_repeated_or_reordered_fields_is_refused() {
        let credential = "Credential=K/20260101/us-east-1/s3/aws4_request";
        for text in [
            format!("AWS4-HMAC-SHA256 {credential},SignedHeaders=host,SignedHeaders=x,Signature=0"),
            format!("AWS4-HMAC-SHA256 SignedHeaders=host,{credential},Signature=0"),
            format!("AWS4-HMAC-SHA256 {credential},SignedHeaders=host,Signature=0,More=1"),
            format!("AWS4-HMAC-SHA256 {credential},SignedHeaders=x-amz-date,Signature=0"),
            "AWS4-ECDSA-P256-SHA256 x".to_owned(),
        ] {
            assert!(header(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn query_with_a_repeated_name_or_other_case_is_refused() {
        let date = Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
        let good: Vec<(String, String)> = [
            ("X-Amz-Algorithm", ALGORITHM),
            ("X-Amz-Credential", "K/20260101/us-east-1/s3/aws4_request"),
            ("X-Amz-Date", &date),
            ("X-Amz-Expires", "900"),
            ("X-Amz-SignedHeaders", "host"),
            ("X-Amz-Signature", "00"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
        assert!(parse_query(&good).is_ok());
        for position in 0..good.len() {
            let mut twice = good.clone();
            twice.push(good[position].clone());
            assert!(parse_query(&twice).is_err());
            let mut lower = good.clone();
            lower[position].0 = lower[position].0.to_ascii_lowercase();
            assert!(parse_query(&lower).is_err());
        }
    }
}
