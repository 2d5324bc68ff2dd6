//! Completes every response: problem document, security headers, request id, access log line and metrics.

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

use super::cors::{HEADERS as ALLOWED_HEADERS, METHODS};
use crate::domain::ids::UploadId;
use crate::http::problem::{Code, PROBLEM_JSON, Problem};
use crate::http::public_url::PublicUrl;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::traces::{self, Answered};

/// Set on every response, unless the handler has set the header.
const HEADERS: [(HeaderName, &str); 5] = [
    // actix-cors sets none on a rejected preflight.
    (header::VARY, "Origin"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
];

/// Wraps the app. Gives the request its id and its trace span.
pub async fn finish_response(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let started = Instant::now();
    let id = request_id();
    let method = req.method().clone();
    let header = |name: &str| req.headers().get(name)?.to_str().ok();
    let span = traces::request(&id, header);
    let public_url = req.app_data::<web::Data<PublicUrl>>().cloned();
    let metrics = req.app_data::<web::Data<Metrics>>().cloned();

    let response = next.call(req).instrument(span.clone()).await?;
    let _entered = span.clone().entered();
    let (req, mut response) = response.map_into_boxed_body().into_parts();
    if let Some(problem) = problem_of(&response) {
        let public_url = public_url.as_ref().map_or("", |url| url.as_str());
        response = with_problem(response, &problem, public_url, &format!("urn:request:{id}"));
    }
    add_common_headers(response.headers_mut(), &id.to_string());

    let route = req
        .match_pattern()
        .unwrap_or_else(|| "unmatched".to_owned());
    let (status, took) = (response.status().as_u16(), started.elapsed());
    let upload = req.extensions().get::<UploadId>().copied();
    let answered = Answered {
        method: label(&method),
        route: &route,
        status,
        upload: upload.as_ref().map(|id| id as &dyn std::fmt::Display),
    };
    let trace_id = traces::answered(&span, &answered);
    tracing::info!(
        method = label(&method),
        route,
        status,
        took_ms = took.as_micros() as f64 / 1000.0,
        upload = upload.map(tracing::field::display),
        trace_id,
        "request completed"
    );
    if let Some(metrics) = metrics {
        metrics.http_answered(label(&method), &route, status, took);
    }
    Ok(ServiceResponse::new(req, response))
}

/// A new UUIDv7. `Uuid::now_v7` would request random bytes from the kernel each time.
fn request_id() -> uuid::Uuid {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let millis = u64::try_from(since.unwrap_or_default().as_millis()).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

/// The problem of an error response of a handler, of the framework or of actix-cors.
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
        return Some(Problem::new(Code::InvalidRequest, cors_detail(cors)));
    }
    Some(Problem::of_status(status))
}

/// Why a preflight is rejected, and what is allowed. The allowed origins are not listed.
fn cors_detail(error: &CorsError) -> String {
    match error {
        CorsError::OriginNotAllowed => {
            "the origin is not allowed; the setting cors.allowed_origins of the configuration lists the allowed origins".to_owned()
        }
        CorsError::MethodNotAllowed | CorsError::BadRequestMethod => {
            format!("the method of Access-Control-Request-Method is not allowed; allowed methods are {}", METHODS.join(", "))
        }
        CorsError::HeadersNotAllowed | CorsError::BadRequestHeaders => {
            let allowed = ALLOWED_HEADERS.join(", ");
            format!("a header of Access-Control-Request-Headers is not allowed; allowed headers are {allowed}")
        }
        other => format!("the preflight is incomplete: {other}"),
    }
}

/// The response with the problem as its body. Headers that are set already (CORS, Allow) stay.
fn with_problem(
    mut response: HttpResponse<BoxBody>,
    problem: &Problem,
    public_url: &str,
    instance: &str,
) -> HttpResponse<BoxBody> {
    let status = problem.code().status();
    if status.is_server_error() {
        let code = problem.code().row().name;
        tracing::error!(code, cause = problem.cause(), "request failed");
    }
    *response.status_mut() = status;
    problem.add_headers(response.headers_mut());
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
    response.set_body(BoxBody::new(problem.text(public_url, instance)))
}

fn add_common_headers(headers: &mut HeaderMap, id: &str) {
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        headers.insert(HeaderName::from_static("x-request-id"), value);
    }
}

/// The method as a label of bounded cardinality, because clients can send any method.
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
