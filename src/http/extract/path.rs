//! The `{id}` of a route, and the `{model}/{object_id}`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};
use percent_encoding::percent_decode_str;

use crate::domain::attachment::ObjectId;
use crate::domain::ids::UploadId;
use crate::http::problem::{Code, Problem};

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

/// The record that a route names by its last two segments.
pub struct RecordPath {
    /// The model: any text, because only the broker knows which there are.
    pub model: String,
    /// The record's id.
    pub object_id: ObjectId,
}

impl FromRequest for RecordPath {
    type Error = Problem;
    type Future = Ready<Result<RecordPath, Problem>>;

    fn from_request(req: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(record(req.uri().path()))
    }
}

/// Read from the path as it was sent, because the router leaves a `%2F` of an object id as it is, and can't be told from `%252F`.
fn record(path: &str) -> Result<RecordPath, Problem> {
    let mut segments = path.rsplit('/').map(|segment| {
        percent_decode_str(segment).decode_utf8().map_err(|_| {
            let detail = "the path is not UTF-8 where its percent-encoding is undone";
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

    #[test]
    fn an_object_id_is_what_was_encoded_whatever_it_holds() {
        for (path, expected) in [
            ("/v1/attachments/Product/42", "42"),
            ("/v1/attachments/Product/a%2Fb", "a/b"),
            ("/v1/attachments/Product/a%252Fb", "a%2Fb"),
            ("/v1/attachments/Product/%C3%A4+%20%3F", "ä+ ?"),
        ] {
            let read = record(path).expect(path);
            let read = (read.model.as_str(), read.object_id.as_str());
            assert_eq!(read, ("Product", expected));
        }
        for bad in ["%FF", "", "%00", "a%0Ab", &"x".repeat(256)] {
            let path = format!("/v1/attachments/Product/{bad}");
            assert!(record(&path).is_err(), "{bad:?}");
        }
    }
}
