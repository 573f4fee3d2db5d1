//! One batch from prefill to its last token.

use reproducible_ops::engine::Session;

use super::bucket::{Row, round_length, round_rows};
use super::request::{GenerateError, Generation, Prompt, Request};
use super::sessions::{Key, Sessions};
use crate::ModelConfig;
use crate::programs::{key_cache, value_cache};

/// A batch moves to a smaller program when its live rows fit into one of a `COMPACT_BELOW`-th of
/// the rows: moving caches costs about as much as a few steps.
const COMPACT_BELOW: usize = 4;

/// What a batch needs.
pub(super) struct Batch<'a> {
    pub(super) config: &'a ModelConfig,
    pub(super) ends: &'a [u32],
    pub(super) request: &'a Request<'a>,
    pub(super) sessions: &'a mut Sessions,
}

/// A row of the running decode program.
#[derive(Clone, Copy, Debug)]
struct Live {
    /// Its place in the batch's list of completions.
    place: usize,
    /// The token that comes next into the model, and where.
    token: u32,
    position: usize,
}

/// Caches on the host: per name, one piece of equal length per row.
type Caches = Vec<(String, Vec<u32>)>;

impl Batch<'_> {
    /// The completions of `rows`, in their order.
    pub(super) fn run(mut self, rows: &[Row]) -> Result<Vec<Generation>, GenerateError> {
        let slots = self.slots(rows);
        let mut live: Vec<Live> = rows
            .iter()
            .enumerate()
            .map(|(place, row)| self.first(place, row))
            .collect();
        let mut caches = self.prefill(rows, slots)?;
        let mut completions = vec![Generation::default(); rows.len()];
        while !live.is_empty() {
            let decoding = Decoding {
                size: round_rows(live.len()),
                slots,
            };
            let alive = self.decode(decoding, &caches, live, rows, &mut completions)?;
            if alive.is_empty() {
                break;
            }
            caches = self.gather(decoding, &alive)?;
            live = alive.into_iter().map(|(_, row)| row).collect();
        }
        Ok(completions)
    }

    /// Slots for the longest prompt and all its new tokens but the last, which is never read.
    #[expect(clippy::expect_used, reason = "no batch is made of nothing")]
    fn slots(&self, rows: &[Row]) -> usize {
        let prompts = rows.iter().map(|row| self.prompt(row).tokens.len());
        let longest = prompts.max().expect("invariant: a batch has a row");
        round_length(
            longest + self.request.max_new - 1,
            self.config.max_positions,
        )
    }

    fn prompt(&self, row: &Row) -> &Prompt {
        &self.request.prompts[row.prompt]
    }

    fn first(&self, place: usize, row: &Row) -> Live {
        let tokens = &self.prompt(row).tokens;
        Live {
            place,
            token: tokens[tokens.len() - 1],
            position: tokens.len() - 1,
        }
    }

    /// Caches of every row, computed once per prompt.
    #[expect(clippy::expect_used, reason = "no batch is made of nothing")]
    fn prefill(&mut self, rows: &[Row], slots: usize) -> Result<Caches, GenerateError> {
        let mut prompts: Vec<usize> = rows.iter().map(|row| row.prompt).collect();
        prompts.dedup();
        let texts: Vec<&[u32]> = prompts
            .iter()
            .map(|&prompt| &self.request.prompts[prompt].tokens[..])
            .collect();
        let longest = texts.iter().map(|text| text.len()).max();
        let longest = longest.expect("invariant: a batch has a row");
        let length = round_length(longest, self.config.max_positions).min(slots);
        let count = round_rows(texts.len());
        let session = self.sessions.get(Key::Prefill {
            rows: count,
            length,
        })?;
        write_prompts(session, &texts, count, length)?;
        session.run()?;
        let at = prompt_places(rows);
        let repeat = |name: String| {
            let words = widen(
                self.config,
                &session.read_words(&name)?,
                &at,
                [length, slots],
            );
            Ok((name, words))
        };
        names(self.config).map(repeat).collect()
    }

    /// Decodes until all rows are done, or so few are left that a smaller program is worth moving
    /// to. Gives those with their places in the program.
    fn decode(
        &mut self,
        decoding: Decoding,
        caches: &Caches,
        live: Vec<Live>,
        rows: &[Row],
        completions: &mut [Generation],
    ) -> Result<Vec<(usize, Live)>, GenerateError> {
        let (ends, request, size) = (self.ends, self.request, decoding.size);
        let session = self.sessions.get(decoding.key())?;
        write_caches(session, caches, size, live.len())?;
        session.write_words("key", &request.key)?;
        session.write_words("temperature", &[request.temperature.to_bits()])?;
        let mut alive: Vec<(usize, Live)> = live.into_iter().enumerate().collect();
        while round_rows(alive.len()) * COMPACT_BELOW > size && !alive.is_empty() {
            write_step(session, size, &alive, |row| {
                let Row { prompt, sample } = rows[row.place];
                [
                    request.prompts[prompt].index,
                    sample,
                    completions[row.place].tokens.len() as u32,
                ]
            })?;
            session.run()?;
            let (sampled, logp) = (session.read_words("sampled")?, session.read_words("logp")?);
            alive.retain_mut(|(at, row)| {
                let completion = &mut completions[row.place];
                completion.push(sampled[*at], f32::from_bits(logp[*at]), ends);
                (row.token, row.position) = (sampled[*at], row.position + 1);
                !completion.ended && completion.tokens.len() < request.max_new
            });
            session.advance();
        }
        Ok(alive)
    }

    /// The caches of the rows at some places of a decode program.
    fn gather(
        &mut self,
        decoding: Decoding,
        alive: &[(usize, Live)],
    ) -> Result<Caches, GenerateError> {
        let session = self.sessions.get(decoding.key())?;
        let gather = |name: String| {
            let words = session.input_words(&name)?;
            let row = words.len() / decoding.size;
            let picked = alive
                .iter()
                .flat_map(|(at, _)| &words[at * row..(at + 1) * row])
                .copied()
                .collect();
            Ok((name, picked))
        };
        names(self.config).map(gather).collect()
    }
}

/// Sizes of a decode program.
#[derive(Clone, Copy, Debug)]
struct Decoding {
    size: usize,
    slots: usize,
}

impl Decoding {
    fn key(self) -> Key {
        Key::Decode {
            rows: self.size,
            slots: self.slots,
        }
    }
}

impl Generation {
    fn push(&mut self, token: u32, logp: f32, ends: &[u32]) {
        self.tokens.push(token);
        self.logp.push(logp);
        self.ended = ends.contains(&token);
    }
}

/// Which of the batch's distinct prompts each row has. Rows of one prompt stand together.
fn prompt_places(rows: &[Row]) -> Vec<usize> {
    let mut places = Vec::with_capacity(rows.len());
    let mut place = 0;
    for (index, row) in rows.iter().enumerate() {
        place += usize::from(index > 0 && rows[index - 1].prompt != row.prompt);
        places.push(place);
    }
    places
}

/// Writes prompts into a prefill program of `count` rows of `length` tokens; what is left over is
/// token 0.
fn write_prompts(
    session: &mut dyn Session,
    texts: &[&[u32]],
    count: usize,
    length: usize,
) -> Result<(), GenerateError> {
    let mut tokens = vec![0; count * length];
    for (row, text) in tokens.chunks_mut(length).zip(texts) {
        row[..text.len()].copy_from_slice(text);
    }
    let positions: Vec<u32> = (0..count).flat_map(|_| 0..length as u32).collect();
    session.write_words("tokens", &tokens)?;
    Ok(session.write_words("positions", &positions)?)
}

/// Names of all caches of a model.
fn names(config: &ModelConfig) -> impl Iterator<Item = String> + use<> {
    (0..config.num_layers).flat_map(|layer| [key_cache(layer), value_cache(layer)])
}

/// Rows `at` of caches of `from` slots as caches of `to` slots; the slots behind are zero.
fn widen(config: &ModelConfig, words: &[u32], at: &[usize], [from, to]: [usize; 2]) -> Vec<u32> {
    let (row, from, to) = (
        config.kv_width() * from,
        from * config.head_dim,
        to * config.head_dim,
    );
    let mut wide = Vec::with_capacity(at.len() * config.num_kv_heads * to);
    for &index in at {
        for head in words[index * row..(index + 1) * row].chunks(from) {
            wide.extend_from_slice(head);
            wide.resize(wide.len() + to - from, 0);
        }
    }
    wide
}

/// Writes the caches of `count` rows into a program of `size` rows.
fn write_caches(
    session: &mut dyn Session,
    caches: &Caches,
    size: usize,
    count: usize,
) -> Result<(), GenerateError> {
    for (name, words) in caches {
        let row = words.len() / count;
        if size == count {
            session.write_words(name, words)?;
        } else {
            let mut padded = words.clone();
            padded.resize(size * row, 0);
            session.write_words(name, &padded)?;
        }
    }
    Ok(())
}

/// Writes tokens, positions and counters of one step. Rows that are done or never were take token 0
/// at position 0 of their own caches, which nobody reads.
fn write_step(
    session: &mut dyn Session,
    size: usize,
    alive: &[(usize, Live)],
    counter_of: impl Fn(&Live) -> [u32; 3],
) -> Result<(), GenerateError> {
    let (mut tokens, mut positions, mut counter) =
        (vec![0; size], vec![0; size], vec![0; 3 * size]);
    for (at, row) in alive {
        (tokens[*at], positions[*at]) = (row.token, row.position as u32);
        counter[3 * at..3 * at + 3].copy_from_slice(&counter_of(row));
    }
    session.write_words("tokens", &tokens)?;
    session.write_words("positions", &positions)?;
    Ok(session.write_words("counter", &counter)?)
}
