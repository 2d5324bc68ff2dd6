//! Numbers read back, for the page that operators look at. They are this process's alone, like everything here.

use prometheus::core::Collector;
use prometheus::proto::{Histogram, Metric, MetricType};

use super::Metrics;

/// How long something took.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Times {
    /// How often it was done.
    pub count: u64,
    /// The median, in seconds, as exact as the buckets are; `None` before the first.
    pub p50_secs: Option<f64>,
    /// The 99th percentile, likewise.
    pub p99_secs: Option<f64>,
}

impl Metrics {
    /// How long confirms took.
    pub fn confirm_times(&self) -> Times {
        let families = self.0.confirms.took.collect();
        let metrics = families.iter().flat_map(|family| family.get_metric());
        metrics
            .map(|it| times(it.get_histogram()))
            .next()
            .unwrap_or_default()
    }

    /// The calls to the bucket: operation, code, how many.
    pub fn s3_calls(&self) -> Vec<(String, String, u64)> {
        let call = |(labels, count): (Vec<String>, f64)| {
            let mut labels = labels.into_iter();
            Some((labels.next()?, labels.next()?, count as u64))
        };
        let calls = values(&self.0.s3_requests)
            .into_iter()
            .filter_map(|(labels, count)| {
                // In the order of their names, which is not that of the declaration: code, operation.
                call((labels.into_iter().rev().collect(), count))
            });
        calls.collect()
    }
}

/// The values of a labeled metric, with their labels in the order of the labels' names; of a histogram how often it observed.
pub(super) fn values(metric: &impl Collector) -> Vec<(Vec<String>, f64)> {
    let families = metric.collect();
    let of_family = families.iter().flat_map(|family| {
        let kind = family.get_field_type();
        family.get_metric().iter().map(move |it| (kind, it))
    });
    let value = |(kind, it): (MetricType, &Metric)| {
        let labels = it.get_label().iter().map(|pair| pair.value().to_owned());
        let value = match kind {
            MetricType::HISTOGRAM => it.get_histogram().get_sample_count() as f64,
            MetricType::COUNTER => it.get_counter().get_value(),
            _ => it.get_gauge().get_value(),
        };
        (labels.collect(), value)
    };
    of_family.map(value).collect()
}

fn times(histogram: &Histogram) -> Times {
    Times {
        count: histogram.get_sample_count(),
        p50_secs: quantile(histogram, 0.5),
        p99_secs: quantile(histogram, 0.99),
    }
}

/// Interpolated within its bucket, as Prometheus does; above the last bound it is that bound.
fn quantile(histogram: &Histogram, share: f64) -> Option<f64> {
    let rank = share * histogram.get_sample_count() as f64;
    let (mut below, mut bound) = (0.0, 0.0);
    for bucket in histogram.get_bucket() {
        let (count, upper) = (bucket.cumulative_count() as f64, bucket.upper_bound());
        if count >= rank && count > below {
            return Some(bound + (upper - bound) * (rank - below) / (count - below));
        }
        (below, bound) = (count, upper);
    }
    (histogram.get_sample_count() > 0).then_some(bound)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn quantiles_lie_in_their_buckets_and_calls_are_counted_by_operation_and_code() {
        let metrics = Metrics::new();
        assert_eq!(metrics.confirm_times(), Times::default());
        for _ in 0..98 {
            metrics.confirm_took(Duration::from_millis(20));
        }
        for _ in 0..2 {
            metrics.confirm_took(Duration::from_secs(4));
        }
        let times = metrics.confirm_times();
        assert_eq!(times.count, 100);
        let (p50, p99) = (times.p50_secs.expect("one"), times.p99_secs.expect("one"));
        assert!((0.01..=0.025).contains(&p50), "{p50}");
        assert!((2.5..=5.0).contains(&p99), "{p99}");
        for _ in 0..3 {
            metrics.s3_call("copy-object", "ok", Duration::from_millis(3));
        }
        metrics.s3_call("copy-object", "NoSuchKey", Duration::from_millis(3));
        let mut calls = metrics.s3_calls();
        calls.sort();
        let named = |code: &str, count| ("copy-object".to_owned(), code.to_owned(), count);
        assert_eq!(calls, [named("NoSuchKey", 1), named("ok", 3)]);
    }

    #[test]
    fn what_takes_longer_than_every_bucket_counts_as_the_last_bound() {
        let metrics = Metrics::new();
        metrics.confirm_took(Duration::from_secs(10_000));
        assert_eq!(metrics.confirm_times().p99_secs, Some(300.0));
    }
}
