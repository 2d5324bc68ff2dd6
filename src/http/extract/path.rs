//! The `{id}` of a route.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::domain::ids::UploadId;
use crate::http::problem::Problem;

/// The upload that a route names. What is no id of ours answers like an id that does not exist.
pub struct UploadPath(pub UploadId);

impl FromRequest for UploadPath {
    type Error = Problem;
    type Future = Ready<Result<UploadPath, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = req.match_info().get("id").map(UploadId::parse);
        ready(match id {
            Some(Ok(id)) => {
                // For the access log, which shows no path: only what is certainly an id may stand there.
                req.extensions_mut().insert(id);
                Ok(UploadPath(id))
            }
            _ => Err(Problem::upload_not_found()),
        })
    }
}
