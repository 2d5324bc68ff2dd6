//! An upload as a caller sees it: what its row gives, and what is for this caller.

use secrecy::ExposeSecret as _;

use crate::broker::{Broker, BrokerError, Presented};
use crate::domain::ids::UploadId;
use crate::domain::principal::Principal;
use crate::domain::upload::Upload;
use crate::domain::upload_view::{PresignedView, UploadView, time};

impl UploadView {
    /// With its public URL.
    pub fn of(upload: Upload, broker: &Broker) -> UploadView {
        let url = broker.public_url_of(&upload);
        let mut view = UploadView::new(upload);
        view.url = Some(url);
        view
    }

    /// As this caller sees it: operators see its last problem too.
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

    /// As this caller sees it after an action. A problem that can't be read is left out, because an error would hide that the action
    /// succeeded.
    pub async fn of_done(caller: &Principal, upload: Upload, broker: &Broker) -> UploadView {
        let read = broker.last_problems(caller, std::slice::from_ref(&upload));
        let problems = read.await.unwrap_or_else(|error| {
            tracing::warn!(upload = %upload.id, ?error, "last problem not read");
            None
        });
        UploadView::of(upload, broker).with_problem(problems.as_deref())
    }

    /// With its presigned request, where there is one.
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

    /// With the receipt of its confirm.
    pub fn with_receipt(mut self, receipt: Option<String>) -> UploadView {
        self.receipt = receipt;
        self
    }

    /// With its last problem, where the caller may see it.
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
