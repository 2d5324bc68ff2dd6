//! `/ops`: the dashboard. The page holds nothing of the system; `ops/*.js` ask the API for it, with the operator's own token.

use maud::{Markup, html};

use crate::domain::upload::Status;

use super::layout::{Page, app};

/// Window of the overview: what the API takes, and what a person reads.
const WINDOWS: [(&str, &str); 5] = [
    ("1h", "last hour"),
    ("6h", "last 6 hours"),
    ("24h", "last 24 hours"),
    ("7d", "last 7 days"),
    ("30d", "last 30 days"),
];
/// Least age of the uploads in the table.
const AGES: [(&str, &str); 5] = [
    ("", "any age"),
    ("15m", "older than 15 min"),
    ("1h", "older than 1 h"),
    ("6h", "older than 6 h"),
    ("1d", "older than 1 day"),
];
/// The tables of counts: their ids, titles and headings.
const TABLES: [(&str, &str, &[&str]); 4] = [
    ("rejections", "Rejections", &["Reason", "Count"]),
    (
        "store",
        "The bucket's answers",
        &["Operation", "Code", "Count"],
    ),
    (
        "sweeper",
        "Sweeper",
        &["Work", "Done", "Put off", "Failed", "Last"],
    ),
    (
        "webhooks",
        "Webhooks",
        &["Endpoint", "Waiting", "Dead", "Action"],
    ),
];

/// The page.
pub fn page() -> Markup {
    let main = html! {
        main.ops {
            (door())
            div id="board" hidden {
                (toolbar())
                p.failure id="stale" role="alert" hidden {}
                section.tiles id="tiles" aria-label="Now" {}
                div.plots {
                    (plot("series", "What happened"))
                    (plot("ages", "Pending by age"))
                }
                section.card {
                    h2 { "From asked for to attached" }
                    p.note id="cohort" {}
                    div id="funnel" {}
                }
                div.tables { @for (id, title, headings) in TABLES { (counts(id, title, headings)) } }
                (uploads())
            }
            (dialogs())
            noscript { p.failure { "This page works by JavaScript only." } }
        }
    };
    app(
        &Page {
            title: "Operations",
            here: "ops",
            styles: &["docs/app.css", "ops/uPlot.css", "ops/ops.css"],
            scripts: &["ops/uPlot.js"],
            module: "ops/ops.js",
        },
        &main,
    )
}

fn door() -> Markup {
    html! {
        // `post`, so that without the script, too, the token would be in no address.
        form.door id="door" method="post" autocomplete="off" {
            h1 { "Operations" }
            p.lead { "What is pending, what became of the rest, and why something was refused." }
            label for="token" { "A token with the scope " code { "ops" } }
            div.row {
                input type="password" id="token" autocomplete="off" spellcheck="false" required aria-describedby="kept refused";
                button.strong type="submit" { "Show" }
            }
            p.note id="kept" { "It stays in this page's memory and is gone when you reload or close it. In development: " code { "bytepass token --scope ops" } }
            p.failure id="refused" role="alert" hidden {}
        }
    }
}

fn toolbar() -> Markup {
    html! {
        div.toolbar {
            h1 { "Operations" }
            p.asof { span.dot aria-hidden="true" {} span id="asof" {} }
            div.controls {
                label.unseen for="window" { "Window" }
                select id="window" {
                    @for (value, text) in WINDOWS { option value=(value) selected[value == "24h"] { (text) } }
                }
                button type="button" id="pause" aria-pressed="false" { "Pause" }
                button type="button" id="sweep" { "Sweep now" }
                button type="button" id="leave" { "Forget token" }
            }
        }
        p.done id="done" role="status" hidden {}
    }
}

fn plot(id: &str, title: &str) -> Markup {
    html! {
        section.card {
            h2 { (title) }
            p.note id={ (id) "-gap" } hidden {}
            div.plot id=(id) role="img" aria-label=(title) {}
            details { summary { "As a table" } div.scroll id={ (id) "-table" } {} }
        }
    }
}

fn counts(id: &str, title: &str, headings: &[&str]) -> Markup {
    html! {
        section.card {
            h2 { (title) }
            p.note id={ (id) "-note" } hidden {}
            div.scroll {
                table {
                    caption.unseen { (title) }
                    thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                    tbody id=(id) {}
                }
            }
        }
    }
}

fn uploads() -> Markup {
    html! {
        section.card aria-labelledby="uploads-title" {
            h2 id="uploads-title" { "Uploads" }
            form.filters id="filters" method="post" autocomplete="off" {
                label { "Status" select name="status" {
                    option value="" { "any" }
                    @for status in Status::ALL {
                        option value=(status.as_str()) selected[status == Status::Pending] { (status.as_str()) }
                    }
                } }
                label { "Age" select name="older_than" {
                    @for (value, text) in AGES { option value=(value) { (text) } }
                } }
                label { "Field" input name="field" list="fields" placeholder="any" spellcheck="false"; }
                datalist id="fields" {}
                label { "Owner" input name="owner" placeholder="any" spellcheck="false"; }
                label { "Record" input name="object_id" placeholder="any" spellcheck="false"; }
                button type="submit" { "Filter" }
            }
            p.failure id="list-failure" role="alert" hidden {}
            div.scroll {
                table.uploads {
                    caption.unseen { "Uploads" }
                    thead { tr {
                        @for heading in ["File", "Status", "Age", "Field", "Owner", "Size", "Last problem"] { th scope="col" { (heading) } }
                    } }
                    tbody id="uploads" {}
                }
            }
            nav.pager aria-label="Pages of uploads" {
                button type="button" id="newer" disabled { "← Newer" }
                span id="place" aria-live="polite" {}
                button type="button" id="older" disabled { "Older →" }
            }
        }
    }
}

fn dialogs() -> Markup {
    html! {
        dialog.sheet id="sheet" aria-labelledby="sheet-title" {
            div.head {
                h2 id="sheet-title" tabindex="-1" autofocus {}
                button type="button" id="sheet-close" aria-label="Close" { "✕" }
            }
            div.actions id="actions" {}
            p.done id="sheet-done" role="status" hidden {}
            p.failure id="sheet-failure" role="alert" hidden {}
            dl.facts id="facts" {}
            h3 { "What happened" }
            ol.timeline id="timeline" {}
        }
        dialog.ask id="ask" aria-labelledby="ask-title" aria-describedby="ask-text" {
            h2 id="ask-title" {}
            p id="ask-text" {}
            div.row {
                button type="button" id="ask-no" autofocus { "Leave it" }
                button.strong type="button" id="ask-yes" {}
            }
        }
    }
}
