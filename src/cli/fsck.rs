//! `bytepass fsck`: compares the bucket with the database and reports differences. No broker has to run; running ones are not disturbed.

use clap::Args;
use serde_json::{Value, json};

use crate::broker::{Broker, Damage, Finding, FsckWalk};

use super::fsck_counters;
use super::outcome::{self, Failure};
use super::table::table;
use crate::cli::offline::{Needs, OfflineArgs, Output, Progress, operator, reason};

/// The most findings in a table. All of them are counted, and `-o json` has them.
const MOST_SHOWN: usize = 200;
/// The most findings that are kept; further ones are only counted.
const MOST_KEPT: usize = 100_000;

#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Remove leftovers: objects that the database lists as no longer needed. Missing and changed objects can't be repaired
    #[arg(long)]
    fix: bool,
    /// Remove unknown objects too: objects with a key of Bytepass's form that no row names, older than
    /// sweeper.staging_max_age_secs. Do not use it after restoring the database from a backup, which lacks the newest objects.
    /// Refused if the unknown objects outnumber the recorded ones
    #[arg(long, requires = "fix")]
    unknown: bool,
    /// Compare the counters of uploads with the uploads, instead of the bucket with the database. With --fix, correct them
    #[arg(long, conflicts_with = "unknown")]
    counters: bool,
    /// Don't ask for confirmation of --fix
    #[arg(long, requires = "fix")]
    yes: bool,
    #[command(flatten)]
    offline: OfflineArgs,
}

/// The result.
#[derive(Default)]
struct Found {
    walk: FsckWalk,
    findings: Vec<Finding>,
    /// The number of all findings.
    count: u64,
    fixed: u64,
    /// Why unknown objects were not removed although requested.
    kept: Option<String>,
    /// Why it ended early.
    error: Option<String>,
}

pub(super) fn run(args: FsckArgs) -> Result<(), Failure> {
    if args.counters {
        return fsck_counters::run(&args.offline, args.fix);
    }
    let question = match args.unknown {
        false => "Leftovers will be removed from the bucket. Is it this database's bucket?",
        true => {
            "Objects that the database doesn't name will be removed from the bucket. Is it this database's bucket alone, and the \
             database whole, not restored from a backup?"
        }
    };
    if args.fix && !args.yes && !outcome::confirm(question)? {
        return Err(Failure::Runtime("canceled, nothing has changed".to_owned()));
    }
    let output = args.offline.output;
    let found = args
        .offline
        .run_long(Needs::Bucket, async |broker, progress| {
            if args.fix {
                let (by, unknown) = (operator(), args.unknown);
                tracing::info!(by = by.name(), unknown, "manual action: fsck --fix");
            }
            Ok(walk(&broker, args.fix, args.unknown, progress).await)
        })?;
    outcome::print(&match output {
        Output::Json => format!("{}\n", as_json(&found)),
        Output::Table => as_text(&found),
    })?;
    let left = found.count - found.fixed;
    match (found.error, left, found.kept) {
        (Some(error), ..) => Err(Failure::Runtime(format!("fsck ended early: {error}"))),
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
        progress.set(format!(
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

/// Removes the unknown objects among the kept findings, if their number is plausible. Findings that were only counted need another run.
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
        progress.set(format!("{} removed", found.fixed));
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
    let verb = if count == 1 { "remains" } else { "remain" };
    format!("{} {verb}", findings(count))
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
        "{} and {} checked: {}, {} removed\n",
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
            "{} under the location with other keys: ignored\n",
            counted_as(foreign, "other object")
        ));
    }
    text
}
