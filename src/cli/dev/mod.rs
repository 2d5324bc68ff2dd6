//! `bytepass dev`: a broker with its own database file and bucket in one process, and its data folder.
//!
//! A build without the cargo feature `dev-bucket` has no bucket to start, and answers with an error that names the feature.

pub(super) mod config;
pub(super) mod data;
#[cfg(feature = "dev-bucket")]
mod ready;
#[cfg(feature = "dev-bucket")]
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

#[cfg(feature = "dev-bucket")]
pub(super) use self::start::run;

#[derive(Debug, Args)]
pub struct DevArgs {
    /// The broker's address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The bucket's address; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:9000", value_name = "ADDRESS")]
    bucket_listen: SocketAddr,
    /// The folder of the database, the bucket and the development secrets
    #[arg(long, default_value = "bytepass-data", value_name = "DIR")]
    data_dir: PathBuf,
    /// Print one line of JSON when ready, instead of text
    #[arg(long)]
    json: bool,
    /// A configuration file (TOML), for other fields than those of the example shop
    #[arg(long, env = "BYTEPASS_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Default for DevArgs {
    fn default() -> DevArgs {
        DevArgs {
            listen: SocketAddr::from(([127, 0, 0, 1], 8000)),
            bucket_listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            data_dir: PathBuf::from("bytepass-data"),
            json: false,
            config: std::env::var_os("BYTEPASS_CONFIG").map(PathBuf::from),
        }
    }
}

#[cfg(not(feature = "dev-bucket"))]
pub(super) fn run(_: DevArgs) -> Result<(), super::Failure> {
    Err(super::Failure::Usage(
        "this build has no development bucket: build with the cargo feature `dev-bucket` (on by default) for `bytepass dev`, or run `bytepass serve`".to_owned(),
    ))
}
