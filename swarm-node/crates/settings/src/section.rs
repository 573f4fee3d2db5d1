//! The macro that declares a section of settings, and its typed defaults.

use serde::de::DeserializeOwned;

use super::error::SettingsError;
use super::key::Key;

/// Declares the settings of a section: a struct with one documented field for each, its
/// `KEYS`, and a `Default` that is made of the keys' defaults.
///
/// A field is `name: type = "default", kind;`, where the default is written as in a flag, and its
/// documentation is also the help that people read. See the [crate's page](crate) for an example.
#[macro_export]
macro_rules! section {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $Section:ident: $section:literal {
            $(
                $(#[doc = $help:literal])+
                $field:ident: $Type:ty = $default:literal, $kind:expr;
            )*
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, $crate::serde::Deserialize)]
        #[serde(crate = "swarm_settings::serde", deny_unknown_fields)]
        $visibility struct $Section {
            $(
                $(#[doc = $help])+
                #[doc = ""]
                #[doc = concat!("Default `", $default, "`.")]
                pub $field: $Type,
            )*
        }

        impl $Section {
            /// The keys of this section.
            $visibility const KEYS: &'static [$crate::Key] = &[
                $($crate::Key {
                    name: concat!($section, ".", stringify!($field)),
                    default: $default,
                    kind: $kind,
                    documentation: concat!($($help),+),
                },)*
            ];
        }

        impl Default for $Section {
            fn default() -> Self {
                $crate::defaults(Self::KEYS)
            }
        }
    };
}

/// A section made of its keys' defaults.
///
/// # Panics
/// A default is not allowed for its key, or does not fit the field's type. Every section's tests
/// make one, so that this is a mistake that no release has.
pub fn defaults<T: DeserializeOwned>(keys: &[Key]) -> T {
    #[expect(clippy::expect_used, reason = "constants of the program; see # Panics")]
    typed(keys).expect("invariant: the defaults of a section fit its types")
}

fn typed<T: DeserializeOwned>(keys: &[Key]) -> Result<T, SettingsError> {
    let mut table = toml::Table::new();
    for key in keys {
        let value = key.kind.read(key.default).ok_or_else(|| {
            SettingsError::Schema(format!("`{}` is no {}", key.default, key.kind))
        })?;
        table.insert(key.parts().1.to_owned(), value.to_toml());
    }
    table
        .try_into()
        .map_err(|error: toml::de::Error| SettingsError::Schema(error.to_string()))
}
