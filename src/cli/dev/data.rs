//! The development data folder: the secrets that the first start generates, and a sample picture.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::auth::new_signing_key_pem;
use crate::cli::Failure;

/// A small picture for the commands that `dev` prints.
const SAMPLE_PICTURE: &[u8] = include_bytes!("sample.png");

/// The secrets of a data folder.
pub(in crate::cli) struct DevSecrets {
    /// Signs users' tokens.
    pub users: SecretString,
    /// Signs backends' and ops' tokens.
    pub backends: SecretString,
    /// The development bucket's access key id.
    pub access_key_id: String,
    /// The development bucket's secret key.
    pub secret_access_key: SecretString,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    users: String,
    backends: String,
    access_key_id: String,
    secret_access_key: String,
}

/// Creates folder and secrets if they are missing, readable by their owner only.
pub(in crate::cli) fn open(data_dir: &Path) -> Result<DevSecrets, Failure> {
    let failed = |what: &Path, error: &dyn std::fmt::Display| {
        Failure::Runtime(format!(
            "the data folder can't be used: {}: {error}",
            what.display()
        ))
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|e| failed(data_dir, &e))?;
    let path = secrets_path(data_dir);
    if !path.exists() {
        let stored = serde_json::to_vec_pretty(&generate()).unwrap_or_default();
        write_new(&path, &stored).map_err(|e| failed(&path, &e))?;
    }
    let key = receipts_key_path(data_dir);
    if !key.exists() {
        write_new(&key, reveal(&new_signing_key_pem()).as_bytes()).map_err(|e| failed(&key, &e))?;
    }
    let picture = sample_path(data_dir);
    if !picture.exists() {
        fs::write(&picture, SAMPLE_PICTURE).map_err(|e| failed(&picture, &e))?;
    }
    read(data_dir)
}

/// Reads the secrets of a folder that `bytepass dev` has used before.
pub(in crate::cli) fn read(data_dir: &Path) -> Result<DevSecrets, Failure> {
    let path = secrets_path(data_dir);
    let text = fs::read(&path).map_err(|error| {
        let path = path.display();
        Failure::Runtime(format!(
            "can't read the development secrets {path} ({error}); `bytepass dev` creates them"
        ))
    })?;
    let stored: Stored = serde_json::from_slice(&text).map_err(|_| {
        let path = path.display();
        Failure::Runtime(format!(
            "{path} is damaged; remove it, and `bytepass dev` creates a new one"
        ))
    })?;
    Ok(DevSecrets {
        users: stored.users.into(),
        backends: stored.backends.into(),
        access_key_id: stored.access_key_id,
        secret_access_key: stored.secret_access_key.into(),
    })
}

/// Saves the address of the folder's bucket for offline commands.
pub(in crate::cli) fn save_bucket_address(
    data_dir: &Path,
    bucket: SocketAddr,
) -> Result<(), Failure> {
    let path = bucket_address_path(data_dir);
    write_new(&path, bucket.to_string().as_bytes()).map_err(|error| {
        let path = path.display();
        Failure::Runtime(format!("the data folder can't be used: {path}: {error}"))
    })
}

/// The last address of the folder's bucket, if it was saved.
pub(in crate::cli) fn bucket_address(data_dir: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(bucket_address_path(data_dir)).ok()?;
    text.trim().parse().ok()
}

/// The sample picture's path.
pub(in crate::cli) fn sample_path(data_dir: &Path) -> PathBuf {
    data_dir.join("sample.png")
}

/// The path of the key that signs receipts.
pub(in crate::cli) fn receipts_key_path(data_dir: &Path) -> PathBuf {
    data_dir.join("receipts.pem")
}

/// The sample picture's size, in bytes.
pub(in crate::cli) fn sample_size() -> usize {
    SAMPLE_PICTURE.len()
}

fn bucket_address_path(data_dir: &Path) -> PathBuf {
    data_dir.join("bucket-address")
}

fn secrets_path(data_dir: &Path) -> PathBuf {
    data_dir.join("dev-secrets.json")
}

fn generate() -> Stored {
    let secret = || hex::encode(rand::random::<[u8; 32]>());
    Stored {
        users: secret(),
        backends: secret(),
        access_key_id: format!("DEV{}", hex::encode_upper(rand::random::<[u8; 8]>())),
        secret_access_key: secret(),
    }
}

/// Writes to another name first, so that an interrupted start leaves no partial file.
fn write_new(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(draft, path)
}

/// The secret as text.
pub(in crate::cli) fn reveal(secret: &SecretString) -> &str {
    secret.expose_secret()
}
