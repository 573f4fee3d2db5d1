//! Requests and answers as bytes: bincode, all of which a value takes.

/// A request or an answer as bytes.
#[expect(
    clippy::expect_used,
    reason = "plain structs and enums of texts and numbers always encode"
)]
pub fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard());
    bytes.expect("invariant: requests and answers encode")
}

/// A value from bytes, all of which it takes.
pub fn decode<V: serde::de::DeserializeOwned>(bytes: &[u8]) -> Option<V> {
    let config = bincode::config::standard();
    let decoded = bincode::serde::decode_from_slice(bytes, config).ok();
    decoded.and_then(|(value, read)| (read == bytes.len()).then_some(value))
}
