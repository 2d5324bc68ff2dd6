//! Listing uploads, a page at a time.

use actix_web::http::header::LINK;
use actix_web::{HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::broker::{Broker, ListUploads, Page};
use crate::domain::attachment::ObjectId;
use crate::domain::field::FieldName;
use crate::domain::ids::UploadId;
use crate::domain::upload::Status;
use crate::domain::upload_view::UploadView;
use crate::http::examples;
use crate::http::extract::query::{PageLimits, Parameters, Values, age_secs};
use crate::http::extract::{Caller, Query};
use crate::http::problem::Problem;
use crate::http::public_url::PublicUrl;

/// The filters and the page of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Only uploads with this status.
    #[param(value_type = Option<String>, example = "pending")]
    status: Option<Status>,
    /// Only uploads for this field.
    #[param(value_type = Option<String>, example = "Product.image")]
    field: Option<FieldName>,
    /// Only uploads that are meant for a record with this id, or attached to one.
    #[param(value_type = Option<String>, example = "42")]
    object_id: Option<ObjectId>,
    /// Only uploads of this owner.
    #[param(example = "user:1")]
    owner: Option<String>,
    /// Only uploads that were created at least this long ago: a number and `s`, `m`, `h` or `d`.
    #[param(rename = "older_than", value_type = Option<String>, example = "15m")]
    older_than_secs: Option<u64>,
    /// Uploads per page, at least 1. By default 50 and at most 200; both are configurable.
    #[param(value_type = Option<u32>, minimum = 1, example = 50)]
    limit: u32,
    /// The `next_cursor` of the previous page.
    #[param(value_type = Option<String>)]
    cursor: Option<UploadId>,
}

impl Parameters for ListQuery {
    const NAMES: &'static [&'static str] = &[
        "status",
        "field",
        "object_id",
        "owner",
        "older_than",
        "limit",
        "cursor",
    ];

    fn read(values: &Values, limits: PageLimits) -> Result<ListQuery, Problem> {
        let statuses: Vec<&str> = Status::ALL.iter().map(|status| status.as_str()).collect();
        let allowed = format!("a number from 1 to {}", limits.max);
        let limit = values.get("limit", &allowed, |text| {
            let plain = text.bytes().all(|b| b.is_ascii_digit());
            let number = text.parse().ok().filter(|_| plain)?;
            (1..=limits.max).contains(&number).then_some(number)
        })?;
        Ok(ListQuery {
            status: values.get("status", &statuses.join(", "), Status::parse)?,
            field: values.get("field", "a field name, Model.field", |text| {
                FieldName::parse(text).ok()
            })?,
            object_id: values.get("object_id", "a record's id: 1 to 255 bytes", |text| {
                ObjectId::parse(text).ok()
            })?,
            owner: values.get("owner", "an owner: 1 to 255 bytes", |text| {
                let fits = (1..=255).contains(&text.len()) && !text.contains(char::is_control);
                fits.then(|| text.to_owned())
            })?,
            older_than_secs: values.get(
                "older_than",
                "an age of at most a hundred years: a number and s, m, h or d, like 15m",
                age_secs,
            )?,
            limit: limit.unwrap_or(limits.default),
            cursor: values.get(
                "cursor",
                "the next_cursor of the previous page",
                from_cursor,
            )?,
        })
    }
}

impl ListQuery {
    /// The query as the broker takes it.
    pub fn to_domain(&self) -> ListUploads {
        ListUploads {
            status: self.status,
            field: self.field.clone(),
            object_id: self.object_id.clone(),
            owner: self.owner.clone(),
            older_than_secs: self.older_than_secs,
            limit: self.limit,
            before: self.cursor,
        }
    }

    /// The query string of the same list with another cursor, without the `?`.
    pub fn with_cursor(&self, cursor: &str) -> String {
        let older_than = self.older_than_secs.map(|secs| format!("{secs}s"));
        let pairs = [
            ("status", self.status.map(Status::as_str)),
            ("field", self.field.as_ref().map(FieldName::as_str)),
            ("object_id", self.object_id.as_ref().map(ObjectId::as_str)),
            ("owner", self.owner.as_deref()),
            ("older_than", older_than.as_deref()),
            ("limit", Some(&*self.limit.to_string())),
            ("cursor", Some(cursor)),
        ]
        .map(|(name, value)| {
            let value = utf8_percent_encode(value?, NON_ALPHANUMERIC);
            Some(format!("{name}={value}"))
        });
        pairs.into_iter().flatten().collect::<Vec<_>>().join("&")
    }
}

/// The cursor after this upload. Opaque to clients, so its format can change.
pub fn to_cursor(last: UploadId) -> String {
    URL_SAFE_NO_PAD.encode(last.to_string())
}

fn from_cursor(cursor: &str) -> Option<UploadId> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    UploadId::parse(&text).ok()
}

/// A page of uploads.
#[derive(Serialize, ToSchema)]
#[schema(as = UploadPage)]
pub struct PageView {
    /// The uploads, newest first.
    data: Vec<UploadView>,
    /// The `cursor` of the next page; null on the last page.
    pub next_cursor: Option<String>,
}

impl PageView {
    pub fn of(page: Page, problems: Option<&[(UploadId, String)]>, broker: &Broker) -> PageView {
        let show = |upload| UploadView::of(upload, broker).with_problem(problems);
        PageView {
            next_cursor: page.next.map(to_cursor),
            data: page.uploads.into_iter().map(show).collect(),
        }
    }
}

/// List uploads
///
/// Newest first. A caller without the scopes `uploads:confirm`, `attachments:write` and `ops` sees only its own uploads. Follow
/// `next_cursor` until it is null, or the `Link` header until it is absent.
#[utoipa::path(
    get, path = "/v1/uploads", tag = "Uploads", operation_id = "listUploads",
    security(("bearer" = ["uploads:write"]), ("bearer" = ["uploads:confirm"]),
        ("bearer" = ["attachments:write"]), ("bearer" = ["ops"])),
    params(ListQuery),
    responses(
        (status = 200, description = "A page of uploads.", body = PageView,
            headers(("link" = String, description = "The next page, `rel=\"next\"`; absent on the last page.")),
            example = json!(examples::page())),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn list(
    caller: Caller,
    Query(query): Query<ListQuery>,
    broker: web::Data<Broker>,
    public_url: web::Data<PublicUrl>,
) -> Result<HttpResponse, Problem> {
    let page = broker.list(&caller.0, query.to_domain()).await?;
    let problems = broker.last_problems(&caller.0, &page.uploads).await?;
    let view = PageView::of(page, problems.as_deref(), &broker);
    let mut answer = HttpResponse::Ok();
    if let Some(cursor) = &view.next_cursor {
        let address = format!(
            "{}/v1/uploads?{}",
            public_url.as_str(),
            query.with_cursor(cursor)
        );
        answer.insert_header((LINK, format!("<{address}>; rel=\"next\"")));
    }
    Ok(answer.json(view))
}
