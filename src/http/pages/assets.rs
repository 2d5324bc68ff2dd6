//! The files that pages load, embedded in the binary. Each has an `ETag`, so that a browser loads it once per version.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, EntityTag, Header as _, IfNoneMatch,
};
use actix_web::{HttpRequest, HttpResponse};
use sha2::{Digest as _, Sha256};

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// One embedded file.
#[derive(Clone, Copy)]
pub struct Asset {
    /// The path of its route.
    pub path: &'static str,
    content_type: &'static str,
    text: &'static str,
}

const fn asset(path: &'static str, content_type: &'static str, text: &'static str) -> Asset {
    Asset {
        path,
        content_type,
        text,
    }
}

/// Files of all pages, or of all pages with a script.
pub const COMMON: [Asset; 4] = [
    asset("/docs/style.css", STYLE, include_str!("style.css")),
    asset("/docs/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    asset("/docs/app.css", STYLE, include_str!("app.css")),
    asset("/docs/dom.js", SCRIPT, include_str!("dom.js")),
];

/// Files of the demo.
pub const DEMO: [Asset; 5] = [
    asset("/demo/demo.css", STYLE, include_str!("demo/demo.css")),
    asset("/demo/demo.js", SCRIPT, include_str!("demo/demo.js")),
    asset(
        "/demo/requests.js",
        SCRIPT,
        include_str!("demo/requests.js"),
    ),
    asset("/demo/upload.js", SCRIPT, include_str!("demo/upload.js")),
    asset(
        "/demo/attempts.js",
        SCRIPT,
        include_str!("demo/attempts.js"),
    ),
];

/// Files of the dashboard. uPlot is by Leon Sorokin, under the MIT license that is served with it.
pub const OPS: [Asset; 11] = [
    asset("/ops/ops.css", STYLE, include_str!("ops/ops.css")),
    asset("/ops/ops.js", SCRIPT, include_str!("ops/ops.js")),
    asset("/ops/api.js", SCRIPT, include_str!("ops/api.js")),
    asset("/ops/updates.js", SCRIPT, include_str!("ops/updates.js")),
    asset("/ops/overview.js", SCRIPT, include_str!("ops/overview.js")),
    asset("/ops/charts.js", SCRIPT, include_str!("ops/charts.js")),
    asset(
        "/ops/uploads_table.js",
        SCRIPT,
        include_str!("ops/uploads_table.js"),
    ),
    asset(
        "/ops/upload_panel.js",
        SCRIPT,
        include_str!("ops/upload_panel.js"),
    ),
    asset(
        "/ops/uPlot.js",
        SCRIPT,
        include_str!("uplot/uPlot.iife.min.js"),
    ),
    asset("/ops/uPlot.css", STYLE, include_str!("uplot/uPlot.min.css")),
    asset(
        "/ops/uPlot.LICENSE",
        "text/plain; charset=utf-8",
        include_str!("uplot/LICENSE"),
    ),
];

impl Asset {
    /// The value of its `ETag`, a hash of its text.
    pub fn tag(self) -> String {
        hex::encode(&Sha256::digest(self.text)[..12])
    }

    /// The response: 304 without a body if the browser has this `tag`.
    pub fn answer(self, req: &HttpRequest, tag: &str) -> HttpResponse {
        let tag = EntityTag::new_strong(tag.to_owned());
        let known = match IfNoneMatch::parse(req) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(known)) => known.iter().any(|it| it.weak_eq(&tag)),
            Err(_) => false,
        };
        let mut answer = match known {
            true => HttpResponse::NotModified(),
            false => HttpResponse::Ok(),
        };
        answer
            .insert_header((CACHE_CONTROL, "no-cache"))
            .insert_header((ETAG, tag));
        match known {
            true => answer.finish(),
            false => answer
                .insert_header((CONTENT_TYPE, self.content_type))
                .body(self.text),
        }
    }
}
