//! The servers that the broker is compared with, each a process of its own, built from parts of the library.
//!
//! `no-work` always answers the same bytes: the cost of HTTP. `signing-only` reads the same request, admits it, signs the same URL and
//! answers the same members, without authentication, row, log line or metric: the work that can't be left out.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use actix_web::{App, HttpResponse, HttpServer, web};
use bytepass_dev_bucket::{DevBucket, DevBucketOptions};

use super::broker::{ACCESS_KEY_ID, BUCKET, SECRET_ACCESS_KEY};
use super::signing::{Signer, sign};
use super::{Outcome, failed};

/// The names to start them by.
pub const NO_WORK: &str = "no-work";
/// See the module.
pub const SIGNING_ONLY: &str = "signing-only";
/// The embedded bucket, over the folder that follows.
pub const DEV_BUCKET: &str = "dev-bucket";

/// Runs one of them until standard input ends.
pub async fn serve(name: &str, folder: Option<&Path>) -> Outcome<()> {
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_line(&mut String::new());
        #[expect(
            clippy::disallowed_methods,
            reason = "its parent is gone: nothing is left to tidy up"
        )]
        std::process::exit(0);
    });
    match (name, folder) {
        (NO_WORK, _) => no_work().await,
        (SIGNING_ONLY, _) => signing_only().await,
        (DEV_BUCKET, Some(folder)) => dev_bucket(folder).await,
        _ => Err(format!("there is no server {name}")),
    }
}

fn listener() -> Outcome<TcpListener> {
    TcpListener::bind("127.0.0.1:0").map_err(failed("listening"))
}

fn ready(address: SocketAddr) -> Outcome<()> {
    println!("{address}");
    std::io::stdout().flush().map_err(failed("standard output"))
}

async fn no_work() -> Outcome<()> {
    let listener = listener()?;
    let address = listener.local_addr().map_err(failed("listening"))?;
    // As long as an answer of the broker.
    let answer: &'static str = Box::leak("x".repeat(1_450).into_boxed_str());
    let server = HttpServer::new(move || {
        App::new().default_service(web::to(move |_body: web::Bytes| async move {
            HttpResponse::Created()
                .content_type("application/json")
                .body(answer)
        }))
    });
    let server = server.workers(cores()).disable_signals();
    let server = server.listen(listener).map_err(failed("listening"))?.run();
    ready(address)?;
    server.await.map_err(failed("serving"))
}

async fn signing_only() -> Outcome<()> {
    let listener = listener()?;
    let address = listener.local_addr().map_err(failed("listening"))?;
    let signer = web::Data::new(Signer::new().await?);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(signer.clone())
            .default_service(web::to(sign))
    });
    let server = server.workers(cores()).disable_signals();
    let server = server.listen(listener).map_err(failed("listening"))?.run();
    ready(address)?;
    server.await.map_err(failed("serving"))
}

async fn dev_bucket(folder: &Path) -> Outcome<()> {
    let options = DevBucketOptions {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: folder.to_owned(),
        region: "us-east-1".to_owned(),
        access_key_id: ACCESS_KEY_ID.to_owned(),
        secret_access_key: SECRET_ACCESS_KEY.into(),
        buckets: vec![BUCKET.to_owned()],
        public_prefixes: Vec::new(),
    };
    let bucket = DevBucket::start(options).map_err(failed("the bucket"))?;
    ready(bucket.addr())?;
    std::future::pending().await
}

/// The default number of workers of the broker.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
