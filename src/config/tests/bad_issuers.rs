use secrecy::ExposeSecret as _;

use super::{ISSUER, load, load_beside, refused, with_env};
use crate::config::{Config, IssuerKeys, KeyAlgorithm, Sources};

const PEM: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----\n";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn issuer(lines: &str) -> String {
    format!("{ISSUER}{lines}")
}

/// The valid issuer, and a second one that differs from it except for `lines`.
fn two(lines: &str) -> String {
    let mut second = String::from("[[auth.issuers]]\n");
    for (key, value) in [
        ("name", "\"backend\""),
        ("issuer", "\"backend\""),
        ("audience", "\"bytepass\""),
        ("owner_prefix", "\"service:\""),
        ("scopes", "[\"ops\"]"),
        ("secret", &format!("\"{SECRET}\"")),
    ] {
        if !lines.contains(&format!("{key} =")) {
            second.push_str(&format!("{key} = {value}\n"));
        }
    }
    issuer(&format!("secret = \"{SECRET}\"\n{second}{lines}"))
}

#[test]
fn bad_issuer_is_refused_with_allowed_values() {
    refused(&[
        (
            &issuer(""),
            "auth.issuers[0] (bytepass.toml:2): must have exactly one of secret, secret_env, secret_file, public_key, public_key_file, keys and jwks_url",
        ),
        (
            &issuer("secret = \"x\"\njwks_url = \"https://x.example\""),
            "auth.issuers[0] (bytepass.toml:2): must have exactly one of secret, secret_env, secret_file, public_key, public_key_file, keys and jwks_url",
        ),
        (
            &issuer("secret = \"0123456789abcdef0123456789abcde\""),
            "auth.issuers[0].secret = ******** (bytepass.toml:8): must have at least 32 bytes, not 31: a shorter one can be guessed from one token; try `openssl rand -base64 48`",
        ),
        (
            &issuer(&format!("secret = \"{SECRET}\"\nalgorithm = \"ES256\"")),
            r#"auth.issuers[0].algorithm = "ES256" (bytepass.toml:9): must be "HS256""#,
        ),
        (
            &issuer("secret_env = \"SHOP_SECRET\""),
            r#"auth.issuers[0].secret_env = "SHOP_SECRET" (bytepass.toml:8): must name an environment variable that is set"#,
        ),
        (
            &issuer("jwks_url = \"http://id.example/jwks\""),
            r#"auth.issuers[0].jwks_url = "http://id.example/jwks" (bytepass.toml:8): must be https (http only on a loopback address)"#,
        ),
        (
            &issuer("public_key = \"nothing\"\nalgorithm = \"HS256\""),
            "auth.issuers[0].algorithm = \"HS256\" (bytepass.toml:9): must be \"RS256\", \"ES256\" or \"EdDSA\"\n\
             auth.issuers[0].public_key = ******** (bytepass.toml:8): must be a public key in PEM, beginning with -----BEGIN PUBLIC KEY-----",
        ),
        (
            &issuer("keys = [{ algorithm = \"ES256\" }]"),
            "auth.issuers[0].keys[0] (bytepass.toml:8): must have exactly one of public_key and public_key_file",
        ),
        (
            &issuer("secret = \"x\"")
                .replace("[\"uploads:write\"]", "[\"admin\"]")
                .replace("\"x\"", &format!("\"{SECRET}\"")),
            r#"auth.issuers[0].scopes = ["admin"] (bytepass.toml:7): must list only "uploads:write", "uploads:confirm", "attachments:write", "grants:write" or "ops""#,
        ),
        (
            &issuer(&format!("secret = \"{SECRET}\"")).replace("\"bytepass\"", "\"\""),
            r#"auth.issuers[0].audience = "" (bytepass.toml:5): must be a string of 1 to 255 bytes on one line"#,
        ),
        (
            &issuer(&format!("secret = \"{SECRET}\"")).replace("\"https://shop.example\"", "\"\""),
            r#"auth.issuers[0].issuer = "" (bytepass.toml:4): must be a string of 1 to 255 bytes on one line"#,
        ),
        (
            &issuer("keys = []"),
            "auth.issuers[0].keys (bytepass.toml:8): must be a list of 1 to 50 tables { kid, algorithm, public_key or public_key_file }",
        ),
        (
            "[auth.issuers]\nname = \"shop\"",
            "auth.issuers (bytepass.toml:1): must be written as [[auth.issuers]], once for each issuer",
        ),
    ]);
}

#[test]
fn issuers_with_the_same_name_iss_or_owners_are_refused() {
    refused(&[
        (
            &two("owner_prefix = \"user:\""),
            r#"auth.issuers[1].owner_prefix = "user:" (bytepass.toml:15): must not begin with "user:" of "shop", nor that with it, because both could name the same owner"#,
        ),
        (
            &two("owner_prefix = \"user:a\""),
            r#"auth.issuers[1].owner_prefix = "user:a" (bytepass.toml:15): must not begin with "user:" of "shop", nor that with it, because both could name the same owner"#,
        ),
        (
            &two("owner_prefix = \"\""),
            r#"auth.issuers[1].owner_prefix = "" (bytepass.toml:15): must not begin with "user:" of "shop", nor that with it, because both could name the same owner"#,
        ),
        (
            &two("issuer = \"https://shop.example\""),
            r#"auth.issuers[1].issuer = "https://shop.example" (bytepass.toml:15): must differ from the issuer of "shop", so that a token belongs to one of them"#,
        ),
        (
            &two("name = \"shop\""),
            r#"auth.issuers[1].name = "shop" (bytepass.toml:15): must differ from the name of auth.issuers[0]"#,
        ),
    ]);
    assert_eq!(load(&two("")).unwrap().auth.issuers.len(), 2);
}

#[test]
fn several_keys_need_different_ids() {
    let files = [("a.pem", PEM)];
    let key = |kid: &str| format!("{{ {kid}algorithm = \"EdDSA\", public_key_file = \"a.pem\" }}");
    let load_keys = |keys: String| {
        load_beside(
            &issuer(&format!("keys = [{keys}]")),
            &files,
            Sources::default(),
        )
    };
    let (a, b, none) = (key("kid = \"a\", "), key("kid = \"b\", "), key(""));
    let same = load_keys(format!("{a}, {a}")).unwrap_err();
    assert_eq!(
        same,
        "auth.issuers[0].keys[1].kid = \"a\" (bytepass.toml:8): must be set and differ from the ids of the other keys, because tokens name a key by it"
    );
    assert!(
        load_keys(format!("{a}, {none}"))
            .unwrap_err()
            .contains("keys[1].kid")
    );
    assert!(load_keys(none).is_ok());
    let config = load_keys(format!("{a}, {b}")).unwrap();
    let IssuerKeys::Public(keys) = &config.auth.issuers[0].keys else {
        panic!("these are public keys");
    };
    assert_eq!(keys[1].kid.as_deref(), Some("b"));
    assert_eq!(keys[1].algorithm, KeyAlgorithm::EdDsa);
    assert_eq!(keys[1].pem, PEM);
}

#[test]
fn issuer_secret_comes_from_the_configuration_a_variable_or_a_file() {
    let files = [("shop.secret", &*format!("{SECRET}\n"))];
    for lines in [
        format!("secret = \"{SECRET}\"\nkid = \"1\""),
        "secret_env = \"SHOP_SECRET\"\nkid = \"1\"".to_owned(),
        "secret_file = \"shop.secret\"\nkid = \"1\"".to_owned(),
    ] {
        let sources = with_env(&[("SHOP_SECRET", SECRET)]);
        let config = load_beside(&issuer(&lines), &files, sources).unwrap();
        let IssuerKeys::Secret { kid, secret } = &config.auth.issuers[0].keys else {
            panic!("this is a shared secret");
        };
        assert_eq!(secret.expose_secret(), SECRET);
        assert_eq!(kid.as_deref(), Some("1"));
    }
    let missing = load(&issuer("secret_file = \"none.secret\"")).unwrap_err();
    assert!(missing.contains("can't be read: No such file"), "{missing}");
}

#[test]
fn missing_key_file_is_reported_with_its_absolute_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytepass.toml");
    std::fs::write(
        &path,
        issuer("algorithm = \"ES256\"\npublic_key_file = \"nope.pem\""),
    )
    .unwrap();
    let sources = Sources {
        file: Some(path),
        ..Sources::default()
    };
    let errors = Config::load(&sources).map(drop).unwrap_err().to_string();
    let tried = folder.path().join("nope.pem");
    let expected = format!("{} can't be read: No such file", tried.display());
    assert!(errors.contains(&expected), "{errors}");
}
