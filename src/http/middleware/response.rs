//! The last hand on every answer: problem documents, security headers, the request's id, one log line, one observation.

use std::time::{Instant, SystemTime};

use actix_cors::CorsError;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    self, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpResponse, web};
use tracing::Instrument as _;

use super::cors::{HEADERS as HEADERS_OF_PAGES, METHODS};
use crate::domain::ids::UploadId;
use crate::http::problem::{Code, PROBLEM_JSON, Problem};
use crate::http::public_url::PublicUrl;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{self, Answered};

/// What every answer carries unless its handler has set its own.
const HEADERS: [(HeaderName, &str); 5] = [
    // A refused preflight has none of its own.
    (header::VARY, "Origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

/// Wraps the app: gives the request an id, and its answer everything that all answers have in common.
pub async fn finish_response(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let begun = Instant::now();
    let id = request_id();
    let method = req.method().clone();
    let header = |name: &str| req.headers().get(name)?.to_str().ok();
    let request_span = traces::request(&id, header);
    let public_url = req.app_data::<web::Data<PublicUrl>>().cloned();
    let metrics = req.app_data::<web::Data<Metrics>>().cloned();

    let answered = next.call(req).instrument(request_span.span.clone()).await?;
    let _in = request_span.span.clone().entered();
    let (req, mut response) = answered.map_into_boxed_body().into_parts();
    if let Some(problem) = problem_of(&response) {
        let public_url = public_url.as_ref().map_or("", |url| url.as_str());
        response = written(response, &problem, public_url, &format!("urn:request:{id}"));
    }
    finish_headers(response.headers_mut(), &id.to_string());

    let route = req
        .match_pattern()
        .unwrap_or_else(|| "unmatched".to_owned());
    let (status, took) = (response.status().as_u16(), begun.elapsed());
    let upload = req.extensions().get::<UploadId>().copied();
    let answered = Answered {
        method: label(&method),
        route: &route,
        status,
        upload: upload.as_ref().map(|id| id as &dyn std::fmt::Display),
    };
    let trace_id = traces::answered(&request_span, &answered);
    tracing::info!(
        method = label(&method),
        route,
        status,
        took_ms = took.as_micros() as f64 / 1000.0,
        upload = upload.map(tracing::field::display),
        trace_id,
        "answered"
    );
    if let Some(metrics) = metrics {
        metrics.http_answered(label(&method), &route, status, took);
    }
    Ok(ServiceResponse::new(req, response))
}

/// A new UUIDv7. Not `Uuid::now_v7`, which asks the kernel for random bytes each time.
fn request_id() -> uuid::Uuid {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

/// The problem that an answer stands for: our own, the framework's, or CORS'.
fn problem_of(response: &HttpResponse<BoxBody>) -> Option<Problem> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let Some(error) = response.error() else {
        return Some(Problem::of_status(status));
    };
    if let Some(problem) = error.as_error::<Problem>() {
        return Some(problem.clone());
    }
    if let Some(cors) = error.as_error::<CorsError>() {
        return Some(Problem::new(Code::InvalidRequest, refused_preflight(cors)));
    }
    Some(Problem::of_status(status))
}

/// What a page's author can change; only the origins are the operator's to choose.
fn refused_preflight(error: &CorsError) -> String {
    match error {
        CorsError::OriginNotAllowed => {
            "the origin is not allowed; cors.allowed_origins of the configuration lists those that are".to_owned()
        }
        CorsError::MethodNotAllowed | CorsError::BadRequestMethod => {
            format!("the method of Access-Control-Request-Method is not allowed; allowed are {}", METHODS.join(", "))
        }
        CorsError::HeadersNotAllowed | CorsError::BadRequestHeaders => {
            let allowed = HEADERS_OF_PAGES.join(", ");
            format!("a header of Access-Control-Request-Headers is not allowed; allowed are {allowed}")
        }
        other => format!("the preflight is not complete: {other}"),
    }
}

/// The same answer with the problem's body; headers that others have set (CORS, Allow) stay.
fn written(
    mut response: HttpResponse<BoxBody>,
    problem: &Problem,
    public_url: &str,
    instance: &str,
) -> HttpResponse<BoxBody> {
    let status = problem.code().status();
    if status.is_server_error() {
        let code = problem.code().row().name;
        tracing::error!(code, cause = problem.cause(), "a request failed");
    }
    *response.status_mut() = status;
    problem.add_headers(response.headers_mut());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response.set_body(BoxBody::new(problem.text(public_url, instance)))
}

fn finish_headers(headers: &mut HeaderMap, id: &str) {
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}

/// The method as a bounded label: clients may make methods up.
fn label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}
