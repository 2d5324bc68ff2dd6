//! The `Content-Disposition` of a download: the client's file name, escaped for a header.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::domain::file_name::FileName;
use crate::domain::media_type::{MediaType, Rendering};

/// All but RFC 8187's `attr-char`.
const EXTENDED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// The type and file name of a presigned GET's answer.
#[derive(Debug, Clone, Copy)]
pub struct ServedAs<'a> {
    /// The recorded type.
    pub media_type: MediaType,
    /// The client's name for the file.
    pub filename: &'a FileName,
}

/// RFC 6266: shown in place only if the type can't run anything; `filename` in harmless ASCII for old clients, and the name
/// itself as `filename*` (RFC 8187) where the two differ. No name can end the header or begin another parameter.
pub(super) fn content_disposition(served_as: &ServedAs<'_>) -> String {
    let kind = match served_as.media_type.rendering() {
        Rendering::Inline => "inline",
        Rendering::Attachment => "attachment",
    };
    let name = served_as.filename.as_str();
    let plain: String = name.chars().map(harmless).collect();
    if plain == name {
        return format!("{kind}; filename=\"{plain}\"");
    }
    let extended = utf8_percent_encode(name, EXTENDED);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{extended}")
}

/// The character, or `_` for one that a quoted string would need escaped, that some client takes for a path or for an
/// escape, or that is no ASCII.
fn harmless(c: char) -> char {
    let plain = c == ' ' || c.is_ascii_graphic();
    if plain && !matches!(c, '"' | '\\' | '/' | '%') {
        c
    } else {
        '_'
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(media_type: &str, name: &str) -> String {
        let served_as = ServedAs {
            media_type: MediaType::parse(media_type).unwrap(),
            filename: &FileName::parse(name).unwrap(),
        };
        content_disposition(&served_as)
    }

    #[test]
    fn a_plain_name_stands_as_it_is_and_a_document_is_never_shown_in_place() {
        assert_eq!(
            of("image/png", "my cat.png"),
            "inline; filename=\"my cat.png\""
        );
        assert_eq!(
            of("application/pdf", "a;b='c'.pdf"),
            "attachment; filename=\"a;b='c'.pdf\""
        );
    }

    #[test]
    fn any_other_name_is_told_twice_harmless_and_exact() {
        assert_eq!(
            of("image/png", "Kätzchen.png"),
            "inline; filename=\"K_tzchen.png\"; filename*=UTF-8''K%C3%A4tzchen.png"
        );
        assert_eq!(
            of("image/png", "a\"; x=\"b\\%41/c'*.png"),
            "inline; filename=\"a_; x=_b__41_c'*.png\"; filename*=UTF-8''a%22%3B%20x%3D%22b%5C%2541%2Fc%27%2A.png"
        );
    }
}
