//! `bytepass dev` with a configuration, addresses and folders of the user's choice.

use super::folder;
use super::once::dev::{check_pasted, pasted, plain_dev};
use crate::support::command::bytepass;
use crate::support::needs_program;

fn field(name: &str, lines: &str) -> String {
    format!(
        "[fields.\"{name}\"]\nupload_to = \"{}/\"\n{lines}\n",
        name.to_lowercase().replace('.', "-")
    )
}

const PICTURES: &str = "content_types = [\"image/png\"]\nmax_size = \"1 MiB\"";

#[test]
fn the_printed_commands_fit_the_configured_fields_bucket_and_addresses() {
    if !needs_program("bash") || !needs_program("curl") {
        return;
    }
    let folder = folder();
    let text = [
        "[storage]\nbucket = \"my-own-bucket\"\nregion = \"eu-west-3\"\n".to_owned(),
        field("A.text", "content_types = [\"text/plain\"]\nmax_size = 100"),
        field("B.large", &format!("{PICTURES}\nmin_size = \"1 MiB\"")),
        field(
            "C.proved",
            &format!("{PICTURES}\nrequired_checksums = [\"sha256\"]"),
        ),
        field("D.photo", PICTURES),
    ];
    std::fs::write(folder.path().join("b.toml"), text.concat()).expect("a file");
    let (mut child, words) = plain_dev(folder.path(), "0.0.0.0:0", &["--config", "b.toml"]);
    let outcome = pasted(folder.path(), &words);
    let _ = child.kill();
    let _ = child.wait();
    let confirmed = check_pasted(outcome);
    assert_eq!(confirmed["field"], "D.photo");
    assert_eq!(confirmed["bucket"], "my-own-bucket");
    // Others than this machine reach the broker, so its demo would hand them tokens.
    assert!(!words.contains("/demo"), "{words}");
    assert!(
        !words.contains("0.0.0.0") && words.contains("http://127.0.0.1:"),
        "{words}"
    );
    assert!(
        words.contains(r#"-d '{"field":"D.photo","filename":"cat.png","content_type":"#),
        "{words}"
    );
}

#[test]
fn without_a_field_that_takes_the_picture_no_commands_are_printed() {
    let folder = folder();
    let text = field("A.text", "content_types = [\"text/plain\"]\nmax_size = 100");
    std::fs::write(folder.path().join("b.toml"), text).expect("a file");
    let (mut child, words) = plain_dev(folder.path(), "127.0.0.1:0", &["--config", "b.toml"]);
    let _ = child.kill();
    let _ = child.wait();
    assert!(
        words.contains("No configured field takes a small image/png"),
        "{words}"
    );
    assert!(
        words.contains("TOKEN=") && !words.contains("curl"),
        "{words}"
    );
}

#[test]
fn a_data_folder_that_no_sqlite_url_can_name_is_one_line_and_nothing_is_made() {
    let folder = folder();
    for name in ["what?", "a#b", "x/:memory:"] {
        let line = bytepass(folder.path(), &["dev", "--data-dir", name], &[]).expect_line(2);
        assert!(line.contains("--data-dir") && line.contains(name), "{line}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        0
    );
}

#[test]
fn the_line_of_json_has_the_addresses_first() {
    let folder = folder();
    let (mut child, line) = plain_dev(folder.path(), "127.0.0.1:0", &["--json"]);
    let _ = child.kill();
    let _ = child.wait();
    let names = [
        "url",
        "bucket_url",
        "tokens",
        "user",
        "other_user",
        "service",
        "ops",
    ];
    let places = names.map(|name| line.find(&format!("\"{name}\":")));
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{names:?}"
    );
}
