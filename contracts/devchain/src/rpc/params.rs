//! Parameters of a request by their place, and what is wrong with them.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{PARAMS, RpcError};

/// Characters of a malformed value that an error shows.
const SHOWN: usize = 80;

/// The parameters of a request.
pub struct Params(Vec<Value>);

impl Params {
    /// Takes the `params` of a request, which may be missing.
    ///
    /// # Errors
    /// [`PARAMS`] if they are not a list.
    pub fn new(params: Option<Value>) -> Result<Self, RpcError> {
        match params {
            None | Some(Value::Null) => Ok(Self(vec![])),
            Some(Value::Array(list)) => Ok(Self(list)),
            Some(other) => Err(RpcError::new(
                PARAMS,
                format!("params must be a list, got {}", shown(&other)),
            )),
        }
    }

    /// The parameter at a place.
    ///
    /// # Errors
    /// [`PARAMS`] with its name and value.
    pub fn get<T: DeserializeOwned>(&self, index: usize, name: &str) -> Result<T, RpcError> {
        self.optional(index, name)?.ok_or_else(|| {
            RpcError::new(
                PARAMS,
                format!("missing value for required argument {index} ({name})"),
            )
        })
    }

    /// The parameter at a place if there is one.
    ///
    /// # Errors
    /// [`PARAMS`] with its name and value.
    pub fn optional<T: DeserializeOwned>(
        &self,
        index: usize,
        name: &str,
    ) -> Result<Option<T>, RpcError> {
        match self.0.get(index) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => T::deserialize(value).map(Some).map_err(|error| {
                let got = shown(value);
                RpcError::new(
                    PARAMS,
                    format!("invalid argument {index} ({name}): {error}, got {got}"),
                )
            }),
        }
    }

    /// Refuses a parameter that other nodes know and this one does not.
    ///
    /// # Errors
    /// [`PARAMS`] if it is there.
    pub fn none(&self, index: usize, name: &str) -> Result<(), RpcError> {
        match self.optional::<Value>(index, name)? {
            None => Ok(()),
            Some(_) => Err(RpcError::new(
                PARAMS,
                format!("argument {index} ({name}) is not supported by this dev chain"),
            )),
        }
    }
}

fn shown(value: &Value) -> String {
    value.to_string().chars().take(SHOWN).collect()
}
