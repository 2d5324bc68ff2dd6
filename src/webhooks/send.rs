//! One request to an endpoint: signed now, because a signature's time is checked against the receiver's clock.

use chrono::Utc;

use super::Endpoint;
use super::schedule::Answer;
use crate::outbound::{Limits, Outbound, Post};

/// Sends and gives what came back, in the words that are recorded.
pub(super) async fn send(
    outbound: &Outbound,
    endpoint: &Endpoint,
    id: &str,
    body: String,
    limits: Limits,
) -> Answer {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    match endpoint.signer.headers(id, Utc::now().timestamp(), &body) {
        Ok(signed) => headers.extend(signed),
        Err(error) => return Answer::failed(format!("it can't be signed: {error}")),
    }
    let post = Post {
        url: &endpoint.url,
        rule: endpoint.rule,
        headers: &headers,
        body: body.into(),
    };
    match outbound.post(post, limits).await {
        Ok(posted) => Answer::of(posted.status, posted.retry_after),
        // None of these errors holds the URL or a part of the answer.
        Err(error) => Answer::failed(error.to_string()),
    }
}
