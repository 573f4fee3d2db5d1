//! Reads a settings file into keys with their lines.

use std::path::Path;

use swarm_files::text_file;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::SettingsError;
use super::origin::Origin;

/// Largest settings file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// A key of a file with its value and where it stands.
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) value: toml::Value,
    pub(super) origin: Origin,
}

/// The entries of a file, in its order. Tables are flattened: `[demo] rounds` is `demo.rounds`.
pub(super) fn entries(path: &Path) -> Result<Vec<Entry>, SettingsError> {
    let text = text_file::read(path, MAX_FILE_BYTES).map_err(|source| SettingsError::Read {
        path: path.into(),
        source,
    })?;
    parse(&text, path)
}

fn parse(text: &str, path: &Path) -> Result<Vec<Entry>, SettingsError> {
    let reader = Reader { text, path };
    let root = DeTable::parse(text).map_err(|error| reader.syntax(&error))?;
    let values: toml::Table = text.parse().map_err(|error| reader.syntax(&error))?;
    let mut entries = Vec::new();
    reader.flatten("", root.get_ref(), &values, &mut entries);
    entries.sort_by_key(|entry| match entry.origin {
        Origin::File { line, .. } => line,
        _ => 0,
    });
    Ok(entries)
}

struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
}

impl Reader<'_> {
    /// Walks the spanned table, which knows places, beside the plain one, which knows values.
    fn flatten(
        &self,
        prefix: &str,
        spanned: &DeTable<'_>,
        plain: &toml::Table,
        entries: &mut Vec<Entry>,
    ) {
        for (name, value) in spanned {
            let key = format!("{prefix}{}", name.get_ref());
            let Some(plain) = plain.get(name.get_ref().as_ref()) else {
                continue;
            };
            match (value.get_ref(), plain) {
                (DeValue::Table(spanned), toml::Value::Table(plain)) => {
                    self.flatten(&format!("{key}."), spanned, plain, entries);
                }
                (_, plain) => entries.push(Entry {
                    key,
                    value: plain.clone(),
                    origin: self.origin(name),
                }),
            }
        }
    }

    fn origin<T>(&self, spanned: &Spanned<T>) -> Origin {
        Origin::File {
            path: self.path.into(),
            line: self.line(spanned.span().start),
        }
    }

    /// The line of a byte, from 1.
    fn line(&self, byte: usize) -> usize {
        self.text
            .bytes()
            .take(byte)
            .filter(|byte| *byte == b'\n')
            .count()
            + 1
    }

    fn syntax(&self, error: &toml::de::Error) -> SettingsError {
        let line = self.line(error.span().map_or(0, |span| span.start));
        let message = format!(
            "{}; fix the TOML syntax there",
            error.message().replace('\n', ", ")
        );
        SettingsError::Syntax {
            path: self.path.into(),
            line,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<(String, String)> {
        let entries = parse(text, Path::new("f")).unwrap();
        entries
            .into_iter()
            .map(|entry| (entry.key, entry.origin.to_string()))
            .collect()
    }

    #[test]
    fn tables_and_dotted_keys_give_keys_with_lines() {
        let found = lines("engine.threads = 2\n\n[demo]\n# a comment\nrounds = 3\npeers = 4\n");
        let expected = [
            ("engine.threads", "f:1"),
            ("demo.rounds", "f:5"),
            ("demo.peers", "f:6"),
        ];
        assert_eq!(
            found,
            expected.map(|(key, place)| (key.to_owned(), place.to_owned()))
        );
    }

    #[test]
    fn broken_syntax_is_placed() {
        let error = parse("[demo]\nrounds = = 3\n", Path::new("f.toml"))
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("f.toml:2: "), "{error}");
    }
}
