//! `bytepass fsck`: holds the bucket against the database, and says where they differ. It needs no running broker and disturbs none.

use clap::Args;
use serde_json::{Value, json};

use crate::broker::{Broker, Damage, Finding, FsckWalk};

use super::fsck_counters;
use super::outcome::{self, Failure};
use super::table::table;
use crate::cli::offline::{ByHand, Needs, Output, Progress, operator, reason};

/// How many findings a table shows; all of them are counted, and `-o json` has them all.
const MOST_SHOWN: usize = 200;
/// How many findings are kept: of more, the rest is counted only.
const MOST_KEPT: usize = 100_000;

#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Remove leftovers: objects of which the database says that nobody needs them. Missing and changed objects can't be mended
    #[arg(long)]
    fix: bool,
    /// Remove unknown objects too: with a key of ours, named by no row, and older than sweeper.staging_max_age_secs. A database
    /// that was restored from a backup doesn't know objects that somebody needs. Refused where they are more than the recorded ones
    #[arg(long, requires = "fix")]
    unknown: bool,
    /// Compare the counters of uploads with the uploads, in place of the bucket with the database. With --fix, correct them
    #[arg(long, conflicts_with = "unknown")]
    counters: bool,
    /// Don't ask whether --fix is meant
    #[arg(long, requires = "fix")]
    yes: bool,
    #[command(flatten)]
    by_hand: ByHand,
}

/// What came of it.
#[derive(Default)]
struct Found {
    walk: FsckWalk,
    findings: Vec<Finding>,
    /// How many there are, the kept ones among them.
    count: u64,
    fixed: u64,
    /// Why unknown objects were to be removed, and were not.
    kept: Option<String>,
    /// Why it ended early.
    error: Option<String>,
}

pub(super) fn run(args: FsckArgs) -> Result<(), Failure> {
    if args.counters {
        return fsck_counters::run(&args.by_hand, args.fix);
    }
    let question = match args.unknown {
        false => "Leftovers will be removed from the bucket. Is it this database's bucket?",
        true => {
            "Objects that the database doesn't name will be removed from the bucket. Is it this database's bucket alone, and the \
             database whole, not restored from a backup?"
        }
    };
    if args.fix && !args.yes && !outcome::ask(question)? {
        return Err(Failure::Runtime("nothing was done".to_owned()));
    }
    let output = args.by_hand.output;
    let found = args
        .by_hand
        .run_long(Needs::Bucket, async |broker, progress| {
            if args.fix {
                let (by, unknown) = (operator(), args.unknown);
                tracing::info!(by = by.name(), unknown, "an fsck by hand that removes");
            }
            Ok(walk(&broker, args.fix, args.unknown, progress).await)
        })?;
    outcome::print(&match output {
        Output::Json => format!("{}\n", as_json(&found)),
        Output::Table => as_text(&found),
    })?;
    let left = found.count - found.fixed;
    match (found.error, left, found.kept) {
        (Some(error), ..) => Err(Failure::Runtime(format!("it ended early: {error}"))),
        (None, 0, _) => Ok(()),
        (None, left, None) => Err(Failure::Found(left_over(left))),
        (None, left, Some(kept)) => Err(Failure::Found(format!("{}; {kept}", left_over(left)))),
    }
}

async fn walk(broker: &Broker, fix: bool, unknown: bool, progress: &Progress) -> Found {
    let mut found = Found::default();
    found.walk.fix = fix;
    loop {
        match broker.fsck(&mut found.walk).await {
            Ok(None) => break,
            Ok(Some(findings)) => {
                found.count += findings.len() as u64;
                found.fixed += findings.iter().filter(|it| it.fixed).count() as u64;
                let room = MOST_KEPT.saturating_sub(found.findings.len());
                found.findings.extend(findings.into_iter().take(room));
            }
            Err(error) => {
                found.error = Some(reason(error));
                break;
            }
        }
        let FsckWalk { objects, rows, .. } = found.walk;
        let count = found.count;
        progress.say(format!(
            "{}, {}, {}",
            counted_as(objects, "object"),
            counted_as(rows, "record"),
            findings(count)
        ));
    }
    if unknown && found.error.is_none() {
        fix_unknown(broker, &mut found, progress).await;
    }
    found
}

/// Removes the unknown objects among the kept findings, where their number is credible; what was counted only is left to another run.
async fn fix_unknown(broker: &Broker, found: &mut Found, progress: &Progress) {
    found.kept = found
        .walk
        .keeps_unknown()
        .filter(|_| found.walk.unknown > 0);
    if found.kept.is_some() {
        return;
    }
    let findings = found.findings.iter_mut();
    for finding in findings.filter(|it| it.damage == Damage::Unknown) {
        if let Err(error) = broker.remove_unknown(&found.walk, finding).await {
            found.error = Some(reason(error));
            return;
        }
        found.fixed += u64::from(finding.fixed);
        progress.say(format!("{} removed", found.fixed));
    }
}

fn findings(count: u64) -> String {
    counted_as(count, "finding")
}

fn counted_as(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn left_over(count: u64) -> String {
    let is = if count == 1 { "is" } else { "are" };
    format!("{} {is} left", findings(count))
}

fn counted(found: &Found, damage: Damage) -> usize {
    let findings = found.findings.iter();
    findings.filter(|it| it.damage == damage).count()
}

const ALL: [Damage; 4] = [
    Damage::Missing,
    Damage::Changed,
    Damage::Leftover,
    Damage::Unknown,
];

fn as_json(found: &Found) -> Value {
    let finding = |it: &Finding| {
        json!({
            "damage": it.damage.as_str(), "key": it.key, "upload": it.upload.map(|id| id.to_string()),
            "detail": it.detail, "fixed": it.fixed,
        })
    };
    let findings: Vec<Value> = found.findings.iter().map(finding).collect();
    json!({
        "objects": found.walk.objects, "records": found.walk.rows, "foreign": found.walk.foreign,
        "found": found.count, "fixed": found.fixed, "findings": findings, "kept": found.kept,
        "error": found.error,
    })
}

fn as_text(found: &Found) -> String {
    let FsckWalk {
        objects,
        rows,
        foreign,
        ..
    } = found.walk;
    let mut text = String::new();
    if !found.findings.is_empty() {
        let cells = |it: &Finding| {
            vec![
                it.damage.as_str().to_owned(),
                it.key.clone(),
                it.upload
                    .map_or_else(|| "-".to_owned(), |id| id.to_string()),
                match it.fixed {
                    true => format!("{}; removed", it.detail),
                    false => it.detail.clone(),
                },
            ]
        };
        let shown = found.findings.iter().take(MOST_SHOWN);
        text.push_str(&table(
            &["DAMAGE", "KEY", "UPLOAD", "DETAIL"],
            shown.map(cells),
        ));
        let more = found.count.saturating_sub(MOST_SHOWN as u64);
        if more > 0 {
            text.push_str(&format!("… and {more} more; -o json shows them\n"));
        }
        text.push('\n');
    }
    text.push_str(&format!(
        "{} and {} were looked at: {}, {} removed\n",
        counted_as(objects, "object"),
        counted_as(rows, "record"),
        findings(found.count),
        found.fixed
    ));
    for damage in ALL {
        match counted(found, damage) {
            0 => {}
            count => text.push_str(&format!("  {count} {}\n", damage.as_str())),
        }
    }
    if foreign > 0 {
        text.push_str(&format!(
            "{} under the location with a key that is not ours: left alone\n",
            counted_as(foreign, "other object")
        ));
    }
    text
}
