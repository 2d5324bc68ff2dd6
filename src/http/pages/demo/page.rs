//! `/demo`: an upload step by step, and five attacks. This is the static page; `demo/*.js` run it.

use maud::{Markup, html};

use crate::domain::field::FieldPolicy;

use crate::http::pages::layout::{AppPage, app_page};

/// The requests of an upload: name in the scripts, title, from where to where.
const STEPS: [(&str, &str, &str); 3] = [
    ("create", "Create", "browser → broker"),
    ("put", "Upload", "browser → bucket"),
    ("confirm", "Confirm", "browser → broker"),
];

/// The attacks: name in the scripts, title, what it does.
const ATTEMPTS: [(&str, &str, &str); 5] = [
    (
        "type",
        "Wrong type",
        "Declares a web page; then declares a picture and sends a web page.",
    ),
    (
        "size",
        "Too big",
        "Declares one byte more than the field accepts; then declares 1,000 bytes and sends 2,000.",
    ),
    (
        "bytes",
        "Wrong bytes",
        "Declares the SHA-256 of one picture, sends another one of the same size, and confirms.",
    ),
    (
        "overwrite",
        "Overwrite after confirm",
        "Sends other bytes to the presigned URL after the confirm, then to the object itself.",
    ),
    (
        "abandon",
        "Never confirm",
        "Sends a picture without confirming it, then tries to read it.",
    ),
];

/// The page, for uploads of this field.
pub fn page(field: &FieldPolicy) -> Markup {
    let main = html! {
        main.demo id="demo" data-field=(field.name.as_str()) data-max-size=(field.max_size) {
            h1 { "Create an upload" }
            p.lead {
                "The picture goes straight to the bucket. The broker presigns the request, and checks the object after it arrived."
            }
            (start(field))
            (outcome())
            ol.flow aria-label="The three requests" {
                @for (index, (name, title, way)) in STEPS.iter().enumerate() {
                    (step(index + 1, name, title, way))
                }
            }
            (attempts())
            noscript { p.failure { "This page needs JavaScript." } }
        }
    };
    app_page(
        &AppPage {
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
            div.frame { img id="picture" alt="The stored picture" hidden; }
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
            p.answer { "Not started." }
            details {
                summary { "As curl" }
                pre tabindex="0" { code.curl { "Choose a picture first." } }
                button.small type="button" data-copy=(name) disabled { "Copy" }
            }
        }
    }
}

fn attempts() -> Markup {
    html! {
        section.attempts aria-labelledby="break" {
            h2 id="break" { "Try to break it" }
            p.note { "Each button sends real requests and shows the responses of the broker and the bucket." }
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
