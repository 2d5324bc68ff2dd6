//! `/livez` and `/readyz`, for load balancers and orchestrators.

use actix_web::{HttpResponse, web};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::broker::{Broker, Readiness};
use crate::http::problem::{Code, Problem};

/// The `Retry-After` of a failed probe, in seconds.
const RETRY_AFTER_SECS: u32 = 5;

/// The process answers.
#[derive(Serialize, ToSchema)]
pub struct Alive {
    /// Always `ok`.
    status: &'static str,
}

/// The broker can serve requests.
#[derive(Serialize, ToSchema)]
pub struct Ready {
    /// `ready`.
    status: &'static str,
    /// `ok`.
    database: &'static str,
    /// `ok`.
    bucket: &'static str,
}

/// Is the process alive?
///
/// Checks neither the database nor the bucket: a restart would not fix those.
#[utoipa::path(
    get, path = "/livez", tag = "Operations", operation_id = "livez", security(()),
    responses((status = 200, description = "The process is alive.", body = Alive, example = json!({"status": "ok"})))
)]
pub async fn livez() -> HttpResponse {
    HttpResponse::Ok().json(Alive { status: "ok" })
}

/// Can it serve?
///
/// Checks the database and the bucket, at most once a second. A 503 names in `database` and `bucket` which of them doesn't answer.
/// A broker that is shutting down answers `stopping`, and serves requests for another `server.shutdown_delay_secs`.
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
        let detail = "this broker is shutting down; use another one";
        return Err(Problem::unavailable(
            Code::Stopping,
            detail,
            RETRY_AFTER_SECS,
        ));
    };
    let state = |up| if up { "ok" } else { "down" };
    let (code, detail) = match (database, bucket) {
        (true, true) => {
            return Ok(Ready {
                status: "ready",
                database: state(database),
                bucket: state(bucket),
            });
        }
        (true, false) => (Code::StoreUnavailable, "the bucket doesn't answer"),
        (false, true) => (Code::DatabaseUnavailable, "the database doesn't answer"),
        (false, false) => (
            Code::DatabaseUnavailable,
            "neither the database nor the bucket answers",
        ),
    };
    Err(Problem::unavailable(code, detail, RETRY_AFTER_SECS)
        .with_member("database", json!(state(database)))
        .with_member("bucket", json!(state(bucket))))
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
