//! `/problems`: every error code with its meaning and its remedy.

use maud::{Markup, html};

use super::layout::{page as whole, prose};
use crate::http::problem::codes::CODES;

/// The page.
pub fn page() -> Markup {
    let contents = html! {
        ul { @for row in CODES { li { a href={ "#" (row.name) } { (row.name) } } } }
    };
    let main = html! {
        h1 { "Errors" }
        p.lead {
            "Every answer that is no success is a document of the type " code { "application/problem+json" }
            " (RFC 9457). Branch on " code { "code" } ": it never changes. " code { "detail" } " is for people, "
            code { "errors" } " points to members of the request, and " code { "instance" } " names the occurrence in the log."
        }
        @for row in CODES {
            section.problem id=(row.name) {
                h2 { span.status data-class=(row.status / 100) { (row.status) } " " code { (row.name) } }
                p { strong { (row.title) "." } }
                p { (prose(row.remedy)) }
            }
        }
    };
    whole("Errors", "problems", &contents, &main)
}
