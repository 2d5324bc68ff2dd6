//! The layout of all pages. Links are relative, so that the pages work behind any path prefix.

use maud::{DOCTYPE, Markup, html};

/// A page with a script.
pub struct AppPage {
    /// Its title.
    pub title: &'static str,
    /// Its path.
    pub here: &'static str,
    /// The paths of its styles.
    pub styles: &'static [&'static str],
    /// The paths of third-party scripts that its module needs.
    pub scripts: &'static [&'static str],
    /// The path of its own script, a module.
    pub module: &'static str,
}

/// A page to read, with a table of contents; `here` is its path, `docs` or `problems`.
pub fn reading_page(title: &str, here: &str, contents: &Markup, main: &Markup) -> Markup {
    let body = html! {
        div.columns {
            nav.contents aria-label="On this page" { (contents) }
            main { (main) }
        }
    };
    whole(title, here, &html! {}, &body)
}

/// A page with a script.
pub fn app_page(page: &AppPage, main: &Markup) -> Markup {
    let more = html! {
        @for style in page.styles { link rel="stylesheet" href=(style); }
        @for script in page.scripts { script defer src=(script) {} }
        script type="module" src=(page.module) {}
    };
    whole(page.title, page.here, &more, main)
}

fn whole(title: &str, here: &str, more: &Markup, body: &Markup) -> Markup {
    let link = |address: &'static str, text: &'static str| {
        html! { a href=(address) aria-current=[(address == here).then_some("page")] { (text) } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · Bytepass" }
                link rel="icon" type="image/svg+xml" href="docs/icon.svg";
                link rel="stylesheet" href="docs/style.css";
                (more)
            }
            body {
                header.top {
                    a.brand href="docs" { img src="docs/icon.svg" alt="" width="22" height="22"; "Bytepass" }
                    nav aria-label="Pages" {
                        @if here == "demo" { (link("demo", "Demo")) }
                        (link("docs", "API"))
                        (link("problems", "Errors"))
                        (link("ops", "Operations"))
                        a href="openapi.json" { "openapi.json" }
                    }
                }
                (body)
            }
        }
    }
}

/// Text with `code` between backticks.
pub fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
