//! `bytepass sweep --once`: does the sweeper's work now, or lists it. It does not take the sweep lease: sweeping at the same time as a broker
//! is safe, and a running broker keeps its lease between its rounds.

use clap::{ArgAction, Args, ValueEnum};
use serde_json::{Value, json};

use crate::broker::{Broker, Counts, SweepKind, SweepWalk};

use super::outcome::{self, Failure};
use super::table::table;
use crate::cli::offline::{Needs, OfflineArgs, Output, Progress, operator, reason};

/// Why work remains although no batch failed.
const CUT: &str = "the bucket refuses requests or gives no clear answer: the rest remains";

#[derive(Debug, Args)]
pub struct SweepArgs {
    /// Run one round of each kind and exit (running brokers sweep by themselves)
    #[arg(long, required = true, action = ArgAction::SetTrue)]
    once: bool,
    /// List what would be done and change nothing. One batch of each kind is listed. Of the kinds pending, unattached and
    /// attempts, no more than one batch is counted
    #[arg(long)]
    dry_run: bool,
    /// Only this kind; may be repeated [default: all]
    #[arg(long = "kind", value_enum, value_name = "KIND")]
    kinds: Vec<Kind>,
    /// The size of a batch
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
    #[command(flatten)]
    offline: OfflineArgs,
}

/// A kind of sweep, by its name.
#[derive(Debug, Clone, Copy)]
struct Kind(SweepKind);

impl ValueEnum for Kind {
    fn value_variants<'a>() -> &'a [Kind] {
        const ALL: [Kind; SweepKind::ALL.len()] = {
            let mut all = [Kind(SweepKind::Pending); SweepKind::ALL.len()];
            let mut at = 0;
            while at < all.len() {
                all[at] = Kind(SweepKind::ALL[at]);
                at += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.as_str()))
    }
}

/// The result for one kind.
struct Swept {
    kind: SweepKind,
    counts: Counts,
    /// Whether a dry run found more than it counts; `None` for a sweep.
    more: Option<bool>,
    would: Vec<String>,
    /// Why work remains.
    error: Option<String>,
}

pub(super) fn run(args: SweepArgs) -> Result<(), Failure> {
    let kinds: Vec<SweepKind> = match &*args.kinds {
        [] => SweepKind::ALL.to_vec(),
        kinds => kinds.iter().map(|kind| kind.0).collect(),
    };
    let (dry_run, batch) = (args.dry_run, args.batch);
    let swept = args
        .offline
        .run_long(Needs::Bucket, async |broker, progress| {
            tracing::info!(by = operator().name(), dry_run, "manual action: sweep");
            let mut swept = Vec::new();
            for kind in kinds {
                swept.push(sweep(&broker, kind, batch, dry_run, progress).await);
            }
            Ok(swept)
        })?;
    outcome::print(&match args.offline.output {
        Output::Json => {
            let kinds: Vec<Value> = swept.iter().map(kind_json).collect();
            format!("{}\n", json!({"dry_run": dry_run, "kinds": kinds}))
        }
        Output::Table => render(&swept),
    })?;
    match swept.iter().filter(|it| it.error.is_some()).count() {
        0 => Ok(()),
        some => Err(Failure::Runtime(format!(
            "{some} of {} kinds were not swept completely",
            swept.len()
        ))),
    }
}

async fn sweep(
    broker: &Broker,
    kind: SweepKind,
    batch: u32,
    dry_run: bool,
    progress: &Progress,
) -> Swept {
    // A dry run lists only the first batch of these kinds. One more row than the batch tells whether there are more.
    let first_alone = dry_run
        && matches!(
            kind,
            SweepKind::Pending | SweepKind::Attempts | SweepKind::Unattached
        );
    let mut walk = match dry_run {
        true => SweepWalk::dry(kind, batch + u32::from(first_alone)),
        false => SweepWalk::manual(kind, batch),
    };
    let mut swept = Swept {
        kind,
        counts: Counts::default(),
        more: dry_run.then_some(false),
        would: Vec::new(),
        error: None,
    };
    loop {
        let (name, found) = (kind.as_str(), swept.counts.found);
        progress.set(format!("{name}: {found} found"));
        match broker.sweep(&mut walk).await {
            Ok(report) => {
                swept.counts += report.counts;
                let room = (batch as usize).saturating_sub(swept.would.len());
                swept.would.extend(report.would.into_iter().take(room));
                if first_alone && swept.counts.found > u64::from(batch) {
                    swept.counts.found = u64::from(batch);
                    swept.more = Some(true);
                    return swept;
                }
                if report.cut {
                    swept.error = Some(CUT.to_owned());
                }
                if !report.more {
                    return swept;
                }
            }
            Err(error) => {
                swept.error = Some(reason(error));
                return swept;
            }
        }
    }
}

fn kind_json(swept: &Swept) -> Value {
    let counts: serde_json::Map<String, Value> = swept
        .counts
        .named()
        .map(|(name, count)| (name.to_owned(), count.into()))
        .into_iter()
        .collect();
    json!({
        "kind": swept.kind.as_str(), "counts": counts, "more": swept.more, "would": swept.would, "error": swept.error,
    })
}

fn render(swept: &[Swept]) -> String {
    let cells = |it: &Swept| {
        let counts = it.counts.named().into_iter();
        let others: Vec<String> = counts
            .filter(|(name, count)| *name != "found" && *count > 0)
            .map(|(name, count)| format!("{count} {name}"))
            .chain(it.error.clone())
            .collect();
        vec![
            it.kind.as_str().to_owned(),
            match it.more {
                Some(true) => format!("{}+", it.counts.found),
                _ => it.counts.found.to_string(),
            },
            others.join(", "),
        ]
    };
    let mut text = table(&["KIND", "FOUND", "RESULT"], swept.iter().map(cells));
    let would: Vec<&str> = swept
        .iter()
        .flat_map(|it| it.would.iter().map(String::as_str))
        .collect();
    if !would.is_empty() {
        text.push_str(&format!("\nWould be done:\n  {}\n", would.join("\n  ")));
    }
    text
}
