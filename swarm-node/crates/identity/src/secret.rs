//! A private key, and the address that belongs to it. A secret never appears in a text: not by
//! `Debug`, not in errors.

use std::{fmt, io};

use k256::elliptic_curve::sec1::ToEncodedPoint;
use sha3::{Digest, Keccak256};
use thiserror::Error;
use zeroize::Zeroizing;

/// Digits of a secret in hexadecimal.
pub const SECRET_DIGITS: usize = 64;

/// Why a text or bytes are not a private key. The value itself is never told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SecretError {
    /// Too long or too short.
    #[error(
        "the secret has {0} characters; give {SECRET_DIGITS} hexadecimal digits, with or without \
         0x in front"
    )]
    Length(usize),
    /// Something that is not a hexadecimal digit; the place counts from 1, behind `0x`.
    #[error(
        "character {0} of the secret is not a hexadecimal digit; give {SECRET_DIGITS} of 0-9 and \
         a-f"
    )]
    NotHex(usize),
    /// Zero, or not below the order of the curve.
    #[error("the secret is not a key of secp256k1 (zero, or too large); generate another one")]
    NotAKey,
}

/// A private key of secp256k1. Its memory is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(k256::SecretKey);

impl Secret {
    /// A secret from its 32 bytes, big-endian.
    ///
    /// # Errors
    /// [`SecretError::NotAKey`].
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, SecretError> {
        k256::SecretKey::from_slice(bytes)
            .map(Self)
            .map_err(|_| SecretError::NotAKey)
    }

    /// A secret from hexadecimal digits, with or without `0x`; space around them is ignored.
    ///
    /// # Errors
    /// Every [`SecretError`].
    pub fn from_hex(text: &str) -> Result<Self, SecretError> {
        let digits = text.trim();
        let digits = digits.strip_prefix("0x").unwrap_or(digits);
        if let Some(place) = digits.chars().position(|digit| !digit.is_ascii_hexdigit()) {
            return Err(SecretError::NotHex(place + 1));
        }
        let mut bytes = Zeroizing::new([0; 32]);
        const_hex::decode_to_slice(digits, bytes.as_mut())
            .map_err(|_| SecretError::Length(digits.len()))?;
        Self::from_bytes(&bytes)
    }

    /// A new secret from the operating system's randomness.
    ///
    /// # Errors
    /// The system has no randomness to give.
    pub fn random() -> io::Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        loop {
            getrandom::fill(bytes.as_mut()).map_err(|error| io::Error::other(error.to_string()))?;
            // One draw in 2^128 is no key.
            if let Ok(secret) = Self::from_bytes(&bytes) {
                return Ok(secret);
            }
        }
    }

    /// The 32 bytes, big-endian.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The account that the secret controls.
    pub fn address(&self) -> Address {
        let point = self.0.public_key().to_encoded_point(false);
        // The first byte only says that both coordinates follow.
        let coordinates = &point.as_bytes()[1..];
        let mut address = [0; 20];
        address.copy_from_slice(&keccak(coordinates)[12..]);
        Address(address)
    }

    pub(crate) fn scalar(&self) -> &k256::SecretKey {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret(of {})", self.address())
    }
}

/// An account of an EVM chain; displayed with the checksum of EIP-55.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(pub [u8; 20]);

impl Address {
    /// An address from 40 hexadecimal digits in any case, with or without `0x`; checksums are not
    /// judged.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 20];
        const_hex::decode_to_slice(text.trim(), &mut bytes).ok()?;
        Some(Self(bytes))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = const_hex::encode(self.0);
        let hash = const_hex::encode(keccak(digits.as_bytes()));
        write!(f, "0x")?;
        // EIP-55: a letter is a capital where the hash's digit is 8 or more.
        digits
            .chars()
            .zip(hash.chars())
            .try_for_each(|(digit, hashed)| {
                write!(
                    f,
                    "{}",
                    if hashed >= '8' {
                        digit.to_ascii_uppercase()
                    } else {
                        digit
                    }
                )
            })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Keccak-256, the hash of the EVM.
fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first account that development chains give out.
    const KNOWN: &str = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";

    #[test]
    fn a_known_secret_has_its_known_address() {
        let secret = Secret::from_hex(KNOWN).unwrap();
        assert_eq!(
            secret.address().to_string(),
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
        );
        assert_eq!(
            Secret::from_hex(&format!(" {}\n", &KNOWN[2..])).unwrap(),
            secret
        );
        assert_eq!(Secret::from_bytes(&secret.to_bytes()).unwrap(), secret);
    }

    #[test]
    fn checksums_follow_eip_55() {
        for known in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        ] {
            let lower = known.to_lowercase();
            assert_eq!(Address::from_hex(&lower).unwrap().to_string(), known);
            assert_eq!(Address::from_hex(&known[2..]), Address::from_hex(&lower));
        }
        assert_eq!(Address::from_hex("0x12"), None);
    }

    #[test]
    fn errors_say_what_to_give_and_never_the_value() {
        let cases = [
            (&KNOWN[..60], "58 characters; give 64 hexadecimal digits"),
            ("", "0 characters"),
            (&KNOWN.replace("bed5", "bXd5"), "character 43 of the secret"),
            (&KNOWN.replace("bed5", "bé5"), "character 43"),
            (&"0".repeat(64), "generate another one"),
            (&"f".repeat(64), "not a key of secp256k1"),
        ];
        for (text, expected) in cases {
            let error = Secret::from_hex(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(text.is_empty() || !error.contains(text), "{error}");
        }
    }

    #[test]
    fn debug_hides_the_secret() {
        let shown = format!("{:?}", Secret::from_hex(KNOWN).unwrap());
        assert_eq!(
            shown,
            "Secret(of 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266)"
        );
    }

    #[test]
    fn random_secrets_differ() {
        assert_ne!(Secret::random().unwrap(), Secret::random().unwrap());
    }
}
