//! A database for each test, on SQLite and on Postgres if there is a server, and helpers to fill it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::connection::SimpleConnection as _;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use secrecy::SecretString;

use crate::config::Database;
use crate::db::engine::connection::{AnyConnection, Connector, Role};
use crate::db::engine::location::Location;
use crate::db::engine::row::AttemptRow;
use crate::db::engine::schema::seal_attempts;
use crate::db::{
    AttachTo, Confirm, Confirmed, Db, DbError, DbSetupError, Issued, NewUpload, NotCreated,
    PendingQuota, SealAttempt, Transition,
};
use crate::domain::field::{Cardinality, FieldName, FieldPolicies, FieldPolicy, Visibility};
use crate::domain::ids::UploadId;
use crate::domain::media_type::MediaType;
use crate::domain::object_key::{FinalKey, Layout};
use crate::domain::upload::{ConfirmedBy, Upload};
use crate::policy::admission::{ChecksumProof, admit};
use crate::policy::evidence::{Admitted, Declared, Observed, SealHeaders, Verified};
use crate::policy::verification::verify;
use crate::telemetry::metrics::Metrics;

/// Opens a database without subscriptions and without a quota.
pub fn open(options: Database) -> Result<Db, DbSetupError> {
    Db::open(
        &options,
        Vec::new(),
        PendingQuota::default(),
        Metrics::new(),
    )
}

/// One fresh, migrated database.
pub struct Rig {
    pub url: String,
    admin: Option<(String, String)>,
    _dir: Option<tempfile::TempDir>,
}

impl Rig {
    /// One on SQLite, and one on Postgres where there is a server.
    pub fn each() -> Vec<Rig> {
        [Some(Rig::sqlite()), Rig::postgres()]
            .into_iter()
            .flatten()
            .collect()
    }

    pub fn sqlite() -> Rig {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/test.db", dir.path().display());
        Rig {
            url,
            admin: None,
            _dir: Some(dir),
        }
        .migrated()
    }

    pub fn postgres() -> Option<Rig> {
        let admin = std::env::var("BYTEPASS_TEST_DATABASE").ok()?;
        let name = format!("bytepass_{:032x}", rand::random::<u128>());
        let mut conn = PgConnection::establish(&admin).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name}"))
            .unwrap();
        let (server, options) = admin
            .split_once('?')
            .map_or((admin.as_str(), ""), |(s, o)| (s, o));
        let (server, _) = server.rsplit_once('/').unwrap();
        let url = format!("{server}/{name}?{options}");
        Some(
            Rig {
                url,
                admin: Some((admin, name)),
                _dir: None,
            }
            .migrated(),
        )
    }

    fn migrated(self) -> Rig {
        self.open().migrate().unwrap();
        self
    }

    pub fn options(&self) -> Database {
        Database::with_url(SecretString::from(self.url.as_str()))
    }

    pub fn open(&self) -> Db {
        open(self.options()).unwrap()
    }

    pub fn is_postgres(&self) -> bool {
        self.admin.is_some()
    }

    /// A connection of its own, to inspect rows and to hold locks.
    pub fn connect(&self) -> AnyConnection {
        let location = Location::parse(&SecretString::from(self.url.as_str())).unwrap();
        let statement_limit = std::time::Duration::from_secs(20);
        Connector {
            location,
            role: Role::Migrator,
            statement_limit,
        }
        .connect()
        .unwrap()
    }

    /// Runs statements on a connection of its own.
    pub fn execute(&self, sql: &str) {
        self.connect().batch_execute(sql).unwrap();
    }

    pub fn count(&self, sql: &str) -> i64 {
        diesel::select(diesel::dsl::sql::<BigInt>(&format!("({sql})")))
            .get_result(&mut self.connect())
            .unwrap()
    }

    /// Every attempt of an upload, oldest first.
    pub fn attempts(&self, upload: UploadId) -> Vec<AttemptRow> {
        seal_attempts::table
            .filter(seal_attempts::upload_id.eq(upload.to_string()))
            .order((seal_attempts::started_at, seal_attempts::object_key))
            .select(AttemptRow::as_select())
            .load(&mut self.connect())
            .unwrap()
    }

    /// Every event is the only one of its number, and the numbers have no gap up to the upload's version.
    pub fn assert_events_are_gapless(&self) {
        let wrong = self.count(
            "SELECT COUNT(*) FROM uploads u WHERE version <> (SELECT COUNT(*) FROM events e WHERE e.upload_id = u.id) \
             OR version <> (SELECT COALESCE(MAX(seq), 0) FROM events e WHERE e.upload_id = u.id)",
        );
        assert_eq!(wrong, 0);
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        if let Some((admin, name)) = &self.admin {
            let mut conn = PgConnection::establish(admin).unwrap();
            let _ = conn.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

/// The answer to a create.
pub type Creation = Result<Issued, NotCreated>;

impl Db {
    /// A pending upload that is not refused.
    pub async fn create_one(&self, new: NewUpload) -> Result<Issued, DbError> {
        Ok(self.create(new, None).await?.unwrap())
    }
}

/// A time with more digits than either database keeps.
pub fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap()
}

pub fn field(name: &str) -> FieldName {
    FieldName::parse(name).unwrap()
}

pub fn admitted(name: &str, size: u64) -> Admitted {
    let jpeg = MediaType::parse("image/jpeg").unwrap();
    let policy = FieldPolicy {
        name: field(name),
        upload_to: "products/".into(),
        content_types: vec![jpeg],
        min_size: 0,
        max_size: u64::MAX,
        visibility: Visibility::Public,
        cardinality: Cardinality::One,
        removal_grace_secs: 86_400,
        unattached_lifetime_secs: None,
        required_checksums: Vec::new(),
        url_lifetime_secs: 900,
        upload_lifetime_secs: 86_400,
    };
    let fields: FieldPolicies = [policy].into_iter().collect();
    let declared = Declared {
        field: field(name),
        filename: "kätzchen 🐈.jpg".into(),
        content_type: "image/jpeg".into(),
        size,
        checksum: Some((
            "sha256".into(),
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=".into(),
        )),
        object_id: None,
        owner: None,
    };
    admit(declared, &fields, ChecksumProof::Trusted).unwrap()
}

pub fn new_upload(owner: &str) -> NewUpload {
    new_upload_for("Product.image", owner, now())
}

pub fn new_upload_for(field: &str, owner: &str, at: DateTime<Utc>) -> NewUpload {
    NewUpload {
        id: UploadId::new(at, &rand::random()),
        owner: owner.to_owned(),
        object_id: None,
        attach_at_confirm: false,
        grant: None,
        bucket: "media".to_owned(),
        created_at: at,
        expires_at: at + TimeDelta::days(1),
        admitted: admitted(field, 100),
    }
}

pub fn new_key() -> FinalKey {
    let layout = Layout {
        location: "media/".into(),
        staging_prefix: "staging/".into(),
    };
    layout.final_key(
        "products/",
        MediaType::parse("image/jpeg").unwrap(),
        &rand::random(),
    )
}

/// Evidence that the copy at this key is what the upload declares.
pub fn verified(upload: &Upload, key: &FinalKey) -> Verified {
    let headers = SealHeaders::of(upload.content_type).public();
    let observed = Observed {
        key: key.clone(),
        size: upload.size,
        content_type: Some("image/jpeg".into()),
        content_disposition: Some("inline".into()),
        cache_control: Some(headers.cache_control.into()),
        etag: "etag-1".into(),
        etag_is_md5: false,
        checksums: upload.checksum.iter().cloned().collect(),
        smuggled: Vec::new(),
    };
    verify(upload, &observed, &headers, ChecksumProof::Trusted, None).unwrap()
}

pub async fn create(db: &Db) -> Issued {
    db.create_one(new_upload("user:1")).await.unwrap()
}

pub async fn open_attempt(db: &Db, upload: UploadId) -> FinalKey {
    let key = new_key();
    db.open_attempt(SealAttempt {
        key: key.clone(),
        upload,
        at: now(),
    })
    .await
    .unwrap();
    key
}

pub async fn record(db: &Db, upload: &Upload, key: &FinalKey) -> Transition {
    record_and_attach(db, upload, key, None).await.transition
}

pub async fn record_and_attach(
    db: &Db,
    upload: &Upload,
    key: &FinalKey,
    attach: Option<AttachTo>,
) -> Confirmed {
    let confirm = Confirm {
        verified: verified(upload, key),
        by: ConfirmedBy::Client,
        attach,
        at: now(),
    };
    db.confirm(confirm).await.unwrap()
}
