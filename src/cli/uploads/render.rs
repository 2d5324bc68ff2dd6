//! The output of `bytepass uploads`: uploads as table rows, one upload line by line, and their JSON.

use chrono::Utc;
use serde_json::Value;

use crate::domain::upload::Upload;

/// The headings of [`cells`]. NAME is the value of the model's column, FILENAME the client's name of the file.
pub(super) const HEADINGS: [&str; 9] = [
    "ID", "STATUS", "FIELD", "OWNER", "RECORD", "SIZE", "AGE", "NAME", "FILENAME",
];

/// An upload as a table row.
pub(super) fn cells(upload: &Upload) -> Vec<String> {
    let record = upload.object_id.as_ref();
    let name = upload.confirmation.as_ref().map_or("", |it| it.key.name());
    vec![
        upload.id.to_string(),
        upload.status.to_string(),
        upload.field.as_str().to_owned(),
        upload.owner.clone(),
        record.map_or(String::new(), |id| id.as_str().to_owned()),
        upload.size.to_string(),
        age((Utc::now() - upload.created_at).num_seconds()),
        name.to_owned(),
        upload.filename.as_str().to_owned(),
    ]
}

/// The headings of [`timeline_cells`].
pub(super) const TIMELINE_HEADINGS: [&str; 3] = ["AT", "KIND", "DETAIL"];

/// A timeline entry as a table row.
pub(super) fn timeline_cells(entry: &Value) -> Vec<String> {
    let detail = text(&entry["detail"]);
    let times = entry["times"].as_u64().unwrap_or(1);
    vec![
        text(&entry["at"]),
        text(&entry["kind"]),
        match times {
            0 | 1 => detail,
            more => format!(
                "{detail} ({more} times, last at {})",
                text(&entry["last_at"])
            )
            .trim_start()
            .to_owned(),
        },
    ]
}

/// An age in its largest whole unit.
fn age(secs: i64) -> String {
    match secs.max(0) {
        secs if secs < 60 => format!("{secs}s"),
        secs if secs < 3_600 => format!("{}m", secs / 60),
        secs if secs < 86_400 => format!("{}h", secs / 3_600),
        secs => format!("{}d", secs / 86_400),
    }
}

/// The members of one upload, a line each, without nulls.
pub(super) fn lines(view: &Value) -> String {
    let members = view.as_object().into_iter().flatten();
    let shown: Vec<_> = members
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name, text(value)))
        .collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&String, String)| format!("{name:width$}  {value}\n");
    shown.iter().map(line).collect()
}

/// A JSON value as text; control characters become spaces.
pub(super) fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// A view as JSON.
pub(super) fn to_json(view: impl serde::Serialize) -> Value {
    serde_json::to_value(view).expect("a view serializes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_is_shown_in_its_largest_whole_unit() {
        for (secs, shown) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m"),
            (86_399, "23h"),
            (200_000, "2d"),
        ] {
            assert_eq!(age(secs), shown);
        }
    }
}
