//! Reads a sealed copy and hashes it, for stores that don't return a checksum, if the configuration allows it.

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{Store, StoreError, client};
use crate::domain::checksum::{Checksum, ChecksumAlgorithm};
use crate::domain::object_key::FinalKey;

const OPERATION: &str = "get-object";

impl Store {
    /// Streams the object through a hash, holding one chunk at a time. Reads no byte more than `size` and one, in no more time
    /// than a copy of that size may take. An object of another size is an error: it is not the inspected one.
    pub async fn hash(
        &self,
        key: &FinalKey,
        algorithm: ChecksumAlgorithm,
        size: u64,
    ) -> Result<Checksum, StoreError> {
        self.guard_final(OPERATION, key)?;
        let limit = client::limit_for(&self.options, size);
        let read = tokio::time::timeout(limit, self.read_and_hash(key, algorithm, size));
        let in_time = async {
            read.await
                .unwrap_or_else(|_| Err(StoreError::of(OPERATION, "timeout")))
        };
        self.measured(OPERATION, in_time).await
    }

    async fn read_and_hash(
        &self,
        key: &FinalKey,
        algorithm: ChecksumAlgorithm,
        size: u64,
    ) -> Result<Checksum, StoreError> {
        let error = |code| StoreError::of(OPERATION, code);
        let mut output = self
            .client
            .get_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .set_expected_bucket_owner(self.options.expected_bucket_owner.clone())
            .send()
            .await
            .map_err(|error| StoreError::from_sdk(OPERATION, &error))?;
        let mut hasher = Hasher::new(algorithm);
        let mut left = size;
        while let Some(chunk) = output.body.next().await {
            let chunk = chunk.map_err(|_| StoreError {
                retry_fast: true,
                ..error("dispatch")
            })?;
            left = left
                .checked_sub(chunk.len() as u64)
                .ok_or_else(|| error("size-changed"))?;
            hasher.update(&chunk);
        }
        if left > 0 {
            return Err(error("size-changed"));
        }
        Checksum::from_digest(algorithm, &hasher.finish()).map_err(|_| error("digest"))
    }
}

enum Hasher {
    Sha256(Sha256),
    Md5(Md5),
    Crc32(crc_fast::Digest),
    Crc64(crc_fast::Digest),
}

impl Hasher {
    fn new(algorithm: ChecksumAlgorithm) -> Hasher {
        use crc_fast::{CrcAlgorithm, Digest};
        match algorithm {
            ChecksumAlgorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            ChecksumAlgorithm::Md5 => Hasher::Md5(Md5::new()),
            ChecksumAlgorithm::Crc32 => Hasher::Crc32(Digest::new(CrcAlgorithm::Crc32IsoHdlc)),
            ChecksumAlgorithm::Crc32c => Hasher::Crc32(Digest::new(CrcAlgorithm::Crc32Iscsi)),
            ChecksumAlgorithm::Crc64Nvme => Hasher::Crc64(Digest::new(CrcAlgorithm::Crc64Nvme)),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hash) => hash.update(bytes),
            Hasher::Md5(hash) => hash.update(bytes),
            Hasher::Crc32(crc) | Hasher::Crc64(crc) => crc.update(bytes),
        }
    }

    /// The digest, most significant byte first, as S3 writes it.
    fn finish(self) -> Vec<u8> {
        match self {
            Hasher::Sha256(hash) => hash.finalize().to_vec(),
            Hasher::Md5(hash) => hash.finalize().to_vec(),
            Hasher::Crc32(crc) => crc.finalize().to_be_bytes()[4..].to_vec(),
            Hasher::Crc64(crc) => crc.finalize().to_be_bytes().to_vec(),
        }
    }
}
