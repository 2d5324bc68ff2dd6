//! All routes, grouped by their callers.

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::guard::{Any, Get, Head};
use actix_web::http::StatusCode;
use actix_web::http::header::ALLOW;
use actix_web::middleware::from_fn;
use actix_web::{Error, HttpRequest, HttpResponse, Resource, Route, web};

use super::middleware::{authenticate, catch_panics};
use super::ops::{manual_actions, overview, probes, stats, timeline};
use super::pages;
use super::pages::assets::{self, Asset};
use super::problem::Problem;
use super::resources::{attachments, bucket_notifications, grants, receipts, upload_list, uploads};

pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        // Browsers, mobile apps and backends: their own uploads or, by scope, those of all owners.
        .service(at("/v1/uploads", "GET, HEAD, POST", |r| {
            r.route(private(get().to(upload_list::list)))
                .route(private(web::post().to(uploads::create)))
        }))
        .service(at("/v1/uploads/{id}", "GET, HEAD, DELETE", |r| {
            r.route(private(get().to(uploads::read)))
                .route(private(web::delete().to(uploads::remove)))
        }))
        .service(at("/v1/uploads/{id}/confirm", "POST", |r| {
            r.route(private(web::post().to(uploads::confirm)))
        }))
        .service(at("/v1/uploads/{id}/presign", "POST", |r| {
            r.route(private(web::post().to(uploads::presign)))
        }))
        .service(at("/v1/uploads/{id}/download", "GET, HEAD", |r| {
            r.route(private(get().to(uploads::download)))
        }))
        // Backends: attachments of records.
        .service(at("/v1/uploads/{id}/attach", "POST", |r| {
            r.route(private(web::post().to(attachments::attach)))
        }))
        .service(at("/v1/uploads/{id}/detach", "POST", |r| {
            r.route(private(web::post().to(attachments::detach)))
        }))
        .service(at(
            "/v1/attachments/{model}/{object_id}",
            "GET, HEAD",
            |r| r.route(private(get().to(attachments::list))),
        ))
        // Backends: grants for callers without a token of their own.
        .service(at("/v1/grants", "POST", |r| {
            r.route(private(web::post().to(grants::mint)))
        }))
        // The bucket, authenticated by a secret or by the signature of SNS.
        .service(at("/v1/events/s3", "HEAD, POST", |r| {
            r.route(web::post().to(bucket_notifications::receive))
                .route(web::head().to(bucket_notifications::head))
        }))
        // Operators.
        .service(at("/v1/stats", "GET, HEAD", |r| {
            r.route(private(get().to(stats::stats)))
        }))
        .service(at("/v1/ops/overview", "GET, HEAD", |r| {
            r.route(private(get().to(overview::overview)))
        }))
        .service(at("/v1/ops/sweep", "POST", |r| {
            r.route(private(web::post().to(manual_actions::sweep)))
        }))
        .service(at("/v1/ops/webhooks/replay", "POST", |r| {
            r.route(private(web::post().to(manual_actions::replay)))
        }))
        .service(at("/v1/uploads/{id}/timeline", "GET, HEAD", |r| {
            r.route(private(get().to(timeline::timeline)))
        }))
        .service(at("/v1/uploads/{id}/recheck", "POST", |r| {
            r.route(private(web::post().to(manual_actions::recheck)))
        }))
        .service(at("/v1/uploads/{id}/expire", "POST", |r| {
            r.route(private(web::post().to(manual_actions::expire)))
        }))
        .configure(public)
        .default_service(web::to(not_found));
}

/// Routes without a token.
fn public(config: &mut web::ServiceConfig) {
    config
        // Backends: the keys that verify receipts.
        .service(at("/.well-known/jwks.json", "GET, HEAD", |r| {
            r.route(get().to(receipts::jwks))
        }))
        // Probes.
        .service(at("/livez", "GET, HEAD", |r| {
            r.route(get().to(probes::livez))
        }))
        .service(at("/readyz", "GET, HEAD", |r| {
            r.route(get().to(probes::readyz))
        }))
        // People.
        .service(at("/openapi.json", "GET, HEAD", |r| {
            r.route(get().to(pages::document))
        }))
        .service(at("/docs", "GET, HEAD", |r| r.route(get().to(pages::docs))))
        .service(at("/problems", "GET, HEAD", |r| {
            r.route(get().to(pages::problems))
        }));
    config.service(at("/ops", "GET, HEAD", |r| r.route(get().to(pages::ops))));
    serve_assets(config, &assets::COMMON);
    serve_assets(config, &assets::OPS);
}

/// Adds routes for embedded files.
pub(super) fn serve_assets(config: &mut web::ServiceConfig, assets: &'static [Asset]) {
    for asset in assets {
        let tag = asset.tag();
        config.service(at(asset.path, "GET, HEAD", move |r| {
            r.route(get().to(move |req: HttpRequest| {
                let answer = asset.answer(&req, &tag);
                async move { answer }
            }))
        }));
    }
}

/// A resource whose panics are caught. Methods other than `allowed` get 405 with this list in `Allow`.
pub(super) fn at(
    path: &'static str,
    allowed: &'static str,
    routes: impl FnOnce(Resource) -> Resource,
) -> Resource<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    >,
> {
    routes(web::resource(path))
        .default_service(web::to(move || async move { method_not_allowed(allowed) }))
        .wrap(from_fn(catch_panics))
}

/// GET and HEAD.
pub(super) fn get() -> Route {
    web::route().guard(Any(Get()).or(Head()))
}

/// A route for authenticated callers only.
pub(super) fn private(route: Route) -> Route {
    route.wrap(from_fn(authenticate))
}

pub(super) async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::of_status(StatusCode::NOT_FOUND))
}

fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, allowed))
        .finish()
}
