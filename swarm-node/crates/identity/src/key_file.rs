//! The node's key on disk: two lines of text, mode 0600, locked by the process that uses it.
//!
//! ```text
//! swarm-node key 1
//! 64 hexadecimal digits
//! ```
//! It is not encrypted, because a node restarts without a person; whoever reads it can speak for
//! the node.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use swarm_files::private;
use swarm_files::text_file::{self, NotText};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::key::NodeKey;
use crate::secret::{Secret, SecretError};

/// The first line: what the file is, and the version of its layout.
pub const HEADER: &str = "swarm-node key 1";
/// Longest key file that is read, in bytes; one has 82.
pub const MAX_BYTES: usize = 256;

/// Why a node's key file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The system refuses.
    #[error(
        "cannot access the node's key {path}: {source}; check free space and permissions",
        path = path.display()
    )]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Another process has it.
    #[error(
        "the node's key {path} is in use by another process; stop that one, or give this node a \
         folder of its own",
        path = path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error(
        "others can read the node's key {path} (mode {mode:o}); run `chmod 600 {path}`, and if \
         somebody may have read it, \
         move it away so that a new one is made",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// It is not a key file of this version.
    #[error(
        "{path} is not a node's key: {source}; restore it from a copy, or move it away to start \
         with a new identity",
        path = path.display()
    )]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KeyTextError,
    },
}

impl KeyFileError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// Why a text is not a key file's. The secret is never told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyTextError {
    /// It is in another encoding.
    #[error("{0}")]
    NotText(#[from] NotText),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// The first line is another one.
    #[error("its first line is not \"{HEADER}\"")]
    Header,
    /// The second line is missing.
    #[error("it ends after its first line")]
    Truncated,
    /// The second line is no secret.
    #[error("{0}")]
    Secret(#[from] SecretError),
    /// More lines follow.
    #[error("it has {0} lines instead of 2")]
    Lines(usize),
}

/// The text of a key file.
pub fn to_text(secret: &Secret) -> Zeroizing<String> {
    let digits = Zeroizing::new(const_hex::encode(secret.to_bytes()));
    Zeroizing::new(format!("{HEADER}\n{}\n", *digits))
}

/// The secret in a key file's text.
///
/// # Errors
/// Every [`KeyTextError`].
pub fn from_text(text: &str) -> Result<Secret, KeyTextError> {
    let mut lines = text.lines();
    match lines.next() {
        None => return Err(KeyTextError::Empty),
        Some(HEADER) => {}
        Some(_) => return Err(KeyTextError::Header),
    }
    let secret = lines.next().ok_or(KeyTextError::Truncated)?;
    match lines.count() {
        0 => Ok(Secret::from_hex(secret)?),
        more => Err(KeyTextError::Lines(2 + more)),
    }
}

/// The node's key, and the lock on its file for as long as this value lives.
#[derive(Debug)]
pub struct KeyFile {
    path: PathBuf,
    secret: Secret,
    key: NodeKey,
    created: bool,
    _lock: File,
}

impl KeyFile {
    /// Reads and locks the key; if there is none, writes the one that `fresh` gives
    /// ([`Secret::random`]).
    ///
    /// # Errors
    /// Locked by another process, readable by others, or not a key file; it is never written over.
    pub fn open(
        path: &Path,
        fresh: impl FnOnce() -> io::Result<Secret>,
    ) -> Result<Self, KeyFileError> {
        let created = match File::open(path) {
            Ok(file) => return Self::take(path, file, false),
            Err(absent) if absent.kind() == io::ErrorKind::NotFound => create(path, fresh),
            Err(other) => Err(other),
        };
        let created = created.map_err(|source| KeyFileError::io(path, source))?;
        let file = File::open(path).map_err(|source| KeyFileError::io(path, source))?;
        Self::take(path, file, created)
    }

    fn take(path: &Path, file: File, created: bool) -> Result<Self, KeyFileError> {
        lock(path, &file)?;
        let secret = read(path, &file)?;
        Ok(Self {
            path: path.into(),
            key: NodeKey::from(&secret),
            secret,
            created,
            _lock: file,
        })
    }

    /// The key that signs.
    pub fn key(&self) -> &NodeKey {
        &self.key
    }

    /// The secret itself, for the transport that proves the node's identity with it.
    pub fn secret(&self) -> &Secret {
        &self.secret
    }

    /// True if the key was made by this call of [`KeyFile::open`].
    pub fn is_new(&self) -> bool {
        self.created
    }

    /// What its owner should do about copies.
    pub fn backup_hint(&self) -> String {
        let path = self.path.display();
        format!(
            "the node's identity is the file {path}; keep a copy: `cp -p {path} FOLDER`, and never \
             run both at once"
        )
    }
}

/// The secret in a key file, without its lock: a node that runs keeps nobody from reading it.
///
/// # Errors
/// Every [`KeyFileError`] but that another process has it.
pub fn peek(path: &Path) -> Result<Secret, KeyFileError> {
    let file = File::open(path).map_err(|source| KeyFileError::io(path, source))?;
    read(path, &file)
}

/// Whether a process has the key. For a moment this call has its lock, so a process that starts at
/// that moment is refused.
///
/// # Errors
/// There is no such file, or the system refuses.
pub fn is_in_use(path: &Path) -> Result<bool, KeyFileError> {
    let file = File::open(path).map_err(|source| KeyFileError::io(path, source))?;
    match lock(path, &file) {
        Ok(()) => Ok(false),
        Err(KeyFileError::Locked { .. }) => Ok(true),
        Err(other) => Err(other),
    }
}

/// True if the file is this call's: another process may be faster, and its key is the node's then.
fn create(path: &Path, fresh: impl FnOnce() -> io::Result<Secret>) -> io::Result<bool> {
    match private::create(path, to_text(&fresh()?).as_bytes()) {
        Ok(()) => Ok(true),
        Err(taken) if taken.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(other) => Err(other),
    }
}

fn lock(path: &Path, file: &File) -> Result<(), KeyFileError> {
    file.try_lock().map_err(|refused| match refused {
        TryLockError::WouldBlock => KeyFileError::Locked { path: path.into() },
        TryLockError::Error(source) => KeyFileError::io(path, source),
    })
}

fn read(path: &Path, file: &File) -> Result<Secret, KeyFileError> {
    let io = |source| KeyFileError::io(path, source);
    if let Some(mode) = private::exposed_mode(file).map_err(io)? {
        return Err(KeyFileError::Exposed {
            path: path.into(),
            mode,
        });
    }
    let bytes = private::read(file, MAX_BYTES).map_err(io)?;
    let text = text_file::decode(&bytes).map_err(KeyTextError::from);
    text.and_then(from_text)
        .map_err(|source| KeyFileError::Content {
            path: path.into(),
            source,
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.key");
        (folder, path)
    }

    fn fixed() -> io::Result<Secret> {
        Ok(Secret::from_bytes(&[5; 32]).unwrap())
    }

    fn never() -> io::Result<Secret> {
        panic!("a new key although there is one")
    }

    fn error_of(content: &[u8]) -> String {
        let (_folder, path) = at();
        private::create(&path, content).unwrap();
        KeyFile::open(&path, never).unwrap_err().to_string()
    }

    #[test]
    fn a_key_is_made_once_and_comes_back() {
        let (_folder, path) = at();
        let made = KeyFile::open(&path, fixed).unwrap();
        assert!(made.is_new() && made.backup_hint().contains("cp -p"));
        drop(made);
        let back = KeyFile::open(&path, never).unwrap();
        assert_eq!((back.is_new(), back.secret()), (false, &fixed().unwrap()));
        assert_eq!(
            back.key().peer(),
            NodeKey::from_secret(&[5; 32]).unwrap().peer()
        );
        assert_eq!(
            std::fs::read(&path).unwrap(),
            format!("swarm-node key 1\n{}\n", "05".repeat(32)).as_bytes()
        );
    }

    #[test]
    fn a_second_holder_is_refused_until_the_first_is_gone() {
        let (_folder, path) = at();
        let first = KeyFile::open(&path, fixed).unwrap();
        let error = KeyFile::open(&path, never).unwrap_err().to_string();
        assert!(
            error.contains("in use by another process; stop that one"),
            "{error}"
        );
        drop(first);
        KeyFile::open(&path, never).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn a_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = at();
        drop(KeyFile::open(&path, fixed).unwrap());
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let error = KeyFile::open(&path, never).unwrap_err().to_string();
        assert!(error.contains("(mode 640); run `chmod 600 /"), "{error}");
    }

    #[test]
    fn damaged_files_are_told_apart_and_the_secret_is_never_told() {
        let whole = to_text(&fixed().unwrap());
        let cases = [
            ("", "it is empty"),
            (
                "swarm-node key 2\n00\n",
                "its first line is not \"swarm-node key 1\"",
            ),
            (&whole[..17], "it ends after its first line"),
            (&whole[..50], "33 characters; give 64"),
            (&format!("{}more\n", *whole), "3 lines instead of 2"),
            (
                &format!("{HEADER}\n{}\n", "00".repeat(32)),
                "not a key of secp256k1",
            ),
            (&" ".repeat(257), "more than 256 bytes"),
        ];
        for (text, expected) in cases {
            let error = error_of(text.as_bytes());
            assert!(
                error.contains(expected) && error.contains("node.key"),
                "{error}"
            );
            assert!(!error.contains("0505"), "{error}");
        }
        let other = error_of(b"\xff\xfes\0");
        assert!(
            other.contains("UTF-16") && other.contains("move it away to start with a new identity"),
            "{other}"
        );
    }

    #[test]
    fn a_key_file_of_another_editor_is_read_too() {
        let (_folder, path) = at();
        let text = format!(
            "\u{feff}{}",
            to_text(&fixed().unwrap()).replace('\n', "\r\n")
        );
        private::create(&path, text.as_bytes()).unwrap();
        assert_eq!(
            KeyFile::open(&path, never).unwrap().secret(),
            &fixed().unwrap()
        );
    }

    #[test]
    fn unreachable_places_are_named() {
        let (_folder, path) = at();
        std::fs::write(&path, "").unwrap();
        let error = KeyFile::open(&path.join("node.key"), fixed)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("check free space and permissions"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn every_key_comes_back(bytes: [u8; 32]) {
            let Ok(secret) = Secret::from_bytes(&bytes) else { return Ok(()) };
            prop_assert_eq!(from_text(&to_text(&secret)), Ok(secret));
        }

        #[test]
        fn a_changed_byte_never_panics(place in 0..82usize, byte: u8) {
            let mut bytes = to_text(&fixed().unwrap()).as_bytes().to_vec();
            bytes[place] = byte;
            if let Ok(text) = std::str::from_utf8(&bytes) {
                let _ = from_text(text);
            }
        }
    }
}
