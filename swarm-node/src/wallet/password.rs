//! Passwords: wiped when dropped, hidden from `Debug`, taken from a file or from a person.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::{fmt, io};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::store::private;

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
    #[error("cannot read the password file {path}: {source}; check the path and its permissions", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The password file is not text.
    #[error("the password file {path} is not UTF-8 text; write the password into it as text", path = path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// Nobody could be asked.
    #[error("cannot ask for the wallet's password: {0}; set SWARM_NODE_WALLET_PASSWORD or name a password file")]
    Prompt(#[source] io::Error),
    /// A new password was typed differently the second time.
    #[error("the two passwords differ; type the same one twice")]
    Differ,
    /// A new password without a character.
    #[error("the password is empty; a keystore needs one that others cannot guess")]
    Empty,
}

/// Reads a password file; one line break at its end is not part of the password.
///
/// # Errors
/// The file cannot be read, is longer than [`MAX_PASSWORD_BYTES`], or is not text.
pub fn from_file(path: &Path) -> Result<Password, PasswordError> {
    let bytes = File::open(path)
        .and_then(|file| private::read(&file, MAX_PASSWORD_BYTES))
        .map_err(|source| PasswordError::File { path: path.into(), source })?;
    let text = std::str::from_utf8(&bytes).map_err(|_| PasswordError::NotText { path: path.into() })?;
    let line = text.strip_suffix('\n').unwrap_or(text);
    Ok(Password::new(line.strip_suffix('\r').unwrap_or(line).to_owned()))
}

/// Asks at the terminal without showing what is typed.
///
/// # Errors
/// There is no terminal.
pub fn ask(question: &str) -> Result<Password, PasswordError> {
    rpassword::prompt_password(question).map(Password::new).map_err(PasswordError::Prompt)
}

/// Asks for a new password, twice.
///
/// # Errors
/// The answers differ or are empty, or `ask` fails.
pub fn choose(mut ask: impl FnMut(&str) -> Result<Password, PasswordError>) -> Result<Password, PasswordError> {
    let first = ask("New password of the keystore: ")?;
    if first.as_str().is_empty() {
        return Err(PasswordError::Empty);
    }
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
        for (bytes, password) in [("a b", "a b"), ("a b\n", "a b"), ("a b\r\n", "a b"), (" ä\n\n", " ä\n"), ("", "")]
        {
            assert_eq!(written(bytes.as_bytes()).unwrap().as_str(), password);
        }
    }

    #[test]
    fn unusable_password_files_are_named() {
        let absent = from_file(Path::new("/nowhere/password")).unwrap_err().to_string();
        assert!(absent.contains("/nowhere/password") && absent.contains("check the path"), "{absent}");
        assert!(written(b"\xff\xfe").unwrap_err().to_string().contains("not UTF-8 text"));
        assert!(written(&[b'a'; 4097]).unwrap_err().to_string().contains("more than 4096 bytes"));
    }

    #[test]
    fn a_new_password_is_typed_twice() {
        let typed = |answers: [&'static str; 2]| {
            let mut answers = answers.into_iter();
            choose(move |_| Ok(Password::new(answers.next().unwrap().into())))
        };
        assert_eq!(typed(["one", "one"]).unwrap().as_str(), "one");
        assert!(matches!(typed(["one", "two"]), Err(PasswordError::Differ)));
        assert!(matches!(typed(["", ""]), Err(PasswordError::Empty)));
    }

    #[test]
    fn debug_hides_the_password() {
        assert_eq!(format!("{:?}", Password::new("hunter2".into())), "Password(…)");
    }
}
