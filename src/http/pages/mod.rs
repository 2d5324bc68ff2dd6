//! Pages for people: `/docs` and `/problems`, rendered once from the OpenAPI document and the table of codes.
//!
//! They need no network, no script and no inline style, so that their content security policy can forbid all three. `/ops` and
//! `/demo` have scripts of their own, embedded like everything else, and a policy that allows these and no others.

pub mod assets;
mod demo;
mod docs;
mod layout;
mod ops;
mod problems;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use utoipa::openapi::{OpenApi, ServerBuilder};

pub use self::demo::page as demo_page;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Nothing that a script does can turn text into markup either.
const OPS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The rendered pages and the document.
pub struct Pages {
    document: Bytes,
    docs: Bytes,
    problems: Bytes,
    ops: Bytes,
}

impl Pages {
    /// Renders everything for a server that is reached at `public_url`.
    pub fn new(openapi: &OpenApi, public_url: &str) -> Pages {
        let mut openapi = openapi.clone();
        openapi.servers = Some(vec![ServerBuilder::new().url(public_url).build()]);
        let document = serde_json::to_value(&openapi).expect("the document has only string keys");
        Pages {
            docs: Bytes::from(docs::page(&document, public_url).into_string()),
            problems: Bytes::from(problems::page().into_string()),
            ops: Bytes::from(ops::page().into_string()),
            document: Bytes::from(document.to_string()),
        }
    }
}

#[cfg(test)]
impl Pages {
    /// The page `/docs`, for its tests.
    pub fn docs_html(&self) -> &[u8] {
        &self.docs
    }
}

/// `/openapi.json`.
pub async fn document(pages: web::Data<Pages>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(pages.document.clone())
}

/// `/docs`.
pub async fn docs(pages: web::Data<Pages>) -> HttpResponse {
    html(pages.docs.clone())
}

/// `/problems`: where every problem's `type` points.
pub async fn problems(pages: web::Data<Pages>) -> HttpResponse {
    html(pages.problems.clone())
}

/// `/ops`. What it shows comes by the API, for a token.
pub async fn ops(pages: web::Data<Pages>) -> HttpResponse {
    html_under(OPS_POLICY).body(pages.ops.clone())
}

fn html(body: Bytes) -> HttpResponse {
    html_under(POLICY).body(body)
}

/// A page, under a content security policy of its own.
pub fn html_under(policy: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((CACHE_CONTROL, "no-cache"));
    answer
}
