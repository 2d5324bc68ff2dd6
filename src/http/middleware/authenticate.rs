//! Authenticates a route before any other part of its request is parsed, so that a request without a token reveals nothing, not even
//! whether an id is well-formed.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage as _, HttpRequest, web};
use chrono::Utc;

use super::rate_limits::{add_rate_headers, reject};
use crate::auth::Authenticator;
use crate::domain::principal::Principal;
use crate::http::limits::requests::RequestLimits;
use crate::http::problem::Problem;

/// Authenticates the request and counts it for its owner; responds with 401, 429 or 503 if that fails.
pub async fn authenticate(
    req: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    match principal_of(&req).await {
        Ok(principal) => {
            let limits = req.app_data::<web::Data<RequestLimits>>();
            let status = limits.and_then(|limits| limits.count_owner(&principal));
            if let Some((status, Some(problem))) = status {
                return Ok(reject(req, &status, problem).await);
            }
            req.extensions_mut().insert(principal);
            let mut response = next.call(req).await?.map_into_boxed_body();
            if let Some((status, _)) = &status {
                add_rate_headers(status, response.headers_mut());
            }
            Ok(response)
        }
        Err(problem) => Ok(req.error_response(problem)),
    }
}

async fn principal_of(req: &ServiceRequest) -> Result<Arc<Principal>, Problem> {
    let token = bearer_of(req.request())?;
    let authenticator = req
        .app_data::<web::Data<Authenticator>>()
        .ok_or_else(|| Problem::internal("Authenticator is missing in the app data"))?;
    let principal = authenticator.authenticate(token, Utc::now()).await?;
    Ok(principal)
}

/// The token of the one `Authorization: Bearer` header.
fn bearer_of(req: &HttpRequest) -> Result<&str, Problem> {
    let mut headers = req.headers().get_all(AUTHORIZATION);
    let Some(first) = headers.next() else {
        return Err(Problem::token_missing());
    };
    if headers.next().is_some() {
        return Err(Problem::token_invalid(
            "the request has more than one Authorization header",
        ));
    }
    let text = first
        .to_str()
        .map_err(|_| Problem::token_invalid("the Authorization header must be ASCII"))?;
    let (scheme, token) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Problem::token_invalid(
            "the scheme of the Authorization header must be Bearer",
        ));
    }
    match token.trim() {
        "" => Err(Problem::token_missing()),
        token => Ok(token),
    }
}
