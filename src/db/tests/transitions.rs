//! Every step from every status, against the domain's status machine.

use diesel::connection::SimpleConnection as _;

use super::support::{Rig, create, now, open_attempt, record};
use crate::db::engine::connection::transaction;
use crate::db::uploads::transition::{Advance, Fills};
use crate::db::writer::counter_deltas::CounterDeltas;
use crate::db::{Change, PendingQuota, StatusStep, Transition};
use crate::domain::attachment::ObjectId;
use crate::domain::event::EventType;
use crate::domain::ids::UploadId;
use crate::domain::upload::{ConfirmedBy, Status, Step};

/// Puts an upload into a status directly.
fn place(rig: &Rig, id: UploadId, status: Status) {
    let confirmed = matches!(
        status,
        Status::Confirmed | Status::Attached | Status::Detached | Status::Deleted
    );
    let columns = if confirmed {
        format!(
            ", object_key = 'media/{id}', name = '{id}', etag = 'e', confirmed_by = 'client', confirmed_at = created_at"
        )
    } else {
        String::new()
    };
    let sql =
        format!("UPDATE uploads SET status = '{status}', version = 7{columns} WHERE id = '{id}'");
    rig.connect().batch_execute(&sql).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_from_every_status_follows_the_status_machine() {
    for rig in Rig::each() {
        let db = rig.open();
        let mut conn = rig.connect();
        for (status, step) in Status::ALL
            .into_iter()
            .flat_map(|s| Step::ALL.map(|step| (s, step)))
        {
            let upload = create(&db).await.into_upload();
            place(&rig, upload.id, status);
            let fills = match step {
                Step::Confirm => Fills::Sealed {
                    key: super::support::new_key(),
                    etag: "etag".into(),
                    by: ConfirmedBy::Service,
                },
                Step::Attach => Fills::Record(ObjectId::parse("42").unwrap()),
                Step::Detach => Fills::RemoveAfter(now()),
                _ => Fills::Nothing,
            };
            let event = db.new_event(now());
            let event_id = event.id();
            let advance = Advance {
                upload: upload.id,
                step,
                event,
                at: now(),
                fills,
            };
            let row = transaction(&mut conn, |conn| {
                let mut deltas = CounterDeltas::new(PendingQuota::default());
                let row = advance.run(conn, &mut deltas)?;
                deltas.settle(conn)?;
                Ok(row)
            })
            .unwrap();

            let expected = status.after(step);
            let found = db.find_upload(upload.id).await.unwrap().unwrap();
            assert_eq!(row.is_some(), expected.is_some(), "{status} {step:?}");
            assert_eq!(found.status, expected.unwrap_or(status));
            assert_eq!(found.version, if expected.is_some() { 8 } else { 7 });
            let event_type = expected
                .and_then(EventType::of)
                .map_or("", EventType::as_str);
            let own = format!(
                "SELECT COUNT(*) FROM events WHERE id = '{event_id}' AND upload_id = '{}' AND seq = 8 AND type = '{event_type}'",
                upload.id
            );
            assert_eq!(
                rig.count(&own),
                i64::from(expected.is_some()),
                "{status} {step:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_an_upload_are_numbered_without_gaps() {
    for rig in Rig::each() {
        let db = rig.open();
        let change = |upload, step| {
            db.move_status(Change {
                upload,
                step,
                at: now(),
            })
        };
        let kept = create(&db).await.into_upload();
        let key = open_attempt(&db, kept.id).await;
        record(&db, &kept, &key).await;
        assert!(matches!(
            change(kept.id, StatusStep::Cancel).await,
            Ok(Transition::Stale(_))
        ));
        let Ok(Transition::Moved(deleted)) = change(kept.id, StatusStep::Delete).await else {
            panic!("deleted")
        };
        assert_eq!((deleted.status, deleted.version), (Status::Deleted, 2));
        assert_eq!(
            deleted.confirmation.unwrap().key,
            key,
            "the record stays readable"
        );
        for step in [StatusStep::Cancel, StatusStep::Expire] {
            let other = create(&db).await.upload().id;
            assert!(matches!(
                change(other, step.clone()).await,
                Ok(Transition::Moved(_))
            ));
            assert!(
                matches!(change(other, step).await, Ok(Transition::Stale(_))),
                "another change of the same kind"
            );
        }
        let nowhere = UploadId::new(now(), &[9; 10]);
        assert_eq!(
            change(nowhere, StatusStep::Expire).await,
            Ok(Transition::Missing)
        );
        rig.assert_events_are_gapless();
    }
}
