//! POST requests. Only the status of the answer counts; its body is read up to the limit and discarded.

use bytes::Bytes;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, RequestBuilder};

use super::{AddressRule, Limits, Outbound, OutboundError, check_url, find_refusal, innermost};

/// The longest `Retry-After` that is read, in bytes.
const MAX_RETRY_AFTER_BYTES: usize = 64;

/// A request. No `Debug`: its headers contain a signature.
pub struct Post<'a> {
    /// The URL.
    pub url: &'a str,
    /// The addresses that it may connect to.
    pub rule: AddressRule,
    /// Headers, by lower-case name.
    pub headers: &'a [(&'a str, String)],
    /// The body.
    pub body: Bytes,
}

/// An answer to a POST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The HTTP status. A redirect is an answer like any other.
    pub status: u16,
    /// The `Retry-After` header, if it is short and ASCII.
    pub retry_after: Option<String>,
}

impl Outbound {
    /// Sends a request. At most [`Limits::max_bytes`] of the answer's body are read, and none after the deadline; a longer or endless
    /// body does not change the result.
    pub async fn post(&self, post: Post<'_>, limits: Limits) -> Result<Posted, OutboundError> {
        let (url, rule) = check_url(post.url, post.rule)?;
        let client: &Client = self.client(rule)?;
        let mut request: RequestBuilder = client.post(url).body(post.body);
        for (name, value) in post.headers {
            request = request.header(*name, value);
        }
        let failed = |error: reqwest::Error| match find_refusal(&error) {
            true => OutboundError::AddressRefused(rule),
            false => OutboundError::Unreachable(innermost(&error)),
        };
        let end = tokio::time::Instant::now() + limits.deadline;
        let mut response = tokio::time::timeout_at(end, request.send())
            .await
            .map_err(|_| OutboundError::TimedOut(limits.deadline))?
            .map_err(failed)?;
        let retry_after = response.headers().get(RETRY_AFTER);
        let posted = Posted {
            status: response.status().as_u16(),
            retry_after: retry_after
                .and_then(|value| value.to_str().ok())
                .filter(|text| text.len() <= MAX_RETRY_AFTER_BYTES)
                .map(str::to_owned),
        };
        let mut left = limits.max_bytes;
        while left > 0
            && let Ok(Ok(Some(chunk))) = tokio::time::timeout_at(end, response.chunk()).await
        {
            left = left.saturating_sub(chunk.len());
        }
        Ok(posted)
    }
}
