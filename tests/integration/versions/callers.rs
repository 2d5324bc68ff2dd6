//! Callers that live through all of an upload's life at the one version or the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures::future::join_all;
use rand::Rng as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{SeedableRng as _, random};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::api::{Answer, Api};
use crate::support::broker_process::BrokerProcess;
use crate::support::statuses::{BYTES, path};
use crate::support::test_env::{backend_token, sign_backend, sign_user, user_token};

/// How many callers there are, and how many uploads each of them makes in a part of the story, at least.
pub const CALLERS: usize = 8;
pub const UPLOADS: usize = 6;
/// Records that all of them attach to.
const RECORDS: usize = 4;

/// What callers have done together, and how long they go on.
#[derive(Default)]
pub struct Work {
    /// Uploads that were asked for.
    pub made: AtomicUsize,
    /// Those that were confirmed.
    pub confirmed: AtomicUsize,
    /// Whether enough was done, once each has made its uploads.
    pub enough: AtomicBool,
}

/// What each caller does: every step of an upload's life at one version or the other, as it comes.
struct Caller<'a> {
    users: &'a [Api],
    backends: &'a [Api],
    random: StdRng,
    work: &'a Work,
}

impl Caller<'_> {
    fn user(&mut self) -> &Api {
        self.users.choose(&mut self.random).expect("a version")
    }

    fn backend(&mut self) -> &Api {
        self.backends.choose(&mut self.random).expect("a version")
    }

    async fn live(mut self) {
        let mut made = 0;
        while made < UPLOADS || !self.work.enough.load(Ordering::Acquire) {
            made += 1;
            self.work.made.fetch_add(1, Ordering::Relaxed);
            let created = self
                .user()
                .stage("Product.image", BYTES, "image/jpeg")
                .await;
            let id = created.id().to_owned();
            match self.random.random_range(0..10) {
                // Left for the sweeper.
                0 => continue,
                1 => {
                    self.user().delete(&path(&id)).await.expect(204);
                    continue;
                }
                _ => self.confirm(&id).await,
            }
            self.attach(&id).await;
            let read = self.user().read(&id).await.expect(200);
            assert_ne!(read.json["status"], "pending");
            let list = self.user().get("/v1/uploads?limit=50").await.expect(200);
            assert!(
                list.json["data"]
                    .as_array()
                    .is_some_and(|it| !it.is_empty())
            );
        }
    }

    /// By every version at once, the way a client's retry meets another broker than its first try.
    async fn confirm(&mut self, id: &str) {
        let answers = join_all(self.users.iter().map(|user| user.confirm(id))).await;
        let keys = answers
            .into_iter()
            .map(|answer| answer.expect(200).json["key"].clone());
        let keys: Vec<Value> = keys.collect();
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]), "{keys:?}");
        self.work.confirmed.fetch_add(1, Ordering::Relaxed);
    }

    async fn attach(&mut self, id: &str) {
        let record = self.random.random_range(0..RECORDS).to_string();
        match self.random.random_range(0..4) {
            0 => {}
            // Others replace it whenever they like.
            1 => drop(self.backend().attach(id, &record).await.expect(200)),
            2 => {
                self.backend().attach(id, &record).await.expect(200);
                is_done_or_too_late(&self.backend().detach(id).await, 200);
                is_done_or_too_late(&self.user().delete(&path(id)).await, 204);
            }
            _ => drop(self.user().delete(&path(id)).await.expect(204)),
        }
    }
}

#[track_caller]
fn is_done_or_too_late(answer: &Answer, done: u16) {
    let late = answer.status == 409 && answer.code() == "wrong-status";
    assert!(answer.status == done || late, "{answer:?}");
}

/// Lets all callers work at these brokers, beside whatever the story does meanwhile and until that is enough.
pub fn load(brokers: &[&BrokerProcess], work: &Arc<Work>) -> JoinHandle<()> {
    let token = sign_user(&user_token("1"));
    let users: Vec<Api> = brokers.iter().map(|it| it.as_caller(&token)).collect();
    let backend = sign_backend(&backend_token("attachments:write"));
    let backends: Vec<Api> = users.iter().map(|it| it.with_token(&backend)).collect();
    let work = work.clone();
    tokio::spawn(async move {
        let callers = (0..CALLERS).map(|_| Caller {
            users: &users,
            backends: &backends,
            random: StdRng::seed_from_u64(random()),
            work: &work,
        });
        join_all(callers.map(Caller::live)).await;
    })
}
