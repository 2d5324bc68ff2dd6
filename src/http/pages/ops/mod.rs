//! `/ops`: the dashboard. The page itself holds no data; `ops/*.js` read it from the API with the operator's token.

use maud::{Markup, html};

use crate::domain::upload::Status;

use super::layout::{AppPage, app_page};

/// Windows of the overview: the API's value and its label.
const WINDOWS: [(&str, &str); 5] = [
    ("1h", "Last hour"),
    ("6h", "Last 6 hours"),
    ("24h", "Last 24 hours"),
    ("7d", "Last 7 days"),
    ("30d", "Last 30 days"),
];
/// Minimum ages of the uploads in the table.
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
    ("store", "S3 responses", &["Operation", "Code", "Count"]),
    (
        "sweeper",
        "Sweeper",
        &["Task", "Done", "Deferred", "Failed", "Last run"],
    ),
    (
        "webhooks",
        "Webhooks",
        &["Endpoint", "Pending", "Dead", "Action"],
    ),
];

/// The page.
pub fn page() -> Markup {
    let main = html! {
        main.ops {
            (sign_in())
            div id="dashboard" hidden {
                (toolbar())
                p.failure id="stale" role="alert" hidden {}
                section.tiles id="tiles" aria-label="Now" {}
                div.plots {
                    (plot("series", "Uploads over time"))
                    (plot("ages", "Pending by age"))
                }
                section.card {
                    h2 { "Upload funnel" }
                    p.note id="cohort" {}
                    div id="funnel" {}
                }
                div.tables { @for (id, title, headings) in TABLES { (counts(id, title, headings)) } }
                (uploads())
            }
            (dialogs())
            noscript { p.failure { "This page needs JavaScript." } }
        }
    };
    app_page(
        &AppPage {
            title: "Operations",
            here: "ops",
            styles: &["docs/app.css", "ops/uPlot.css", "ops/ops.css"],
            scripts: &["ops/uPlot.js"],
            module: "ops/ops.js",
        },
        &main,
    )
}

fn sign_in() -> Markup {
    html! {
        // `post`, so that the token is in no URL even if the script fails.
        form.sign-in id="sign-in" method="post" autocomplete="off" {
            h1 { "Operations" }
            p.lead { "Pending uploads, outcomes, rejections, the sweeper and webhooks." }
            label for="token" { "Token with the scope " code { "ops" } }
            div.row {
                input type="password" id="token" autocomplete="off" spellcheck="false" required aria-describedby="token-note refused";
                button.strong type="submit" { "Sign in" }
            }
            p.note id="token-note" { "The token is kept in this page's memory only, until you sign out, reload or close the page. For development: " code { "bytepass token --scope ops" } }
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
                label.unseen for="window" { "Time range" }
                select id="window" {
                    @for (value, text) in WINDOWS { option value=(value) selected[value == "24h"] { (text) } }
                }
                button type="button" id="pause" aria-pressed="false" { "Pause" }
                button type="button" id="sweep" { "Sweep now" }
                button type="button" id="sign-out" { "Sign out" }
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
        dialog.panel id="panel" aria-labelledby="panel-title" {
            div.head {
                h2 id="panel-title" tabindex="-1" autofocus {}
                button type="button" id="panel-close" aria-label="Close" { "✕" }
            }
            div.actions id="actions" {}
            p.done id="panel-done" role="status" hidden {}
            p.failure id="panel-failure" role="alert" hidden {}
            dl.facts id="facts" {}
            h3 { "Timeline" }
            ol.timeline id="timeline" {}
        }
        dialog.ask id="ask" aria-labelledby="ask-title" aria-describedby="ask-text" {
            h2 id="ask-title" {}
            p id="ask-text" {}
            div.row {
                button type="button" id="ask-no" autofocus { "Cancel" }
                button.strong type="button" id="ask-yes" {}
            }
        }
    }
}
