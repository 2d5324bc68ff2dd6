//! Ages, steps and fates: what falls where.

use super::*;

fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs, 0).expect("a time")
}

#[test]
fn a_window_begins_on_a_whole_step() {
    let start = start_of(at(1_000_030), 3_600, 60);
    assert_eq!(start, at(1_000_030 - 3_600 - 10));
    assert_eq!(start.timestamp() % 60, 0);
}

#[test]
fn every_age_has_its_count_and_the_last_one_no_end() {
    let count = |count| AtLeast { count, more: false };
    let pending = pending_now(db::PendingNow {
        ages: [3, 4, 0, 0, 0, 8].map(count).to_vec(),
        ..db::PendingNow::default()
    });
    let ages = pending.ages.iter();
    let ages: Vec<(Option<u64>, u64)> = ages.map(|it| (it.up_to_secs, it.count.count)).collect();
    assert_eq!((ages[0], ages[5]), ((Some(300), 3), (None, 8)));
    assert_eq!(ages.len(), 6);
}

#[test]
fn whatever_came_as_far_as_a_record_was_confirmed_before() {
    let fate = |status, count, attached| db::Fate {
        field: FieldName::parse("Product.image").expect("a field"),
        status,
        count,
        attached,
    };
    let fates = fates(vec![
        fate(Status::Pending, 1, 0),
        fate(Status::Rejected, 2, 0),
        fate(Status::Confirmed, 4, 0),
        fate(Status::Attached, 8, 8),
        fate(Status::Detached, 16, 16),
        fate(Status::Deleted, 32, 20),
    ]);
    let [one] = &fates[..] else {
        panic!("{fates:?}")
    };
    assert_eq!((one.created, one.confirmed, one.attached), (63, 60, 44));
    assert_eq!((one.pending, one.rejected, one.expired), (1, 2, 0));
}
