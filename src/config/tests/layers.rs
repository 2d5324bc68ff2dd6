use super::{field, load, load_beside, with_env};
use crate::config::{Config, Sources};

fn listen_of(config: &Config) -> (String, String) {
    let row = config
        .explain()
        .iter()
        .find(|row| row.key == "server.listen")
        .unwrap();
    assert_eq!(row.value, format!("\"{}\"", config.server.listen));
    (config.server.listen.to_string(), row.source.clone())
}

#[test]
fn later_layers_override_earlier_ones_and_explain_names_the_source() {
    let file = "\n[server]\nlisten = \"127.0.0.1:3\"";
    let dev = "[server]\nlisten = \"127.0.0.1:2\"\nworkers = 2".to_owned();
    let env = || with_env(&[("BYTEPASS_SERVER_LISTEN", "127.0.0.1:4"), ("HOME", "/root")]);
    let flag = Some("127.0.0.1:5".to_owned());

    let expect = |config: Config, listen: &str, source: &str| {
        let (found, from) = listen_of(&config);
        assert_eq!(found, listen);
        assert!(from.ends_with(source), "{from}");
    };
    let nothing = Config::load(&Sources::default()).unwrap();
    expect(nothing, "127.0.0.1:8000", "default");
    let layer = Sources::default().with_defaults("dev", dev.clone());
    expect(Config::load(&layer).unwrap(), "127.0.0.1:2", "dev");
    let with_file = load_beside(file, &[], layer).unwrap();
    assert_eq!(with_file.server.workers, 2);
    expect(with_file, "127.0.0.1:3", "bytepass.toml:3");
    let with_env = load_beside(file, &[], env().with_defaults("dev", dev)).unwrap();
    expect(with_env, "127.0.0.1:4", "env BYTEPASS_SERVER_LISTEN");
    let all = env().with_flag("--listen", "server.listen", flag);
    expect(
        load_beside(file, &[], all).unwrap(),
        "127.0.0.1:5",
        "flag --listen",
    );
}

#[test]
fn environment_values_are_parsed_as_the_type_of_their_key() {
    let config = Config::load(&with_env(&[
        ("BYTEPASS_DATABASE_POOL_SIZE", "16"),
        ("BYTEPASS_STORAGE_PATH_STYLE", "true"),
        ("BYTEPASS_STORAGE_BUCKET", "123"),
        ("BYTEPASS_STORAGE_ENDPOINT", ""),
        (
            "BYTEPASS_CORS_ALLOWED_ORIGINS",
            "https://a.example, https://b.example",
        ),
    ]))
    .unwrap();
    assert_eq!(config.database.pool_size, 16);
    assert!(config.storage.path_style);
    assert_eq!(config.storage.bucket, "123");
    assert_eq!(config.storage.endpoint, None);
    assert_eq!(
        config.cors.allowed_origins,
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn errors_name_the_variable_or_the_flag() {
    let env = with_env(&[("BYTEPASS_DATABASE_POOL_SIZE", "many")]);
    let flagged = env.with_flag("--listen", "server.listen", Some("here".to_owned()));
    let errors = Config::load(&flagged).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "server.listen = \"here\" (flag --listen): must be an address and a port, such as 127.0.0.1:8000 or [::1]:8000\n\
         database.pool_size = \"many\" (env BYTEPASS_DATABASE_POOL_SIZE): must be an integer from 1 to 256"
    );
}

#[test]
fn unknown_variables_are_refused_with_the_nearest_name() {
    for (name, line) in [
        (
            "BYTEPASS_SERVER_LISEN",
            "env BYTEPASS_SERVER_LISEN: unknown variable; did you mean BYTEPASS_SERVER_LISTEN?",
        ),
        (
            "BYTEPASS_LISTEN",
            "env BYTEPASS_LISTEN: unknown variable; did you mean BYTEPASS_SERVER_LISTEN?",
        ),
        (
            "BYTEPASS_FORMAT",
            "env BYTEPASS_FORMAT: unknown variable; did you mean BYTEPASS_TELEMETRY_LOG_FORMAT?",
        ),
        (
            "BYTEPASS_QWERTY",
            "env BYTEPASS_QWERTY: unknown variable; must be BYTEPASS_<SECTION>_<KEY>; fields, issuers, keys and webhook endpoints are set in a file",
        ),
    ] {
        let errors = Config::load(&with_env(&[(name, "canary")])).unwrap_err();
        assert_eq!(errors.to_string(), line);
    }
}

#[test]
fn variables_that_are_not_settings_are_ignored() {
    let config = Config::load(&with_env(&[
        ("BYTEPASS_CONFIG", "/etc/bytepass.toml"),
        ("BYTEPASS_TEST_POSTGRES", "postgres://…"),
        ("BYTEPASS_LOG", "debug"),
        // A pod beside a Kubernetes service named `bytepass` gets these.
        ("BYTEPASS_SERVICE_HOST", "10.0.0.1"),
        ("BYTEPASS_SERVICE_PORT_HTTP", "8000"),
        ("BYTEPASS_PORT", "tcp://10.0.0.1:8000"),
        ("BYTEPASS_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("BYTEPASSWORD", "x"),
    ]));
    assert_eq!(config.unwrap().telemetry.log, "debug");
    let both = [
        ("BYTEPASS_LOG", "debug"),
        ("BYTEPASS_TELEMETRY_LOG", "warn"),
    ];
    assert_eq!(
        Config::load(&with_env(&both)).unwrap().telemetry.log,
        "warn"
    );
}

#[test]
fn fields_of_a_file_replace_all_default_fields() {
    let config = load(&field("")).unwrap();
    let names: Vec<_> = config
        .fields()
        .iter()
        .map(|field| field.name.to_string())
        .collect();
    assert_eq!(names, ["Product.image"]);
}

#[test]
fn missing_file_is_a_one_line_error() {
    let sources = Sources {
        file: Some("/nowhere/bytepass.toml".into()),
        ..Sources::default()
    };
    let errors = Config::load(&sources).unwrap_err();
    assert_eq!(
        errors.to_string(),
        "/nowhere/bytepass.toml: can't be read: No such file or directory (os error 2)"
    );
}

#[test]
fn sources_from_process_contain_the_environment_and_the_file() {
    let sources = Sources::from_process(Some("bytepass.toml".into()));
    let path = std::env::var("PATH").unwrap();
    assert_eq!(sources.env.get("PATH"), Some(&path));
    assert_eq!(sources.file, Some("bytepass.toml".into()));
}
