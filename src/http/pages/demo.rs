//! `/demo`: a picture on its way, and five tries to break it. What happens is in `demo/*.js`; here is what stands still.

use maud::{Markup, html};

use crate::domain::field::FieldPolicy;

use super::layout::{Page, app};

/// One request of an upload: its name in the scripts, what it is, from where to where.
const STEPS: [(&str, &str, &str); 3] = [
    ("create", "Ask", "browser → broker"),
    ("put", "Put", "browser → bucket"),
    ("confirm", "Confirm", "browser → broker"),
];

/// One attempt: its name in the scripts, its title, what it does.
const ATTEMPTS: [(&str, &str, &str); 5] = [
    (
        "type",
        "Wrong type",
        "Asks for a web page in the picture's place, then declares a picture and sends a web page.",
    ),
    (
        "size",
        "Too big",
        "Asks for one byte more than the field takes, then declares 1,000 bytes and sends 2,000.",
    ),
    (
        "bytes",
        "Wrong bytes",
        "Declares one picture's SHA-256, sends another picture of the same size, and confirms.",
    ),
    (
        "overwrite",
        "Overwrite after confirm",
        "Sends other bytes to the same presigned URL when the upload is confirmed, then to the object itself.",
    ),
    (
        "abandon",
        "Never confirm",
        "Sends a picture and leaves it there; then asks for it, as if it were an upload like any other.",
    ),
];

/// The page, for pictures of this field.
pub fn page(field: &FieldPolicy) -> Markup {
    let main = html! {
        main.demo id="demo" data-field=(field.name.as_str()) data-max-size=(field.max_size) {
            h1 { "Bring a picture in" }
            p.lead {
                "It goes straight into the bucket. The broker says where to, and looks at what arrived."
            }
            (start(field))
            (outcome())
            ol.flow aria-label="The three requests" {
                @for (index, (name, title, way)) in STEPS.iter().enumerate() {
                    (step(index + 1, name, title, way))
                }
            }
            (attempts())
            noscript { p.failure { "This page works by JavaScript only." } }
        }
    };
    app(
        &Page {
            title: "Demo",
            here: "demo",
            styles: &["docs/app.css", "demo/demo.css"],
            scripts: &[],
            module: "demo/demo.js",
        },
        &main,
    )
}

fn start(field: &FieldPolicy) -> Markup {
    let types: Vec<&str> = field.content_types.iter().map(|it| it.as_str()).collect();
    html! {
        section.start aria-label="A picture" {
            label.drop id="drop" for="file" {
                input.unseen type="file" id="file" accept=(types.join(","));
                strong { "Drop a picture here" }
                span { "or choose one" }
            }
            div.beside {
                button type="button" id="sample" { "Use a sample picture" }
                p.note {
                    "For " code { (field.name.as_str()) } ": up to " span id="limit" {} "."
                }
            }
        }
        p.failure id="failure" role="alert" hidden {}
    }
}

fn outcome() -> Markup {
    html! {
        section.outcome id="outcome" aria-labelledby="filename" hidden {
            div.frame { img id="picture" alt="The picture as the bucket serves it" hidden; }
            div.words {
                h2 id="filename" {}
                p.pills aria-live="polite" {
                    span.pill id="status" {}
                    span.note id="key" {}
                }
                p.saw id="saw" aria-live="polite" {}
                p.note id="json" {}
            }
        }
    }
}

fn step(number: usize, name: &str, title: &str, way: &str) -> Markup {
    html! {
        li.step data-step=(name) data-state="idle" {
            div.head {
                span.number aria-hidden="true" { (number) }
                h2 { (title) }
                span.way { (way) }
                span.took {}
            }
            div.track aria-hidden="true" { div.bar {} }
            @if name == "put" {
                progress value="0" max="1" aria-label="Bytes sent" { }
            }
            p.answer { "Not yet." }
            details {
                summary { "As curl" }
                pre tabindex="0" { code.curl { "Drop a picture first." } }
                button.small type="button" data-copy=(name) disabled { "Copy" }
            }
        }
    }
}

fn attempts() -> Markup {
    html! {
        section.attempts aria-labelledby="break" {
            h2 id="break" { "Try to break it" }
            p.note { "Each button sends real requests; what stands below it is what the broker or the bucket answered." }
            div.grid {
                @for (name, title, text) in ATTEMPTS {
                    article.attempt data-attempt=(name) {
                        h3 { (title) }
                        p { (text) }
                        button type="button" data-try=(name) { "Try it" }
                        ol.answers aria-live="polite" {}
                    }
                }
            }
        }
    }
}
