//! An upload in each status, reached through the API. A status without an API call is written into the database.

use bytepass::domain::upload::Status;

use super::api::Api;
use super::test_env::{TestEnv, backend_token, sign_backend};

/// Bytes of the uploads that these helpers make.
pub const BYTES: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";

/// One upload of `user` in each status, in the order of [`Status::ALL`].
pub async fn in_every_status(test_env: &TestEnv, user: &Api) -> Vec<(Status, String)> {
    let mut all = Vec::new();
    for status in Status::ALL {
        all.push((status, in_status(test_env, user, status).await));
    }
    all
}

/// Makes an upload of `user` for `Product.image` in this status; returns its id. Its record, if it is attached, has the same
/// id.
pub async fn in_status(test_env: &TestEnv, user: &Api, status: Status) -> String {
    let pending = async || {
        let created = user.create("Product.image", BYTES, "image/jpeg").await;
        created.expect(201).id().to_owned()
    };
    let confirmed = async || {
        let confirmed = user.upload("Product.image", BYTES, "image/jpeg").await;
        confirmed.id().to_owned()
    };
    let id = match status {
        Status::Pending | Status::Expired => pending().await,
        Status::Confirmed => confirmed().await,
        Status::Attached | Status::Detached => {
            let id = confirmed().await;
            let backend = backend(user);
            backend.attach(&id, &id).await.expect(200);
            if status == Status::Detached {
                backend.detach(&id).await.expect(200);
            }
            id
        }
        Status::Canceled => {
            let id = pending().await;
            user.delete(&path(&id)).await.expect(204);
            id
        }
        Status::Deleted => {
            let id = confirmed().await;
            user.delete(&path(&id)).await.expect(204);
            id
        }
        Status::Rejected => {
            let id = pending().await;
            let key = format!("staging/{id}");
            test_env
                .bucket
                .put(&key, b"other bytes", "image/jpeg")
                .await;
            user.confirm(&id)
                .await
                .expect_problem(422, "object-mismatch");
            id
        }
    };
    if status == Status::Expired {
        set_status(test_env, &id, status);
    }
    let read = user.read(&id).await.expect(200);
    assert_eq!(read.json["status"], status.as_str());
    id
}

/// A backend that may attach, at the same broker as `api`.
fn backend(api: &Api) -> Api {
    api.with_token(&sign_backend(&backend_token("attachments:write")))
}

/// Writes a status into the database, without the broker.
pub fn set_status(test_env: &TestEnv, id: &str, status: Status) {
    test_env.database.execute(&format!(
        "UPDATE uploads SET status = '{status}', version = version + 1 WHERE id = '{id}'"
    ));
}

/// The upload's path.
pub fn path(id: &str) -> String {
    format!("/v1/uploads/{id}")
}
