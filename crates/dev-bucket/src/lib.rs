//! An S3 server for development: a port of its own in this process, and a folder on the local disk.
//!
//! `bytepass dev` and the tests start it, so that no S3 account is needed. It refuses what S3 refuses.
//! Guarantees: an object that was answered with 200 survives a crash; a refused body leaves nothing behind; a key is a column of a row and
//! never a file name; conditions on a key are atomic; every `x-amz-*` header must be covered by the signature.

mod access;
mod blobs;
mod checksum;
mod complete_multipart;
mod conditions;
mod copy_object;
mod cors;
mod delete_objects;
mod get_object;
mod index;
mod list_objects;
mod logging;
mod multipart;
mod operations;
mod put_object;
mod receive_body;
mod request_body;
mod request_checks;
mod server;
mod sigv4;
mod stored_headers;

use std::fmt;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use secrecy::SecretString;
use tokio::sync::watch;
use tracing::Dispatch;

use self::access::{KeyPair, Rules};
use self::blobs::Blobs;
use self::index::Index;
use self::logging::OwnEvents;
use self::operations::Bucket;
use self::server::Server;

/// Threads for blocking work on the disk.
const BLOCKING_THREADS: usize = 16;

/// The largest form upload in bytes (100 MiB): s3s keeps a form in memory.
const MAX_FORM_BYTES: u64 = 100 * 1024 * 1024;

/// The time limit for blocking work after the server has stopped.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// The options of a development bucket.
pub struct DevBucketOptions {
    /// The address to listen on; port 0 picks one.
    pub listen: SocketAddr,
    /// The folder of blobs and index; created if missing.
    pub data_dir: PathBuf,
    /// The region that signatures must name, such as `us-east-1`.
    pub region: String,
    /// The one access key id.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: SecretString,
    /// Buckets to create at the start, unless they exist.
    pub buckets: Vec<String>,
    /// Prefixes such as `media/products/`: anonymous requests may GET and HEAD the keys below them, in every bucket.
    pub public_prefixes: Vec<String>,
}

impl fmt::Debug for DevBucketOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DevBucketOptions")
            .field("listen", &self.listen)
            .field("data_dir", &self.data_dir)
            .field("region", &self.region)
            .field("access_key_id", &self.access_key_id)
            .field("buckets", &self.buckets)
            .field("public_prefixes", &self.public_prefixes)
            .finish_non_exhaustive()
    }
}

/// Why the development bucket did not start. Each message is one line.
#[derive(Debug, thiserror::Error)]
pub enum DevBucketError {
    /// The address is in use or not local.
    #[error("the development bucket can't listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The system's error.
        cause: std::io::Error,
    },
    /// The folder can't be written, or another development bucket uses it.
    #[error("the development bucket can't use {}: {cause}", folder.display())]
    Data {
        /// The folder.
        folder: PathBuf,
        /// The reason.
        cause: String,
    },
    /// A bucket's name or a public prefix is invalid.
    #[error("invalid options of the development bucket: {0}")]
    Options(String),
}

/// A running development bucket. Dropping it stops it as [`DevBucket::stop`] does.
pub struct DevBucket {
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl fmt::Debug for DevBucket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("DevBucket");
        shown.field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl DevBucket {
    /// Starts the bucket on a thread of its own and returns once the port is bound.
    ///
    /// # Errors
    /// The port is in use, the folder can't be written or is in use, or a name is invalid.
    pub fn start(options: DevBucketOptions) -> Result<DevBucket, DevBucketError> {
        let public_prefixes = public_prefixes(&options)?;
        let folder = &options.data_dir;
        let data = |cause: String| DevBucketError::Data {
            folder: folder.clone(),
            cause,
        };
        let lock = lock(folder).map_err(data)?;
        let bucket = open(&options)?;
        let listen = |cause| DevBucketError::Listen {
            address: options.listen,
            cause,
        };
        let listener = TcpListener::bind(options.listen).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let log = OwnEvents::of_current_subscriber();
        let rules = Rules {
            public_prefixes,
            region: options.region.clone(),
        };
        let keys = KeyPair {
            id: options.access_key_id,
            secret: options.secret_access_key,
        };
        let server = Server::new(service(bucket, keys, rules), options.region);
        let (stop, stopped) = watch::channel(false);
        let runtime = runtime(log.clone()).map_err(|error| data(error.to_string()))?;
        let thread = std::thread::Builder::new()
            .name("dev-bucket".to_owned())
            .spawn(move || {
                logging::set_for_thread(&log);
                runtime.block_on(async {
                    if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                        server.run(listener, stopped).await;
                    }
                });
                runtime.shutdown_timeout(LAST_WRITES);
                drop(lock);
            })
            .map_err(|error| data(error.to_string()))?;
        Ok(DevBucket {
            addr,
            stop,
            thread: Some(thread),
        })
    }

    /// The address that it listens on, with the actual port.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The endpoint, such as `http://127.0.0.1:9000`.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Stops accepting, waits for requests in flight (at most about 7 seconds), and returns. Blocks the calling thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for DevBucket {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has stopped too.
            let _ = thread.join();
        }
    }
}

fn public_prefixes(options: &DevBucketOptions) -> Result<Vec<String>, DevBucketError> {
    let prefixes = options.public_prefixes.iter().map(|prefix| {
        let prefix = prefix.trim_end_matches('/');
        if prefix.is_empty() {
            let message = "a public prefix must not be empty: every object would be public";
            return Err(DevBucketError::Options(message.to_owned()));
        }
        Ok(format!("{prefix}/"))
    });
    prefixes.collect()
}

// A second server over the same folder would remove the drafts of the first as leftovers of a crash.
fn lock(folder: &Path) -> Result<File, String> {
    fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => {
            Err("another development bucket is using the folder".to_owned())
        }
        Err(fs::TryLockError::Error(error)) => Err(error.to_string()),
    }
}

fn open(options: &DevBucketOptions) -> Result<Bucket, DevBucketError> {
    let folder = &options.data_dir;
    let data = |cause: String| DevBucketError::Data {
        folder: folder.clone(),
        cause,
    };
    let blobs = Blobs::open(folder).map_err(|error| data(error.to_string()))?;
    let index = Index::open(&folder.join("index.sqlite3")).map_err(data)?;
    let failed = |error: index::IndexError| data(s3s::S3Error::from(error).to_string());
    let referenced = index.referenced_blobs().map_err(failed)?;
    let removed = blobs
        .remove_unreferenced(&referenced)
        .map_err(|error| data(error.to_string()))?;
    if removed > 0 {
        tracing::info!(
            removed,
            "development bucket removed blobs that a crash left"
        );
    }
    for name in &options.buckets {
        if !s3s::path::check_bucket_name(name) {
            let message = format!("{name:?} must be a bucket name: 3 to 63 of a-z, 0-9, - and .");
            return Err(DevBucketError::Options(message));
        }
        index
            .create_bucket(name, stored_headers::now_ms())
            .map_err(failed)?;
    }
    Ok(Bucket {
        index: Arc::new(index),
        blobs: Arc::new(blobs),
        region: options.region.as_str().into(),
    })
}

fn service(bucket: Bucket, keys: KeyPair, rules: Rules) -> S3Service {
    let mut config = S3Config::default();
    config.xml_max_body_size = 4 * 1024 * 1024;
    config.post_object_max_file_size = MAX_FORM_BYTES;
    config.form_max_field_size = 64 * 1024;
    config.form_max_fields_size = 256 * 1024;
    config.form_max_parts = 100;
    // For forms only: sigv4.rs checks the time of all other requests.
    config.presigned_url_max_skew_time_secs = sigv4::MAX_EXPIRES_SECS;
    let mut builder = S3ServiceBuilder::new(bucket);
    builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(config))));
    builder.set_auth(keys);
    builder.set_access(rules);
    builder.build()
}

fn runtime(log: Dispatch) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_name("dev-bucket-worker")
        .on_thread_start(move || logging::set_for_thread(&log))
        .enable_all()
        .build()
}
