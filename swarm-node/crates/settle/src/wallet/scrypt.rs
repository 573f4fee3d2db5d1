//! From a password to a key: scrypt, with its cost judged before any of it is paid.

use thiserror::Error;
use zeroize::Zeroizing;

use super::password::Password;

/// Most memory that a keystore may ask for, in bytes.
pub const MAX_MEMORY: u64 = 1 << 30;
/// Most work that a keystore may ask for, in mixes of 128 bytes (`n·r·p`): 64 times the default.
pub const MAX_WORK: u64 = 1 << 26;
/// Bytes that are derived: half for the cipher, half for the check sum.
pub const KEY_BYTES: usize = 32;

/// What a guess of the password costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Rounds, a power of two; time and memory grow with it.
    pub n: u64,
    /// Size of a block, in 128 bytes.
    pub r: u32,
    /// Repetitions, one after another.
    pub p: u32,
}

impl Default for Cost {
    /// 2^17, 8, 1: 128 MiB, and some tenths of a second.
    fn default() -> Self {
        Self {
            n: 1 << 17,
            r: 8,
            p: 1,
        }
    }
}

/// A cost that is not paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CostError {
    /// Not parameters of scrypt.
    #[error(
        "scrypt with n={}, r={}, p={} does not exist (n is a power of two above 1, r and p are at \
         least 1); restore the keystore from a copy",
        .0.n, .0.r, .0.p
    )]
    Invalid(Cost),
    /// More memory or time than is given to one file.
    #[error(
        "scrypt with n={}, r={}, p={} takes more than {MAX_MEMORY} bytes or n·r·p over {MAX_WORK}; \
         make the keystore again with a smaller cost",
        .0.n, .0.r, .0.p
    )]
    TooMuch(Cost),
}

impl Cost {
    /// Bytes of memory; `None` beyond 64 bits.
    fn memory(self) -> Option<u64> {
        let blocks = self.n.checked_add(u64::from(self.p))?.checked_add(1)?;
        blocks.checked_mul(128 * u64::from(self.r))
    }

    /// Mixes of 128 bytes; `None` beyond 64 bits.
    fn work(self) -> Option<u64> {
        self.n
            .checked_mul(u64::from(self.r))?
            .checked_mul(u64::from(self.p))
    }

    fn params(self) -> Result<scrypt::Params, CostError> {
        let affordable = self.memory().is_some_and(|bytes| bytes <= MAX_MEMORY)
            && self.work().is_some_and(|mixes| mixes <= MAX_WORK);
        if !self.n.is_power_of_two() || self.n == 1 {
            return Err(CostError::Invalid(self));
        }
        if !affordable {
            return Err(CostError::TooMuch(self));
        }
        let log_n = self.n.trailing_zeros() as u8;
        scrypt::Params::new(log_n, self.r, self.p).map_err(|_| CostError::Invalid(self))
    }

    /// The key of a password and a salt.
    ///
    /// # Errors
    /// The cost is invalid or beyond [`MAX_MEMORY`] and [`MAX_WORK`]; nothing is allocated then.
    pub fn derive(
        self,
        password: &Password,
        salt: &[u8],
    ) -> Result<Zeroizing<[u8; KEY_BYTES]>, CostError> {
        let params = self.params()?;
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        scrypt::scrypt(password.as_bytes(), salt, &params, key.as_mut())
            .map_err(|_| CostError::Invalid(self))?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7914, section 12, the first 32 bytes of the second vector.
    #[test]
    fn a_known_password_has_its_known_key() {
        let cost = Cost {
            n: 1024,
            r: 8,
            p: 16,
        };
        let key = cost
            .derive(&Password::new("password".into()), b"NaCl")
            .unwrap();
        assert_eq!(
            const_hex::encode(*key),
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        );
    }

    #[test]
    fn the_default_and_what_others_write_are_affordable() {
        let others = [
            Cost::default(),
            Cost {
                n: 1 << 18,
                r: 8,
                p: 1,
            },
            Cost {
                n: 1 << 18,
                r: 1,
                p: 8,
            },
        ];
        assert!(others.into_iter().all(|cost| cost.params().is_ok()));
    }

    #[test]
    fn hostile_costs_are_refused_before_they_are_paid() {
        let (n, r, p) = (1 << 17, 8, 1);
        for cost in [
            Cost {
                n: 1 << 20,
                r: 8,
                p,
            },
            Cost { n, r: 1 << 20, p },
            Cost {
                n: 2,
                r: 1,
                p: u32::MAX,
            },
        ] {
            assert_eq!(cost.params().err(), Some(CostError::TooMuch(cost)));
        }
        let longest = Cost {
            n: 1 << 63,
            r: u32::MAX,
            p: u32::MAX,
        };
        assert_eq!(longest.params().err(), Some(CostError::TooMuch(longest)));
        for cost in [
            Cost { n: 0, r, p },
            Cost { n: 1, r, p },
            Cost { n: 3, r, p },
            Cost { n, r: 0, p },
            Cost { n, r, p: 0 },
        ] {
            assert_eq!(cost.params().err(), Some(CostError::Invalid(cost)));
        }
    }

    #[test]
    fn errors_name_the_values_and_the_remedy() {
        let error = CostError::TooMuch(Cost {
            n: 1 << 20,
            r: 8,
            p: 1,
        })
        .to_string();
        let named = ["n=1048576, r=8, p=1", "1073741824 bytes", "smaller cost"];
        assert!(named.iter().all(|part| error.contains(part)), "{error}");
    }
}
