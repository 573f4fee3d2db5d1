//! Completions sampled anew from one pass over prompt and completion: what shows whether they were
//! generated, for the price of reading them.
//!
//! ```text
//! prompt ‖ completion ─▶ one pass ─▶ logits after each token ─▶ the noise of its counter ─▶ drawn
//! ```
//! Logits of the pass are those of decoding, bit for bit, and so is the noise. A drawn token is
//! thus the one that generation gives after the prompt and the claimed tokens before it: up to the
//! first that differs, drawn and claimed tokens are what generation gives.

use reproducible_ops::engine::Session;

use super::bucket::{round_length, round_rows};
use super::request::{Claimed, GenerateError};
use super::sessions::{Key, Sessions};
use crate::programs::Replay;

/// Tokens of a pass over several rows: what bounds its memory.
const TOKENS_AT_ONCE: usize = 1 << 13;

/// Completions of one pass.
pub(super) fn rows_at_once(claimed: &[Claimed<'_>]) -> usize {
    let longest = claimed.iter().map(Claimed::read_tokens).max().unwrap_or(1);
    (TOKENS_AT_ONCE / longest.max(1)).max(1)
}

/// Draws the tokens of completions of `max_positions` positions at most, in one pass.
#[expect(
    clippy::expect_used,
    reason = "where there are draws there is a completion"
)]
pub(super) fn run(
    sessions: &mut Sessions,
    max_positions: usize,
    claimed: &[Claimed<'_>],
    key: [u32; 2],
    temperature: f32,
) -> Result<Vec<Vec<u32>>, GenerateError> {
    let draws: usize = claimed.iter().map(|claimed| claimed.tokens.len()).sum();
    if draws == 0 {
        return Ok(vec![Vec::new(); claimed.len()]);
    }
    let longest = claimed.iter().map(Claimed::read_tokens).max();
    let longest = longest.expect("invariant: somebody claims the draws");
    let sizes = Replay {
        rows: round_rows(claimed.len()),
        length: round_length(longest, max_positions),
        draws: round_length(draws, usize::MAX),
    };
    let session = sessions.get(Key::Replay(sizes))?;
    write(session, sizes, claimed)?;
    session.write_words("key", &key)?;
    session.write_words("temperature", &[temperature.to_bits()])?;
    session.run()?;
    let drawn = session.read_words("sampled")?;
    let mut rest = &drawn[..];
    let take = |claimed: &Claimed<'_>| {
        let (own, behind) = rest.split_at(claimed.tokens.len());
        rest = behind;
        own.to_vec()
    };
    Ok(claimed.iter().map(take).collect())
}

/// Writes rows, places and counters; what is left over is 0.
fn write(
    session: &mut dyn Session,
    sizes: Replay,
    claimed: &[Claimed<'_>],
) -> Result<(), GenerateError> {
    let Replay {
        rows,
        length,
        draws,
    } = sizes;
    let mut tokens = vec![0; rows * length];
    let (mut places, mut counter) = (Vec::with_capacity(draws), Vec::with_capacity(3 * draws));
    for (row, claimed) in claimed.iter().enumerate() {
        let prompt = &claimed.prompt.tokens;
        let read = prompt.iter().chain(claimed.tokens);
        let places_of_row = &mut tokens[row * length..][..claimed.read_tokens()];
        places_of_row
            .iter_mut()
            .zip(read)
            .for_each(|(place, token)| *place = *token);
        for position in 0..claimed.tokens.len() {
            places.push((row * length + prompt.len() - 1 + position) as u32);
            counter.extend([claimed.prompt.index, claimed.sample, position as u32]);
        }
    }
    places.resize(draws, 0);
    counter.resize(3 * draws, 0);
    let positions: Vec<u32> = (0..rows).flat_map(|_| 0..length as u32).collect();
    session.write_words("tokens", &tokens)?;
    session.write_words("positions", &positions)?;
    session.write_words("places", &places)?;
    Ok(session.write_words("counter", &counter)?)
}

impl Claimed<'_> {
    /// Tokens that the model reads: all but the last, after which nothing is drawn.
    fn read_tokens(&self) -> usize {
        (self.prompt.tokens.len() + self.tokens.len()).saturating_sub(1)
    }
}
