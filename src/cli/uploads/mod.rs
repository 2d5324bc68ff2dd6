//! `bytepass uploads`: lists and shows uploads, and confirms, expires or deletes them. It works on the database and the bucket itself.
//! No broker has to run; a running one sees the changes, because statuses are kept in the database only.

mod batch_actions;
mod render;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::broker::{Broker, BrokerError, ListUploads};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::{Status, Upload};
use crate::http;

use self::batch_actions::{Goal, run_each};
use self::render::{HEADINGS, TIMELINE_HEADINGS, cells, lines, timeline_cells, to_json};
use super::offline::{Needs, OfflineArgs, Output, operator, reason};
use super::outcome::{self, Failure};
use super::table::table;

#[derive(Debug, Args)]
#[command(
    after_help = "Exit code 4: after `confirm` an upload is not confirmed, or after `expire` one is still pending"
)]
pub struct UploadsArgs {
    #[command(subcommand)]
    verb: Verb,
    #[command(flatten)]
    offline: OfflineArgs,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List uploads, newest first
    Ls(Filters),
    /// Show one upload with its last problem and its timeline
    Show {
        /// The upload's id, upl_…
        #[arg(value_parser = upload_id)]
        id: UploadId,
    },
    /// Check the bucket now: an uploaded object is confirmed or rejected, a missing one stays pending
    ///
    /// Exit code 4 unless all uploads are confirmed afterwards.
    Confirm(Ids),
    /// Expire pending uploads before their deadline; an uploaded object is confirmed or rejected instead
    ///
    /// Exit code 4 if an upload is still pending, because the bucket gave no clear answer.
    Expire(ConfirmedIds),
    /// Cancel pending uploads; delete confirmed and detached uploads with their objects
    Delete(ConfirmedIds),
}

#[derive(Debug, Args)]
struct Filters {
    /// Only uploads in this status
    #[arg(long, value_parser = status)]
    status: Option<Status>,
    /// Only uploads for this field, such as Product.image
    #[arg(long, value_parser = field)]
    field: Option<FieldName>,
    /// Only uploads of this owner, such as user:1
    #[arg(long)]
    owner: Option<String>,
    /// Only uploads for the record with this id
    #[arg(long, value_name = "ID", value_parser = object_id)]
    object_id: Option<ObjectId>,
    /// Only uploads created at least this long ago, such as 15m, 2h or 3d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Option<u64>,
    /// Only uploads before this one: the last id of the previous page
    #[arg(long, value_name = "ID", value_parser = upload_id)]
    before: Option<UploadId>,
    /// The most uploads to list
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

#[derive(Debug, Args)]
struct Ids {
    /// The uploads' ids, upl_…
    #[arg(required = true, value_parser = upload_id)]
    ids: Vec<UploadId>,
}

#[derive(Debug, Args)]
struct ConfirmedIds {
    #[command(flatten)]
    ids: Ids,
    /// Don't ask for confirmation
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(UploadsArgs { verb, offline }: UploadsArgs) -> Result<(), Failure> {
    let output = offline.output;
    match verb {
        Verb::Ls(filters) => {
            let work = async |broker: Broker| ls(&broker, output, filters).await;
            outcome::print(&offline.run(Needs::Database, work)?)
        }
        Verb::Show { id } => {
            let work = async |broker: Broker| show(&broker, output, id).await;
            outcome::print(&offline.run(Needs::Database, work)?)
        }
        Verb::Confirm(Ids { ids }) => run_each(&offline, &ids, Goal::Confirmed),
        Verb::Expire(ids) => run_each(&offline, &ids.confirm("expire")?, Goal::Expired),
        Verb::Delete(ids) => run_each(&offline, &ids.confirm("delete")?, Goal::Deleted),
    }
}

impl ConfirmedIds {
    /// The ids, after confirmation by `--yes` or on the terminal.
    fn confirm(self, verb: &str) -> Result<Vec<UploadId>, Failure> {
        let ids = self.ids.ids;
        if !self.yes && !outcome::confirm(&format!("{verb} {} upload(s)?", ids.len()))? {
            return Err(Failure::Runtime("canceled, nothing has changed".to_owned()));
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
                data.push(to_json(view.with_problem(problems.as_deref())));
            }
            format!("{}\n", json!({"data": data, "next_before": next}))
        }
        Output::Table => {
            let mut text = table(&HEADINGS, page.uploads.iter().map(cells));
            if let Some(next) = next {
                text.push_str(&format!("\nNext page: --before {next}\n"));
            }
            text
        }
    })
}

async fn show(broker: &Broker, output: Output, id: UploadId) -> Result<String, Failure> {
    let upload = broker.read(&operator(), id).await.map_err(failed)?;
    let mut view = view_of(upload, broker).await.map_err(failed)?;
    let timeline = broker.timeline(&operator(), id).await.map_err(failed)?;
    let timeline = to_json(http::TimelineView::of(timeline))["data"].take();
    Ok(match output {
        Output::Json => {
            view["timeline"] = timeline;
            format!("{view}\n")
        }
        Output::Table => {
            let entries = timeline.as_array().into_iter().flatten();
            let timeline = table(&TIMELINE_HEADINGS, entries.map(timeline_cells));
            format!("{}\n{timeline}", lines(&view))
        }
    })
}

/// The upload's JSON as operators get it over HTTP.
async fn view_of(upload: Upload, broker: &Broker) -> Result<Value, BrokerError> {
    let view = http::UploadView::seen_by(&operator(), upload, broker).await?;
    Ok(to_json(view))
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
    FieldName::parse(text)
        .map_err(|_| "must be a model and a field, such as Product.image".to_owned())
}

fn object_id(text: &str) -> Result<ObjectId, String> {
    ObjectId::parse(text).map_err(|_| "must be a record's id".to_owned())
}

fn age(text: &str) -> Result<u64, String> {
    http::age_secs(text).ok_or_else(|| "must be a number and s, m, h or d, such as 15m".to_owned())
}
