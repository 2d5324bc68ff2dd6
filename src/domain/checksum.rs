//! Checksums as S3 writes them: an algorithm, and a base64 value of the algorithm's length.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An algorithm that a client may declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ChecksumAlgorithm {
    /// SHA-256, 32 bytes.
    Sha256,
    /// CRC-32 (ISO-HDLC), 4 bytes.
    Crc32,
    /// CRC-32C (Castagnoli), 4 bytes.
    Crc32c,
    /// CRC-64/NVME, 8 bytes.
    Crc64Nvme,
    /// MD5, 16 bytes, signed as Content-MD5. It never satisfies a required checksum.
    Md5,
}

impl ChecksumAlgorithm {
    /// Every algorithm, in the order of the documentation.
    pub const ALL: [ChecksumAlgorithm; 5] = [
        ChecksumAlgorithm::Sha256,
        ChecksumAlgorithm::Crc32,
        ChecksumAlgorithm::Crc32c,
        ChecksumAlgorithm::Crc64Nvme,
        ChecksumAlgorithm::Md5,
    ];

    /// The name in the API and in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Sha256 => "sha256",
            ChecksumAlgorithm::Crc32 => "crc32",
            ChecksumAlgorithm::Crc32c => "crc32c",
            ChecksumAlgorithm::Crc64Nvme => "crc64nvme",
            ChecksumAlgorithm::Md5 => "md5",
        }
    }

    /// The algorithm with this name.
    pub fn parse(name: &str) -> Option<ChecksumAlgorithm> {
        ChecksumAlgorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.as_str() == name)
    }

    /// The header that carries the value on a PUT.
    pub fn header(self) -> &'static str {
        match self {
            ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
            ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
            ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
            ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            ChecksumAlgorithm::Md5 => "content-md5",
        }
    }

    /// The length of a digest, in bytes.
    pub fn digest_bytes(self) -> usize {
        match self {
            ChecksumAlgorithm::Sha256 => 32,
            ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc32c => 4,
            ChecksumAlgorithm::Crc64Nvme => 8,
            ChecksumAlgorithm::Md5 => 16,
        }
    }

    /// Whether a field's policy may require it. An MD5 proves nothing if one person chooses both files.
    pub fn can_be_required(self) -> bool {
        self != ChecksumAlgorithm::Md5
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A checksum: the value is canonical base64 of exactly the algorithm's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksum {
    algorithm: ChecksumAlgorithm,
    value: String,
}

/// A value that is not a digest of the algorithm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a {algorithm} value is base64 (with padding) of {} bytes", algorithm.digest_bytes())]
pub struct InvalidChecksum {
    algorithm: ChecksumAlgorithm,
}

impl Checksum {
    /// From a base64 value of the algorithm's length.
    pub fn new(algorithm: ChecksumAlgorithm, value: &str) -> Result<Checksum, InvalidChecksum> {
        let digest = STANDARD
            .decode(value)
            .map_err(|_| InvalidChecksum { algorithm })?;
        if digest.len() != algorithm.digest_bytes() {
            return Err(InvalidChecksum { algorithm });
        }
        Ok(Checksum {
            algorithm,
            value: value.to_owned(),
        })
    }

    /// From the bytes of a digest.
    pub fn from_digest(
        algorithm: ChecksumAlgorithm,
        digest: &[u8],
    ) -> Result<Checksum, InvalidChecksum> {
        Checksum::new(algorithm, &STANDARD.encode(digest))
    }

    /// The algorithm.
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        self.algorithm
    }

    /// The base64 value.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The digest in lower-case hexadecimal, the form of an ETag that is an MD5.
    pub fn to_hex(&self) -> String {
        STANDARD
            .decode(&self.value)
            .map(hex::encode)
            .unwrap_or_default()
    }
}
