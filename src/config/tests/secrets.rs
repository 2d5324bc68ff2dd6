use secrecy::ExposeSecret as _;

use super::{ISSUER, load, load_beside, with_env};
use crate::config::Config;

/// Long enough for an issuer's secret.
const CANARY: &str = "canary-0123456789-canary-0123456789";

fn shown(result: Result<Config, String>) -> String {
    match result {
        Ok(config) => format!("{config:?}\n{:?}", config.explain()),
        Err(errors) => errors,
    }
}

/// A configuration with a secret in each secret key.
fn full_of_secrets() -> String {
    format!(
        "[database]\nurl = \"postgres://shop:{CANARY}@db/shop?sslpassword={CANARY}\"\n\
         [storage]\naccess_key_id = \"{CANARY}\"\nsecret_access_key = \"{CANARY}\"\n\
         signer_access_key_id = \"{CANARY}\"\nsigner_secret_access_key = \"{CANARY}\"\n\
         [events]\nsecret = \"{CANARY}\"\nprevious_secret = \"{CANARY}\"\n\
         {ISSUER}secret = \"{CANARY}\"\n"
    )
}

#[test]
fn debug_and_explain_show_no_secret() {
    let config = load(&full_of_secrets()).unwrap();
    assert!(config.database.url.expose_secret().contains(CANARY));
    let rows = config.explain().to_vec();
    assert!(!shown(Ok(config)).contains("canary"));
    let value = |key: &str| &rows.iter().find(|row| row.key == key).unwrap().value;
    assert_eq!(
        value("database.url"),
        "\"postgres://shop:********@db/shop?sslpassword=********\""
    );
    assert_eq!(value("storage.secret_access_key"), "********");
    assert_eq!(value("events.previous_secret"), "********");
    assert_eq!(value("auth.issuers[0].secret"), "********");
}

#[test]
fn errors_show_no_secret() {
    let pem =
        format!("\"\"\"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\"\"\"");
    for text in [
        full_of_secrets().replace("postgres://", "mysql://"),
        full_of_secrets().replace("postgres://", ""),
        format!("[database]\nurl = \"postgres//shop:{CANARY}@db\""),
        format!("[database]\nurl = \"http://shop:a/b@{CANARY}@db\""),
        format!("[database]\nurl = \"host=db password={CANARY}\""),
        // Without a host, the password is in the place of the port.
        format!("[database]\nurl = \"postgres://u:{CANARY}\""),
        format!("[database]\nurl = \"postgresql://u:{CANARY}/shop?sslmode=require\""),
        format!("[database]\nurl = \"postgres://u:12#{CANARY}@db/shop\""),
        format!("[storage]\nendpoint = \"https://u:{CANARY}\""),
        format!("{ISSUER}jwks_url = \"https://u:{CANARY}/keys\""),
        format!("[database]\nurl = [\"postgres://{CANARY}\"]"),
        format!("[storage]\nendpoint = \"https://{CANARY}@s3.example\""),
        format!("[storage]\nendpoint = \"https://a:{CANARY}@s3.example\""),
        format!("[storage]\nsecret_access_key = [\"{CANARY}\"]"),
        format!("[storage]\nsecret_access_key = \"{CANARY}\""),
        format!("[storage]\nsecret_acces_key = \"{CANARY}\""),
        format!("[storage]\nsecret_access_key = \"{CANARY}"),
        format!("[storage]\nsecret_access_key = \"a\"\nsecret_access_key = \"{CANARY}\""),
        format!("{ISSUER}secret = \"canary\""),
        format!("{ISSUER}secret = [\"{CANARY}\"]"),
        format!("{ISSUER}secret_env = \"{CANARY}\""),
        format!("{ISSUER}algorithm = \"ES256\"\npublic_key = {pem}"),
        format!("{ISSUER}secret = {{ value = \"{CANARY}\" }}"),
    ] {
        let errors = load(&text).map(drop).unwrap_err();
        assert!(!errors.contains("canary"), "{errors}");
    }
}

#[test]
fn errors_show_no_secret_of_the_environment() {
    for (name, value) in [
        ("BYTEPASS_DATABASE_URL", format!("mysql://a:{CANARY}@db")),
        ("BYTEPASS_STORAGE_SECRET_ACCESS_KEY", CANARY.to_owned()),
        ("BYTEPASS_STORAGE_SECRET_KEY", CANARY.to_owned()),
        ("SHOP_SECRET", "canary".to_owned()),
    ] {
        let text = format!("{ISSUER}secret_env = \"SHOP_SECRET\"");
        let result = load_beside(&text, &[], with_env(&[(name, &value)]));
        assert!(!result.map(drop).unwrap_err().contains("canary"), "{name}");
    }
}

#[test]
fn value_with_a_line_break_is_shown_on_one_line() {
    let errors = load("[server]\nlisten = \"a\\nfake: error\"").unwrap_err();
    assert_eq!(errors.lines().count(), 1, "{errors}");
}
