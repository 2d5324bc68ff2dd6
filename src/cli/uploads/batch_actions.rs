//! `bytepass uploads confirm`, `expire` and `delete`: one action on each upload, and the status of each afterwards.

use serde_json::{Value, json};

use crate::broker::{Broker, BrokerError};
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};
use crate::http;

use super::render::{text, to_json};
use crate::cli::offline::{Needs, OfflineArgs, Output, operator, reason};
use crate::cli::outcome::{self, Failure};
use crate::cli::table::table;

/// The status that an action is to reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Confirmed.
    Confirmed,
    /// No longer pending; uploaded objects are confirmed or rejected.
    Expired,
    /// Canceled or deleted.
    Deleted,
}

impl Goal {
    fn is_reached(self, status: Status) -> bool {
        match self {
            Goal::Confirmed => matches!(
                status,
                Status::Confirmed | Status::Attached | Status::Detached
            ),
            Goal::Expired | Goal::Deleted => status != Status::Pending,
        }
    }

    /// The message for uploads that did not reach it.
    fn missed(self) -> &'static str {
        match self {
            Goal::Confirmed => "not confirmed",
            Goal::Expired | Goal::Deleted => "still pending",
        }
    }

    async fn act(self, broker: &Broker, id: UploadId) -> Result<Upload, BrokerError> {
        let operator = operator();
        match self {
            Goal::Confirmed => broker.recheck(&operator, id).await,
            Goal::Expired => broker.expire(&operator, id).await,
            Goal::Deleted => {
                broker.remove(&operator, id).await?;
                broker.read(&operator, id).await
            }
        }
    }
}

/// The result for one upload.
struct ActionResult {
    id: UploadId,
    now: After,
    end: End,
}

/// An upload after the action.
enum After {
    /// The action was carried out.
    Seen {
        view: Value,
        /// An explanation; may be empty.
        why: String,
        /// Whether its object is removed, if it was to be removed.
        object_removed: Option<bool>,
    },
    /// Unchanged, for this reason.
    Unchanged(String),
    /// The answer is missing: it may have changed or not. The reason.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Reached,
    /// The goal is not reached; a retry may reach it.
    Missed,
    /// The action is impossible.
    Failed,
}

/// Runs the action on every upload, whatever the result of the others, and prints the results.
pub(super) fn run_each(offline: &OfflineArgs, ids: &[UploadId], goal: Goal) -> Result<(), Failure> {
    let results = offline.run(Needs::Bucket, async |broker| {
        let mut results = Vec::with_capacity(ids.len());
        for &id in ids {
            results.push(one(&broker, id, goal).await);
        }
        Ok(results)
    })?;
    outcome::print(&render(offline.output, &results))?;
    let count = |end| results.iter().filter(|it| it.end == end).count();
    let all = results.len();
    match (count(End::Failed), count(End::Missed)) {
        (0, 0) => Ok(()),
        (0, missed) => Err(Failure::NotReached(format!(
            "{missed} of {all} uploads: {}",
            goal.missed()
        ))),
        (failed, _) => Err(Failure::Runtime(format!(
            "{failed} of {all} uploads failed"
        ))),
    }
}

async fn one(broker: &Broker, id: UploadId, goal: Goal) -> ActionResult {
    let (now, end) = match goal.act(broker, id).await {
        Ok(upload) => {
            let end = match goal.is_reached(upload.status) {
                true => End::Reached,
                false => End::Missed,
            };
            (seen(upload, goal, broker).await, end)
        }
        Err(error @ BrokerError::StoreUnavailable { .. }) => {
            let upload = broker.read(&operator(), id).await.ok();
            match upload.and_then(|it| elsewhere(&it, broker)) {
                // The upload's bucket is not configured, so a retry would fail too.
                Some(place) => (After::Unchanged(place), End::Failed),
                None => (After::Unchanged(reason(error)), End::Missed),
            }
        }
        Err(error) => (failed(error), End::Failed),
    };
    ActionResult { id, now, end }
}

/// An upload after a successful action.
async fn seen(upload: Upload, goal: Goal, broker: &Broker) -> After {
    let gives_object_up = matches!(upload.status, Status::Deleted | Status::Rejected);
    let object_removed =
        (goal == Goal::Deleted && gives_object_up).then_some(upload.object_removed_at.is_some());
    let pending_deletion =
        (object_removed == Some(false)).then(|| match elsewhere(&upload, broker) {
            Some(place) => format!("{place}; its object stays there"),
            None => "its object is still to be removed by the sweeper".to_owned(),
        });
    let view = to_json(http::UploadView::of_done(&operator(), upload, broker).await);
    let reasons: Vec<String> = why(&view).into_iter().chain(pending_deletion).collect();
    After::Seen {
        why: reasons.join("; "),
        view,
        object_removed,
    }
}

/// An upload whose action failed with an error that is not the bucket's.
fn failed(error: BrokerError) -> After {
    match error {
        // As with a lost answer, the change may have been committed or not.
        error @ (BrokerError::DatabaseUnavailable { .. } | BrokerError::Internal(_)) => {
            After::Unknown(reason(error))
        }
        error => After::Unchanged(reason(error)),
    }
}

/// The message for an upload whose bucket is not the configured one.
fn elsewhere(upload: &Upload, broker: &Broker) -> Option<String> {
    let bucket = &upload.bucket;
    (!broker.is_here(upload)).then(|| format!("its bucket {bucket} is not the configured one"))
}

fn render(output: Output, results: &[ActionResult]) -> String {
    match output {
        Output::Json => {
            let data: Vec<Value> = results.iter().map(result_json).collect();
            format!("{}\n", json!({ "data": data }))
        }
        Output::Table => {
            let cells = |it: &ActionResult| {
                let (now, why) = match &it.now {
                    After::Seen { view, why, .. } => (text(&view["status"]), why),
                    After::Unchanged(why) => ("unchanged".to_owned(), why),
                    After::Unknown(why) => ("unknown".to_owned(), why),
                };
                vec![it.id.to_string(), now, why.clone()]
            };
            table(&["ID", "STATUS", "REASON"], results.iter().map(cells))
        }
    }
}

fn result_json(result: &ActionResult) -> Value {
    let id = result.id.to_string();
    match &result.now {
        After::Seen {
            view,
            object_removed: Some(removed),
            ..
        } => json!({"id": id, "upload": view, "object_removed": removed}),
        After::Seen { view, .. } => json!({"id": id, "upload": view}),
        After::Unchanged(why) => json!({"id": id, "error": why, "now": "unchanged"}),
        After::Unknown(why) => json!({"id": id, "error": why, "now": "unknown"}),
    }
}

/// Why an upload is still pending or was rejected.
fn why(view: &Value) -> Option<String> {
    match view["status"].as_str() {
        Some("pending") => Some("the bucket does not have the object yet".to_owned()),
        Some("rejected") if view["last_problem"].is_string() => Some(text(&view["last_problem"])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_answer_is_shown_as_unknown_and_refusal_as_unchanged() {
        let rendered = |error| {
            let id = UploadId::NONE;
            let (now, end) = (failed(error), End::Failed);
            render(Output::Table, &[ActionResult { id, now, end }])
        };
        let cause = "a change without an answer";
        let unanswered = rendered(BrokerError::DatabaseUnavailable {
            retry_after_secs: 1,
            cause,
        });
        assert!(unanswered.contains(" unknown ") && unanswered.contains(cause));
        let refused = rendered(BrokerError::UploadNotFound);
        assert!(refused.contains(" unchanged "), "{refused}");
    }
}
