//! A client's file name: metadata for people, never a part of a key.

use unicode_normalization::UnicodeNormalization as _;

/// The most bytes (UTF-8) that a file name may have.
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// A file name in NFC, without control, bidirectional or zero-width characters, 1 to 255 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

/// Why a text is not a file name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFileName {
    /// No visible character.
    #[error("a file name needs at least one visible character")]
    Empty,
    /// Longer than the limit.
    #[error("a file name has at most 255 bytes in UTF-8 (NFC)")]
    TooLong,
}

impl FileName {
    /// Normalizes to NFC and drops hidden characters; refuses a name that is then empty or too long.
    pub fn parse(text: &str) -> Result<FileName, InvalidFileName> {
        // NFC makes a text at most three times as long, so a far longer one is refused before the work of normalizing it.
        if text.len() > 16 * MAX_FILE_NAME_BYTES {
            return Err(InvalidFileName::TooLong);
        }
        // Dropped first: a hidden character between a letter and its accent would keep NFC from composing them.
        let name: String = text.chars().filter(|&c| !is_hidden(c)).nfc().collect();
        if name.trim().is_empty() {
            return Err(InvalidFileName::Empty);
        }
        if name.len() > MAX_FILE_NAME_BYTES {
            return Err(InvalidFileName::TooLong);
        }
        Ok(FileName(name))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Control characters (C0, C1, DEL), line separators, bidirectional controls and zero-width characters. The joiners
/// U+200C and U+200D stay: Persian words and emoji are written with them.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}
