//! A scenario in which the module issues each of its statements: every method, also with nothing to do and with a lost answer.

use std::sync::atomic::Ordering;

use chrono::{DateTime, TimeDelta, Utc};

use super::scenario_reads::{deliveries, lists, system};
use crate::db::tests::grants::{new_grant, under};
use crate::db::tests::support::{
    Rig, create, field, new_upload, now, open_attempt, record, record_and_attach,
};
use crate::db::{
    Attach, AttachTo, Change, Db, Detach, IdempotencyClaim, Lease, Minted, Note, NoteKind,
    PendingQuota, StatusStep, Subscription, Transition,
};
use crate::domain::attachment::ObjectId;
use crate::domain::event::EventType;
use crate::domain::ids::UploadId;
use crate::domain::upload::{FieldError, Upload};
use crate::telemetry::metrics::Metrics;

/// Runs the scenario. Other tests check the answers.
pub async fn run(rig: &Rig) {
    let db = open(rig);
    uploads(&db).await;
    grants_and_keys(&db).await;
    attachments(&db).await;
    sweeper(&db).await;
    deliveries(&db).await;
    lists(&db).await;
    system(rig, &db).await;
    db.ping().await.unwrap();
}

fn open(rig: &Rig) -> Db {
    let subscription = Subscription {
        endpoint: "all".into(),
        types: EventType::ALL.to_vec(),
    };
    let quota = PendingQuota {
        uploads: 40,
        bytes: 1 << 30,
    };
    Db::open(&rig.options(), vec![subscription], quota, Metrics::new()).unwrap()
}

pub fn later(secs: i64) -> DateTime<Utc> {
    now() + TimeDelta::seconds(secs)
}

fn lose_the_next_answer(db: &Db) {
    db.queue.state.lose_answer.store(true, Ordering::Release);
}

async fn confirmed(db: &Db) -> Upload {
    let upload = create(db).await.into_upload();
    let key = open_attempt(db, upload.id).await;
    match record(db, &upload, &key).await {
        Transition::Moved(upload) => upload,
        other => panic!("{other:?}"),
    }
}

async fn moved(db: &Db, upload: UploadId, step: StatusStep) {
    let at = now();
    let change = Change { upload, step, at };
    db.move_status(change).await.unwrap();
}

async fn uploads(db: &Db) {
    lose_the_next_answer(db);
    let canceled = create(db).await.into_upload().id;
    for _ in 0..2 {
        lose_the_next_answer(db);
        moved(db, canceled, StatusStep::Cancel).await;
    }
    let expired = create(db).await.into_upload().id;
    moved(db, expired, StatusStep::Expire).await;
    let rejected = create(db).await.into_upload().id;
    let key = open_attempt(db, rejected).await;
    let errors = vec![FieldError::new("/size", "other")];
    let attempt = key.clone();
    let step = StatusStep::Reject { errors, attempt };
    moved(db, rejected, step).await;
    db.attempt_removed(rejected, key.clone(), now())
        .await
        .unwrap();
    db.object_removed(rejected, now()).await.unwrap();
    db.abandoned_copies(rejected, 9).await.unwrap();
    // A confirm that comes too late finds the attempt, or the upload, in another state.
    let upload = create(db).await.into_upload();
    let (late, abandoned) = (
        open_attempt(db, upload.id).await,
        open_attempt(db, upload.id).await,
    );
    db.abandon_attempt(upload.id, &abandoned).await.unwrap();
    db.abandon_attempt(upload.id, &abandoned).await.unwrap();
    moved(db, upload.id, StatusStep::Cancel).await;
    record(db, &upload, &late).await;
    record(db, &upload, &abandoned).await;
    let idle = open_attempt(db, upload.id).await;
    db.delete_attempt(upload.id, &idle).await.unwrap();
    db.recorded_after("media", Some("media/"), 9).await.unwrap();
    db.recorded_at("media", "k").await.unwrap();
    db.owner_of_key("k").await.unwrap();
}

fn claim(key: &str, result_id: String, at: DateTime<Utc>) -> IdempotencyClaim {
    IdempotencyClaim {
        issuer: "users".into(),
        subject: "1".into(),
        route: "POST /v1/uploads".into(),
        key: key.into(),
        body_hash: "body".into(),
        result_id,
        at,
    }
}

async fn grants_and_keys(db: &Db) {
    let new = new_grant(1, None);
    let minted = claim("minted", new.grant.id.to_string(), now());
    let Minted::Grant(grant) = db.mint_grant(new_grant(1, Some(minted))).await.unwrap() else {
        panic!("a new key");
    };
    db.find_grant(grant.id).await.unwrap();
    for _ in 0..2 {
        drop(db.create(under(&grant, now()), None).await.unwrap());
    }
    // A new key, a repeated one, and an expired one.
    for at in [now(), now(), now() + TimeDelta::days(2)] {
        let new = new_upload("user:1");
        let claim = claim("created", new.id.to_string(), at);
        drop(db.create(new, Some(claim)).await.unwrap());
    }
    // Over the quota of the owner: the use and the claim are taken back.
    for n in 0..40 {
        drop(db.create(new_upload("user:full"), None).await.unwrap());
        if n == 39 {
            let Minted::Grant(grant) = db.mint_grant(new_grant(9, None)).await.unwrap() else {
                panic!("without a key");
            };
            let mut new = under(&grant, now());
            new.owner = "user:full".into();
            let claim = claim("refused", new.id.to_string(), now());
            drop(db.create(new, Some(claim)).await.unwrap());
        }
    }
    db.prune(now() + TimeDelta::days(90), 9).await.unwrap();
}

pub fn to(record: &str) -> AttachTo {
    AttachTo {
        field: field("Product.image"),
        object_id: ObjectId::parse(record).unwrap(),
        replaces: true,
        removal_grace_secs: 60,
    }
}

async fn attach(db: &Db, upload: UploadId) {
    let attach = Attach {
        upload,
        to: to("42"),
        at: now(),
        idempotency: Some(claim("attached", upload.to_string(), now())),
    };
    db.attach(attach).await.unwrap();
}

async fn attachments(db: &Db) {
    let former = confirmed(db).await;
    attach(db, former.id).await;
    let upload = create(db).await.into_upload();
    attach(db, upload.id).await;
    let key = open_attempt(db, upload.id).await;
    record_and_attach(db, &upload, &key, Some(to("42"))).await;
    lose_the_next_answer(db);
    let (upload, at) = (upload.id, now());
    let detach = Detach {
        upload,
        from: (to("42").field, to("42").object_id),
        removal_grace_secs: 60,
        at,
    };
    db.detach(detach).await.unwrap();
    moved(db, upload, StatusStep::Delete).await;
}

async fn sweeper(db: &Db) {
    let pending = create(db).await.into_upload().id;
    let problem = "the bucket did not answer".to_owned();
    db.postpone(pending, later(60), problem).await.unwrap();
    let unattached = confirmed(db).await.id;
    for _ in 0..2 {
        db.delete_unattached(unattached, now()).await.unwrap();
    }
    db.clock().await.unwrap();
    db.due_uploads(later(1), 9).await.unwrap();
    db.due_removals("media", later(1), 9).await.unwrap();
    db.stale_attempts(later(1), 9).await.unwrap();
    let pending_deletion = db
        .copies_pending_deletion("media", later(1), None, 9)
        .await
        .unwrap();
    let behind = pending_deletion.into_iter().next();
    db.copies_pending_deletion("media", later(1), behind, 9)
        .await
        .unwrap();
    db.uploads_pending_deletion("media", UploadId::NONE, 9)
        .await
        .unwrap();
    db.unattached_uploads("media", field("Product.image"), later(1), 9)
        .await
        .unwrap();
    let lease = || Lease {
        name: "sweep",
        holder: "one".into(),
        at: now(),
        until: later(60),
    };
    db.acquire_lease(lease()).await.unwrap();
    db.release_lease("sweep", "one").await.unwrap();
    for kind in [NoteKind::Problem, NoteKind::Event, NoteKind::Event] {
        let (upload, detail, at) = (pending, "n".to_owned(), now());
        let note = Note {
            upload,
            kind,
            detail,
            at,
        };
        db.note(note).await.unwrap();
    }
    db.problems_of(&[pending]).await.unwrap();
    db.timeline(pending).await.unwrap();
}
