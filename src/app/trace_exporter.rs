//! The HTTP client of the trace export: calls go through `outbound`, on the process's own runtime.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use tokio::runtime::Handle;

use crate::outbound::{AddressRule, Limits, Outbound, Post, check_url};
use crate::telemetry::traces::{Endpoint, HttpClient, HttpError, Traces};

use super::{StartError, outbound};

/// The bounds of one call. Only the answer's status counts. The exporter ends a call sooner at `OTEL_EXPORTER_OTLP_TIMEOUT`.
const LIMITS: Limits = Limits {
    max_bytes: 8 * 1024,
    deadline: Duration::from_secs(10),
};

/// Prepares the trace export that the `OTEL_*` variables describe; `None` where they name no endpoint. Nothing is sent yet. Calls
/// run on `runtime`.
pub fn traces(runtime: &Handle) -> Result<Option<Traces>, StartError> {
    let wrong = |error: String| StartError::Traces(error);
    let Some(endpoint) = Endpoint::from_env().map_err(|error| wrong(error.to_string()))? else {
        return Ok(None);
    };
    check_url(&endpoint.url, rule_of(&endpoint.url))
        .map_err(|error| wrong(format!("{}: {error}", endpoint.variable)))?;
    let client = Client {
        outbound: outbound()?,
        runtime: runtime.clone(),
        failing: AtomicBool::new(false),
    };
    let traces = Traces::new(client).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(traces))
}

/// The operator configures the collector, so it may have any address; plain http only on a private network.
fn rule_of(url: &str) -> AddressRule {
    if url.starts_with("http://") {
        AddressRule::PrivateOnly
    } else {
        AddressRule::AnyButLinkLocal
    }
}

struct Client {
    outbound: Outbound,
    runtime: Handle,
    /// The last call failed and this is logged.
    failing: AtomicBool,
}

impl Client {
    /// Logs the first failure and the first success after it, not every batch.
    fn log(&self, outcome: &Result<u16, String>) {
        let problem = match outcome {
            Ok(200..300) => None,
            Ok(status) => Some(format!("it answered {status}")),
            Err(cause) => Some(cause.clone()),
        };
        let was_failing = self.failing.swap(problem.is_some(), Ordering::Relaxed);
        match problem {
            Some(problem) if !was_failing => {
                tracing::warn!(problem, "the collector takes no spans; they are dropped");
            }
            None if was_failing => tracing::info!("the collector takes spans again"),
            _ => {}
        }
    }
}

#[async_trait]
impl HttpClient for Client {
    /// Called by the exporter's thread, which has no runtime.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let call = self.runtime.spawn(call(self.outbound.clone(), request));
        let outcome = call
            .await
            .unwrap_or_else(|_| Err("the broker stopped".to_owned()));
        self.log(&outcome);
        Ok(Response::builder().status(outcome?).body(Bytes::new())?)
    }
}

async fn call(outbound: Outbound, request: Request<Bytes>) -> Result<u16, String> {
    let (head, body) = request.into_parts();
    let url = head.uri.to_string();
    let headers: Vec<_> = head
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?.to_owned())))
        .collect();
    let post = Post {
        url: &url,
        rule: rule_of(&url),
        headers: &headers,
        body,
    };
    let posted = outbound.post(post, LIMITS).await;
    posted
        .map(|posted| posted.status)
        .map_err(|error| error.to_string())
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Client")
    }
}
