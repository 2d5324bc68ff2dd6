//! The numbers of the overview are exact, or given only for the time since which they are.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use super::support::{Rig, now};
use crate::db::{AtLeast, ConfirmTimes, Db, Outcomes, Overview, Window};
use crate::domain::ids::{EventId, UploadId};
use crate::domain::upload::Status;

/// Half an hour in steps of a minute.
fn window(most_rows: i64) -> Window {
    Window {
        from: minutes(-30),
        now: now(),
        step_secs: 60,
        ages_secs: &[300, 900],
        postponed_until: minutes(60),
        most_rows,
        most_pending: 1_000,
    }
}

fn minutes(minutes: i64) -> DateTime<Utc> {
    now() + TimeDelta::minutes(minutes)
}

fn text(at: DateTime<Utc>) -> String {
    at.format("'%Y-%m-%d %H:%M:%S%.6f'").to_string()
}

/// A row of `uploads`: when it was created, its field and its status. Its deadline is an hour after its creation.
struct Row(DateTime<Utc>, &'static str, &'static str);

/// Inserts rows with SQL, each with the event of its status.
fn fill(rig: &Rig, rows: &[Row]) {
    for Row(at, field, status) in rows {
        let id = UploadId::new(*at, &rand::random());
        let (created, ends) = (text(*at), text(*at + TimeDelta::hours(1)));
        let recorded = match *status {
            "confirmed" | "attached" | "detached" | "deleted" => {
                format!("'k{id}', 'n', 'e', {created}, 'client'")
            }
            _ => "NULL, NULL, NULL, NULL, NULL".to_owned(),
        };
        let attached = match *status {
            "attached" | "detached" => created.clone(),
            _ => "NULL".to_owned(),
        };
        let event = EventId::new(*at, &rand::random());
        rig.execute(&format!(
            "INSERT INTO uploads (id, status, version, field, owner, bucket, filename, content_type, size, created_at, expires_at, \
             url_lifetime_secs, object_key, name, etag, confirmed_at, confirmed_by, attached_at, object_id) VALUES ('{id}', '{status}', 1, \
             '{field}', 'user:1', 'media', 'f', 'image/jpeg', 100, {created}, {ends}, 900, {recorded}, {attached}, \
             CASE WHEN {attached} IS NULL THEN NULL ELSE '1' END); \
             INSERT INTO events (id, upload_id, seq, type, occurred_at) VALUES ('{event}', '{id}', 1, 'upload.{status}', {created})"
        ));
    }
}

/// Writes the counters of all rows.
fn count(rig: &Rig) {
    rig.execute(
        "DELETE FROM upload_counts; INSERT INTO upload_counts (field, status, slot, count, bytes) \
         SELECT field, status, 0, COUNT(*), CAST(SUM(size) AS BIGINT) FROM uploads GROUP BY field, status",
    );
}

fn exactly(count: u64) -> AtLeast {
    AtLeast { count, more: false }
}

fn more_than(count: u64) -> AtLeast {
    AtLeast { count, more: true }
}

async fn seen(db: &Db, most_rows: i64) -> Overview {
    db.overview(window(most_rows)).await.unwrap()
}

#[tokio::test]
async fn pending_counts_with_any_row_limit_are_exact() {
    for rig in Rig::each() {
        let ages = [-1, 0, 4, 5, 14, 15, 61, 62, 63, 6_000];
        let created = |age: i64| minutes(-age) - TimeDelta::seconds(1);
        let rows = ages.map(|age| Row(created(age), "Product.image", "pending"));
        fill(&rig, &rows);
        fill(&rig, &[Row(minutes(-90), "Product.image", "expired")]);
        count(&rig);
        let db = rig.open();
        for most_rows in [1, 1_000] {
            let pending = seen(&db, most_rows).await.pending;
            assert_eq!(pending.ages, [3, 2, 5].map(exactly));
            assert_eq!((pending.count, pending.bytes), (10, 1_000));
            assert_eq!(pending.overdue, exactly(4));
            let oldest = pending.oldest_created_at.unwrap();
            assert_eq!(oldest.timestamp(), created(6_000).timestamp());
        }
        // The sweeper could not settle two of them and postponed them: they are still overdue.
        let late = text(created(62));
        let again = text(minutes(20));
        rig.execute(&format!(
            "UPDATE uploads SET sweep_after = {again} WHERE status = 'pending' AND created_at < {late}"
        ));
        let pending = seen(&db, 1_000).await.pending;
        assert_eq!((pending.overdue, pending.postponed), (exactly(4), 2));
        // Counts above the limit say that there are more.
        for (most_pending, ages, overdue) in [
            (8, [exactly(3), exactly(2), exactly(5)], exactly(4)),
            (3, [exactly(3), exactly(2), more_than(3)], more_than(3)),
            (2, [more_than(2), exactly(2), more_than(2)], more_than(2)),
        ] {
            let window = Window {
                most_pending,
                ..window(1_000)
            };
            let pending = db.overview(window).await.unwrap().pending;
            assert_eq!((pending.count, pending.bytes), (10, 1_000));
            assert_eq!(pending.ages, ages);
            assert_eq!(pending.overdue, overdue);
        }
    }
}

#[tokio::test]
async fn uploads_due_soon_beyond_the_limit_are_not_overdue() {
    for rig in Rig::each() {
        let soon = [5, 6, 7, 8].map(|age| Row(minutes(-age), "Product.image", "pending"));
        fill(&rig, &soon);
        count(&rig);
        let db = rig.open();
        let few = Window {
            most_pending: 3,
            ..window(1_000)
        };
        let pending = db.overview(few).await.unwrap().pending;
        assert_eq!((pending.overdue, pending.postponed), (exactly(0), 0));
        // One that is due.
        fill(&rig, &[Row(minutes(-61), "Product.image", "pending")]);
        let pending = db.overview(few).await.unwrap().pending;
        assert_eq!((pending.overdue, pending.postponed), (exactly(1), 0));
        // The sweeper postponed it: there may be another one among the uploads that were not read.
        let again = text(minutes(1));
        rig.execute(&format!(
            "UPDATE uploads SET sweep_after = {again} WHERE expires_at <= {}",
            text(now())
        ));
        let pending = db.overview(few).await.unwrap().pending;
        assert_eq!((pending.overdue, pending.postponed), (more_than(1), 1));
    }
}

#[tokio::test]
async fn step_that_starts_before_the_read_rows_has_no_number() {
    for rig in Rig::each() {
        let mut rows = Vec::new();
        for age in [1, 2, 3, 4, 20] {
            let at = minutes(-age) + TimeDelta::seconds(20);
            for status in ["confirmed", "rejected", "expired"] {
                rows.push(Row(at, "Product.image", status));
            }
        }
        fill(&rig, &rows);
        count(&rig);
        let db = rig.open();
        let all = seen(&db, 15).await;
        assert_eq!((all.since, all.events_since), (minutes(-30), minutes(-30)));
        assert_eq!(all.created.len(), 31);
        let once = Outcomes {
            confirmed: 1,
            rejected: 1,
            expired: 1,
        };
        for (step, (created, happened)) in all.created.iter().zip(&all.happened).enumerate() {
            let is_one = [26, 27, 28, 29, 10].contains(&step);
            let expected = if is_one {
                (3, once)
            } else {
                (0, Outcomes::default())
            };
            assert_eq!(
                (*created, *happened),
                (Some(expected.0), Some(expected.1)),
                "{step}"
            );
        }
        // Two uploads of four minutes ago are among the eleven latest: the number of their step would be wrong.
        let cut = seen(&db, 10).await;
        assert!(
            cut.since > minutes(-4) && cut.since < minutes(-3),
            "{}",
            cut.since
        );
        assert!(cut.created[..=26].iter().all(Option::is_none), "{cut:?}");
        assert!(cut.happened[..=26].iter().all(Option::is_none), "{cut:?}");
        assert_eq!(cut.created[27..], [Some(3), Some(3), Some(3), Some(0)]);
        assert_eq!(cut.happened[27], Some(once));
        assert_eq!(cut.cohort.iter().map(|it| it.count).sum::<u64>(), 11);
    }
}

#[tokio::test]
async fn cohort_with_any_most_frequent_status_and_any_counters_is_exact() {
    for rig in Rig::each() {
        let db = rig.open();
        let mut expected: BTreeMap<(String, Status), u64> = BTreeMap::new();
        for (round, most) in Status::ALL.into_iter().enumerate() {
            // More of this status than of all earlier ones together, and one of every other.
            let many = 10 * (round + 1);
            let of_most = (0..many).map(|n| (["Product.image", "Order.txid_proof"][n % 2], most));
            let others = Status::ALL.map(|status| ("Product.image", status));
            let added: Vec<(&str, Status)> = of_most.chain(others).collect();
            for (field, status) in &added {
                *expected.entry(((*field).to_owned(), *status)).or_default() += 1;
            }
            let rows = added
                .iter()
                .map(|(field, status)| Row(minutes(-9), field, status.as_str()));
            fill(&rig, &rows.collect::<Vec<_>>());
            count(&rig);
            assert_eq!(cohort(&db).await, expected, "{most}");
        }
        // A row without a counter.
        fill(
            &rig,
            &[Row(minutes(-9), "Deposit.deposit_proof", "confirmed")],
        );
        expected.insert(("Deposit.deposit_proof".to_owned(), Status::Confirmed), 1);
        assert_eq!(cohort(&db).await, expected);
        rig.execute("DELETE FROM upload_counts");
        assert_eq!(cohort(&db).await, expected);
    }
}

async fn cohort(db: &Db) -> BTreeMap<(String, Status), u64> {
    let cohort = seen(db, 10_000).await.cohort;
    let key = |it: &crate::db::CohortCount| (it.field.to_string(), it.status);
    cohort.iter().map(|it| (key(it), it.count)).collect()
}

#[tokio::test]
async fn confirm_times_are_percentiles_of_the_window_and_none_without_a_confirm() {
    for rig in Rig::each() {
        let db = rig.open();
        fill(&rig, &[Row(minutes(-9), "Product.image", "pending")]);
        assert_eq!(
            seen(&db, 1_000).await.confirm_times,
            ConfirmTimes::default()
        );
        // One confirmed before the window, and two hundred in it that took 10 ms to 2 s.
        let confirmed = minutes(-9);
        let created = (1..=200).map(|n| confirmed - TimeDelta::milliseconds(10 * n));
        let row = |at| Row(at, "Product.image", "confirmed");
        fill(&rig, &created.map(row).collect::<Vec<_>>());
        let events = (1..=200).map(|_| EventId::new(confirmed, &rand::random()).to_string());
        for (n, event) in (1..).zip(events) {
            let created = text(confirmed - TimeDelta::milliseconds(10 * n));
            rig.execute(&format!(
                "UPDATE events SET id = '{event}' WHERE occurred_at = {created}"
            ));
        }
        fill(&rig, &[row(minutes(-40))]);
        let times = seen(&db, 1_000).await.confirm_times;
        assert_eq!(times.count, 200);
        assert_eq!((times.p50_secs, times.p99_secs), (Some(1.0), Some(1.98)));
        assert_eq!(seen(&db, 10).await.confirm_times.count, 11);
    }
}
