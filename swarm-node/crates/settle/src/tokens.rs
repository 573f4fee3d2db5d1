//! Amounts of a token with 18 decimals, for people.

/// Units of the token in one token.
pub const TOKEN: u128 = 1_000_000_000_000_000_000;

/// An amount of units in tokens, exactly.
///
/// ```
/// use swarm_settle::tokens::{TOKEN, token_text};
///
/// assert_eq!([token_text(0), token_text(TOKEN), token_text(100 * TOKEN)], ["0", "1", "100"]);
/// assert_eq!(token_text(TOKEN / 4 * 165), "41.25");
/// assert_eq!(token_text(1), "0.000000000000000001");
/// ```
pub fn token_text(units: u128) -> String {
    let (whole, rest) = (units / TOKEN, units % TOKEN);
    let text = format!("{whole}.{rest:018}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
