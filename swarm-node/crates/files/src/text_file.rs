//! Text files that users bring: settings, recipes, data sets, model configurations, passwords,
//! keystores.
//!
//! Editors differ in what they write before and between lines, so every such file is read here. A
//! UTF-8 byte order mark is no part of the text; UTF-16 is refused by its name; other bytes that
//! are no UTF-8 are refused with their place. Ends of lines stay as they are: TOML, JSON and
//! [`str::lines`] take CRLF too.
//!
//! Limits: a reader states the most bytes that it takes; nothing longer is loaded.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use thiserror::Error;

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const UTF16_MARKS: [&[u8]; 2] = [b"\xff\xfe", b"\xfe\xff"];

/// Why bytes are no text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotText {
    /// A byte order mark of UTF-16, or of UTF-32, which begins alike.
    #[error("it is UTF-16 text (its first bytes say so); save it as UTF-8")]
    Utf16,
    /// Bytes that are no character.
    #[error("byte {at} (counted from 0) is no UTF-8 text; save it as UTF-8")]
    NotUtf8 {
        /// The first such byte.
        at: usize,
    },
}

impl From<NotText> for io::Error {
    fn from(refused: NotText) -> Self {
        Self::new(io::ErrorKind::InvalidData, refused)
    }
}

/// Reads the text file at `path`, at most `limit` bytes.
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if there is more, [`io::ErrorKind::InvalidData`] with a
/// [`NotText`], and whatever the system says.
pub fn read(path: &Path, limit: u64) -> io::Result<String> {
    let bytes = read_bytes(path, limit)?;
    Ok(decode(&bytes)?.to_owned())
}

/// The path again, if a regular file lies there. A named pipe in a stranger's folder would be waited
/// for when it is opened; what a user names may be one (`<(command)` of a shell).
///
/// # Errors
/// [`io::ErrorKind::InvalidInput`], and whatever the system says.
pub fn regular(path: &Path) -> io::Result<&Path> {
    match std::fs::metadata(path)?.is_file() {
        true => Ok(path),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is a folder, a pipe or a device, and no regular file",
        )),
    }
}

/// Reads the bytes of a file of lines, which a reader decodes line by line: see [`without_mark`].
///
/// # Errors
/// [`io::ErrorKind::FileTooLarge`] if there are more than `limit`, and whatever the system says.
pub fn read_bytes(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    match bytes.len() as u64 > limit {
        true => Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {limit} bytes"),
        )),
        false => Ok(bytes),
    }
}

/// The text of a file's bytes.
///
/// # Errors
/// Every [`NotText`].
pub fn decode(bytes: &[u8]) -> Result<&str, NotText> {
    let text = without_mark(bytes)?;
    std::str::from_utf8(text).map_err(|error| NotText::NotUtf8 {
        at: bytes.len() - text.len() + error.valid_up_to(),
    })
}

/// A file's bytes behind the byte order mark of UTF-8, if there is one.
///
/// # Errors
/// [`NotText::Utf16`].
pub fn without_mark(bytes: &[u8]) -> Result<&[u8], NotText> {
    match UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        true => Err(NotText::Utf16),
        false => Ok(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_of_utf8_is_no_part_of_the_text() {
        assert_eq!(decode(b"\xef\xbb\xbfa\r\n"), Ok("a\r\n"));
        assert_eq!(decode("ä".as_bytes()), Ok("ä"));
        assert_eq!(decode(b""), Ok(""));
        // Only the first one is a mark.
        assert_eq!(decode(b"\xef\xbb\xbf\xef\xbb\xbf"), Ok("\u{feff}"));
    }

    #[test]
    fn what_is_no_utf8_is_named() {
        assert_eq!(decode(b"\xff\xfea\0"), Err(NotText::Utf16));
        assert_eq!(decode(b"\xfe\xff\0a"), Err(NotText::Utf16));
        assert_eq!(decode(b"ab\xff"), Err(NotText::NotUtf8 { at: 2 }));
        assert_eq!(
            decode(b"\xef\xbb\xbfab\xff"),
            Err(NotText::NotUtf8 { at: 5 })
        );
    }

    #[test]
    fn files_are_read_within_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        std::fs::write(&path, b"\xef\xbb\xbfabc").unwrap();
        assert_eq!(read(&path, 6).unwrap(), "abc");
        assert_eq!(
            read(&path, 5).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        std::fs::write(&path, b"\xff\xfea\0").unwrap();
        let refused = read(&path, 9).unwrap_err();
        assert!(
            refused.kind() == io::ErrorKind::InvalidData && refused.to_string().contains("UTF-16"),
            "{refused}"
        );
    }
    #[test]
    fn only_a_regular_file_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        assert_eq!(regular(&path).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, b"abc").unwrap();
        assert_eq!(regular(&path).unwrap(), path);
        let kind = io::ErrorKind::InvalidInput;
        assert_eq!(regular(folder.path()).unwrap_err().kind(), kind);
        #[cfg(unix)]
        assert_eq!(regular(Path::new("/dev/null")).unwrap_err().kind(), kind);
    }
}
