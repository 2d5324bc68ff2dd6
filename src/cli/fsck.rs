//! `bytepass fsck`: holds the bucket against the database, and says where they differ. It needs no running broker and disturbs none.

use clap::Args;
use serde_json::{Value, json};

use crate::broker::{Broker, Damage, Finding, FsckWalk};

use super::by_hand::{ByHand, Output, reason, spinner};
use super::outcome::{self, Failure};
use super::table::table;

/// How many findings a table shows; all of them are counted, and `-o json` has them all.
const MOST_SHOWN: usize = 200;
/// How many findings are kept: of more, the rest is counted only.
const MOST_KEPT: usize = 100_000;

#[derive(Debug, Args)]
pub struct FsckArgs {
    /// Remove what nobody needs: leftovers, and objects with a key of ours that no row names and that are older than
    /// sweeper.staging_max_age_secs. Missing and changed objects can't be mended
    #[arg(long)]
    fix: bool,
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
    /// Why it ended early.
    error: Option<String>,
}

pub(super) fn run(args: FsckArgs) -> Result<(), Failure> {
    let question = "Objects that the database doesn't name will be removed from the bucket. Is it this database's bucket alone, \
                    and the database whole?";
    if args.fix && !args.yes && !outcome::ask(question)? {
        return Err(Failure::Runtime("nothing was done".to_owned()));
    }
    let output = args.by_hand.output;
    let found = args
        .by_hand
        .run(async |broker| Ok(walk(&broker, args.fix).await))?;
    outcome::print(&match output {
        Output::Json => format!("{}\n", as_json(&found)),
        Output::Table => as_text(&found),
    })?;
    let left = found.count - found.fixed;
    match (found.error, left) {
        (Some(error), _) => Err(Failure::Runtime(format!("it ended early: {error}"))),
        (None, 0) => Ok(()),
        (None, left) => Err(Failure::Found(format!("{left} findings are left"))),
    }
}

async fn walk(broker: &Broker, fix: bool) -> Found {
    let mut found = Found::default();
    found.walk.fix = fix;
    let progress = spinner();
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
        progress.set_message(format!(
            "{objects} objects, {rows} records, {count} findings"
        ));
        progress.tick();
    }
    progress.finish_and_clear();
    found
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
        "found": found.count, "fixed": found.fixed, "findings": findings, "error": found.error,
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
        "{objects} objects and {rows} records were looked at: {} findings, {} removed\n",
        found.count, found.fixed
    ));
    for damage in ALL {
        match counted(found, damage) {
            0 => {}
            count => text.push_str(&format!("  {count} {}\n", damage.as_str())),
        }
    }
    if foreign > 0 {
        text.push_str(&format!(
            "{foreign} other objects lie under the location, with keys that are not ours; they are left alone\n"
        ));
    }
    text
}
