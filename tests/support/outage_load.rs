//! Clients that create, confirm and read without a pause during an outage, and note the answers.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::api::{Answer, Api};
use super::outage_figures::{RequestKind, Seen};
use super::test_env::Broker;
use super::upload_rows::is_retryable;

/// The uploaded bytes.
pub const JPEG: &[u8] = b"\xff\xd8\xff\xe0 the bytes of a picture";
/// A client's pause between two requests.
const PAUSE: Duration = Duration::from_millis(20);
/// The time limit for the recovery.
pub const LIMIT: Duration = Duration::from_secs(30);

/// The answers that clients got.
#[derive(Default)]
pub struct LoadResults {
    /// Every request.
    pub seen: Vec<Seen>,
    /// The ids of 201s.
    pub created: Vec<String>,
    /// The answers of confirms.
    pub confirmed: Vec<Answer>,
    /// Ids whose bytes are in the bucket, and whose confirm was not answered 200 yet.
    pub staged: Vec<String>,
}

/// The clients at work. A wrong answer ends one of them, and the test with [`Load::end`].
pub struct Load {
    clients: JoinSet<()>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    results: Mutex<LoadResults>,
    over: AtomicBool,
}

impl Load {
    /// Lets them begin; they read the upload with this id too.
    pub fn start(broker: &Broker, known: &str) -> Load {
        let (shared, mut clients) = (Arc::<Shared>::default(), JoinSet::new());
        for _ in 0..2 {
            clients.spawn(create_on(shared.clone(), broker.user()));
        }
        for _ in 0..4 {
            clients.spawn(confirm_on(shared.clone(), broker.user()));
        }
        let path = format!("/v1/uploads/{known}");
        clients.spawn(get_on(
            shared.clone(),
            broker.user(),
            RequestKind::Read,
            path,
        ));
        let path = "/readyz".to_owned();
        clients.spawn(get_on(
            shared.clone(),
            broker.anonymous(),
            RequestKind::Ready,
            path,
        ));
        Load { clients, shared }
    }

    /// Waits until each kind of request, begun after that moment, has succeeded.
    pub async fn all_well_after(&self, heal: Instant) {
        let well = |ask: RequestKind| {
            let results = self.shared.results.lock().expect("no panic while held");
            results
                .seen
                .iter()
                .any(|it| it.ask == ask && it.done && it.begun >= heal)
        };
        while !RequestKind::ALL.into_iter().all(well) {
            assert!(heal.elapsed() < LIMIT, "it does not get well");
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Lets them end their last requests.
    pub async fn end(mut self) -> LoadResults {
        self.shared.over.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no wrong answer");
        }
        std::mem::take(&mut *self.shared.results.lock().expect("no panic while held"))
    }
}

impl Shared {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn note(&self, change: impl FnOnce(&mut LoadResults)) {
        change(&mut self.results.lock().expect("no panic while held"));
    }

    /// Sends it; `None` after a retryable refusal.
    async fn ask(
        &self,
        ask: RequestKind,
        status: u16,
        request: impl Future<Output = Answer>,
    ) -> Option<Answer> {
        let begun = Instant::now();
        let answer = request.await;
        let (took, done) = (begun.elapsed(), answer.status == status);
        if !done {
            is_retryable(&answer);
        }
        let seen = Seen {
            ask,
            begun,
            took,
            done,
        };
        self.note(|results| results.seen.push(seen));
        tokio::time::sleep(PAUSE).await;
        done.then_some(answer)
    }

    async fn create(&self, user: &Api) -> Option<Answer> {
        let request = user.create("Product.image", JPEG, "image/jpeg");
        let created = self.ask(RequestKind::Create, 201, request).await?;
        self.note(|results| results.created.push(created.id().to_owned()));
        Some(created)
    }
}

async fn create_on(shared: Arc<Shared>, user: Api) {
    while !shared.is_over() {
        shared.create(&user).await;
    }
}

async fn confirm_on(shared: Arc<Shared>, user: Api) {
    while !shared.is_over() {
        let Some(created) = shared.create(&user).await else {
            continue;
        };
        user.put(&created, JPEG).await.expect(200);
        loop {
            let request = user.confirm(created.id());
            if let Some(confirmed) = shared.ask(RequestKind::Confirm, 200, request).await {
                shared.note(|results| results.confirmed.push(confirmed));
                break;
            }
            if shared.is_over() {
                shared.note(|results| results.staged.push(created.id().to_owned()));
                return;
            }
        }
    }
}

async fn get_on(shared: Arc<Shared>, caller: Api, ask: RequestKind, path: String) {
    while !shared.is_over() {
        shared.ask(ask, 200, caller.get(&path)).await;
    }
}
