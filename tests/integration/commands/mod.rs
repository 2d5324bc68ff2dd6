//! The command line: the real binary, run as users and scripts run it.

mod batch_actions;
mod configured;
mod data_dir;
mod database;
mod dev_configured;
mod fsck;
mod fsck_counters;
mod fsck_unknown;
mod offline;
pub mod once;
mod sweep_errors;
mod uploads;

use serde_json::Value;

use crate::support::command::bytepass;
use crate::support::needs;

/// A folder for one command.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

#[test]
fn openapi_prints_what_the_server_serves() {
    let folder = folder();
    let printed = bytepass(folder.path(), &["openapi"], &[]).expect(0);
    assert_eq!(printed.stderr, "");
    let printed: Value = serde_json::from_str(&printed.stdout).expect("JSON");
    let broker = crate::support::broker_process::BrokerProcess::dev();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut served = runtime
        .block_on(broker.api("user").get("/openapi.json"))
        .expect(200)
        .json;
    // Only the server adds its own URL.
    let servers = served
        .as_object_mut()
        .and_then(|document| document.remove("servers"));
    assert_eq!(servers, Some(serde_json::json!([{"url": broker.url}])));
    assert_eq!(printed, served);
}

#[test]
fn openapi_document_passes_a_validator() {
    let Some(python) = needs("BYTEPASS_TEST_PYTHON") else {
        return;
    };
    let folder = folder();
    let printed = bytepass(folder.path(), &["openapi"], &[]).expect(0).stdout;
    let check = |document: &str| {
        let path = folder.path().join("openapi.json");
        std::fs::write(&path, document).expect("a file");
        let script = "import json, sys, openapi_spec_validator as v; v.validate(json.load(open(sys.argv[1])), cls=v.OpenAPIV31SpecValidator)";
        let mut command = std::process::Command::new(&python);
        crate::support::command::run(command.args(["-c", script]).arg(path))
    };
    check(&printed).expect(0);
    let broken = printed.replacen("\"operationId\": \"readUpload\"", "\"operationId\": 5", 1);
    assert_ne!(broken, printed);
    assert_eq!(check(&broken).code, 1, "the validator looks");
}

#[test]
fn help_lists_commands_and_invalid_arguments_are_usage_errors() {
    let folder = folder();
    let help = bytepass(folder.path(), &["--help"], &[]).expect(0).stdout;
    for command in [
        "dev",
        "serve",
        "migrate",
        "token",
        "check-config",
        "openapi",
        "health",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{help}");
        let own = bytepass(folder.path(), &[command, "--help"], &[]).expect(0);
        assert!(own.stdout.contains("Usage: bytepass"), "{command}");
    }
    for wrong in [
        &["serv"][..],
        &["dev", "--port", "1"],
        &["dev", "--listen", "here"],
        &["token", "--lifetime-secs", "0"],
    ] {
        let outcome = bytepass(folder.path(), wrong, &[]).expect(2);
        assert!(
            outcome.stdout.is_empty() && outcome.stderr.contains("error:"),
            "{outcome:?}"
        );
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).expect("a folder").count(),
        0,
        "nothing was made"
    );
}
