//! How spans reach their collector: through `outbound`, on the process's own runtime.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::runtime::Handle;

use crate::outbound::{AddressRule, Limits, Outbound, Post, check_url};
use crate::telemetry::traces::{Outgoing, Sender, Traces, Variables};

use super::{StartError, outbound};

/// The most of an answer that is read, in bytes: only its status counts.
const ANSWER_MAX_BYTES: usize = 8 * 1024;
/// How long a call may take. `OTEL_EXPORTER_OTLP_TIMEOUT` may shorten it.
const CALL_LIMIT: Duration = Duration::from_secs(10);

/// What exports this process's spans as the standard `OTEL_*` variables say; `None` where they name no endpoint. Nothing is sent
/// yet. Calls are made on `runtime`.
pub fn traces(runtime: &Handle) -> Result<Option<Traces>, StartError> {
    let wrong = |error: String| StartError::Traces(error);
    let variables = Variables::of_process().map_err(|error| wrong(error.to_string()))?;
    let Some(variables) = variables else {
        return Ok(None);
    };
    check_url(&variables.url, rule_of(&variables.url))
        .map_err(|error| wrong(format!("{}: {error}", variables.named_by)))?;
    let sender = sender(outbound()?, runtime.clone());
    let traces = Traces::new(&variables, sender).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(traces))
}

/// The operator named it, so it may be anywhere; without TLS only in a network of one's own.
fn rule_of(url: &str) -> AddressRule {
    if url.starts_with("http://") {
        AddressRule::PrivateOnly
    } else {
        AddressRule::AnyButLinkLocal
    }
}

fn sender(outbound: Outbound, runtime: Handle) -> Sender {
    Arc::new(move |outgoing| {
        let call = runtime.spawn(call(outbound.clone(), outgoing));
        let answer = call.map(|done| done.unwrap_or_else(|_| Err("the broker stopped".to_owned())));
        answer.boxed()
    })
}

async fn call(outbound: Outbound, outgoing: Outgoing) -> Result<u16, String> {
    let Outgoing { url, headers, body } = outgoing;
    let headers: Vec<_> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let post = Post {
        url: &url,
        rule: rule_of(&url),
        headers: &headers,
        body,
    };
    let limits = Limits {
        max_bytes: ANSWER_MAX_BYTES,
        deadline: CALL_LIMIT,
    };
    let posted = outbound.post(post, limits).await;
    posted
        .map(|posted| posted.status)
        .map_err(|error| error.to_string())
}
