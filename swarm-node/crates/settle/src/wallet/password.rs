//! Passwords: wiped when dropped, hidden from `Debug`, taken from a file or from a person.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use swarm_files::private;
use swarm_files::text_file::{self, NotText};
use thiserror::Error;
use zeroize::Zeroizing;

/// Longest password file that is read, in bytes.
pub const MAX_PASSWORD_BYTES: usize = 4096;

/// A password. Its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Zeroizing<String>);

impl Password {
    /// Takes a text as it is.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The bytes that the key is derived from: the text in UTF-8, as it is.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The password, if it has a character; `from` says where it is.
    ///
    /// # Errors
    /// [`PasswordError::Empty`].
    pub(super) fn not_empty(self, from: impl FnOnce() -> String) -> Result<Self, PasswordError> {
        if self.0.is_empty() {
            Err(PasswordError::Empty { from: from() })
        } else {
            Ok(self)
        }
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Password(…)")
    }
}

/// Why there is no password.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// The password file cannot be read.
    #[error(
        "cannot read the password file {path}: {source}; check the path and its permissions",
        path = path.display()
    )]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The password file is not text.
    #[error("cannot read the password file {path}: {source}", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: NotText,
    },
    /// Others can read the password file.
    #[error(
        "others can read the password file {path} (mode {mode:o}); run `chmod 600 {path}`",
        path = path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// Nobody could be asked.
    #[error(
        "cannot ask for the wallet's password: {0}; set SWARM_NODE_WALLET_PASSWORD or name a \
         password file"
    )]
    Prompt(#[source] io::Error),
    /// A new password was typed differently the second time.
    #[error("the two passwords differ; type the same one twice")]
    Differ,
    /// A password without a character, from the environment, a file or a person.
    #[error("the password {from} is empty; a keystore needs one that others cannot guess")]
    Empty {
        /// Where it is: "in …", or "typed".
        from: String,
    },
}

/// Reads a password file; one line break at its end is not part of the password.
///
/// # Errors
/// The file cannot be read, can be read by others, is longer than [`MAX_PASSWORD_BYTES`], is not
/// text, or is empty.
pub fn from_file(path: &Path) -> Result<Password, PasswordError> {
    let failed = |source| PasswordError::File {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    if let Some(mode) = private::exposed_mode(&file).map_err(failed)? {
        return Err(PasswordError::Exposed {
            path: path.into(),
            mode,
        });
    }
    let bytes = private::read(&file, MAX_PASSWORD_BYTES).map_err(failed)?;
    let text = text_file::decode(&bytes).map_err(|source| PasswordError::NotText {
        path: path.into(),
        source,
    })?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    let password = Password::new(line.strip_suffix('\r').unwrap_or(line).to_owned());
    password.not_empty(|| format!("in the file {}", path.display()))
}

/// Asks at the terminal without showing what is typed.
///
/// # Errors
/// There is no terminal, or nothing is typed.
pub fn ask(question: &str) -> Result<Password, PasswordError> {
    let typed = rpassword::prompt_password(question)
        .map(Password::new)
        .map_err(PasswordError::Prompt)?;
    typed.not_empty(|| "typed".to_owned())
}

/// Asks for a new password, twice.
///
/// # Errors
/// The answers differ or are empty, or `ask` fails.
pub fn choose(
    mut ask: impl FnMut(&str) -> Result<Password, PasswordError>,
) -> Result<Password, PasswordError> {
    let first = ask("New password of the keystore: ")?.not_empty(|| "typed".to_owned())?;
    match ask("The same again: ")? == first {
        true => Ok(first),
        false => Err(PasswordError::Differ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(bytes: &[u8]) -> Result<Password, PasswordError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        private::create(&path, bytes).unwrap();
        from_file(&path)
    }

    #[test]
    fn one_line_break_is_not_part_of_a_password() {
        for (bytes, password) in [
            ("a b", "a b"),
            ("a b\n", "a b"),
            ("a b\r\n", "a b"),
            (" ä\n\n", " ä\n"),
            ("\u{feff}a b\r\n", "a b"),
        ] {
            assert_eq!(written(bytes.as_bytes()).unwrap().as_str(), password);
        }
    }

    #[test]
    fn an_empty_password_file_is_refused() {
        for bytes in ["", "\n", "\r\n", "\u{feff}"] {
            let error = written(bytes.as_bytes()).unwrap_err().to_string();
            assert!(
                error.contains("in the file /") && error.contains("is empty"),
                "{error}"
            );
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_password_file_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        private::create(&path, b"secret\n").unwrap();
        for mode in [0o644, 0o604, 0o620] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let error = from_file(&path).unwrap_err().to_string();
            assert!(
                error.contains(&format!("(mode {mode:o}); run `chmod 600 /")),
                "{error}"
            );
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn unusable_password_files_are_named() {
        let absent = from_file(Path::new("/nowhere/password"))
            .unwrap_err()
            .to_string();
        assert!(
            absent.contains("/nowhere/password") && absent.contains("check the path"),
            "{absent}"
        );
        assert!(
            written(b"\xff\xfe")
                .unwrap_err()
                .to_string()
                .contains("UTF-16")
        );
        assert!(
            written(b"ab\xff")
                .unwrap_err()
                .to_string()
                .contains("byte 2")
        );
        assert!(
            written(&[b'a'; 4097])
                .unwrap_err()
                .to_string()
                .contains("more than 4096 bytes")
        );
    }

    #[test]
    fn a_new_password_is_typed_twice() {
        let typed = |answers: [&'static str; 2]| {
            let mut answers = answers.into_iter();
            choose(move |_| Ok(Password::new(answers.next().unwrap().into())))
        };
        assert_eq!(typed(["one", "one"]).unwrap().as_str(), "one");
        assert!(matches!(typed(["one", "two"]), Err(PasswordError::Differ)));
        assert!(matches!(typed(["", ""]), Err(PasswordError::Empty { .. })));
    }

    #[test]
    fn debug_hides_the_password() {
        assert_eq!(
            format!("{:?}", Password::new("hunter2".into())),
            "Password(…)"
        );
    }
}
