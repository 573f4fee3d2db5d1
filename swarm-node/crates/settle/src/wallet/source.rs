//! Where the key of the owner's account comes from.
//!
//! The first of these that there is:
//!
//! 1. The environment variable `SWARM_NODE_WALLET_SECRET` holds the key itself.
//! 2. A keystore file holds it, the configured one or the one at the default path. Its password
//!    comes from the environment, else from a file, else a person is asked.
//! 3. There is none: the node takes part in rounds and earns nothing on a chain.
//!
//! [`WalletSource::resolve`] is pure; [`WalletSource::unlock`] reads the files.

use std::path::PathBuf;

use swarm_identity::secret::{Address, Secret, SecretError};
use thiserror::Error;

use super::file::{self, FileError};
use super::password::{self, Password, PasswordError};

/// Environment variable with the owner's secret, for servers.
pub const SECRET_VARIABLE: &str = "SWARM_NODE_WALLET_SECRET";
/// Environment variable with the keystore's password.
pub const PASSWORD_VARIABLE: &str = "SWARM_NODE_WALLET_PASSWORD";

/// What was configured about the wallet.
#[derive(Clone, Debug, Default)]
pub struct WalletInputs {
    /// The value of [`SECRET_VARIABLE`].
    pub secret: Option<Password>,
    /// The value of [`PASSWORD_VARIABLE`].
    pub password: Option<Password>,
    /// The keystore: the configured one, or the default one if a file is there.
    pub keystore: Option<PathBuf>,
    /// A file with the keystore's password.
    pub password_file: Option<PathBuf>,
}

impl WalletInputs {
    /// Adds what the environment says; `variable` looks one up.
    pub fn with_environment(self, variable: impl Fn(&str) -> Option<String>) -> Self {
        let look = |name| variable(name).map(Password::new);
        Self {
            secret: look(SECRET_VARIABLE),
            password: look(PASSWORD_VARIABLE),
            ..self
        }
    }
}

/// Where a keystore's password comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PasswordSource {
    /// It is known.
    Known(Password),
    /// From this file.
    File(PathBuf),
    /// A person is asked.
    Asked,
}

/// Where the owner's key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WalletSource {
    /// No wallet: the node takes part and earns nothing on chain.
    None,
    /// The environment holds the secret.
    Environment(Secret),
    /// A keystore holds it.
    Keystore {
        /// The file.
        path: PathBuf,
        /// Its password.
        password: PasswordSource,
    },
}

/// Why there is no wallet although one is configured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WalletError {
    /// The environment's secret is no key.
    #[error("{SECRET_VARIABLE}: {0}; or unset it to use a keystore")]
    Environment(#[source] SecretError),
    /// The keystore cannot be read or opened.
    #[error(transparent)]
    File(#[from] FileError),
    /// There is no password.
    #[error(transparent)]
    Password(#[from] PasswordError),
}

/// The owner's key, unlocked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wallet {
    /// The key.
    pub secret: Secret,
    /// Its account.
    pub address: Address,
}

impl Wallet {
    fn new(secret: Secret) -> Self {
        Self {
            address: secret.address(),
            secret,
        }
    }
}

impl WalletSource {
    /// Decides by what was configured, without looking at a file.
    ///
    /// # Errors
    /// [`WalletError::Environment`]: a secret that is set but unusable is never passed over in
    /// silence.
    pub fn resolve(given: WalletInputs) -> Result<Self, WalletError> {
        if let Some(secret) = given.secret {
            return Secret::from_hex(secret.as_str())
                .map(Self::Environment)
                .map_err(WalletError::Environment);
        }
        let password = match (given.password, given.password_file) {
            (Some(password), _) => PasswordSource::Known(password),
            (None, Some(path)) => PasswordSource::File(path),
            (None, None) => PasswordSource::Asked,
        };
        Ok(given
            .keystore
            .map_or(Self::None, |path| Self::Keystore { path, password }))
    }

    /// The key itself; `ask` puts a question to a person, [`password::ask`] at a terminal.
    ///
    /// # Errors
    /// The keystore is absent or damaged, or the password is missing or wrong.
    pub fn unlock(
        self,
        ask: impl FnOnce(&str) -> Result<Password, PasswordError>,
    ) -> Result<Option<Wallet>, WalletError> {
        match self {
            Self::None => Ok(None),
            Self::Environment(secret) => Ok(Some(Wallet::new(secret))),
            Self::Keystore { path, password } => {
                // The file first: nobody should type a password for a keystore that is not there.
                let keystore = file::read(&path)?;
                let password =
                    password.take(|| ask(&format!("Password of {}: ", path.display())))?;
                let secret = keystore
                    .open(&password)
                    .map_err(|source| FileError::keystore(&path, source))?;
                Ok(Some(Wallet::new(secret)))
            }
        }
    }
}

impl PasswordSource {
    /// The password, which has a character wherever it comes from.
    ///
    /// # Errors
    /// The file cannot be read or can be read by others, nobody answers, or the password is empty.
    pub fn take(
        self,
        ask: impl FnOnce() -> Result<Password, PasswordError>,
    ) -> Result<Password, PasswordError> {
        match self {
            Self::Known(password) => password.not_empty(|| format!("in {PASSWORD_VARIABLE}")),
            Self::File(path) => password::from_file(&path),
            Self::Asked => ask()?.not_empty(|| "typed".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::keystore::{Keystore, KeystoreRandomness};
    use super::super::scrypt::Cost;
    use super::*;

    const HEX: &str = "0x0909090909090909090909090909090909090909090909090909090909090909";

    fn secret() -> Secret {
        Secret::from_hex(HEX).unwrap()
    }

    fn given(
        variables: &[(&str, &str)],
        keystore: Option<&str>,
        password_file: Option<&str>,
    ) -> WalletInputs {
        let path = |text: Option<&str>| text.map(PathBuf::from);
        let look = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        WalletInputs {
            keystore: path(keystore),
            password_file: path(password_file),
            ..WalletInputs::default()
        }
        .with_environment(look)
    }

    fn resolved(
        variables: &[(&str, &str)],
        keystore: Option<&str>,
        password_file: Option<&str>,
    ) -> WalletSource {
        WalletSource::resolve(given(variables, keystore, password_file)).unwrap()
    }

    fn nobody(_: &str) -> Result<Password, PasswordError> {
        Err(PasswordError::Prompt(std::io::Error::other("no terminal")))
    }

    #[test]
    fn the_environment_goes_before_the_keystore_and_none_is_fine() {
        assert_eq!(resolved(&[], None, None), WalletSource::None);
        assert_eq!(
            resolved(&[(PASSWORD_VARIABLE, "p")], None, Some("f")),
            WalletSource::None
        );
        let both = resolved(
            &[(SECRET_VARIABLE, HEX), (PASSWORD_VARIABLE, "p")],
            Some("k"),
            Some("f"),
        );
        assert_eq!(both, WalletSource::Environment(secret()));
    }

    #[test]
    fn a_password_is_known_else_in_a_file_else_asked_for() {
        let keystore = |password| WalletSource::Keystore {
            path: "k".into(),
            password,
        };
        let given = PasswordSource::Known(Password::new("p".into()));
        assert_eq!(
            resolved(&[(PASSWORD_VARIABLE, "p")], Some("k"), Some("f")),
            keystore(given)
        );
        assert_eq!(
            resolved(&[], Some("k"), Some("f")),
            keystore(PasswordSource::File("f".into()))
        );
        assert_eq!(
            resolved(&[], Some("k"), None),
            keystore(PasswordSource::Asked)
        );
    }

    #[test]
    fn a_bad_secret_in_the_environment_is_an_error_without_the_value() {
        for value in ["", "0xabcd", &HEX.replace("09", "0g")] {
            let error = WalletSource::resolve(given(&[(SECRET_VARIABLE, value)], Some("k"), None))
                .unwrap_err()
                .to_string();
            assert!(
                error.starts_with(SECRET_VARIABLE) && error.contains("or unset it"),
                "{error}"
            );
            assert!(
                value.is_empty() || !error.contains(value.trim_start_matches("0x")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_keystore_opens_with_each_source_of_its_password() {
        let folder = tempfile::tempdir().unwrap();
        let (path, file) = (
            folder.path().join("wallet.json"),
            folder.path().join("password"),
        );
        let (right, cost) = (Password::new("p".into()), Cost { n: 2, r: 1, p: 1 });
        let fresh = KeystoreRandomness {
            salt: [1; 32],
            iv: [2; 16],
            id: [3; 16],
        };
        let keystore = Keystore::seal(&secret(), &right, cost, &fresh).unwrap();
        file::NewKeystoreFile::reserve(&path)
            .unwrap()
            .create(&keystore)
            .unwrap();
        swarm_files::private::create(&file, b"p\n").unwrap();
        let unlock = |password| {
            WalletSource::Keystore {
                path: path.clone(),
                password,
            }
            .unlock(|_| Ok(right.clone()))
        };
        for source in [
            PasswordSource::Known(right.clone()),
            PasswordSource::File(file),
            PasswordSource::Asked,
        ] {
            assert_eq!(unlock(source).unwrap().unwrap(), Wallet::new(secret()));
        }
        let wrong = unlock(PasswordSource::Known(Password::new("q".into())))
            .unwrap_err()
            .to_string();
        assert!(
            wrong.contains("wallet.json: the password is wrong"),
            "{wrong}"
        );
        let empty = unlock(PasswordSource::Known(Password::new(String::new())))
            .unwrap_err()
            .to_string();
        assert!(
            empty.contains("in SWARM_NODE_WALLET_PASSWORD is empty"),
            "{empty}"
        );
        let nothing = WalletSource::Keystore {
            path: path.clone(),
            password: PasswordSource::Asked,
        };
        let typed = nothing
            .unlock(|_| Ok(Password::new(String::new())))
            .unwrap_err()
            .to_string();
        assert!(typed.contains("typed is empty"), "{typed}");
    }

    #[test]
    fn without_a_terminal_the_error_names_the_variable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("absent.json");
        let source = WalletSource::Keystore {
            path,
            password: PasswordSource::Asked,
        };
        let absent =
            source.unlock(|_| panic!("asked for the password of a file that is not there"));
        assert!(absent.unwrap_err().to_string().contains("wallet new"));
        let error = WalletError::from(nobody("").unwrap_err()).to_string();
        assert!(
            error.contains("no terminal") && error.contains(PASSWORD_VARIABLE),
            "{error}"
        );
    }

    #[test]
    fn no_wallet_and_the_environment_need_no_file() {
        assert_eq!(WalletSource::None.unlock(nobody).unwrap(), None);
        let wallet = WalletSource::Environment(secret())
            .unlock(nobody)
            .unwrap()
            .unwrap();
        assert_eq!(wallet.address, secret().address());
    }
}
