//! The caller of a request.

use std::future::{Ready, ready};
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::domain::principal::Principal;
use crate::http::problem::Problem;

/// The authenticated caller. On a route that is not wrapped in `middleware::authenticate` the extractor fails with 500.
pub struct Caller(pub Arc<Principal>);

impl FromRequest for Caller {
    type Error = Problem;
    type Future = Ready<Result<Caller, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let principal = req.extensions().get::<Arc<Principal>>().cloned();
        ready(
            principal
                .map(Caller)
                .ok_or_else(|| Problem::internal("the route is not wrapped in authenticate")),
        )
    }
}
