//! Statistics, probes, and what operations do to one upload.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::broker::{Broker, Readiness};

use super::examples;
use super::extract::{Caller, NoBody, UploadPath};
use super::problem::{Code, Problem};
use super::statistics::StatsView;
use super::views::UploadView;

/// When a probe should ask again, in seconds.
const PROBE_AGAIN_SECS: u32 = 5;

/// A process that answers.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    status: &'static str,
}

/// A broker with everything that its requests need.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `ready`.
    status: &'static str,
    /// `ok`.
    database: &'static str,
    /// `ok`.
    bucket: &'static str,
}

/// Counts and bytes
///
/// By field and status, with the oldest pending upload of each field. A token with `fields` sees only these.
#[utoipa::path(
    get, path = "/v1/stats", tag = "Operations", operation_id = "readStats",
    security(("bearer" = ["ops"])),
    responses(
        (status = 200, description = "Statistics of all uploads.", body = StatsView, example = json!(examples::stats())),
        (status = 403, description = "scope-insufficient"),
    )
)]
pub async fn stats(caller: Caller, broker: web::Data<Broker>) -> Result<HttpResponse, Problem> {
    let stats = broker.stats(&caller.0).await?;
    Ok(HttpResponse::Ok().json(StatsView::of(stats)))
}

/// Look into the bucket now
///
/// The same confirm as a client's, without a client: what is there and right is confirmed (`confirmed_by` is `sweeper`), what is
/// there and wrong is rejected, and what is not there stays pending. The answer is the upload as it is afterwards.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/recheck", tag = "Operations", operation_id = "recheckUpload",
    security(("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload as it is now.", body = UploadView, example = json!(examples::confirmed())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 503, description = "store-unavailable, database-unavailable"),
    )
)]
pub async fn recheck(
    caller: Caller,
    id: UploadPath,
    _nothing: NoBody,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let upload = broker.recheck(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::of_done(&caller.0, upload, &broker).await))
}

/// Give a pending upload up
///
/// Before its deadline, but not blindly: what has arrived is confirmed or rejected first, and only what the bucket says is absent
/// expires. In another status nothing happens. The answer is the upload as it is afterwards.
#[utoipa::path(
    post, path = "/v1/uploads/{id}/expire", tag = "Operations", operation_id = "expireUpload",
    security(("bearer" = ["ops"])),
    params(("id" = String, Path, description = "The upload's id.", example = json!(examples::ID))),
    responses(
        (status = 200, description = "The upload as it is now.", body = UploadView, example = json!(examples::expired())),
        (status = 403, description = "scope-insufficient"),
        (status = 404, description = "upload-not-found"),
        (status = 503, description = "store-unavailable, database-unavailable"),
    )
)]
pub async fn expire(
    caller: Caller,
    id: UploadPath,
    _nothing: NoBody,
    broker: web::Data<Broker>,
) -> Result<HttpResponse, Problem> {
    let upload = broker.expire(&caller.0, id.0).await?;
    Ok(HttpResponse::Ok().json(UploadView::of_done(&caller.0, upload, &broker).await))
}

/// Is the process alive?
///
/// Says nothing about the database or the bucket: a restart would not mend those.
#[utoipa::path(
    get, path = "/livez", tag = "Operations", operation_id = "livez", security(()),
    responses((status = 200, description = "It is.", body = Alive, example = json!({"status": "ok"})))
)]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok" })
}

/// Can it serve?
///
/// Asks the database and the bucket, once a second at most. The 503 says in its members `database` and `bucket` which of them doesn't answer. A broker
/// that was told to stop says `stopping`, and still serves whoever comes for `server.shutdown_delay_secs`.
#[utoipa::path(
    get, path = "/readyz", tag = "Operations", operation_id = "readyz", security(()),
    responses(
        (status = 200, description = "Database and bucket answer.", body = Ready,
            example = json!({"status": "ready", "database": "ok", "bucket": "ok"})),
        (status = 503, description = "database-unavailable, store-unavailable, stopping"),
    )
)]
pub async fn readyz(broker: web::Data<Broker>) -> Result<HttpResponse, Problem> {
    readiness(broker.readiness().await).map(|ready| HttpResponse::Ok().json(ready))
}

fn readiness(found: Readiness) -> Result<Ready, Problem> {
    let Readiness::Parts { database, bucket } = found else {
        let detail = "this broker is about to end; ask another one";
        return Err(Problem::unavailable(
            Code::Stopping,
            detail,
            PROBE_AGAIN_SECS,
        ));
    };
    let word = |up| if up { "ok" } else { "down" };
    let (code, detail) = match (database, bucket) {
        (true, true) => {
            return Ok(Ready {
                status: "ready",
                database: word(database),
                bucket: word(bucket),
            });
        }
        (true, false) => (Code::StoreUnavailable, "the bucket doesn't answer"),
        (false, true) => (Code::DatabaseUnavailable, "the database doesn't answer"),
        (false, false) => (
            Code::DatabaseUnavailable,
            "neither the database nor the bucket answers",
        ),
    };
    Err(Problem::unavailable(code, detail, PROBE_AGAIN_SECS)
        .with_member("database", json!(word(database)))
        .with_member("bucket", json!(word(bucket))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_names_each_part_that_is_down() {
        for (database, bucket, code) in [
            (false, true, "database-unavailable"),
            (true, false, "store-unavailable"),
            (false, false, "database-unavailable"),
        ] {
            let problem = readiness(Readiness::Parts { database, bucket })
                .err()
                .unwrap();
            let document = problem.document("http://b", "urn:request:1");
            assert_eq!(document["code"], code);
            assert_eq!(document["status"], 503);
            assert_eq!(document["database"] == "ok", database);
            assert_eq!(document["bucket"] == "ok", bucket);
        }
        assert!(
            readiness(Readiness::Parts {
                database: true,
                bucket: true
            })
            .is_ok()
        );
    }
}
