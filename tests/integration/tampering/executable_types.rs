//! Executable files declared as pictures are served as pictures.

use futures::stream::{self, StreamExt as _};

use crate::support::api::Api;
use crate::support::executable_files::EXECUTABLES;
use crate::support::test_env::TestEnv;
use crate::support::upload_steps::{planting, text};

/// Types that some browser, plugin or mail program runs.
const EXECUTED: [&str; 8] = [
    "html",
    "svg",
    "xml",
    "script",
    "wasm",
    "flash",
    "pdf",
    "multipart",
];

#[tokio::test]
async fn sixty_executable_files_declared_as_pictures_are_served_as_pictures() {
    let names: std::collections::BTreeSet<&str> = EXECUTABLES.iter().map(|it| it.0).collect();
    assert_eq!(names.len(), 60, "each file once");
    let test_env = TestEnv::new().await;
    let broker = test_env.broker().await;
    let user = broker.user();
    let cases = EXECUTABLES
        .iter()
        .flat_map(|file| [(file, false), (file, true)]);
    stream::iter(cases)
        .for_each_concurrent(8, |((name, bytes), planted)| {
            let (test_env, user) = (&test_env, &user);
            async move { check(test_env, user, name, bytes, planted).await }
        })
        .await;
}

/// `planted`: the file lies in staging under a type that a store let pass, and not by our request.
async fn check(test_env: &TestEnv, user: &Api, name: &str, bytes: &[u8], planted: bool) {
    let created = user.create("Product.image", bytes, "image/png").await;
    let created = created.expect(201);
    if planted {
        let put = planting(&test_env.bucket, created.id(), bytes, None);
        let put = put.content_type("text/html").send().await;
        put.expect("the bucket takes it");
    } else {
        user.put(&created, bytes).await.expect(200);
    }
    let key = text(&user.confirm(created.id()).await.expect(200), "key");
    assert!(key.ends_with(".png"), "{name}: {key}");
    let head = test_env.bucket.head(&key).await.expect("the object");
    let served = head.content_type().unwrap_or_default();
    assert_eq!(served, "image/png", "{name}");
    assert!(
        !EXECUTED.iter().any(|kind| served.contains(kind)),
        "{name}: {served}"
    );
    assert_eq!(head.content_disposition(), Some("inline"), "{name}");
    assert_eq!(head.content_encoding(), None, "{name}");
}
