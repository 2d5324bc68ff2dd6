//! The demo, which only `bytepass dev` serves: a page that brings a picture in, and the short-lived token it needs for that.
//!
//! `cli` decides whether there is one ([`DemoOptions`]); without, its addresses are as unknown as any other. The guarantee: only
//! the demo's own page, loaded from this machine under a name of its own, is given a token; not another site, and not a strange
//! name that was pointed here (DNS rebinding).

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HOST, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::domain::field::FieldPolicy;

use super::extract::NoBody;
use super::extract::body::BodyBytes;
use super::pages::{assets, demo_page, html_under};
use super::problem::{Code, Problem};
use super::routes::{at, get};

/// How long the demo's token lives, in seconds; the page asks for another when it ends.
const TOKEN_LIFETIME_SECS: u32 = 600;
/// What this machine is called by its own browser.
const OWN_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Signs a token that lives for so many seconds.
type Mint = dyn Fn(u32) -> SecretString + Send + Sync;

/// What a development broker's demo needs.
#[derive(Clone)]
pub struct DemoOptions {
    /// The embedded bucket's origin, `http://127.0.0.1:9000`.
    pub bucket_origin: String,
    /// The field that its pictures are for: it takes a PNG without a checksum.
    pub field: Arc<FieldPolicy>,
    /// Signs its tokens, for `uploads:write` on that field and nothing else.
    pub mint: Arc<Mint>,
}

impl fmt::Debug for DemoOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoOptions")
            .field("bucket_origin", &self.bucket_origin)
            .field("field", &self.field.name)
            .finish_non_exhaustive()
    }
}

/// The demo's routes, and the counter of what the broker reads of bodies.
pub(super) fn configure(config: &mut web::ServiceConfig, demo: &DemoOptions, seen: &BodyBytes) {
    config
        .app_data(web::Data::new(demo.clone()))
        .app_data(web::Data::new(seen.clone()))
        .service(at("/demo", "GET, HEAD", |r| r.route(get().to(page))))
        .service(at("/demo/token", "POST", |r| {
            r.route(web::post().to(token))
        }))
        .service(at("/demo/seen", "GET, HEAD", |r| {
            r.route(get().to(bytes_seen))
        }));
    assets::serve(config, &assets::DEMO);
}

/// `/demo`.
async fn page(demo: web::Data<DemoOptions>) -> HttpResponse {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        demo.bucket_origin
    );
    let mut answer = html_under(&policy);
    answer.body(demo_page(&demo.field).into_string())
}

/// `POST /demo/token`: the token and how long it lives, in seconds.
async fn token(
    req: HttpRequest,
    _nothing: NoBody,
    demo: web::Data<DemoOptions>,
) -> Result<HttpResponse, Problem> {
    if !is_own_page(&req) {
        let detail = "only the demo's own page gets a token: open /demo at http://127.0.0.1 or http://localhost and the broker's port";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let token = (demo.mint)(TOKEN_LIFETIME_SECS);
    // `no-store` is what every answer says that has no other word.
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .json(json!({"token": token.expose_secret(), "expires_in": TOKEN_LIFETIME_SECS})))
}

/// Whether a page of this very address asks. A browser names both, and lets no page choose either; its `Origin` keeps other
/// sites out, and the names in `Host` keep out one whose name was pointed at this machine.
fn is_own_page(req: &HttpRequest) -> bool {
    let only = |name| {
        let mut values = req.headers().get_all(name);
        let first = values.next().and_then(|value| value.to_str().ok());
        first.filter(|_| values.next().is_none())
    };
    let (Some(host), Some(origin)) = (only(HOST), only(ORIGIN)) else {
        return false;
    };
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "80"));
    OWN_NAMES.contains(&name)
        && port.bytes().all(|digit| digit.is_ascii_digit())
        && origin.strip_prefix("http://") == Some(host)
}

/// `/demo/seen`: how many bytes of bodies the broker has read since it started.
async fn bytes_seen(seen: web::Data<BodyBytes>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"body_bytes": seen.total()}))
}
