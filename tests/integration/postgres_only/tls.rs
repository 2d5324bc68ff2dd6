//! The certificate of a Postgres server is checked against the authority and the host name.

use std::path::Path;

use serde_json::json;
use tokio::task::block_in_place;
use url::Url;

use crate::support::command::bytepass;
use crate::support::needs;
use crate::support::statuses::BYTES;
use crate::support::test_env::TestEnv;
use crate::support::upload_rows::is_confirmed_once;

/// An authority that signed none of these certificates.
const OTHER_AUTHORITY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/sns-certificate.pem"
);

/// The database's URL by this host and this authority; everything is checked.
fn checked(test_env: &TestEnv, host: &str, authority: &str) -> String {
    let mut url = Url::parse(&test_env.database.url()).expect("a URL");
    url.set_host(Some(host)).expect("a host");
    let query = format!("sslmode=verify-full&sslrootcert={authority}&connect_timeout=5");
    url.set_query(Some(&query));
    url.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_certificate_must_match_the_authority_and_the_host_name() {
    let Some(authority) = needs("BYTEPASS_TEST_DATABASE_AUTHORITY") else {
        return;
    };
    let test_env = TestEnv::new().await;
    let url = checked(&test_env, "localhost", &authority);
    let broker = test_env
        .broker_with(json!({"database": {"url": url}}))
        .await;
    let confirmed = broker
        .user()
        .upload("Product.image", BYTES, "image/jpeg")
        .await;
    is_confirmed_once(&test_env, &confirmed, BYTES).await;
    // The server's own view of these connections.
    let unencrypted = "SELECT CAST(COUNT(*) AS text) AS line FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
        WHERE datname = current_database() AND NOT ssl";
    let rows = crate::support::rows::Rows::of(&test_env);
    assert_eq!(rows.lines(unencrypted), ["0"]);
    drop(broker);

    let password = Url::parse(&url).expect("a URL");
    let password = password.password().expect("it has one").to_owned();
    let missing = "/nonexistent/authority.pem";
    for (host, authority, why) in [
        ("127.0.0.1", authority.as_str(), "does not match host name"),
        ("localhost", OTHER_AUTHORITY, "certificate verify failed"),
        ("localhost", missing, "does not exist"),
    ] {
        assert!(authority == missing || Path::new(authority).exists());
        let url = checked(&test_env, host, authority);
        let folder = test_env.configured(json!({"database": {"url": url}}));
        for command in ["serve", "migrate"] {
            let run = || bytepass(folder.path(), &[command, "--config", "bytepass.toml"], &[]);
            let ended = block_in_place(run);
            assert!(!ended.stderr.contains(&password), "the password is shown");
            let line = ended.expect_line(1);
            assert!(line.contains(why), "{command}: {line}");
        }
    }
}
