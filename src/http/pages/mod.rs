//! Pages for people: `/docs` and `/problems`, rendered once from the OpenAPI document and the table of codes, `/ops` and `/demo`.
//!
//! `/docs` and `/problems` have no scripts and no inline styles, and their content security policy forbids both. `/ops` and `/demo`
//! have embedded scripts, and a policy that allows only these.

pub mod assets;
pub mod demo;
mod docs;
mod layout;
mod ops;
mod problems;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use actix_web::{HttpResponse, HttpResponseBuilder, web};
use bytes::Bytes;
use utoipa::openapi::{OpenApi, ServerBuilder};

pub use self::demo::DemoOptions;

const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Trusted types: a script can't turn text into markup.
const OPS_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

/// The rendered pages and the OpenAPI document.
pub struct Pages {
    document: Bytes,
    docs: Bytes,
    problems: Bytes,
    ops: Bytes,
}

impl Pages {
    /// Renders everything for a broker at `public_url`.
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

/// `/problems`: the target of every problem's `type`.
pub async fn problems(pages: web::Data<Pages>) -> HttpResponse {
    html(pages.problems.clone())
}

/// `/ops`: without data, which the page reads from the API with a token.
pub async fn ops(pages: web::Data<Pages>) -> HttpResponse {
    html_under(OPS_POLICY).body(pages.ops.clone())
}

fn html(body: Bytes) -> HttpResponse {
    html_under(POLICY).body(body)
}

/// A page with this content security policy.
pub fn html_under(policy: &str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::Ok();
    answer
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, policy))
        .insert_header((CACHE_CONTROL, "no-cache"));
    answer
}
