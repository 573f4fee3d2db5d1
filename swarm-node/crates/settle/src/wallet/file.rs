//! Keystores on disk: created once with mode 0600, never written over, and refused while others can
//! read them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use swarm_files::private;
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved, folder_of};
use thiserror::Error;

use super::NEW_COMMAND;
use super::keystore::{Keystore, KeystoreError, KeystoreRandomness, MAX_BYTES};

/// Why a keystore file cannot be written or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing is there.
    #[error("no keystore at {path}; `{NEW_COMMAND}` makes one", path = path.display())]
    Absent {
        /// The path.
        path: PathBuf,
    },
    /// Something is there, and a key that is written over is lost.
    #[error(
        "{path} exists and is not written over; move it away, or choose another path",
        path = path.display()
    )]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses to read.
    #[error(
        "cannot access the keystore {path}: {source}; check free space and permissions",
        path = path.display()
    )]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refuses to write.
    #[error(
        "the keystore {path} cannot be written: {source}; name a file in a folder that can be \
         written",
        path = path.display()
    )]
    Unwritable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Others can read it, and try passwords on it.
    #[error(
        "others can read the keystore {path} (mode {mode:o}) and try passwords on it; run `chmod \
         600 {path}`",
        path = path.display()
    )]
    Exposed {
        /// The path.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file is no keystore, or does not open.
    #[error("{path}: {source}", path = path.display())]
    Keystore {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        source: KeystoreError,
    },
}

impl FileError {
    fn read(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::Absent { path },
            _ => Self::Io { path, source },
        }
    }

    fn write(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ => Self::Unwritable { path, source },
        }
    }

    pub(super) fn keystore(path: &Path, source: KeystoreError) -> Self {
        Self::Keystore {
            path: path.to_owned(),
            source,
        }
    }
}

/// The place of a keystore that is not made yet.
#[derive(Debug)]
pub struct NewKeystoreFile {
    reserved: Reserved,
    path: PathBuf,
}

impl NewKeystoreFile {
    /// Reserves a path where nothing is, before somebody is asked for a password; missing folders
    /// are made.
    ///
    /// # Errors
    /// [`FileError::Exists`], or the system refuses.
    pub fn reserve(path: &Path) -> Result<Self, FileError> {
        // A link that leads nowhere is something, too.
        if path.symlink_metadata().is_ok() {
            return Err(FileError::Exists {
                path: path.to_owned(),
            });
        }
        let reserved = std::fs::create_dir_all(folder_of(path))
            .and_then(|()| Reserved::new(path, Access::Owner, MAX_BYTES))
            // Also where a file stands in the folder's place: what exists then is not the keystore.
            .map_err(|source| FileError::Unwritable {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            reserved,
            path: path.to_owned(),
        })
    }

    /// Writes the keystore.
    ///
    /// # Errors
    /// [`FileError::Exists`], or the system refuses; no file is there then.
    pub fn create(self, keystore: &Keystore) -> Result<(), FileError> {
        let text = keystore
            .to_text()
            .map_err(|source| FileError::keystore(&self.path, source))?;
        self.reserved
            .create(text.as_bytes())
            .map_err(|source| FileError::write(&self.path, source))
    }
}

/// Reads a keystore.
///
/// # Errors
/// Absent, unreadable, readable by others, or no keystore.
pub fn read(path: &Path) -> Result<Keystore, FileError> {
    let io = |source| FileError::read(path, source);
    let file = File::open(path).map_err(io)?;
    if let Some(mode) = private::exposed_mode(&file).map_err(io)? {
        return Err(FileError::Exposed {
            path: path.into(),
            mode,
        });
    }
    let bytes = private::read(&file, MAX_BYTES).map_err(io)?;
    let text = text_file::decode(&bytes).map_err(|refused| io(refused.into()))?;
    Keystore::parse(text.as_bytes()).map_err(|source| FileError::keystore(path, source))
}

impl KeystoreRandomness {
    /// From the operating system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> io::Result<Self> {
        let mut fresh = Self {
            salt: [0; 32],
            iv: [0; 16],
            id: [0; 16],
        };
        for bytes in [&mut fresh.salt[..], &mut fresh.iv, &mut fresh.id] {
            getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))?;
        }
        Ok(fresh)
    }
}

#[cfg(test)]
mod tests {
    use swarm_identity::secret::Secret;

    use super::super::password::Password;
    use super::super::scrypt::Cost;
    use super::*;

    fn sealed(byte: u8) -> Keystore {
        let secret = Secret::from_bytes(&[byte; 32]).unwrap();
        let cost = Cost { n: 2, r: 1, p: 1 };
        Keystore::seal(
            &secret,
            &Password::new("p".into()),
            cost,
            &KeystoreRandomness::random().unwrap(),
        )
        .unwrap()
    }

    fn at(name: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        (folder, path)
    }

    #[test]
    fn a_keystore_comes_back_and_is_never_written_over() {
        let (_folder, path) = at("wallet.json");
        NewKeystoreFile::reserve(&path)
            .unwrap()
            .create(&sealed(1))
            .unwrap();
        let error = NewKeystoreFile::reserve(&path).unwrap_err().to_string();
        assert!(
            error.contains("wallet.json exists and is not written over; move it away"),
            "{error}"
        );
        assert_eq!(read(&path).unwrap().address(), sealed(1).address());
    }

    #[test]
    fn a_place_that_cannot_be_written_is_refused_with_the_remedy() {
        let (_folder, file) = at("file");
        std::fs::write(&file, "").unwrap();
        let error = NewKeystoreFile::reserve(&file.join("wallet.json"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("file/wallet.json cannot be written")
                && error.contains("name a file in"),
            "{error}"
        );
    }

    #[test]
    fn a_keystore_that_came_in_between_is_not_written_over() {
        let (_folder, path) = at("wallet.json");
        let place = NewKeystoreFile::reserve(&path).unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(matches!(
            place.create(&sealed(1)),
            Err(FileError::Exists { .. })
        ));
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
    }

    #[test]
    fn an_absent_keystore_names_the_command_that_makes_one() {
        let (_folder, path) = at("none.json");
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("none.json") && error.contains("`swarm-node wallet new` makes one"),
            "{error}"
        );
    }

    #[test]
    fn damaged_files_are_named() {
        let (_folder, path) = at("damaged.json");
        private::create(&path, b"{\"version\": 3").unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(
            error.contains("damaged.json") && error.contains("truncated or corrupted"),
            "{error}"
        );
        let (_folder, path) = at("long.json");
        private::create(&path, &vec![b' '; MAX_BYTES + 1]).unwrap();
        assert!(
            read(&path)
                .unwrap_err()
                .to_string()
                .contains("more than 65536 bytes")
        );
        assert!(
            read(path.parent().unwrap())
                .unwrap_err()
                .to_string()
                .contains("check free space and permissions")
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_keystore_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let (_folder, path) = at("open.json");
        NewKeystoreFile::reserve(&path)
            .unwrap()
            .create(&sealed(1))
            .unwrap();
        for mode in [0o644, 0o640, 0o602, 0o610] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = read(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("(mode {mode:o})")) && error.contains("run `chmod 600 /"),
                "{error}"
            );
        }
        for mode in [0o600, 0o400] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read(&path).unwrap();
        }
    }

    #[test]
    fn a_keystore_of_another_editor_is_read_too() {
        let (_folder, path) = at("marked.json");
        let text = format!(
            "\u{feff}{}",
            sealed(1).to_text().unwrap().replace('\n', "\r\n")
        );
        private::create(&path, text.as_bytes()).unwrap();
        assert_eq!(read(&path).unwrap().address(), sealed(1).address());
        let (_folder, path) = at("wide.json");
        private::create(&path, b"\xff\xfe{\0}\0").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("UTF-16"));
    }
}
