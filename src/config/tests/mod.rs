//! Tests of sources, values and error messages.

mod bad;
mod bad_fields;
mod bad_issuers;
mod layers;
mod reference;
mod secrets;
mod webhooks;

use std::fs;

use super::{Config, Sources};

/// A valid issuer without keys.
const ISSUER: &str = r#"
[[auth.issuers]]
name = "shop"
issuer = "https://shop.example"
audience = "bytepass"
owner_prefix = "user:"
scopes = ["uploads:write"]
"#;

/// Loads a file with this text from a new folder with `files`. Errors don't contain the folder's path.
fn load_beside(text: &str, files: &[(&str, &str)], mut sources: Sources) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bytepass.toml");
    fs::write(&path, text).unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content).unwrap();
    }
    sources.file = Some(path);
    Config::load(&sources)
        .map_err(|errors| without(&errors.to_string(), folder.path().to_str().unwrap()))
}

fn without(text: &str, folder: &str) -> String {
    text.replace(&format!("{folder}/"), "")
}

fn load(text: &str) -> Result<Config, String> {
    load_beside(text, &[], Sources::default())
}

fn with_env(variables: &[(&str, &str)]) -> Sources {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Sources {
        env: variables.iter().map(owned).collect(),
        ..Sources::default()
    }
}

/// Asserts that each text is refused with exactly these lines.
fn refused(table: &[(&str, &str)]) {
    for (text, expected) in table {
        let errors = load(text).map(drop).unwrap_err();
        assert_eq!(errors, *expected, "for the file\n{text}");
    }
}

/// A valid field with these lines added.
fn field(lines: &str) -> String {
    let mut text = "[fields.\"Product.image\"]\n".to_owned();
    let usual = [
        ("upload_to", "\"products/\""),
        ("content_types", "[\"image/png\"]"),
        ("max_size", "\"1 MiB\""),
    ];
    for (key, value) in usual {
        if !lines.contains(key) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
    text + lines
}
