//! The script of an S3 fault proxy: rules that match requests, their actions, and a log of the requests seen.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, StatusCode};

use super::gate::RequestGate;

/// Which requests a rule speaks of. All conditions must hold; none means every request.
#[derive(Debug, Clone, Default)]
pub struct RequestMatch {
    method: Option<Method>,
    key_prefix: Option<String>,
    path_part: Option<String>,
    query_part: Option<String>,
    header: Option<&'static str>,
    no_header: Option<&'static str>,
    nth: usize,
    /// The number of requests that it may match; `None`: no limit.
    pub times: Option<usize>,
}

impl RequestMatch {
    /// Every request.
    pub fn any() -> RequestMatch {
        RequestMatch::default()
    }

    /// Every request of this method.
    pub fn method(method: Method) -> RequestMatch {
        RequestMatch {
            method: Some(method),
            ..RequestMatch::default()
        }
    }

    /// CopyObject: a PUT that names a source.
    pub fn copy() -> RequestMatch {
        RequestMatch {
            header: Some("x-amz-copy-source"),
            ..RequestMatch::method(Method::PUT)
        }
    }

    /// PutObject: a PUT that names no source.
    pub fn put() -> RequestMatch {
        RequestMatch {
            no_header: Some("x-amz-copy-source"),
            ..RequestMatch::method(Method::PUT)
        }
    }

    /// HeadObject.
    pub fn head() -> RequestMatch {
        RequestMatch::method(Method::HEAD)
    }

    /// Only keys that begin so; the path is `/bucket/key`.
    pub fn below(mut self, key_prefix: &str) -> RequestMatch {
        self.key_prefix = Some(key_prefix.to_owned());
        self
    }

    /// Only paths that contain this.
    pub fn path_with(mut self, part: &str) -> RequestMatch {
        self.path_part = Some(part.to_owned());
        self
    }

    /// Only queries that contain this.
    pub fn query_with(mut self, part: &str) -> RequestMatch {
        self.query_part = Some(part.to_owned());
        self
    }

    /// Only requests that carry this header.
    pub fn with_header(mut self, name: &'static str) -> RequestMatch {
        self.header = Some(name);
        self
    }

    /// From the nth match on (the first is 1).
    pub fn starting_at(mut self, nth: usize) -> RequestMatch {
        self.nth = nth;
        self
    }

    /// Limits the rule to this many requests; without it a rule never ends.
    pub fn times(mut self, times: usize) -> RequestMatch {
        self.times = Some(times);
        self
    }

    fn matches(&self, request: &Request<Bytes>) -> bool {
        let path = request.uri().path();
        let key = path.trim_start_matches('/').split_once('/').map(|it| it.1);
        self.method
            .as_ref()
            .is_none_or(|method| method == request.method())
            && self.path_part.as_ref().is_none_or(|it| path.contains(it))
            && self.query_part.as_ref().is_none_or(|it| {
                let query = request.uri().query();
                query.is_some_and(|query| query.contains(it))
            })
            && self
                .key_prefix
                .as_ref()
                .is_none_or(|it| key.is_some_and(|key| key.starts_with(it)))
            && self
                .header
                .is_none_or(|it| request.headers().contains_key(it))
            && self
                .no_header
                .is_none_or(|it| !request.headers().contains_key(it))
    }
}

/// The action of a rule on a request.
#[derive(Clone)]
pub enum Action {
    /// Nothing, it is only counted.
    Count,
    /// The proxy answers with this status and S3 error code; the store never sees the request.
    Answer(u16, &'static str),
    /// The request waits in the gate before the store sees it.
    HoldBefore(RequestGate),
    /// The store has done it; its answer waits in the gate.
    HoldAnswer(RequestGate),
    /// The client's connection ends and the store never sees the request.
    CutBefore,
    /// The store does it, and the client's connection ends instead of an answer.
    LoseAnswer,
    /// The store has done it; its answer's headers are changed on the way back.
    Alter(fn(&mut HeaderMap)),
    /// The store has done it; its answer's body, a text, is changed on the way back.
    Rewrite(fn(&str) -> String),
    /// The store sees it so much later, also when the client has long given up.
    Late(Duration),
}

/// A logged request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The HTTP method.
    pub method: Method,
    /// The path, `/bucket/key`, as it was sent.
    pub path: String,
    /// The query without its `?`; empty if there was none.
    pub query: String,
    /// Whether it has a copy source.
    pub is_copy: bool,
    /// The status that the store (or the proxy in its place) gave; `None` while there is none.
    pub status: Option<u16>,
}

/// A rule with its counts.
pub struct Rule {
    /// Which requests it speaks of.
    pub which: RequestMatch,
    act: Action,
    matched: usize,
    /// The number of requests that it has matched.
    pub hits: usize,
}

impl Rule {
    /// A rule that has not acted yet.
    pub fn new(which: RequestMatch, act: Action) -> Rule {
        Rule {
            which,
            act,
            matched: 0,
            hits: 0,
        }
    }
}

/// The rules and the record; shared by the test and the proxy.
#[derive(Default)]
pub struct Script {
    /// In the order in which they are tried.
    pub rules: Mutex<Vec<Rule>>,
    /// Every request, in order of arrival.
    pub seen: Mutex<Vec<Seen>>,
}

impl Script {
    /// Logs a request, and returns its index in the log.
    pub fn record(&self, request: &Request<Bytes>) -> usize {
        let mut seen = self.seen.lock().expect("no panic while held");
        seen.push(Seen {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            is_copy: request.headers().contains_key("x-amz-copy-source"),
            status: None,
        });
        seen.len() - 1
    }

    /// Notes how that request was answered.
    pub fn answered(&self, index: usize, status: StatusCode) {
        self.seen.lock().expect("no panic while held")[index].status = Some(status.as_u16());
    }

    /// The action of the first rule that matches.
    pub fn decide(&self, request: &Request<Bytes>) -> Action {
        let mut rules = self.rules.lock().expect("no panic while held");
        for rule in rules.iter_mut().filter(|rule| rule.which.matches(request)) {
            rule.matched += 1;
            let spent = rule.which.times.is_some_and(|times| rule.hits >= times);
            if rule.matched >= rule.which.nth && !spent {
                rule.hits += 1;
                return rule.act.clone();
            }
        }
        Action::Count
    }
}
