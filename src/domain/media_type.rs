//! The content types that a field may accept, with the extension of each.

use std::fmt;

/// How a browser shows an object of a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rendering {
    /// In place: a raster image, sound or video, which can't run code.
    Inline,
    /// As a download: anything that a browser might execute or another program opens.
    Attachment,
}

/// A row of the table of known types.
#[derive(PartialEq, Eq)]
struct Known {
    essence: &'static str,
    extension: &'static str,
    rendering: Rendering,
}

const fn inline(essence: &'static str, extension: &'static str) -> Known {
    Known {
        essence,
        extension,
        rendering: Rendering::Inline,
    }
}

const fn attachment(essence: &'static str, extension: &'static str) -> Known {
    Known {
        essence,
        extension,
        rendering: Rendering::Attachment,
    }
}

/// Every type that a configuration may name. SVG, HTML and XML are among them, as downloads only; no default field accepts them.
static KNOWN: &[Known] = &[
    inline("image/jpeg", "jpg"),
    inline("image/png", "png"),
    inline("image/webp", "webp"),
    inline("image/gif", "gif"),
    inline("image/avif", "avif"),
    inline("image/heic", "heic"),
    inline("image/heif", "heif"),
    inline("image/bmp", "bmp"),
    inline("image/tiff", "tiff"),
    inline("audio/mpeg", "mp3"),
    inline("audio/mp4", "m4a"),
    inline("audio/ogg", "ogg"),
    inline("audio/wav", "wav"),
    inline("audio/webm", "weba"),
    inline("video/mp4", "mp4"),
    inline("video/quicktime", "mov"),
    inline("video/webm", "webm"),
    attachment("application/pdf", "pdf"),
    attachment("application/zip", "zip"),
    attachment("application/gzip", "gz"),
    attachment("application/json", "json"),
    attachment("application/msword", "doc"),
    attachment("application/octet-stream", "bin"),
    attachment("application/vnd.ms-excel", "xls"),
    attachment(
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "pptx",
    ),
    attachment(
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
    attachment(
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    attachment("application/xml", "xml"),
    attachment("image/svg+xml", "svg"),
    attachment("text/csv", "csv"),
    attachment("text/html", "html"),
    attachment("text/plain", "txt"),
];

/// A known content type, in lower case and without parameters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct MediaType(&'static Known);

impl MediaType {
    /// Parses `image/jpeg` in any case; `None` for a type that is unknown or carries parameters.
    pub fn parse(text: &str) -> Option<MediaType> {
        KNOWN
            .iter()
            .find(|known| known.essence.eq_ignore_ascii_case(text))
            .map(MediaType)
    }

    /// All known types.
    pub fn all() -> impl Iterator<Item = MediaType> {
        KNOWN.iter().map(MediaType)
    }

    /// The type as in a header.
    pub fn as_str(self) -> &'static str {
        self.0.essence
    }

    /// The extension of its keys, without the dot.
    pub fn extension(self) -> &'static str {
        self.0.extension
    }

    /// How a browser shows it.
    pub fn rendering(self) -> Rendering {
        self.0.rendering
    }
}

impl fmt::Debug for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
