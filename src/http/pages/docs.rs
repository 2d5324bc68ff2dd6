//! `/docs`: the three steps of an upload, then every operation of the OpenAPI document.

use maud::{Markup, html};
use serde_json::Value;

use super::layout::{prose, reading_page};

/// In the order of the page.
const METHODS: [&str; 4] = ["post", "get", "put", "delete"];

/// One operation of the document.
struct Operation<'a> {
    method: &'a str,
    path: &'a str,
    spec: &'a Value,
}

impl Operation<'_> {
    fn id(&self) -> &str {
        text(&self.spec["operationId"])
    }
}

/// The page.
pub fn page(document: &Value, public_url: &str) -> Markup {
    let empty = Vec::new();
    let tags = document["tags"].as_array().unwrap_or(&empty);
    let groups: Vec<(&Value, Vec<Operation<'_>>)> = tags
        .iter()
        .map(|tag| (tag, operations(document, text(&tag["name"]))))
        .collect();
    let contents = html! {
        ul { li { a href="#start" { "Three steps" } } }
        @for (tag, operations) in &groups {
            p { (text(&tag["name"])) }
            ul {
                @for one in operations {
                    li { a href={ "#" (one.id()) } { (text(&one.spec["summary"])) } }
                }
            }
        }
    };
    let main = html! {
        h1 { (text(&document["info"]["title"])) " API" }
        p.lead { (text(&document["info"]["description"])) }
        (three_steps(public_url))
        @for (tag, operations) in &groups {
            h2.group { (text(&tag["name"])) }
            p { (text(&tag["description"])) }
            @for one in operations { (operation(one)) }
        }
    };
    reading_page("API", "docs", &contents, &main)
}

fn operations<'a>(document: &'a Value, tag: &str) -> Vec<Operation<'a>> {
    let paths = document["paths"].as_object();
    let all = paths.into_iter().flatten().flat_map(|(path, item)| {
        METHODS.iter().filter_map(move |&method| {
            let spec = item.get(method)?;
            Some(Operation { method, path, spec })
        })
    });
    all.filter(|one| one.spec["tags"][0] == tag).collect()
}

fn three_steps(public_url: &str) -> Markup {
    html! {
        section id="start" {
            h2 { "Three steps" }
            p {
                "Put a token into " code { "TOKEN" } " (" code { "bytepass dev" } " prints one) and a picture into "
                code { "cat.jpg" } "."
            }
            ol.steps {
                li {
                    p { "Create an upload: declare the file and get a presigned PUT." }
                    pre tabindex="0" {
                        "curl -sS " (public_url) "/v1/uploads \\\n"
                        "  -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\\n"
                        "  -d '{\"field\":\"Product.image\",\"filename\":\"cat.jpg\",\n"
                        "       \"content_type\":\"image/jpeg\",\"size\":'\"$(wc -c < cat.jpg)\"'}'"
                    }
                }
                li {
                    p { "Send the file straight to the bucket, with exactly the headers of " code { "presigned.headers" } "." }
                    pre tabindex="0" { "curl -sS -T cat.jpg -H 'content-type: image/jpeg' \"$URL\"  # presigned.url" }
                }
                li {
                    p { "Confirm: the broker checks the object, seals it and records its key." }
                    pre tabindex="0" { "curl -sS -X POST -H \"Authorization: Bearer $TOKEN\" \"$CONFIRM\"  # confirm_url" }
                }
            }
        }
    }
}

fn operation(one: &Operation<'_>) -> Markup {
    let empty = Vec::new();
    let parameters = one.spec["parameters"].as_array().unwrap_or(&empty);
    let request = &one.spec["requestBody"]["content"]["application/json"]["example"];
    html! {
        section.operation id=(one.id()) {
            h3 { (text(&one.spec["summary"])) }
            p.address { span.method data-method=(one.method) { (one.method.to_uppercase()) } " " code { (one.path) } }
            p { (prose(text(&one.spec["description"]))) }
            p.scopes { (scopes(&one.spec["security"])) }
            @if !parameters.is_empty() {
                h4 { "Parameters" }
                dl {
                    @for parameter in parameters {
                        dt { code { (text(&parameter["name"])) } @if parameter["required"] == true { " required" } }
                        dd { (prose(text(&parameter["description"]))) }
                    }
                }
            }
            @if !request.is_null() {
                h4 { "Request" }
                pre tabindex="0" { (pretty(request)) }
            }
            h4 { "Responses" }
            @for (status, response) in one.spec["responses"].as_object().into_iter().flatten() {
                (response_row(status, response))
            }
        }
    }
}

fn response_row(status: &str, response: &Value) -> Markup {
    let example = &response["content"]["application/json"]["example"];
    let problems = response["content"]["application/problem+json"]["examples"].as_object();
    let line = html! {
        span.status data-class=(&status[..1]) { (status) } " "
        @match problems {
            Some(problems) => {
                @for (index, name) in problems.keys().enumerate() {
                    @if index > 0 { ", " }
                    a href={ "problems#" (name) } { code { (name) } }
                }
            }
            None => (prose(text(&response["description"]))),
        }
    };
    html! {
        @if example.is_null() {
            p.answer { (line) }
        } @else {
            details.answer { summary { (line) } pre tabindex="0" { (pretty(example)) } }
        }
    }
}

/// The scopes that allow a call: any one is enough.
fn scopes(security: &Value) -> Markup {
    let empty = Vec::new();
    let names: Vec<&str> = security
        .as_array()
        .unwrap_or(&empty)
        .iter()
        .filter_map(|need| need["bearer"][0].as_str())
        .collect();
    html! {
        @if security[0]["eventSecret"].is_array() { "Needs the configured secret or a signature of SNS; a bearer token is not accepted." }
        @else if names.is_empty() { "Needs no token." } @else {
            "Needs a token with "
            @for (index, name) in names.iter().enumerate() {
                @if index > 0 { " or " }
                code { (name) }
            }
            "."
        }
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
