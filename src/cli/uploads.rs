//! `bytepass uploads`: looks at uploads and settles them by hand. It works on the database and the bucket itself, so it needs no
//! running broker; those that run see what it did, because a status moves in the database alone.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::broker::{Broker, BrokerError, ListUploads};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};
use crate::http;

use super::by_hand::{ByHand, Output, operator, reason};
use super::outcome::{self, Failure};
use super::table::table;
use super::uploads_words::{HEADS, cells, lines, text};

#[derive(Debug, Args)]
pub struct UploadsArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    by_hand: ByHand,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List uploads, the newest first
    Ls(Filters),
    /// Show one upload with all that is known of it
    Show {
        /// Its id, upl_…
        #[arg(value_parser = upload_id)]
        id: UploadId,
    },
    /// Look into the bucket now: what is there is confirmed or rejected, what is not stays pending
    Confirm(Ids),
    /// Give pending uploads up before their deadline; what has arrived is confirmed or rejected all the same
    Expire(SureIds),
    /// Cancel pending uploads, delete confirmed and detached ones with their objects
    Delete(SureIds),
}

#[derive(Debug, Args)]
struct Filters {
    /// Only in this status
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Only for this field, like Product.image
    #[arg(long, value_parser = field)]
    field: Option<FieldName>,
    /// Only of this owner, like user:1
    #[arg(long)]
    owner: Option<String>,
    /// Only those meant for a record with this id, or attached to it
    #[arg(long, value_name = "ID", value_parser = object_id)]
    object_id: Option<ObjectId>,
    /// Only those created at least so long ago, like 15m, 2h or 3d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<u64>,
    /// Only those before this one: where the page before ended
    #[arg(long, value_name = "ID", value_parser = upload_id)]
    before: Option<UploadId>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Debug, Args)]
struct Ids {
    /// Their ids, upl_…
    #[arg(required = true, value_parser = upload_id)]
    ids: Vec<UploadId>,
}

#[derive(Debug, Args)]
struct SureIds {
    #[command(flatten)]
    ids: Ids,
    /// Don't ask whether this is meant
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(UploadsArgs { verb, by_hand }: UploadsArgs) -> Result<(), Failure> {
    let output = by_hand.output;
    match verb {
        Verb::Ls(filters) => {
            let work = async |broker: Broker| ls(&broker, output, filters).await;
            outcome::print(&by_hand.run(work)?)
        }
        Verb::Show { id } => {
            let work = async |broker: Broker| show(&broker, output, id).await;
            outcome::print(&by_hand.run(work)?)
        }
        Verb::Confirm(Ids { ids }) => settle(&by_hand, &ids, async |broker, id| {
            broker.recheck(&operator(), id).await
        }),
        Verb::Expire(meant) => settle(&by_hand, &meant.meant("expire")?, async |broker, id| {
            broker.expire(&operator(), id).await
        }),
        Verb::Delete(meant) => settle(&by_hand, &meant.meant("delete")?, async |broker, id| {
            broker.remove(&operator(), id).await?;
            broker.read(&operator(), id).await
        }),
    }
}

impl SureIds {
    /// The ids, once somebody has said that it is meant: by `--yes`, or on the terminal.
    fn meant(self, verb: &str) -> Result<Vec<UploadId>, Failure> {
        let ids = self.ids.ids;
        if !self.yes && !outcome::ask(&format!("{verb} {} upload(s)?", ids.len()))? {
            return Err(Failure::Runtime("nothing was done".to_owned()));
        }
        Ok(ids)
    }
}

async fn ls(broker: &Broker, output: Output, filters: Filters) -> Result<String, Failure> {
    let query = ListUploads {
        status: filters.status,
        field: filters.field,
        object_id: filters.object_id,
        owner: filters.owner,
        older_than_secs: filters.older_than,
        limit: filters.limit,
        before: filters.before,
    };
    let page = broker.list(&operator(), query).await.map_err(failed)?;
    let next = page.next.map(|id| id.to_string());
    Ok(match output {
        Output::Json => {
            let data: Vec<Value> = page
                .uploads
                .into_iter()
                .map(|it| view(it, broker))
                .collect();
            format!("{}\n", json!({"data": data, "next_before": next}))
        }
        Output::Table => {
            let mut text = table(&HEADS, page.uploads.iter().map(cells));
            if let Some(next) = next {
                text.push_str(&format!("\nThere are more: --before {next}\n"));
            }
            text
        }
    })
}

async fn show(broker: &Broker, output: Output, id: UploadId) -> Result<String, Failure> {
    let upload = broker.read(&operator(), id).await.map_err(failed)?;
    let view = view(upload, broker);
    Ok(match output {
        Output::Json => format!("{view}\n"),
        Output::Table => lines(&view),
    })
}

/// Does one thing to each upload, whatever became of the one before, and prints what each is afterwards.
fn settle(
    by_hand: &ByHand,
    ids: &[UploadId],
    verb: impl AsyncFn(&Broker, UploadId) -> Result<Upload, BrokerError>,
) -> Result<(), Failure> {
    let output = by_hand.output;
    let results = by_hand.run(async |broker| {
        let mut results = Vec::with_capacity(ids.len());
        for &id in ids {
            let result = verb(&broker, id).await;
            results.push((id, result.map(|it| view(it, &broker)).map_err(reason)));
        }
        Ok(results)
    })?;
    let failures = results.iter().filter(|(_, result)| result.is_err()).count();
    outcome::print(&match output {
        Output::Json => {
            let one = |(id, result): &(UploadId, Result<Value, String>)| match result {
                Ok(view) => json!({"id": id.to_string(), "upload": view}),
                Err(why) => json!({"id": id.to_string(), "error": why}),
            };
            format!(
                "{}\n",
                json!({"data": results.iter().map(one).collect::<Vec<_>>()})
            )
        }
        Output::Table => table(
            &["ID", "NOW", "WHY"],
            results.iter().map(|(id, result)| match result {
                Ok(view) => vec![id.to_string(), text(&view["status"]), why(view)],
                Err(why) => vec![id.to_string(), "unchanged".to_owned(), why.clone()],
            }),
        ),
    })?;
    match failures {
        0 => Ok(()),
        some => Err(Failure::Runtime(format!(
            "{some} of {} could not be settled",
            results.len()
        ))),
    }
}

fn view(upload: Upload, broker: &Broker) -> Value {
    serde_json::to_value(http::UploadView::of(upload, broker)).expect("a view is plain JSON")
}

/// Why an upload is still pending or was rejected; nothing of any other.
fn why(view: &Value) -> String {
    let differences = view["errors"].as_array().into_iter().flatten();
    let details: Vec<String> = differences.map(|it| text(&it["detail"])).collect();
    match (view["status"].as_str(), details.is_empty()) {
        (Some("pending"), true) => "the bucket has nothing of it yet".to_owned(),
        _ => details.join("; "),
    }
}

fn failed(error: BrokerError) -> Failure {
    Failure::Runtime(reason(error))
}

fn upload_id(text: &str) -> Result<UploadId, String> {
    UploadId::parse(text).map_err(|_| "must be an upload's id, upl_…".to_owned())
}

fn status(text: &str) -> Result<Status, String> {
    Status::parse(text).ok_or_else(|| {
        format!(
            "must be one of {}",
            Status::ALL.map(Status::as_str).join(", ")
        )
    })
}

fn field(text: &str) -> Result<FieldName, String> {
    FieldName::parse(text).map_err(|_| "must be a model and a field, like Product.image".to_owned())
}

fn object_id(text: &str) -> Result<ObjectId, String> {
    ObjectId::parse(text).map_err(|_| "must be a record's id".to_owned())
}

fn age(text: &str) -> Result<u64, String> {
    http::age_secs(text).ok_or_else(|| "must be a number and s, m, h or d, like 15m".to_owned())
}
