//! `bytepass uploads confirm`, `expire` and `delete`: one thing done to each upload, and what each is afterwards.

use serde_json::{Value, json};

use crate::broker::{Broker, BrokerError};
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};

use super::by_hand::{ByHand, Needs, Output, operator, reason};
use super::outcome::{self, Failure};
use super::table::table;
use super::uploads::seen;
use super::uploads_words::text;

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
    /// How it is now, or why nothing was done.
    now: Result<Value, String>,
    end: End,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Reached,
    /// It is as it should be, or may become so later.
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
            match seen(upload, broker).await {
                Ok(view) => (Ok(view), end),
                Err(error) => (Err(reason(error)), End::Failed),
            }
        }
        // It is as it was, and a later try may reach it.
        Err(error @ BrokerError::StoreUnavailable { .. }) => (Err(reason(error)), End::Missed),
        Err(error) => (Err(reason(error)), End::Failed),
    };
    Settled { id, now, end }
}

fn shown(output: Output, settled: &[Settled]) -> String {
    match output {
        Output::Json => {
            let one = |it: &Settled| match &it.now {
                Ok(view) => json!({"id": it.id.to_string(), "upload": view}),
                Err(why) => json!({"id": it.id.to_string(), "error": why}),
            };
            let data: Vec<Value> = settled.iter().map(one).collect();
            format!("{}\n", json!({ "data": data }))
        }
        Output::Table => {
            let cells = |it: &Settled| match &it.now {
                Ok(view) => vec![it.id.to_string(), text(&view["status"]), why(view)],
                Err(why) => vec![it.id.to_string(), "unchanged".to_owned(), why.clone()],
            };
            table(&["ID", "NOW", "WHY"], settled.iter().map(cells))
        }
    }
}

/// Why an upload is still pending or was rejected; nothing of any other.
fn why(view: &Value) -> String {
    match view["status"].as_str() {
        Some("pending") => "the bucket has nothing of it yet".to_owned(),
        Some("rejected") if view["last_problem"].is_string() => text(&view["last_problem"]),
        _ => String::new(),
    }
}
