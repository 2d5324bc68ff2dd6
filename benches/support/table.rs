//! Medians, in a table.

/// One round of one server.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Answers a second.
    pub requests_per_sec: f64,
    /// Half of the answers took no longer, in milliseconds.
    pub p50_ms: f64,
    /// 99 of 100 answers took no longer, in milliseconds.
    pub p99_ms: f64,
    /// The server's CPU time for one request, in microseconds; NaN where it is unknown.
    pub cpu_us: f64,
    /// The server's memory at the end, in MiB; NaN where it is unknown.
    pub rss_mib: f64,
}

/// Each column's median.
pub fn median(samples: &[Sample]) -> Sample {
    let of = |column: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(column).collect();
        values.sort_by(f64::total_cmp);
        match (values.len(), values.len() / 2) {
            (0, _) => f64::NAN,
            (len, middle) if len % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
            (_, middle) => values[middle],
        }
    };
    Sample {
        requests_per_sec: of(|it| it.requests_per_sec),
        p50_ms: of(|it| it.p50_ms),
        p99_ms: of(|it| it.p99_ms),
        cpu_us: of(|it| it.cpu_us),
        rss_mib: of(|it| it.rss_mib),
    }
}

/// Prints one line a server.
pub fn print(title: &str, rows: &[(&str, Sample)]) {
    println!("\n{title}");
    println!(
        "{:<28}{:>11}{:>10}{:>10}{:>16}{:>10}",
        "", "requests/s", "p50 ms", "p99 ms", "CPU µs/request", "RSS MiB"
    );
    for (name, it) in rows {
        println!(
            "{name:<28}{:>11.0}{:>10.2}{:>10.2}{:>16}{:>10}",
            it.requests_per_sec,
            it.p50_ms,
            it.p99_ms,
            known(it.cpu_us),
            known(it.rss_mib)
        );
    }
}

fn known(value: f64) -> String {
    if value.is_nan() {
        "-".to_owned()
    } else {
        format!("{value:.1}")
    }
}
