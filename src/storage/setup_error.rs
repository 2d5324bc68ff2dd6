//! Why the bucket can't be used.

/// Why the bucket can't be used at all. Each is one clear line; none holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreSetupError {
    /// No source gave credentials.
    #[error("no credentials for the bucket {bucket}: {reason}")]
    Credentials {
        /// The bucket.
        bucket: String,
        /// What the sources said.
        reason: String,
    },
    /// Bucket, region and endpoint make no address.
    #[error("the bucket {bucket} can't be addressed: {reason}")]
    Address {
        /// The bucket.
        bucket: String,
        /// What is wrong with it.
        reason: String,
    },
}
