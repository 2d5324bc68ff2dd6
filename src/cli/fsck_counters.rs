//! `bytepass fsck --counters`: compares the counters of uploads with the uploads, and corrects them with `--fix`. Running brokers are
//! not disturbed, and a correction beside them is exact.

use serde_json::{Value, json};

use crate::broker::{Broker, Counter, CounterDifference};

use super::offline::{Needs, OfflineArgs, Output, operator, reason};
use super::outcome::{self, Failure};
use super::table::table;

pub(super) fn run(offline: &OfflineArgs, fix: bool) -> Result<(), Failure> {
    let differing = offline.run(Needs::Database, async |broker| {
        if fix {
            tracing::info!(by = operator().name(), "correcting counters");
        }
        check(&broker, fix).await
    })?;
    outcome::print(&match offline.output {
        Output::Json => format!("{}\n", as_json(&differing, fix)),
        Output::Table => as_text(&differing, fix),
    })?;
    match differing.len() {
        count if count > 0 && !fix => Err(Failure::Found(format!(
            "{}; --fix corrects them",
            differ(count)
        ))),
        _ => Ok(()),
    }
}

/// All differences that can be corrected; without `fix` those of one comparison, which returns at most some hundred.
async fn check(broker: &Broker, fix: bool) -> Result<Vec<CounterDifference>, Failure> {
    let mut differing = Vec::new();
    loop {
        let check = broker.check_counters(fix).await;
        let check = check.map_err(|error| Failure::Runtime(reason(error)))?;
        let other = || Failure::Runtime("another fsck is correcting the counters".to_owned());
        let check = check.ok_or_else(other)?;
        differing.extend(check.differing);
        if !(fix && check.more) {
            return Ok(differing);
        }
    }
}

fn differ(count: usize) -> String {
    match count {
        1 => "1 counter differs from its uploads".to_owned(),
        count => format!("{count} counters differ from their uploads"),
    }
}

fn as_json(differing: &[CounterDifference], fixed: bool) -> Value {
    let one = |it: &CounterDifference| {
        let (owner, field, status) = match &it.counter {
            Counter::Pending { owner } => (Some(owner), None, "pending"),
            Counter::Uploads { field, status } => (None, Some(field), status.as_str()),
        };
        json!({
            "owner": owner, "field": field, "status": status, "uploads": it.uploads, "bytes": it.bytes, "fixed": fixed,
        })
    };
    let counters: Vec<Value> = differing.iter().map(one).collect();
    json!({"found": differing.len(), "fixed": if fixed { differing.len() } else { 0 }, "counters": counters})
}

fn as_text(differing: &[CounterDifference], fixed: bool) -> String {
    if differing.is_empty() {
        return "the counters agree with the uploads\n".to_owned();
    }
    let cells = |it: &CounterDifference| {
        let (of, status) = match &it.counter {
            Counter::Pending { owner } => (owner.clone(), "pending"),
            Counter::Uploads { field, status } => (field.clone(), status.as_str()),
        };
        let (uploads, bytes) = (format!("{:+}", it.uploads), format!("{:+}", it.bytes));
        vec![of, status.to_owned(), uploads, bytes]
    };
    let headings = ["OWNER OR FIELD", "STATUS", "UPLOADS", "BYTES"];
    let rows = table(&headings, differing.iter().map(cells));
    let end = if fixed { ", corrected" } else { "" };
    format!("{rows}\n{}{end}\n", differ(differing.len()))
}
