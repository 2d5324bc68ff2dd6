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
fn what_is_pending_is_as_much_as_all_ages_together() {
    let pending = pending_now(db::PendingNow {
        ages: vec![3, 4, 0, 0, 0, 8],
        ..db::PendingNow::default()
    });
    assert_eq!(pending.count, 15);
    let ends: Vec<Option<u64>> = pending.ages.iter().map(|age| age.up_to_secs).collect();
    assert_eq!(ends.first(), Some(&Some(300)));
    assert_eq!(ends.last(), Some(&None));
    assert_eq!(ends.len(), 6);
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
