//! Checksums: parsing those of requests, computing them over bodies, and returning stored ones.
//!
//! Guarantee: a stored checksum was computed here, over the stored bytes.

use super::logging::internal;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use s3s::checksum::ChecksumHasher;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{Checksum as ChecksumDto, ChecksumType};
use s3s::{S3Result, s3_error};
use serde::{Deserialize, Serialize};

/// The five algorithms of S3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Algorithm {
    /// CRC-32 as in zip.
    #[serde(rename = "CRC32")]
    Crc32,
    /// CRC-32C (Castagnoli).
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// CRC-64/NVME.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// SHA-1.
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
}

impl Algorithm {
    const ALL: [Algorithm; 5] = [
        Algorithm::Crc32,
        Algorithm::Crc32c,
        Algorithm::Crc64Nvme,
        Algorithm::Sha1,
        Algorithm::Sha256,
    ];

    /// S3's name of the algorithm.
    pub(super) fn name(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "CRC32",
            Algorithm::Crc32c => "CRC32C",
            Algorithm::Crc64Nvme => "CRC64NVME",
            Algorithm::Sha1 => "SHA1",
            Algorithm::Sha256 => "SHA256",
        }
    }

    /// The algorithm with this name, or `InvalidRequest`.
    pub(super) fn parse(name: &str) -> S3Result<Algorithm> {
        Algorithm::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or_else(|| s3_error!(InvalidRequest, "unknown checksum algorithm {name:?}"))
    }

    /// The algorithm whose header or trailer has this name.
    pub(super) fn of_header(header: &str) -> S3Result<Algorithm> {
        let name = header.trim().to_ascii_lowercase();
        match name.strip_prefix("x-amz-checksum-") {
            Some(algorithm) => Algorithm::parse(&algorithm.to_ascii_uppercase()),
            None => Err(s3_error!(InvalidRequest, "unknown trailer {name:?}")),
        }
    }

    /// The header that carries the value.
    pub(super) fn header(self) -> &'static str {
        match self {
            Algorithm::Crc32 => "x-amz-checksum-crc32",
            Algorithm::Crc32c => "x-amz-checksum-crc32c",
            Algorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Algorithm::Sha1 => "x-amz-checksum-sha1",
            Algorithm::Sha256 => "x-amz-checksum-sha256",
        }
    }

    fn bytes(self) -> usize {
        match self {
            Algorithm::Crc32 | Algorithm::Crc32c => 4,
            Algorithm::Crc64Nvme => 8,
            Algorithm::Sha1 => 20,
            Algorithm::Sha256 => 32,
        }
    }

    fn hasher(self) -> ChecksumHasher {
        let mut hasher = ChecksumHasher::default();
        match self {
            Algorithm::Crc32 => hasher.crc32 = Some(Crc32::new()),
            Algorithm::Crc32c => hasher.crc32c = Some(Crc32c::new()),
            Algorithm::Crc64Nvme => hasher.crc64nvme = Some(Crc64Nvme::new()),
            Algorithm::Sha1 => hasher.sha1 = Some(Sha1::new()),
            Algorithm::Sha256 => hasher.sha256 = Some(Sha256::new()),
        }
        hasher
    }
}

/// A stored checksum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checksum {
    /// The algorithm.
    pub algorithm: Algorithm,
    /// Base64; a composite one ends in `-` and the number of parts.
    pub value: String,
    /// Whether it is computed from the parts' checksums.
    #[serde(default)]
    pub composite: bool,
}

impl Checksum {
    /// The checksum of a multipart object, computed from its parts' checksums.
    pub(super) fn composite(algorithm: Algorithm, parts: &[Checksum]) -> S3Result<Checksum> {
        let mut hasher = algorithm.hasher();
        for part in parts {
            let digest = BASE64.decode(&part.value).map_err(internal)?;
            hasher.update(&digest);
        }
        let value = format!("{}-{}", value_of(hasher), parts.len());
        Ok(Checksum {
            algorithm,
            value,
            composite: true,
        })
    }

    /// The JSON for the index.
    pub(super) fn to_json(&self) -> S3Result<String> {
        serde_json::to_string(self).map_err(internal)
    }

    /// Reads the index's JSON.
    pub(super) fn from_json(json: Option<&str>) -> S3Result<Option<Checksum>> {
        json.map(serde_json::from_str).transpose().map_err(internal)
    }
}

/// The checksum in the five fields of s3s.
pub(super) fn fields(checksum: Option<&Checksum>) -> ChecksumDto {
    let mut dto = ChecksumDto::default();
    let Some(checksum) = checksum else { return dto };
    let value = Some(checksum.value.clone());
    match checksum.algorithm {
        Algorithm::Crc32 => dto.checksum_crc32 = value,
        Algorithm::Crc32c => dto.checksum_crc32c = value,
        Algorithm::Crc64Nvme => dto.checksum_crc64nvme = value,
        Algorithm::Sha1 => dto.checksum_sha1 = value,
        Algorithm::Sha256 => dto.checksum_sha256 = value,
    }
    dto.checksum_type = Some(ChecksumType::from_static(if checksum.composite {
        ChecksumType::COMPOSITE
    } else {
        ChecksumType::FULL_OBJECT
    }));
    dto
}

/// The checksum among the five fields of a request.
macro_rules! expected_checksum {
    ($input:expr) => {
        $crate::checksum::declared([
            $input.checksum_crc32.as_deref(),
            $input.checksum_crc32c.as_deref(),
            $input.checksum_crc64nvme.as_deref(),
            $input.checksum_sha1.as_deref(),
            $input.checksum_sha256.as_deref(),
        ])
    };
}

/// Fills the five fields of a response from a stored checksum.
macro_rules! answer_checksum {
    ($output:expr, $checksum:expr) => {
        let dto = $crate::checksum::fields($checksum);
        $output.checksum_crc32 = dto.checksum_crc32;
        $output.checksum_crc32c = dto.checksum_crc32c;
        $output.checksum_crc64nvme = dto.checksum_crc64nvme;
        $output.checksum_sha1 = dto.checksum_sha1;
        $output.checksum_sha256 = dto.checksum_sha256;
    };
}
pub(super) use {answer_checksum, expected_checksum};

/// The one checksum among the values of a request's five fields, in the order of [`Algorithm::ALL`].
pub(super) fn declared(values: [Option<&str>; 5]) -> S3Result<Option<(Algorithm, String)>> {
    let mut found = None;
    for (algorithm, value) in Algorithm::ALL.into_iter().zip(values) {
        let Some(value) = value else { continue };
        if found.is_some() {
            return Err(s3_error!(
                InvalidRequest,
                "expecting a single x-amz-checksum- header"
            ));
        }
        found = Some((algorithm, value.to_owned()));
    }
    Ok(found)
}

/// Refuses a checksum with invalid base64 or of the wrong length. A composite one may end in `-N`.
pub(super) fn require_well_formed(algorithm: Algorithm, value: &str) -> S3Result<()> {
    let digest = value.split_once('-').map_or(value, |(digest, _)| digest);
    match BASE64.decode(digest) {
        Ok(bytes) if bytes.len() == algorithm.bytes() => Ok(()),
        _ => Err(s3_error!(
            InvalidRequest,
            "value for {} header is invalid",
            algorithm.header()
        )),
    }
}

/// The bytes of a `Content-MD5` header, or `InvalidDigest`.
pub(super) fn content_md5(header: &str) -> S3Result<Vec<u8>> {
    match BASE64.decode(header) {
        Ok(bytes) if bytes.len() == 16 => Ok(bytes),
        _ => Err(s3_error!(
            InvalidDigest,
            "the Content-MD5 you specified is not valid"
        )),
    }
}

/// Hashes a body: MD5 for the ETag, and at most one checksum.
pub(super) struct Hashing {
    md5: Md5,
    checksum: Option<(Algorithm, ChecksumHasher)>,
}

/// The result of [`Hashing`].
#[derive(Debug, Clone)]
pub(super) struct Hashed {
    /// 16 bytes.
    pub md5: Vec<u8>,
    /// The checksum, if an algorithm was given.
    pub checksum: Option<Checksum>,
}

impl Hashing {
    /// Starts an MD5, and a checksum with `algorithm`.
    pub(super) fn new(algorithm: Option<Algorithm>) -> Hashing {
        Hashing {
            md5: Md5::new(),
            checksum: algorithm.map(|algorithm| (algorithm, algorithm.hasher())),
        }
    }

    /// Adds the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        if let Some((_, hasher)) = &mut self.checksum {
            hasher.update(bytes);
        }
    }

    /// The digests of all bytes.
    pub(super) fn finish(self) -> Hashed {
        Hashed {
            md5: self.md5.finalize().as_ref().to_vec(),
            checksum: self.checksum.map(|(algorithm, hasher)| Checksum {
                algorithm,
                value: value_of(hasher),
                composite: false,
            }),
        }
    }
}

fn value_of(hasher: ChecksumHasher) -> String {
    let dto = hasher.finalize();
    let values = [
        dto.checksum_crc32,
        dto.checksum_crc32c,
        dto.checksum_crc64nvme,
        dto.checksum_sha1,
        dto.checksum_sha256,
    ];
    values.into_iter().flatten().next().unwrap_or_default()
}
