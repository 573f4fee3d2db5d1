//! Values of settings and what is allowed for them.

use std::fmt;

/// What values a setting takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number in a range, ends included.
    Integer(i64, i64),
    /// A number in a range, ends included.
    Number(f64, f64),
    /// True or false.
    Boolean,
    /// Any text; paths are texts.
    Text,
    /// A text that may hold something secret, as a URL with a key does; the function gives what may
    /// be shown of it.
    Redacted(fn(&str) -> String),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// Several of these words, at least one.
    Words(fn() -> Vec<&'static str>),
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Integer(i64),
    /// A number.
    Number(f64),
    /// True or false.
    Boolean(bool),
    /// A text.
    Text(String),
    /// Several words.
    Words(Vec<String>),
}

impl Kind {
    /// Reads a value as it stands in a flag or an environment variable; none if it is not allowed.
    /// Words are separated by commas.
    pub fn read(&self, text: &str) -> Option<Value> {
        let value = match self {
            Self::Integer(..) => Value::Integer(text.replace('_', "").parse().ok()?),
            Self::Number(..) => Value::Number(text.replace('_', "").parse().ok()?),
            Self::Boolean => Value::Boolean(text.parse().ok()?),
            Self::Text | Self::Redacted(_) | Self::Choice(_) => Value::Text(text.to_owned()),
            Self::Words(_) => {
                Value::Words(text.split(',').map(|word| word.trim().to_owned()).collect())
            }
        };
        self.allows(&value).then_some(value)
    }

    /// Takes a value of a file; a whole number stands for a number. None if it is not allowed.
    pub fn take(&self, value: &toml::Value) -> Option<Value> {
        let value = match (self, value) {
            (Self::Integer(..), toml::Value::Integer(number)) => Value::Integer(*number),
            (Self::Number(..), toml::Value::Integer(number)) => Value::Number(*number as f64),
            (Self::Number(..), toml::Value::Float(number)) => Value::Number(*number),
            (Self::Boolean, toml::Value::Boolean(flag)) => Value::Boolean(*flag),
            (Self::Text | Self::Redacted(_) | Self::Choice(_), toml::Value::String(text)) => {
                Value::Text(text.clone())
            }
            (Self::Words(_), toml::Value::Array(words)) => {
                let word = |word: &toml::Value| word.as_str().map(str::to_owned);
                Value::Words(words.iter().map(word).collect::<Option<_>>()?)
            }
            _ => return None,
        };
        self.allows(&value).then_some(value)
    }

    fn allows(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Integer(min, max), Value::Integer(number)) => (min..=max).contains(&number),
            (Self::Number(min, max), Value::Number(number)) => (min..=max).contains(&number),
            (Self::Choice(known), Value::Text(word)) => known.contains(&word.as_str()),
            (Self::Words(known), Value::Words(words)) => {
                !words.is_empty() && words.iter().all(|word| known().contains(&word.as_str()))
            }
            (Self::Boolean, Value::Boolean(_))
            | (Self::Text | Self::Redacted(_), Value::Text(_)) => true,
            _ => false,
        }
    }

    /// A value as it may be shown.
    pub fn shown(&self, value: &Value) -> Value {
        match (self, value) {
            (Self::Redacted(shown), Value::Text(text)) => Value::Text(shown(text)),
            _ => value.clone(),
        }
    }
}

impl fmt::Display for Kind {
    /// What is allowed, for messages: `a whole number from 1 to 16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(min, i64::MAX) => write!(f, "a whole number, {min} or more"),
            Self::Integer(min, max) => write!(f, "a whole number from {min} to {max}"),
            Self::Number(min, max) => write!(f, "a number from {min} to {max}"),
            Self::Boolean => f.write_str("true or false"),
            Self::Text | Self::Redacted(_) => f.write_str("a text"),
            Self::Choice(known) => write!(f, "one of {}", known.join(", ")),
            Self::Words(known) => write!(f, "a list of one or more of {}", known().join(", ")),
        }
    }
}

impl Value {
    /// The value in a file.
    pub fn to_toml(&self) -> toml::Value {
        match self {
            Self::Integer(number) => toml::Value::Integer(*number),
            Self::Number(number) => toml::Value::Float(*number),
            Self::Boolean(flag) => toml::Value::Boolean(*flag),
            Self::Text(text) => toml::Value::String(text.clone()),
            Self::Words(words) => {
                toml::Value::Array(words.iter().cloned().map(toml::Value::String).collect())
            }
        }
    }
}

impl fmt::Display for Value {
    /// As it would stand in a file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_toml().to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORDS: Kind = Kind::Words(|| vec!["max", "sort"]);

    #[test]
    fn texts_are_read_by_kind() {
        assert_eq!(
            Kind::Integer(0, 9_999).read("1_000"),
            Some(Value::Integer(1000))
        );
        assert_eq!(
            Kind::Number(0.0, 1.0).read("3e-4"),
            Some(Value::Number(3e-4))
        );
        assert_eq!(
            WORDS.read("sort, max"),
            Some(Value::Words(vec!["sort".into(), "max".into()]))
        );
        assert_eq!(Kind::Boolean.read("yes"), None);
        assert_eq!(WORDS.read(""), None);
    }

    #[test]
    fn ranges_include_their_ends_and_nothing_else() {
        let kind = Kind::Integer(2, 16);
        let allowed: Vec<bool> = ["1", "2", "16", "17", "2.5"]
            .map(|text| kind.read(text).is_some())
            .to_vec();
        assert_eq!(allowed, [false, true, true, false, false]);
        assert_eq!(Kind::Number(0.0, 1.0).read("NaN"), None);
        assert_eq!(Kind::Choice(&["a", "b"]).read("c"), None);
    }

    #[test]
    fn a_file_may_write_a_number_whole() {
        assert_eq!(
            Kind::Number(0.0, 1.0).take(&toml::Value::Integer(1)),
            Some(Value::Number(1.0))
        );
        assert_eq!(Kind::Integer(0, 1).take(&toml::Value::Float(1.0)), None);
        assert_eq!(
            WORDS.take(&toml::Value::Array(vec![toml::Value::Integer(1)])),
            None
        );
    }
}
