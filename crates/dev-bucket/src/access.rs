//! Access rules: the one key pair may do everything, anonymous requests may read below the public prefixes.

use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::dto::PostObjectInput;
use s3s::{S3Request, S3Result, s3_error};
use secrecy::{ExposeSecret as _, SecretString};

use super::put_object::FormUpload;

/// The one key pair.
pub(super) struct KeyPair {
    /// The access key id.
    pub id: String,
    /// Its secret.
    pub secret: SecretString,
}

#[async_trait::async_trait]
impl S3Auth for KeyPair {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        if access_key == self.id {
            return Ok(SecretKey::from(self.secret.expose_secret()));
        }
        Err(s3_error!(
            InvalidAccessKeyId,
            "the access key id you provided does not exist"
        ))
    }
}

/// The access rules.
pub(super) struct Rules {
    /// Each ends in a slash.
    pub public_prefixes: Vec<String>,
    /// The region that signatures must be for.
    pub region: String,
}

impl Rules {
    fn is_public(&self, cx: &S3AccessContext<'_>) -> bool {
        let reads = ["GetObject", "HeadObject"].contains(&cx.s3_op().name());
        // Response overrides are for signed requests: unsigned they would let anyone choose the type of a public object.
        let overrides = cx.uri().query().is_some_and(|query| {
            url::form_urlencoded::parse(query.as_bytes())
                .any(|(name, _)| name.to_ascii_lowercase().starts_with("response-"))
        });
        let below = cx.s3_path().get_object_key().is_some_and(|key| {
            self.public_prefixes
                .iter()
                .any(|prefix| key.len() > prefix.len() && key.starts_with(prefix))
        });
        reads && !overrides && below
    }
}

#[async_trait::async_trait]
impl S3Access for Rules {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        if cx.credentials().is_some() || self.is_public(cx) {
            return Ok(());
        }
        Err(s3_error!(AccessDenied, "the request is not signed"))
    }

    // The request checks can't read a form, so its signature's version, region and fields are checked here.
    async fn post_object(&self, request: &mut S3Request<PostObjectInput>) -> S3Result<()> {
        let region = request.region.as_ref().map(|region| region.as_str());
        let service = request.service.as_deref();
        if region == Some(&*self.region) && service == Some("s3") {
            let form = FormUpload::check(&request.input)?;
            request.extensions.insert(form);
            return Ok(());
        }
        Err(s3_error!(
            AccessDenied,
            "the form must be signed by Signature Version 4 for {}/s3",
            self.region
        ))
    }
}
