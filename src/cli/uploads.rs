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

use super::outcome::{self, Failure};
use super::table::table;
use super::uploads_settle::{Goal, settle};
use super::uploads_words::{HEADS, TIMELINE_HEADS, cells, lines, timeline_cells};
use crate::cli::offline::{ByHand, Needs, Output, operator, reason};

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 4: `confirm` left one that is not confirmed, or `expire` one that is pending still"
)]
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
    ///
    /// Exit code 4 unless all are confirmed afterwards.
    Confirm(Ids),
    /// Give pending uploads up before their deadline; what has arrived is confirmed or rejected all the same
    ///
    /// Exit code 4 if one is pending still, because the bucket gave no clear answer.
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
            outcome::print(&by_hand.run(Needs::Rows, work)?)
        }
        Verb::Show { id } => {
            let work = async |broker: Broker| show(&broker, output, id).await;
            outcome::print(&by_hand.run(Needs::Rows, work)?)
        }
        Verb::Confirm(Ids { ids }) => settle(&by_hand, &ids, Goal::Confirmed),
        Verb::Expire(meant) => settle(&by_hand, &meant.meant("expire")?, Goal::Given),
        Verb::Delete(meant) => settle(&by_hand, &meant.meant("delete")?, Goal::Deleted),
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
            let mut data = Vec::with_capacity(page.uploads.len());
            let problems = broker.last_problems(&operator(), &page.uploads).await;
            let problems = problems.map_err(failed)?;
            for upload in page.uploads {
                let view = http::UploadView::of(upload, broker);
                data.push(plain(view.with_problem(problems.as_deref())));
            }
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
    let mut view = seen(upload, broker).await.map_err(failed)?;
    let timeline = broker.timeline(&operator(), id).await.map_err(failed)?;
    let timeline = plain(http::TimelineView::of(timeline))["data"].take();
    Ok(match output {
        Output::Json => {
            view["timeline"] = timeline;
            format!("{view}\n")
        }
        Output::Table => {
            let entries = timeline.as_array().into_iter().flatten();
            let told = table(&TIMELINE_HEADS, entries.map(timeline_cells));
            format!("{}\n{told}", lines(&view))
        }
    })
}

/// An upload as operators see it over HTTP.
async fn seen(upload: Upload, broker: &Broker) -> Result<Value, BrokerError> {
    let view = http::UploadView::seen_by(&operator(), upload, broker).await?;
    Ok(plain(view))
}

pub(super) fn plain(view: impl serde::Serialize) -> Value {
    serde_json::to_value(view).expect("a view is plain JSON")
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
