use super::{load, refused};

#[test]
fn bad_value_is_reported_with_key_line_and_allowed_values() {
    refused(&[
        (
            "\n[storage]\nchecksum_proof = \"maybe\"",
            r#"storage.checksum_proof = "maybe" (bytepass.toml:3): must be "trusted" or "none""#,
        ),
        (
            "[server]\nlisten = \"localhost\"",
            r#"server.listen = "localhost" (bytepass.toml:2): must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000"#,
        ),
        (
            "[server]\nworkers = -1",
            "server.workers = -1 (bytepass.toml:2): must be an integer from 0 to 1024",
        ),
        (
            "[server]\nworkers = 1.5",
            "server.workers = 1.5 (bytepass.toml:2): must be an integer from 0 to 1024",
        ),
        (
            "[server]\nworkers = \"8\"",
            r#"server.workers = "8" (bytepass.toml:2): must be an integer from 0 to 1024"#,
        ),
        (
            "[server]\npublic_url = \"https://uploads.example/?a=1\"",
            r#"server.public_url = "https://uploads.example/?a=1" (bytepass.toml:2): must be a URL such as https://host/path, without user, query and fragment"#,
        ),
        (
            "[database]\nmigrate_at_start = 1",
            "database.migrate_at_start = 1 (bytepass.toml:2): must be true or false",
        ),
        (
            "[telemetry]\nlog = \"loud\"",
            r#"telemetry.log = "loud" (bytepass.toml:2): must be a level (off, error, warn, info, debug, trace) or a list such as "info,bytepass::storage=debug""#,
        ),
        (
            "[limits]\npage_default = 500",
            "limits.page_default = 500 (bytepass.toml:2): must not be greater than limits.page_max",
        ),
        (
            "[auth]\nmax_token_lifetime_secs = 0",
            "auth.max_token_lifetime_secs = 0 (bytepass.toml:2): must be an integer from 60 to 86400",
        ),
        (
            "[auth]\nleeway_secs = 31",
            "auth.leeway_secs = 31 (bytepass.toml:2): must be an integer from 0 to 30",
        ),
    ]);
}

#[test]
fn bad_or_insecure_storage_settings_are_refused() {
    refused(&[
        (
            "[storage]\nbucket = \"My_Bucket\"",
            r#"storage.bucket = "My_Bucket" (bytepass.toml:2): must be a bucket name: 3 to 63 of a-z, 0-9, '-' and '.', with a letter or a digit at both ends"#,
        ),
        (
            "[storage]\nlocation = \"media\"",
            r#"storage.location = "media" (bytepass.toml:2): must end with '/'; such as "media/""#,
        ),
        (
            "[storage]\nstaging_prefix = \"\"",
            r#"storage.staging_prefix = "" (bytepass.toml:2): must end with '/'; such as "media/""#,
        ),
        (
            "[storage]\nstaging_prefix = \"media/staging/\"",
            r#"storage.staging_prefix = "media/staging/" (bytepass.toml:2): must not be under storage.location "media/", nor the location under it"#,
        ),
        (
            "[storage]\nlocation = \"staging/media/\"",
            r#"storage.staging_prefix = "staging/" (default): must not be under storage.location "staging/media/", nor the location under it"#,
        ),
        (
            "[storage]\nendpoint = \"http://s3.internal:9000\"",
            r#"storage.endpoint = "http://s3.internal:9000" (bytepass.toml:2): must be https (http only on a loopback address, or with storage.allow_insecure_endpoint = true inside a network that you trust)"#,
        ),
        (
            "[storage]\nendpoint = \"https://s3.example/bucket\"",
            r#"storage.endpoint = "https://s3.example/bucket" (bytepass.toml:2): must be a URL such as https://host or https://host:port, without a path"#,
        ),
        (
            "[storage]\naccess_key_id = \"AKIAEXAMPLE\"",
            r#"storage.secret_access_key = "" (default): must be set too, because storage.access_key_id is"#,
        ),
        (
            "[storage]\noperation_timeout_ms = 1000",
            "storage.operation_timeout_ms = 1000 (bytepass.toml:2): must not be less than storage.attempt_timeout_ms",
        ),
        (
            "[storage]\nexpected_bucket_owner = 123456789012",
            "storage.expected_bucket_owner = 123456789012 (bytepass.toml:2): must be a string",
        ),
    ]);
}

#[test]
fn http_endpoint_is_accepted_on_loopback_and_with_allow_insecure_endpoint() {
    for text in [
        "[storage]\nendpoint = \"http://127.0.0.1:9000\"",
        "[storage]\nendpoint = \"http://[::1]:9000\"",
        "[storage]\nendpoint = \"http://minio:9000\"\nallow_insecure_endpoint = true",
    ] {
        assert!(load(text).unwrap().storage.endpoint.is_some());
    }
}

#[test]
fn unknown_keys_and_sections_are_refused_with_the_nearest_name() {
    refused(&[
        (
            "[server]\nlisten_on = \"127.0.0.1:1\"\nworker = 3",
            "server.listen_on (bytepass.toml:2): unknown key; did you mean \"listen\"?\n\
             server.worker (bytepass.toml:3): unknown key; did you mean \"workers\"?",
        ),
        (
            "[cors]\nzzz = 1",
            "cors.zzz (bytepass.toml:2): unknown key; [cors] has allowed_origins",
        ),
        (
            "[sever]\nlisten = \"127.0.0.1:1\"",
            "sever (bytepass.toml:1): unknown section; did you mean [server]?",
        ),
        (
            "listen = \"127.0.0.1:1\"",
            "listen (bytepass.toml:1): must be in a section: server, cors, database, storage, auth, events, receipts, limits, workers, sweeper, webhooks, telemetry, fields",
        ),
        (
            "server = 3",
            "server (bytepass.toml:1): must be a table, [server]",
        ),
    ]);
}

#[test]
fn all_errors_are_reported_at_once_in_the_order_of_sections() {
    refused(&[(
        "[telemetry]\nlog_format = \"xml\"\n[server]\nworkers = 9999\n[database]\npool_size = 0",
        "server.workers = 9999 (bytepass.toml:4): must be an integer from 0 to 1024\n\
         database.pool_size = 0 (bytepass.toml:6): must be an integer from 1 to 256\n\
         telemetry.log_format = \"xml\" (bytepass.toml:2): must be \"auto\", \"json\" or \"text\"",
    )]);
}

#[test]
fn origins_must_be_exact() {
    for origin in [
        "*",
        "null",
        "https://*.shop.example",
        "https://shop.example/",
        "https://shop.example/page",
        "https://Shop.example",
        "https://shop.example:443",
        "shop.example",
        "ftp://shop.example",
        "https://user@shop.example",
        "file://",
    ] {
        let errors = load(&format!("[cors]\nallowed_origins = [\"{origin}\"]")).unwrap_err();
        assert!(
            errors.contains("must list exact origins"),
            "{origin}: {errors}"
        );
    }
    let good = "[cors]\nallowed_origins = [\"https://shop.example\", \"http://localhost:3000\"]";
    assert_eq!(load(good).unwrap().cors.allowed_origins.len(), 2);
}

#[test]
fn file_that_is_not_toml_is_reported_with_its_line() {
    let errors = load("[server]\nlisten = \"127.0.0.1:1\nworkers = 3").unwrap_err();
    assert!(errors.starts_with("bytepass.toml:2: "), "{errors}");
    let twice = load("[server]\nworkers = 3\nworkers = 4").unwrap_err();
    assert_eq!(twice, "bytepass.toml:3: duplicate key");
}

#[test]
fn bad_database_url_is_refused_without_its_password() {
    refused(&[
        (
            "[database]\nurl = \"mysql://db/shop\"",
            r#"database.url = "mysql://db/shop" (bytepass.toml:2): must be sqlite://path/to/file, postgres://user:password@host/database or postgresql://…"#,
        ),
        (
            "[database]\nurl = \"sqlite://:memory:\"",
            r#"database.url = "sqlite://:memory:" (bytepass.toml:2): must be sqlite://path/to/file, postgres://user:password@host/database or postgresql://…"#,
        ),
        (
            "[database]\nurl = \"postgres://u:sekret3\"",
            r#"database.url = "********" (bytepass.toml:2): must be sqlite://path/to/file, postgres://user:password@host/database or postgresql://…, with a host, and a port that is a number"#,
        ),
        (
            "[database]\nurl = \"postgres:///shop\"",
            r#"database.url = "postgres:///shop" (bytepass.toml:2): must be sqlite://path/to/file, postgres://user:password@host/database or postgresql://…, with a host"#,
        ),
        (
            "[database]\nurl = \"postgres://u:a/b@db/shop\"",
            r#"database.url = "postgres://u:********@db/shop" (bytepass.toml:2): must have '@', '/', '?', '#' and '%' percent-encoded in the user name and the password"#,
        ),
        (
            "[database]\nurl = \"postgres://u:100%@db/shop\"",
            r#"database.url = "postgres://u:********@db/shop" (bytepass.toml:2): must have '@', '/', '?', '#' and '%' percent-encoded in the user name and the password"#,
        ),
        (
            "[database]\nurl = \"sqlite://data?.sqlite\"",
            r#"database.url = "sqlite://data?.sqlite" (bytepass.toml:2): must be a path without '?' and '#', and without options"#,
        ),
    ]);
}

#[test]
fn database_url_may_have_several_hosts_an_address_or_a_socket() {
    for url in [
        "postgres://u:p@db/shop",
        "postgresql://u:p%40@db:5433/shop?sslmode=require",
        "postgres://u:p@a:5432,b:5433/shop",
        "postgres://u:p@[::1]:5432/shop",
        "postgres:///shop?host=/var/run/postgresql",
        "postgres://u@%2Fvar%2Frun/shop",
        "sqlite://./a.sqlite",
        "sqlite:///a:b/c.sqlite",
        "sqlite://a:b.sqlite",
    ] {
        load(&format!("[database]\nurl = \"{url}\"")).unwrap();
    }
}

#[test]
fn unknown_key_error_lists_each_known_key_once() {
    let issuer = format!(
        "{}secret = \"{}\"\nxyzzyq = 1",
        super::ISSUER,
        "s".repeat(32)
    );
    for text in [issuer, super::field("xyzzyq = 1")] {
        let errors = load(&text).unwrap_err();
        let (_, known) = errors.split_once("] has ").unwrap();
        let mut names: Vec<&str> = known.split(", ").collect();
        let count = names.len();
        assert!(count > 5, "{errors}");
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{errors}");
    }
}
