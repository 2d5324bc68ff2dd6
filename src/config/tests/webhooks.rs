use secrecy::ExposeSecret as _;

use super::{load, load_beside, with_env};
use crate::domain::event::EventType;

const SECRET: &str = "whsec_b2xkLXNlY3JldC1vbGQtc2VjcmV0LW9sZC1zZWNyZXQ=";
const OTHER: &str = "whsec_bmV3LXNlY3JldC1uZXctc2VjcmV0LW5ldy1zZWNyZXQ=";

fn endpoint(lines: &str) -> String {
    format!(
        "[[webhooks.endpoints]]\nname = \"shop\"\nurl = \"https://shop.example/hooks\"\n{lines}\n"
    )
}

#[test]
fn endpoint_has_defaults_and_one_or_two_secrets() {
    let text = endpoint(&format!("secrets = [\"{OTHER}\", \"{SECRET}\"]"));
    let config = load(&text).unwrap();
    let endpoint = &config.webhooks.endpoints[0];
    assert_eq!(endpoint.types, EventType::ALL);
    assert_eq!((endpoint.allow_private, endpoint.concurrency), (false, 8));
    let secrets: Vec<_> = endpoint
        .secrets
        .iter()
        .map(|it| it.expose_secret())
        .collect();
    assert_eq!(secrets, [OTHER, SECRET]);
    assert_eq!(config.webhooks.schedule_secs.len(), 10);
}

#[test]
fn endpoint_secrets_come_from_a_variable_or_a_file() {
    let both = format!("{OTHER} {SECRET}");
    let env = with_env(&[("SHOP_HOOKS", both.as_str())]);
    let config = load_beside(&endpoint("secrets_env = \"SHOP_HOOKS\""), &[], env).unwrap();
    assert_eq!(config.webhooks.endpoints[0].secrets.len(), 2);
    let files = [("hooks", format!("{SECRET}\n"))];
    let files: Vec<(&str, &str)> = files.iter().map(|(n, t)| (*n, t.as_str())).collect();
    let config = load_beside(&endpoint("secrets_file = \"hooks\""), &files, with_env(&[])).unwrap();
    assert_eq!(config.webhooks.endpoints[0].secrets.len(), 1);
}

#[test]
fn bad_endpoint_is_refused_without_showing_a_secret() {
    let good = format!("secrets = [\"{SECRET}\"]");
    for (text, part) in [
        (endpoint(""), "exactly one of secrets"),
        (
            endpoint(&format!("{good}\nsecrets_env = \"A\"")),
            "exactly one of secrets",
        ),
        (endpoint("secrets = []"), "one secret, or two"),
        (
            endpoint("secrets = [\"whsec_canary\"]"),
            "one secret, or two",
        ),
        (
            endpoint("secrets = [\"Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5LWNhbmFyeQ==\"]"),
            "whsec_",
        ),
        (
            endpoint(&format!(
                "secrets = [\"{SECRET}\", \"{OTHER}\", \"{SECRET}\"]"
            )),
            "or two",
        ),
        (
            endpoint(&format!("{good}\ntypes = [\"upload.created\"]")),
            "must list only",
        ),
        (endpoint(&format!("{good}\ntypes = []")), "at least one of"),
        (
            endpoint(&format!("{good}\nconcurrency = 0")),
            "from 1 to 256",
        ),
        (
            endpoint(&format!("{good}\ntype = []")),
            "did you mean \"types\"?",
        ),
        (endpoint(&good).replace("https", "http"), "must be https"),
        (
            endpoint(&good).replace("\"shop\"", "\"a b\""),
            "letters, digits",
        ),
        (
            endpoint(&good) + &endpoint(&good),
            "must differ from the name of webhooks.endpoints[0]",
        ),
        (
            "[webhooks]\nendpoints = 1".into(),
            "written as [[webhooks.endpoints]]",
        ),
        ("[webhooks]\nschedule_secs = []".into(), "1 to 30 integers"),
        (
            "[webhooks]\nschedule_secs = [-1]".into(),
            "1 to 30 integers",
        ),
        (
            "[webhooks]\nlease_secs = 15".into(),
            "longer than webhooks.timeout_ms, 15000 ms",
        ),
    ] {
        let errors = load(&text).map(drop).unwrap_err();
        assert!(errors.contains(part), "{text}\n{errors}");
        assert!(
            !errors.contains("canary") && !errors.contains(SECRET),
            "{errors}"
        );
    }
}
