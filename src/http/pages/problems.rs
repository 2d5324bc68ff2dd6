//! `/problems`: every problem code with its meaning and its remedy.

use maud::{Markup, html};

use super::layout::{prose, reading_page};
use crate::http::problem::codes::CODES;

/// The page.
pub fn page() -> Markup {
    let contents = html! {
        ul { @for row in CODES { li { a href={ "#" (row.name) } { (row.name) } } } }
    };
    let main = html! {
        h1 { "Errors" }
        p.lead {
            "Every error response is an " code { "application/problem+json" } " document (RFC 9457). Branch on " code { "code" }
            ", which never changes. " code { "detail" } " is for people, " code { "errors" } " points to members of the request, and "
            code { "instance" } " identifies the request in the log."
        }
        @for row in CODES {
            section.problem id=(row.name) {
                h2 { span.status data-class=(row.status / 100) { (row.status) } " " code { (row.name) } }
                p { strong { (row.title) "." } }
                p { (prose(row.remedy)) }
            }
        }
    };
    reading_page("Errors", "problems", &contents, &main)
}
