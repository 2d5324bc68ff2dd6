//! Presigned requests: signed locally, for exactly the admitted upload or the recorded object.

use chrono::{DateTime, SubsecRound as _, Utc};
use secrecy::SecretString;

use super::disposition::{ServedAs, content_disposition};
use super::sigv4::{UnsignedRequest, Window, encode_path, presign};
use super::{Store, StoreError};
use crate::domain::object_key::FinalKey;
use crate::policy::evidence::Issued;

/// The limit of Signature Version 4: a week.
const LONGEST_LIFETIME_SECS: i64 = 7 * 86_400;

/// A request that a client sends as it is. The URL is a secret and has no `Debug` output.
#[derive(Debug, Clone)]
pub struct PresignedRequest {
    /// `PUT` or `GET`.
    pub method: &'static str,
    /// The signed URL. It is a bearer secret.
    pub url: SecretString,
    /// Headers to send verbatim. `host` and `content-length` are signed too, but every client sets them itself.
    pub headers: Vec<(String, String)>,
    /// When the store begins to refuse it.
    pub expires_at: DateTime<Utc>,
}

/// Why a PUT was not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PresignError {
    /// The upload's deadline leaves less than a second.
    #[error("the upload's deadline has passed")]
    DeadlinePassed,
    /// The upload belongs to another bucket, or the credentials that sign are about to end.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Store {
    /// Signs the upload's PUT: staging key, length, type and checksum. It expires after the row's URL lifetime, at the upload's deadline
    /// or a minute before the credentials that sign it, whichever is first. Without a second left it is an error.
    pub fn presign_put(
        &self,
        issued: &Issued,
        now: DateTime<Utc>,
    ) -> Result<PresignedRequest, PresignError> {
        let upload = issued.upload();
        if upload.bucket != self.options.bucket {
            return Err(StoreError::of("presign-put", "other-bucket").into());
        }
        let key = self.options.layout.staging_key(upload.id);
        let size = upload.size.to_string();
        let to_send = std::iter::once(("content-type", upload.content_type.as_str())).chain(
            upload
                .checksum
                .as_ref()
                .map(|checksum| (checksum.algorithm().header(), checksum.value())),
        );
        let mut signed = Vec::with_capacity(3);
        signed.push(("content-length", size.as_str()));
        signed.extend(to_send.clone());
        let request = UnsignedRequest {
            method: "PUT",
            key: key.as_str(),
            headers: &signed,
            query: &[("x-id", "PutObject")],
        };
        let identity = self.signer.current();
        let limits = [Some(upload.expires_at), identity.ends_before_margin()];
        let window = window("presign-put", now, upload.url_lifetime_secs, limits)?
            .ok_or(PresignError::DeadlinePassed)?;
        Ok(PresignedRequest {
            method: request.method,
            url: presign(
                &self.target,
                &identity.day_key(window.signed_at, &self.options.region),
                identity.encoded_session_token(),
                &request,
                &window,
            ),
            headers: to_send
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            expires_at: window.ends_at(),
        })
    }

    /// Signs a GET of a recorded object. The store answers it with this type and file name.
    pub fn presign_get(
        &self,
        key: &FinalKey,
        served_as: &ServedAs<'_>,
        lifetime_secs: u32,
        now: DateTime<Utc>,
    ) -> Result<PresignedRequest, StoreError> {
        self.guard_final("presign-get", key)?;
        let disposition = content_disposition(served_as);
        let request = UnsignedRequest {
            method: "GET",
            key: key.as_str(),
            headers: &[],
            query: &[
                ("response-content-disposition", &disposition),
                ("response-content-type", served_as.media_type.as_str()),
                ("x-id", "GetObject"),
            ],
        };
        let identity = self.reader.as_ref().unwrap_or(&self.signer).current();
        let limits = [None, identity.ends_before_margin()];
        let window = window("presign-get", now, lifetime_secs, limits)?
            .ok_or_else(|| StoreError::of("presign-get", "no-lifetime"))?;
        Ok(PresignedRequest {
            method: request.method,
            url: presign(
                &self.target,
                &identity.day_key(window.signed_at, &self.options.region),
                identity.encoded_session_token(),
                &request,
                &window,
            ),
            headers: Vec::new(),
            expires_at: window.ends_at(),
        })
    }

    /// The object's public URL, for public fields.
    pub fn public_url(&self, key: &FinalKey) -> String {
        format!("{}/{}", self.public_base, encode_path(key.as_str()))
    }
}

/// A URL's lifetime: the wanted one, cut by its upload's end and its signer's. `None` where the upload's end leaves less than a
/// second.
fn window(
    operation: &'static str,
    now: DateTime<Utc>,
    wanted_secs: u32,
    [upload_ends, signer_ends]: [Option<DateTime<Utc>>; 2],
) -> Result<Option<Window>, StoreError> {
    let signed_at = now.trunc_subsecs(0);
    let secs_until = |end: DateTime<Utc>| (end - signed_at).num_seconds();
    let of_signer = signer_ends.map_or(LONGEST_LIFETIME_SECS, secs_until);
    if of_signer < 1 {
        return Err(StoreError::of(operation, "credentials-expired"));
    }
    let secs = i64::from(wanted_secs)
        .min(of_signer)
        .min(LONGEST_LIFETIME_SECS)
        .min(upload_ends.map_or(i64::MAX, secs_until));
    let lifetime_secs = u32::try_from(secs).ok().filter(|&secs| secs > 0);
    Ok(lifetime_secs.map(|lifetime_secs| Window {
        signed_at,
        lifetime_secs,
    }))
}
