//! Recording a confirm: one winner, one event, and only an open attempt.

use futures::future::join_all;

use super::support::{Rig, create, new_key, now, open_attempt, record, verified};
use crate::db::uploads::attempts::AttemptState;
use crate::db::{Change, Db, DbError, SealAttempt, StatusStep, Transition};
use crate::domain::upload::{FieldError, Status, Upload};

fn moved(transition: &Transition) -> bool {
    matches!(transition, Transition::Moved(_))
}

/// 64 attempts, recorded concurrently by these brokers: exactly one wins.
async fn race(rig: &Rig, brokers: &[Db]) {
    let upload = create(&brokers[0]).await.into_upload();
    let turns = (0..64).map(|n| &brokers[n % brokers.len()]);
    let keys = join_all(turns.clone().map(|db| open_attempt(db, upload.id))).await;
    let tries = turns.zip(&keys).map(|(db, key)| record(db, &upload, key));
    let answers = join_all(tries).await;

    let winners: Vec<usize> = (0..64).filter(|&n| moved(&answers[n])).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    let found = brokers[0].find_upload(upload.id).await.unwrap().unwrap();
    assert_eq!((found.status, found.version), (Status::Confirmed, 1));
    assert_eq!(found.confirmation.as_ref().unwrap().key, keys[winners[0]]);
    for answer in answers {
        let (Transition::Moved(seen) | Transition::Stale(seen)) = answer else {
            panic!("missing")
        };
        assert_eq!(seen, found);
    }
    let attempts = rig.attempts(upload.id);
    let in_state = |state: AttemptState| {
        attempts
            .iter()
            .filter(|attempt| attempt.state == state.as_str())
            .count()
    };
    assert_eq!(
        (
            in_state(AttemptState::Recorded),
            in_state(AttemptState::Abandoned)
        ),
        (1, 63)
    );
    assert_eq!(rig.count("SELECT COUNT(*) FROM events"), 1);
    rig.assert_events_are_gapless();
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_racing_confirms_record_one_key_and_one_event() {
    for rig in Rig::each() {
        race(&rig, &[rig.open()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_confirms_of_two_brokers_record_one_key_and_one_event() {
    for rig in Rig::each() {
        race(&rig, &[rig.open(), rig.open()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn abandoned_attempt_is_never_recorded() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let key = open_attempt(&db, upload.id).await;
        assert_eq!(db.abandon_attempt(upload.id, &key).await, Ok(true));
        assert_eq!(
            record(&db, &upload, &key).await,
            Transition::Stale(upload.clone())
        );
        assert_eq!(
            record(&db, &upload, &new_key()).await,
            Transition::Stale(upload.clone()),
            "never opened"
        );
        // The upload can still be confirmed by another attempt, and that one can't be abandoned afterwards.
        let fresh = open_attempt(&db, upload.id).await;
        assert!(moved(&record(&db, &upload, &fresh).await));
        assert_eq!(db.abandon_attempt(upload.id, &fresh).await, Ok(false));
        assert_eq!(
            db.abandon_attempt(upload.id, &key).await,
            Ok(true),
            "asked again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn abandon_racing_a_confirm_has_exactly_one_winner() {
    for rig in Rig::each() {
        let (broker, sweeper) = (rig.open(), rig.open());
        for _ in 0..40 {
            let upload = create(&broker).await.into_upload();
            let key = open_attempt(&broker, upload.id).await;
            let (recorded, abandoned) = tokio::join!(
                record(&broker, &upload, &key),
                sweeper.abandon_attempt(upload.id, &key)
            );
            assert_ne!(moved(&recorded), abandoned.unwrap());
        }
        rig.assert_events_are_gapless();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attempt_of_another_upload_is_not_recorded() {
    for rig in Rig::each() {
        let db = rig.open();
        let (one, other) = (
            create(&db).await.into_upload(),
            create(&db).await.into_upload(),
        );
        let key = open_attempt(&db, other.id).await;
        assert_eq!(
            record(&db, &one, &key).await,
            Transition::Stale(one.clone())
        );
        let taken = SealAttempt {
            key,
            upload: one.id,
            at: now(),
        };
        assert!(matches!(
            db.open_attempt(taken).await,
            Err(DbError::Internal(_))
        ));
    }
}

/// A confirm takes its upload and key from the evidence, so it can only record what was verified, and only for that upload.
#[tokio::test(flavor = "multi_thread")]
async fn evidence_of_one_upload_confirms_no_other() {
    for rig in Rig::each() {
        let db = rig.open();
        let (one, other) = (create(&db).await.into_upload(), create(&db).await);
        let (key, other_key) = (
            open_attempt(&db, one.id).await,
            open_attempt(&db, other.upload().id).await,
        );
        let evidence = verified(&one, &key);
        assert_eq!((evidence.upload(), evidence.key()), (one.id, &key));
        assert!(moved(&record(&db, &one, &key).await));
        // The same upload's evidence about the other's copy: neither is confirmed by it.
        let mixed = record(&db, &one, &other_key).await;
        assert!(matches!(mixed, Transition::Stale(found) if found.id == one.id));
        let found = db.find_upload(other.upload().id).await.unwrap().unwrap();
        assert_eq!(found, other.into_upload());
        let attempts = rig.attempts(found.id);
        assert_eq!(attempts[0].state, AttemptState::Open.as_str());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn repeated_confirm_finds_its_own_key_and_succeeds() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let key = open_attempt(&db, upload.id).await;
        let first = record(&db, &upload, &key).await;
        assert!(moved(&first));
        assert_eq!(record(&db, &upload, &key).await, first);
        assert_eq!(rig.count("SELECT COUNT(*) FROM events"), 1);
        let stranger = Upload {
            id: crate::domain::ids::UploadId::new(now(), &[3; 10]),
            ..upload
        };
        let answer = record(&db, &stranger, &key).await;
        assert_eq!(answer, Transition::Missing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rejection_keeps_its_errors_and_abandons_its_attempt() {
    for rig in Rig::each() {
        let db = rig.open();
        let upload = create(&db).await.into_upload();
        let attempt = open_attempt(&db, upload.id).await;
        let errors = vec![FieldError::new(
            "/size",
            "100 bytes were declared, \"99\" arrived",
        )];
        let step = StatusStep::Reject {
            errors: errors.clone(),
            attempt: attempt.clone(),
        };
        let change = Change {
            upload: upload.id,
            step,
            at: now(),
        };
        let Ok(Transition::Moved(rejected)) = db.move_status(change.clone()).await else {
            panic!("moved")
        };
        assert_eq!(
            (rejected.status, &rejected.errors),
            (Status::Rejected, &errors)
        );
        assert_eq!(
            db.move_status(change).await,
            Ok(Transition::Stale(rejected.clone()))
        );
        db.attempt_removed(upload.id, attempt.clone(), now())
            .await
            .unwrap();
        db.object_removed(upload.id, now()).await.unwrap();
        let attempts = rig.attempts(upload.id);
        assert!(
            attempts.len() == 1 && attempts[0].object_removed_at.is_some(),
            "{attempts:?}"
        );
        assert_eq!(attempts[0].state, AttemptState::Abandoned.as_str());
        let found = db.find_upload(upload.id).await.unwrap().unwrap();
        assert!(found.object_removed_at.is_some() && found.errors == errors);
    }
}
