//! Path parameters: the `{id}` of an upload, and `{model}/{object_id}` of a record.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use percent_encoding::percent_decode_str;

use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::http::problem::{Code, Problem};

/// The upload id. A malformed id becomes [`UploadId::NONE`], so that it has the same response as an id that does not exist.
pub struct UploadPath(pub UploadId);

impl FromRequest for UploadPath {
    type Error = Infallible;
    type Future = Ready<Result<UploadPath, Infallible>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        let text = req.match_info().get("id").unwrap_or_default();
        let id = match UploadId::parse(text) {
            Ok(id) => {
                // For the access log, which contains valid ids only and no paths.
                req.extensions_mut().insert(id);
                id
            }
            Err(_) => UploadId::NONE,
        };
        ready(Ok(UploadPath(id)))
    }
}

/// The record of the last two path segments.
pub struct RecordPath {
    /// The model, not yet checked against the configuration.
    pub model: String,
    /// The record's id.
    pub object_id: ObjectId,
}

impl FromRequest for RecordPath {
    type Error = Problem;
    type Future = Ready<Result<RecordPath, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(parse(req.uri().path()))
    }
}

/// Parses the raw path, because the router keeps `%2F` encoded, so that its parameter is the same for `%2F` and `%252F`.
fn parse(path: &str) -> Result<RecordPath, Problem> {
    let mut segments = path.rsplit('/').map(|segment| {
        percent_decode_str(segment).decode_utf8().map_err(|_| {
            let detail = "the percent-decoded path must be UTF-8";
            Problem::new(Code::InvalidRequest, detail)
        })
    });
    let mut next = || segments.next().unwrap_or(Ok(Cow::Borrowed("")));
    let (object_id, model) = (next()?, next()?);
    let object_id = ObjectId::parse(&object_id)
        .map_err(|error| Problem::new(Code::InvalidRequest, error.to_string()))?;
    Ok(RecordPath {
        model: model.into_owned(),
        object_id,
    })
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
    async fn malformed_id_becomes_an_id_that_does_not_exist() {
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

    #[test]
    fn object_id_is_percent_decoded_once() {
        for (path, expected) in [
            ("/v1/attachments/Product/42", "42"),
            ("/v1/attachments/Product/a%2Fb", "a/b"),
            ("/v1/attachments/Product/a%252Fb", "a%2Fb"),
            ("/v1/attachments/Product/%C3%A4+%20%3F", "ä+ ?"),
        ] {
            let read = parse(path).expect(path);
            let read = (read.model.as_str(), read.object_id.as_str());
            assert_eq!(read, ("Product", expected));
        }
        for bad in ["%FF", "", "%00", "a%0Ab", &"x".repeat(256)] {
            let path = format!("/v1/attachments/Product/{bad}");
            assert!(parse(&path).is_err(), "{bad:?}");
        }
    }
}
