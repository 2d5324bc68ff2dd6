//! `bytepass uploads confirm`, `expire` and `delete`: one thing done to each upload, and what each is afterwards.

use serde_json::{Value, json};

use crate::broker::{Broker, BrokerError};
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};
use crate::http;

use super::outcome::{self, Failure};
use super::table::table;
use super::uploads::plain;
use super::uploads_words::text;
use crate::cli::offline::{ByHand, Needs, Output, operator, reason};

/// What somebody wants uploads to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// Confirmed.
    Confirmed,
    /// No longer pending, confirmed where they have arrived.
    Given,
    /// Gone.
    Deleted,
}

impl Goal {
    fn is_reached(self, status: Status) -> bool {
        match self {
            Goal::Confirmed => matches!(
                status,
                Status::Confirmed | Status::Attached | Status::Detached
            ),
            Goal::Given | Goal::Deleted => status != Status::Pending,
        }
    }

    /// What is said of those that did not reach it.
    fn missed(self) -> &'static str {
        match self {
            Goal::Confirmed => "not confirmed",
            Goal::Given | Goal::Deleted => "pending still",
        }
    }

    async fn work(self, broker: &Broker, id: UploadId) -> Result<Upload, BrokerError> {
        let operator = operator();
        match self {
            Goal::Confirmed => broker.recheck(&operator, id).await,
            Goal::Given => broker.expire(&operator, id).await,
            Goal::Deleted => {
                broker.remove(&operator, id).await?;
                broker.read(&operator, id).await
            }
        }
    }
}

/// What became of one upload.
struct Settled {
    id: UploadId,
    now: Now,
    end: End,
}

/// How an upload is afterwards.
enum Now {
    /// As the view says.
    Seen {
        view: Value,
        /// What a person should know of that; may be empty.
        why: String,
        /// Whether its object is gone, where it was to go.
        object_removed: Option<bool>,
    },
    /// As it was, for this reason.
    Unchanged(String),
    /// It may be as it was or not, for this reason.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Reached,
    /// It is not as it should be; a later try may reach it.
    Missed,
    /// It can't be looked at or worked on.
    Failed,
}

/// Does it to each upload, whatever became of the one before, and prints what each is afterwards.
pub(super) fn settle(by_hand: &ByHand, ids: &[UploadId], goal: Goal) -> Result<(), Failure> {
    let settled = by_hand.run(Needs::Bucket, async |broker| {
        let mut settled = Vec::with_capacity(ids.len());
        for &id in ids {
            settled.push(one(&broker, id, goal).await);
        }
        Ok(settled)
    })?;
    outcome::print(&shown(by_hand.output, &settled))?;
    let count = |end| settled.iter().filter(|it| it.end == end).count();
    let all = settled.len();
    match (count(End::Failed), count(End::Missed)) {
        (0, 0) => Ok(()),
        (0, missed) => Err(Failure::NotSo(format!(
            "{missed} of {all} uploads: {}",
            goal.missed()
        ))),
        (failed, _) => Err(Failure::Runtime(format!(
            "{failed} of {all} could not be settled"
        ))),
    }
}

async fn one(broker: &Broker, id: UploadId, goal: Goal) -> Settled {
    let (now, end) = match goal.work(broker, id).await {
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
                // No bucket was asked, and no later try by this configuration would be.
                Some(place) => (Now::Unchanged(place), End::Failed),
                None => (Now::Unchanged(reason(error)), End::Missed),
            }
        }
        Err(error) => (undone(error), End::Failed),
    };
    Settled { id, now, end }
}

/// An upload whose work is done.
async fn seen(upload: Upload, goal: Goal, broker: &Broker) -> Now {
    let gives_object_up = matches!(upload.status, Status::Deleted | Status::Rejected);
    let object_removed =
        (goal == Goal::Deleted && gives_object_up).then_some(upload.object_removed_at.is_some());
    let owed = (object_removed == Some(false)).then(|| match elsewhere(&upload, broker) {
        Some(place) => format!("{place}, and its object stays there"),
        None => "its object is still to be removed, which the sweeper does".to_owned(),
    });
    let view = plain(http::UploadView::of_done(&operator(), upload, broker).await);
    let words: Vec<String> = why(&view).into_iter().chain(owed).collect();
    Now::Seen {
        why: words.join("; "),
        view,
        object_removed,
    }
}

/// An upload whose work ended with an error that is not the bucket's.
fn undone(error: BrokerError) -> Now {
    match error {
        // Like a lost answer, it may have done all, a part or nothing.
        error @ (BrokerError::DatabaseUnavailable { .. } | BrokerError::Internal(_)) => {
            Now::Unknown(reason(error))
        }
        error => Now::Unchanged(reason(error)),
    }
}

/// Where an upload lies, if not in the configured bucket.
fn elsewhere(upload: &Upload, broker: &Broker) -> Option<String> {
    let bucket = &upload.bucket;
    (!broker.is_here(upload))
        .then(|| format!("it lies in the bucket {bucket}, which is not the configured one"))
}

fn shown(output: Output, settled: &[Settled]) -> String {
    match output {
        Output::Json => {
            let data: Vec<Value> = settled.iter().map(in_json).collect();
            format!("{}\n", json!({ "data": data }))
        }
        Output::Table => {
            let cells = |it: &Settled| {
                let (now, why) = match &it.now {
                    Now::Seen { view, why, .. } => (text(&view["status"]), why),
                    Now::Unchanged(why) => ("unchanged".to_owned(), why),
                    Now::Unknown(why) => ("unknown".to_owned(), why),
                };
                vec![it.id.to_string(), now, why.clone()]
            };
            table(&["ID", "NOW", "WHY"], settled.iter().map(cells))
        }
    }
}

fn in_json(settled: &Settled) -> Value {
    let id = settled.id.to_string();
    match &settled.now {
        Now::Seen {
            view,
            object_removed: Some(removed),
            ..
        } => json!({"id": id, "upload": view, "object_removed": removed}),
        Now::Seen { view, .. } => json!({"id": id, "upload": view}),
        Now::Unchanged(why) => json!({"id": id, "error": why, "now": "unchanged"}),
        Now::Unknown(why) => json!({"id": id, "error": why, "now": "unknown"}),
    }
}

/// Why an upload is still pending or was rejected; nothing of any other.
fn why(view: &Value) -> Option<String> {
    match view["status"].as_str() {
        Some("pending") => Some("the bucket has nothing of it yet".to_owned()),
        Some("rejected") if view["last_problem"].is_string() => Some(text(&view["last_problem"])),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_without_an_answer_is_told_as_unknown_and_a_refusal_as_unchanged() {
        let settled = |error| {
            let id = UploadId::NONE;
            let (now, end) = (undone(error), End::Failed);
            shown(Output::Table, &[Settled { id, now, end }])
        };
        let cause = "a change without an answer";
        let unanswered = settled(BrokerError::DatabaseUnavailable {
            retry_after_secs: 1,
            cause,
        });
        assert!(unanswered.contains(" unknown ") && unanswered.contains(cause));
        let refused = settled(BrokerError::UploadNotFound);
        assert!(refused.contains(" unchanged "), "{refused}");
    }
}
