//! An older version, built from its commit, beside this one: over one database that this one migrates under it, and one bucket.
//!
//! `tests/run` builds the older binary where the history has it, and says so where it doesn't.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use tokio::task::block_in_place;

use super::callers::{CALLERS, UPLOADS, Work, load};
use crate::support::api::Api;
use crate::support::broker_process::BrokerProcess;
use crate::support::needs;
use crate::support::rows::Rows;
use crate::support::statuses::BYTES;
use crate::support::sweeps::overdue;
use crate::support::test_env::{TestEnv, backend_token, sign_backend};
use crate::support::upload_steps::eventually;

/// Which status follows which.
const STEPS: [(&str, &str); 8] = [
    ("pending", "confirmed"),
    ("pending", "rejected"),
    ("pending", "expired"),
    ("pending", "canceled"),
    ("confirmed", "attached"),
    ("attached", "detached"),
    ("confirmed", "deleted"),
    ("detached", "deleted"),
];

/// The older binary with what it knows of the settings.
fn older(test_env: &TestEnv, binary: &Path) -> BrokerProcess {
    let mut settings = test_env.settings(json!({}));
    let all = settings.as_object_mut().expect("tables");
    for unknown in ["sweeper", "limits"] {
        all.remove(unknown);
    }
    BrokerProcess::serve_by(
        binary,
        |listen| {
            settings["server"] = json!({"listen": listen.to_string(), "workers": 2});
            toml::to_string(&settings).expect("TOML")
        },
        &[],
    )
}

/// This version, which sweeps and recounts all the time.
fn current(test_env: &TestEnv) -> BrokerProcess {
    let change = json!({
        "sweeper": {"enabled": true, "interval_secs": 1},
        "workers": {"recount_interval_secs": 1},
    });
    test_env.process(change, &[])
}

/// The status that the upload's events lead to, if each follows the one before, without a gap.
fn end_of(events: &[String]) -> Option<String> {
    let mut status = "pending".to_owned();
    for (n, event) in events.iter().enumerate() {
        let next = event.strip_prefix(&format!("{} upload.", n + 1))?;
        STEPS.contains(&(status.as_str(), next)).then_some(())?;
        status = next.to_owned();
    }
    Some(status)
}

/// Rows, events, attempts and objects tell one story; gives how many uploads ended in each status.
async fn assert_one_story(test_env: &TestEnv) -> BTreeMap<String, usize> {
    let (rows, mut statuses) = (Rows::of(test_env), BTreeMap::new());
    let mut kept: Vec<String> = Vec::new();
    let all = "SELECT id || ' ' || status || ' ' || CAST(version AS text) || ' ' || COALESCE(object_key, '') AS line FROM uploads";
    for line in rows.lines(all) {
        let [id, status, version, key] = line.splitn(4, ' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let events = rows.events(id);
        assert_eq!(
            end_of(&events).as_deref(),
            Some(status),
            "{line}: {events:?}"
        );
        assert_eq!(version, events.len().to_string(), "{line}");
        let attempts = rows.attempts(id).into_iter();
        let recorded: Vec<String> = attempts
            .filter(|it| it.1 == "recorded")
            .map(|it| it.0)
            .collect();
        assert_eq!(recorded.join(" "), key, "{line}");
        if ["confirmed", "attached", "detached"].contains(&status) {
            assert_eq!(
                test_env.bucket.get(key).await.as_deref(),
                Some(BYTES),
                "{line}"
            );
            kept.push(key.to_owned());
        }
        *statuses.entry(status.to_owned()).or_default() += 1;
    }
    kept.sort_unstable();
    let there: Vec<String> = test_env.bucket.list("media/").await.into_keys().collect();
    assert_eq!(there, kept, "each object is recorded");
    let twice = "SELECT object_id AS line FROM uploads WHERE status = 'attached' GROUP BY object_id HAVING COUNT(*) > 1";
    assert_eq!(rows.lines(twice), [] as [&str; 0], "a record has one image");
    statuses
}

/// What this version counts is what the rows say once it has compared them: the older one counts nothing.
async fn counts_are_right(ops: &Api, statuses: &BTreeMap<String, usize>) {
    let counted = async || {
        let stats = ops.get("/v1/stats").await.expect(200);
        let groups = stats.json["data"].as_array().cloned().unwrap_or_default();
        let counted = groups.iter().filter(|it| it["count"] != 0).map(|it| {
            let status = it["status"].as_str().expect("a status").to_owned();
            (status, it["count"].as_u64().expect("a count") as usize)
        });
        counted.collect::<BTreeMap<_, _>>() == *statuses
    };
    eventually("the counters are those of the rows", counted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn r9_r18_an_older_version_and_this_one_share_a_database_and_a_bucket_under_load() {
    let Some(binary) = needs("BYTEPASS_TEST_OLDER") else {
        return;
    };
    let test_env = TestEnv::new().await;
    let mut old = block_in_place(|| older(&test_env, Path::new(&binary)));
    let schema =
        || Rows::of(&test_env).lines("SELECT version AS line FROM __diesel_schema_migrations");
    let before = schema().len();

    // The schema grows under the older one, which is at work meanwhile.
    let work = Arc::new(Work::default());
    let alone = load(&[&old], &work);
    let mut new = block_in_place(|| current(&test_env));
    assert!(!alone.is_finished(), "a caller failed");
    work.enough.store(true, Ordering::Release);
    assert!(schema().len() > before, "{:?}", schema());
    alone.await.expect("no caller fails");
    load(&[&old, &new], &work).await.expect("no caller fails");
    // It starts on the newer schema too: after a crash in the middle of a rollout, or to take one back.
    assert!(
        block_in_place(|| old.terminate()).success(),
        "{}",
        old.log()
    );
    let beside = load(&[&new], &work);
    old = block_in_place(|| old.restart());
    beside.await.expect("no caller fails");
    load(&[&new, &old], &work).await.expect("no caller fails");

    overdue(&test_env, 600);
    let rows = Rows::of(&test_env);
    let settled = async || {
        rows.lines("SELECT id AS line FROM uploads WHERE status = 'pending'")
            .is_empty()
    };
    eventually("the sweeper has settled what was left", settled).await;
    assert!(
        block_in_place(|| old.terminate()).success(),
        "{}",
        old.log()
    );
    let statuses = assert_one_story(&test_env).await;
    let told = |count: &AtomicUsize| count.load(Ordering::Relaxed);
    let (made, confirmed) = (told(&work.made), told(&work.confirmed));
    assert_eq!(statuses.values().sum::<usize>(), made);
    assert!(
        made >= 4 * CALLERS * UPLOADS && statuses.len() >= 3 && confirmed > 50,
        "too dull: {made}, {statuses:?}"
    );
    let ops = new.as_caller(&sign_backend(&backend_token("ops")));
    counts_are_right(&ops, &statuses).await;
    assert!(block_in_place(|| new.terminate()).success());
    for log in [old.log(), new.log()] {
        let errors: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("\"ERROR\"") || line.contains(" ERROR "))
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}
