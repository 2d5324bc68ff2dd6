//! The demo, which only `bytepass dev` serves: a page that creates uploads, and the short-lived token it needs.
//!
//! The command line decides whether there is one ([`DemoOptions`]); without it, its paths answer 404. Only the demo's own page, loaded
//! from this machine, gets a token: no other site, and no foreign name that resolves to this machine (DNS rebinding).

mod page;

use std::fmt;
use std::sync::Arc;

use actix_web::http::header::{CONTENT_SECURITY_POLICY, HOST, ORIGIN};
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::domain::field::FieldPolicy;

use super::{assets, html_under};
use crate::http::extract::NoBody;
use crate::http::extract::body::BodyBytes;
use crate::http::problem::{Code, Problem};
use crate::http::routes::{at, get, serve_assets};

/// The lifetime of the demo's token, in seconds; the page renews it.
const TOKEN_LIFETIME_SECS: u32 = 600;
/// This machine's names in its own browser.
const OWN_NAMES: [&str; 3] = ["127.0.0.1", "localhost", "[::1]"];

/// Signs a token with a lifetime in seconds.
type Mint = dyn Fn(u32) -> SecretString + Send + Sync;

/// The demo of a development broker.
#[derive(Clone)]
pub struct DemoOptions {
    /// The embedded bucket's origin, `http://127.0.0.1:9000`.
    pub bucket_origin: String,
    /// The field of its uploads: it accepts a PNG without a checksum.
    pub field: Arc<FieldPolicy>,
    /// Signs its tokens: scope `uploads:write`, on that field only.
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

/// The demo's routes, and the counter of the bytes of request bodies.
pub fn configure(config: &mut web::ServiceConfig, demo: &DemoOptions, seen: &BodyBytes) {
    config
        .app_data(web::Data::new(demo.clone()))
        .app_data(web::Data::new(seen.clone()))
        .service(at("/demo", "GET, HEAD", |r| r.route(get().to(demo_page))))
        .service(at("/demo/token", "POST", |r| {
            r.route(web::post().to(token))
        }))
        .service(at("/demo/seen", "GET, HEAD", |r| {
            r.route(get().to(bytes_seen))
        }));
    serve_assets(config, &assets::DEMO);
}

/// `/demo`.
async fn demo_page(demo: web::Data<DemoOptions>) -> HttpResponse {
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self' {}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        demo.bucket_origin
    );
    let mut answer = html_under(&policy);
    answer.body(page::page(&demo.field).into_string())
}

/// `POST /demo/token`: a token and its lifetime in seconds.
async fn token(
    req: HttpRequest,
    _nothing: NoBody,
    demo: web::Data<DemoOptions>,
) -> Result<HttpResponse, Problem> {
    if !is_own_page(&req) {
        let detail = "only the demo's own page gets a token: open /demo on http://127.0.0.1 or http://localhost, at the broker's port";
        return Err(Problem::new(Code::InvalidRequest, detail));
    }
    let token = (demo.mint)(TOKEN_LIFETIME_SECS);
    // Not cached: `no-store` is the default of every response.
    Ok(HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, "default-src 'none'"))
        .json(json!({"token": token.expose_secret(), "expires_in": TOKEN_LIFETIME_SECS})))
}

/// Whether the request is from a page of this origin. Browsers send both headers, and a page can't set them: `Origin` excludes
/// other sites, and the names in `Host` exclude DNS rebinding.
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

/// `/demo/seen`: how many bytes of request bodies the broker has read since it started.
async fn bytes_seen(seen: web::Data<BodyBytes>) -> HttpResponse {
    HttpResponse::Ok().json(json!({"body_bytes": seen.total()}))
}
