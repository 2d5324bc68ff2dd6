//! How `bytepass uploads` shows uploads: as cells of a table, or one of them line by line.

use chrono::Utc;
use serde_json::Value;

use crate::domain::upload::Upload;

/// The heads of the columns of [`cells`].
pub(super) const HEADS: [&str; 8] = [
    "ID", "STATUS", "FIELD", "OWNER", "RECORD", "SIZE", "AGE", "NAME",
];

/// An upload for the table.
pub(super) fn cells(upload: &Upload) -> Vec<String> {
    let record = upload.object_id.as_ref();
    vec![
        upload.id.to_string(),
        upload.status.to_string(),
        upload.field.as_str().to_owned(),
        upload.owner.clone(),
        record.map_or(String::new(), |id| id.as_str().to_owned()),
        upload.size.to_string(),
        age((Utc::now() - upload.created_at).num_seconds()),
        upload.filename.as_str().to_owned(),
    ]
}

/// The heads of the columns of [`timeline_cells`].
pub(super) const TIMELINE_HEADS: [&str; 3] = ["AT", "WHAT", "DETAIL"];

/// An entry of a timeline for the table.
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

/// The members of one upload, a line each; what there is none of is left out.
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

/// A member as a person reads it; control characters become spaces.
pub(super) fn text(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_shown_in_its_largest_whole_unit() {
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
