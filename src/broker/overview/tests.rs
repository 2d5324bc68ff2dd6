//! Ages and steps: what falls where.

use super::*;

fn at(secs: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(secs, 0).expect("a time")
}

#[test]
fn ages_are_counted_in_the_first_group_that_they_fit_in() {
    let cell = |age: i64, count| PendingCell {
        at: at(1_000_000 - age),
        count,
        bytes: 10 * count,
        overdue: 0,
    };
    let cells = [cell(0, 1), cell(299, 2), cell(300, 4), cell(200_000, 8)];
    let pending = pending_now(&cells, at(1_000_000));
    let counts: Vec<u64> = pending.ages.iter().map(|age| age.count).collect();
    assert_eq!(counts, [3, 4, 0, 0, 0, 8]);
    assert_eq!((pending.count, pending.bytes), (15, 150));
    assert_eq!(pending.oldest_created_at, Some(at(800_000)));
}

#[test]
fn a_window_begins_on_a_whole_step_and_every_event_falls_into_one() {
    let (now, step) = (at(1_000_030), 60);
    let start = start_of(now, 3_600, step);
    assert_eq!(start.timestamp() % 60, 0);
    let found = db::Overview {
        created: vec![(start - TimeDelta::seconds(1), 1), (now, 2)],
        events: vec![(EventType::Expired, now + TimeDelta::seconds(100), 3)],
        ..db::Overview::default()
    };
    let series = series(&found, start, now, step);
    assert_eq!(series.created.first(), Some(&1));
    assert_eq!(series.created.last(), Some(&2));
    assert_eq!(series.expired.last(), Some(&3));
    assert_eq!(series.created.len(), 61);
    assert_eq!(series.confirmed.iter().sum::<u64>(), 0);
}
