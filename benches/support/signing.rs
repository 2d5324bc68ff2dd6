//! The work of the signing-only server: the broker's, without authentication and without a row for each request.

use std::collections::BTreeMap;

use actix_web::{HttpResponse, web};
use bytepass::config::{AccessKey, Config, Database, Sources, Storage};
use bytepass::db::{Db, Issued, NewUpload, PendingQuota};
use bytepass::domain::field::{FieldName, FieldPolicies};
use bytepass::domain::ids::UploadId;
use bytepass::domain::upload::Upload;
use bytepass::policy::admission::{ChecksumProof, admit};
use bytepass::policy::evidence::{Admitted, Declared};
use bytepass::storage::{PresignedRequest, Store};
use bytepass::telemetry::metrics::Metrics;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use secrecy::ExposeSecret as _;
use serde::{Deserialize, Serialize};
use url::Url;

use super::broker::{ACCESS_KEY_ID, BUCKET, NO_BUCKET, SECRET_ACCESS_KEY};
use super::{Outcome, failed};

/// The declared upload: the body of a create.
pub const DECLARATION: &str = r#"{"field":"Product.image","filename":"Blue shirt, front.jpg","content_type":"image/jpeg","size":482133,"checksum":{"algorithm":"sha256","value":"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="}}"#;

/// What signing needs.
pub struct Signer {
    fields: FieldPolicies,
    store: Store,
    /// Every request signs for this one.
    issued: Issued,
    _folder: tempfile::TempDir,
}

impl Signer {
    /// The broker's default fields, and a bucket that gets no request.
    pub async fn new() -> Outcome<Signer> {
        let config =
            Config::load(&Sources::default()).map_err(failed("the default configuration"))?;
        let store = Store::connect(storage_of(&config)?, 900, Metrics::new()).await;
        let folder = tempfile::tempdir().map_err(failed("a folder"))?;
        let fields = config.fields().clone();
        Ok(Signer {
            issued: committed(&fields, &folder).await?,
            fields,
            store: store.map_err(failed("the signer"))?,
            _folder: folder,
        })
    }
}

/// The handler.
pub async fn sign(body: web::Bytes, signer: web::Data<Signer>) -> HttpResponse {
    let text: &[u8] = if body.is_empty() {
        DECLARATION.as_bytes()
    } else {
        &body
    };
    match signed(text, &signer) {
        Ok((upload, presigned)) => HttpResponse::Created().json(View::of(&upload, presigned)),
        Err(error) => HttpResponse::BadRequest().body(error),
    }
}

fn storage_of(config: &Config) -> Outcome<Storage> {
    Ok(Storage {
        bucket: BUCKET.to_owned(),
        endpoint: Some(Url::parse(NO_BUCKET).map_err(failed("the endpoint"))?),
        path_style: true,
        credentials: Some(AccessKey {
            id: ACCESS_KEY_ID.to_owned(),
            secret: SECRET_ACCESS_KEY.into(),
        }),
        ..config.storage.clone()
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    field: String,
    filename: String,
    content_type: String,
    size: u64,
    checksum: Option<Checksum>,
}

#[derive(Deserialize)]
struct Checksum {
    algorithm: String,
    value: String,
}

/// A pending upload of [`DECLARATION`] in a database of its own.
async fn committed(fields: &FieldPolicies, folder: &tempfile::TempDir) -> Outcome<Issued> {
    let url = format!("sqlite://{}/signing.db", folder.path().display());
    let db = Db::open(
        &Database::with_url(url.into()),
        Vec::new(),
        PendingQuota::default(),
        Metrics::new(),
    );
    let db = db.map_err(failed("the database"))?;
    db.migrate().map_err(failed("the schema"))?;
    let admitted = admitted(DECLARATION.as_bytes(), fields)?;
    let now = Utc::now();
    let new = NewUpload {
        id: UploadId::new(now, &rand::random()),
        owner: "user:1".to_owned(),
        object_id: None,
        attach_at_confirm: false,
        grant: None,
        bucket: BUCKET.to_owned(),
        created_at: now,
        expires_at: now + TimeDelta::seconds(admitted.policy().upload_lifetime_secs.into()),
        admitted,
    };
    let created = db.create(new, None).await.map_err(failed("the upload"))?;
    created.map_err(|reason| format!("{reason:?}"))
}

fn admitted(text: &[u8], fields: &FieldPolicies) -> Outcome<Admitted> {
    let body: Body = serde_json::from_slice(text).map_err(failed("the body"))?;
    let declared = Declared {
        field: FieldName::parse(&body.field).map_err(failed("the field"))?,
        filename: body.filename,
        content_type: body.content_type,
        size: body.size,
        checksum: body.checksum.map(|sum| (sum.algorithm, sum.value)),
        object_id: None,
        owner: None,
    };
    let admitted = admit(declared, fields, ChecksumProof::Trusted);
    admitted.map_err(|refusal| format!("{refusal:?}"))
}

fn signed(text: &[u8], signer: &Signer) -> Outcome<(Upload, PresignedRequest)> {
    admitted(text, &signer.fields)?;
    let issued = signer.issued.clone();
    let presigned = signer.store.presign_put(&issued, Utc::now());
    let presigned = presigned.map_err(|error| error.to_string())?;
    Ok((issued.into_upload(), presigned))
}

/// The members of the broker's answer.
#[derive(Serialize)]
struct View<'a> {
    id: String,
    status: &'a str,
    field: &'a str,
    owner: &'a str,
    bucket: &'a str,
    key: Option<&'a str>,
    name: Option<&'a str>,
    filename: &'a str,
    content_type: &'a str,
    size: u64,
    checksum: Option<BTreeMap<&'static str, &'a str>>,
    created_at: String,
    expires_at: String,
    presigned: Presigned,
    confirm_url: String,
}

#[derive(Serialize)]
struct Presigned {
    method: &'static str,
    url: String,
    headers: BTreeMap<String, String>,
    expires_at: String,
}

impl View<'_> {
    fn of(upload: &Upload, presigned: PresignedRequest) -> View<'_> {
        let id = upload.id.to_string();
        View {
            status: upload.status.as_str(),
            field: upload.field.as_str(),
            owner: &upload.owner,
            bucket: &upload.bucket,
            key: None,
            name: None,
            filename: upload.filename.as_str(),
            content_type: upload.content_type.as_str(),
            size: upload.size,
            checksum: upload.checksum.as_ref().map(|sum| {
                let algorithm = sum.algorithm().as_str();
                BTreeMap::from([("algorithm", algorithm), ("value", sum.value())])
            }),
            created_at: time(upload.created_at),
            expires_at: time(upload.expires_at),
            presigned: Presigned {
                method: presigned.method,
                url: presigned.url.expose_secret().to_owned(),
                headers: presigned.headers.into_iter().collect(),
                expires_at: time(presigned.expires_at),
            },
            confirm_url: format!("http://localhost/v1/uploads/{id}/confirm"),
            id,
        }
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
