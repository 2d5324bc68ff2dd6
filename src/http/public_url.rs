//! Where clients reach the API.

/// The base of every link, without a slash at its end. It comes from the configuration, never from a request's `Host`.
#[derive(Debug, Clone)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// A slash at the end is dropped.
    pub fn new(url: &str) -> PublicUrl {
        PublicUrl(url.trim_end_matches('/').to_owned())
    }

    /// `https://broker.example`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address of the upload with this id.
    pub fn upload(&self, id: &str) -> String {
        format!("{}/v1/uploads/{id}", self.0)
    }
}
