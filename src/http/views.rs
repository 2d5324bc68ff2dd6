//! What clients get: the contract's members, all of them, always.

use secrecy::ExposeSecret as _;

use crate::broker::{Broker, BrokerError, Presented};
use crate::domain::ids::UploadId;
use crate::domain::principal::Principal;
use crate::domain::upload::Upload;
use crate::domain::upload_view::{PresignedView, UploadView, time};

impl UploadView {
    /// An upload as it is.
    pub fn of(upload: Upload, broker: &Broker) -> UploadView {
        let url = broker.public_url_of(&upload);
        let mut view = UploadView::new(upload);
        view.url = Some(url);
        view
    }

    /// An upload as this caller sees it: operators see its last problem too.
    pub async fn seen_by(
        caller: &Principal,
        upload: Upload,
        broker: &Broker,
    ) -> Result<UploadView, BrokerError> {
        let problems = broker
            .last_problems(caller, std::slice::from_ref(&upload))
            .await?;
        Ok(UploadView::of(upload, broker).with_problem(problems.as_deref()))
    }

    /// The same after work that is done: where the problem can't be read it is left out, because an error would hide what was done.
    pub async fn of_done(caller: &Principal, upload: Upload, broker: &Broker) -> UploadView {
        let read = broker.last_problems(caller, std::slice::from_ref(&upload));
        let problems = read.await.unwrap_or_else(|error| {
            tracing::warn!(upload = %upload.id, ?error, "its last problem can't be read");
            None
        });
        UploadView::of(upload, broker).with_problem(problems.as_deref())
    }

    /// An upload with what to send, where there is something to be sent.
    pub fn presented(presented: Presented, broker: &Broker, public_url: &str) -> UploadView {
        let mut view = UploadView::of(presented.upload, broker);
        let Some(presigned) = presented.presigned else {
            return view;
        };
        view.confirm_url = Some(format!("{public_url}/v1/uploads/{}/confirm", view.id));
        view.presigned = Some(PresignedView {
            method: presigned.method,
            url: presigned.url.expose_secret().to_owned(),
            headers: presigned.headers.into_iter().collect(),
            expires_at: time(presigned.expires_at),
        });
        view
    }

    /// The same with the receipt of its confirm.
    pub fn with_receipt(mut self, receipt: Option<String>) -> UploadView {
        self.receipt = receipt;
        self
    }

    /// The same with its last problem, where the caller may see it.
    pub fn with_problem(mut self, problems: Option<&[(UploadId, String)]>) -> UploadView {
        let own = |problems: &[(UploadId, String)]| {
            let mut problems = problems.iter();
            let found = problems.find(|(id, _)| id.to_string() == self.id);
            found.map(|(_, problem)| problem.clone())
        };
        self.last_problem = problems.map(own);
        self
    }
}
