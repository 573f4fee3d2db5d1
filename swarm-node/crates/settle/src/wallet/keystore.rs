//! Keystores: Web3 Secret Storage, version 3, as text. Pure: salt, initial counter and identifier
//! are arguments.
//!
//! ```text
//! password ─scrypt(salt, n, r, p)─▶ 32 bytes ─┬─ first half:  AES-128-CTR key, secret ⇄ ciphertext
//!                                             └─ second half: Keccak-256(half ‖ ciphertext) = mac
//! ```
//! The `mac` tells a wrong password, or a changed file, from a right one; `address`, if present,
//! must be the secret's. Other wallets read and write the same format. Of the two derivations the
//! format knows, only scrypt is read: PBKDF2 costs an attacker no memory.

use aes::cipher::{KeyIvInit, StreamCipher};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha3::{Digest, Keccak256};
use swarm_identity::secret::{Address, Secret};
use thiserror::Error;
use zeroize::Zeroizing;

use super::hex::Hex;
use super::password::Password;
use super::scrypt::{Cost, CostError, KEY_BYTES};

/// The version of the format.
pub const VERSION: u64 = 3;
/// Longest keystore that is read, in bytes; usual ones have about 500.
pub const MAX_BYTES: usize = 65_536;
const KDF: &str = "scrypt";
const CIPHER: &str = "aes-128-ctr";

/// Why a text is not a keystore, or does not open.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Not JSON, or a field is missing or of the wrong kind.
    #[error("not a keystore: {0}; the file is truncated or corrupted, restore it from a copy")]
    Malformed(String),
    /// Another version of the format.
    #[error(
        "keystore version {0} is not {VERSION}; export the key again from the wallet that wrote it"
    )]
    Version(Value),
    /// A key derivation that is not read.
    #[error(
        "the keystore's key derivation is {0:?}, only {KDF:?} is read; export it again with scrypt"
    )]
    Kdf(String),
    /// A cipher that is not read.
    #[error("the keystore's cipher is {0:?}, only {CIPHER:?} is read; export it again with that")]
    Cipher(String),
    /// The derived key is too short for the cipher and the check sum.
    #[error(
        "the keystore derives {0} bytes (dklen), at least {KEY_BYTES} are needed; restore it from \
         a copy"
    )]
    DerivedLength(u64),
    /// The password's derivation is impossible or too expensive.
    #[error(transparent)]
    Cost(#[from] CostError),
    /// The check sum differs.
    #[error(
        "the password is wrong, or the keystore was changed; type it again, or restore the file \
         from a copy"
    )]
    Password,
    /// What was encrypted is no key.
    #[error("the keystore holds no key of secp256k1; restore it from a copy")]
    NotAKey,
    /// The key belongs to another account than the file says.
    #[error(
        "the keystore says {stated} but holds the key of {found}; find out which account you mean \
         to use"
    )]
    Address {
        /// The file's `address`.
        stated: Address,
        /// The key's.
        found: Address,
    },
}

/// What must be new for every keystore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeystoreRandomness {
    /// Salt of the password.
    pub salt: [u8; 32],
    /// First counter of the cipher.
    pub iv: [u8; 16],
    /// The file's identifier; its version bits are set when it is written.
    pub id: [u8; 16],
}

/// A keystore as it stands in a file: encrypted, so safe to show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keystore {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    address: Option<Hex<20>>,
    // Some wallets write a capital.
    #[serde(alias = "Crypto")]
    crypto: Crypto,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    version: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Crypto {
    cipher: String,
    cipherparams: CipherParams,
    ciphertext: Hex<32>,
    kdf: String,
    kdfparams: KdfParams,
    mac: Hex<32>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct CipherParams {
    iv: Hex<16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct KdfParams {
    dklen: u64,
    n: u64,
    p: u32,
    r: u32,
    #[serde(with = "super::hex::bytes")]
    salt: Vec<u8>,
}

impl Keystore {
    /// Encrypts a secret.
    ///
    /// # Errors
    /// [`KeystoreError::Cost`].
    pub fn seal(
        secret: &Secret,
        password: &Password,
        cost: Cost,
        fresh: &KeystoreRandomness,
    ) -> Result<Self, KeystoreError> {
        let key = cost.derive(password, &fresh.salt)?;
        let mut ciphertext = *secret.to_bytes();
        apply_cipher(&key, &fresh.iv, &mut ciphertext);
        let crypto = Crypto {
            cipher: CIPHER.into(),
            cipherparams: CipherParams { iv: Hex(fresh.iv) },
            ciphertext: Hex(ciphertext),
            kdf: KDF.into(),
            kdfparams: KdfParams::new(cost, fresh.salt.to_vec()),
            mac: Hex(mac(&key, &ciphertext)),
        };
        Ok(Self {
            address: Some(Hex(secret.address().0)),
            crypto,
            id: Some(uuid(fresh.id)),
            version: VERSION,
        })
    }

    /// Decrypts the secret. Takes as long as the keystore's cost says.
    ///
    /// # Errors
    /// The password is wrong, the cost is refused, or the key is not the stated account's.
    pub fn open(&self, password: &Password) -> Result<Secret, KeystoreError> {
        let Crypto {
            cipherparams,
            ciphertext,
            kdfparams,
            ..
        } = &self.crypto;
        let key = kdfparams.cost().derive(password, &kdfparams.salt)?;
        if mac(&key, &ciphertext.0) != self.crypto.mac.0 {
            return Err(KeystoreError::Password);
        }
        let mut bytes = Zeroizing::new(ciphertext.0);
        apply_cipher(&key, &cipherparams.iv.0, &mut bytes);
        let secret = Secret::from_bytes(&bytes).map_err(|_| KeystoreError::NotAKey)?;
        self.check_address(secret.address())?;
        Ok(secret)
    }

    /// The account that the file states, without a password; a lie is found by [`Keystore::open`].
    pub fn address(&self) -> Option<Address> {
        self.address.map(|address| Address(address.0))
    }

    /// Reads a keystore's text.
    ///
    /// # Errors
    /// It is not JSON, of another version, or uses another cipher or derivation.
    pub fn parse(text: &[u8]) -> Result<Self, KeystoreError> {
        let malformed = |error: serde_json::Error| KeystoreError::Malformed(error.to_string());
        let value: Value = serde_json::from_slice(text).map_err(malformed)?;
        check_header(&value)?;
        let keystore: Self = serde_json::from_value(value).map_err(malformed)?;
        match keystore.crypto.kdfparams.dklen {
            short if short < KEY_BYTES as u64 => Err(KeystoreError::DerivedLength(short)),
            _ => Ok(keystore),
        }
    }

    /// The text of a file.
    ///
    /// # Errors
    /// None for keystores that this module made.
    pub fn to_text(&self) -> Result<String, KeystoreError> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| KeystoreError::Malformed(error.to_string()))?;
        Ok(text + "\n")
    }

    fn check_address(&self, found: Address) -> Result<(), KeystoreError> {
        match self.address() {
            Some(stated) if stated != found => Err(KeystoreError::Address { stated, found }),
            _ => Ok(()),
        }
    }
}

/// Judges version, cipher and derivation first: with another one the other fields look different,
/// too.
fn check_header(value: &Value) -> Result<(), KeystoreError> {
    let version = value
        .get("version")
        .ok_or(KeystoreError::Malformed("no field `version`".into()))?;
    if *version != VERSION {
        return Err(KeystoreError::Version(version.clone()));
    }
    let crypto = value.get("crypto").or(value.get("Crypto"));
    let name = |field| {
        crypto
            .and_then(|crypto| crypto.get(field))
            .and_then(Value::as_str)
    };
    match (name("kdf"), name("cipher")) {
        (Some(kdf), _) if kdf != KDF => Err(KeystoreError::Kdf(kdf.into())),
        (_, Some(cipher)) if cipher != CIPHER => Err(KeystoreError::Cipher(cipher.into())),
        _ => Ok(()),
    }
}

impl KdfParams {
    fn new(cost: Cost, salt: Vec<u8>) -> Self {
        Self {
            dklen: KEY_BYTES as u64,
            n: cost.n,
            p: cost.p,
            r: cost.r,
            salt,
        }
    }

    fn cost(&self) -> Cost {
        Cost {
            n: self.n,
            r: self.r,
            p: self.p,
        }
    }
}

/// Encrypts or decrypts; the format counts in 128 bits, big-endian.
fn apply_cipher(key: &[u8; KEY_BYTES], iv: &[u8; 16], bytes: &mut [u8; 32]) {
    ctr::Ctr128BE::<aes::Aes128>::new(key[..16].into(), iv.into()).apply_keystream(bytes);
}

fn mac(key: &[u8; KEY_BYTES], ciphertext: &[u8; 32]) -> [u8; 32] {
    Keccak256::new()
        .chain_update(&key[16..])
        .chain_update(ciphertext)
        .finalize()
        .into()
}

/// A random identifier in the notation of RFC 9562, version 4.
fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = const_hex::encode(bytes);
    [20, 16, 12, 8]
        .into_iter()
        .for_each(|place| text.insert(place, '-'));
    text
}

#[cfg(test)]
mod tests;
