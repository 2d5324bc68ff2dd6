//! The `{id}` of a route.

use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use crate::domain::ids::UploadId;

/// The upload that a route names. What is no id of ours answers like an id that does not exist.
pub struct UploadPath(pub UploadId);

impl FromRequest for UploadPath {
    type Error = Infallible;
    type Future = Ready<Result<UploadPath, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = req.match_info().get("id").unwrap_or_default();
        let id = match UploadId::parse(text) {
            Ok(id) => {
                // For the access log, which shows no path: only what is certainly an id may stand there.
                req.extensions_mut().insert(id);
                id
            }
            Err(_) => UploadId::NONE,
        };
        ready(Ok(UploadPath(id)))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;
    use crate::http::examples;

    async fn read(id: &str) -> UploadId {
        let request = TestRequest::default().param("id", id.to_owned());
        let (request, mut payload) = request.to_http_parts();
        let Ok(path) = UploadPath::from_request(&request, &mut payload).await;
        path.0
    }

    #[actix_web::test]
    async fn b1_what_is_no_id_takes_the_way_of_an_id_that_does_not_exist() {
        let capitals = examples::ID.to_uppercase();
        for text in [
            "upl_1",
            &capitals,
            "../../x",
            "..%2f..%2fx",
            "\0",
            "%00",
            "",
        ] {
            assert_eq!(read(text).await, UploadId::NONE, "{text:?}");
        }
        assert_eq!(read(examples::ID).await.to_string(), examples::ID);
    }
}
