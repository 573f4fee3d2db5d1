//! A completion on its way to other peers and back: tokens ─▶ published text, end and
//! log-probabilities ─▶ tokens.
//!
//! A reader encodes the text with its own tokenizer. Where that gives as many tokens as the writer
//! told log-probabilities for, each token has its writer's; otherwise (another vocabulary, or a
//! text that encodes in another way than it was sampled) the completion counts as untold, and is
//! learned from as if the reader had written it.
//!
//! Invariant: a text has the end that its writer's model wrote, by an id that the reader also ends
//! at, and none if it was cut off; nobody is taught to stop where another one was stopped.

use swarm_model::Tokenizer;
use swarm_model::generate::Generation;
use swarm_model::tokenizer::TextError;
use swarm_round::codec::Text;
use swarm_round::{LogProb, SharedCompletion};

use super::group::Rollout;

/// Cuts a completion to at most `tokens`, and behind the last token with which its text has at most
/// `bytes`.
///
/// # Errors
/// The tokenizer fails.
pub fn shorten(
    mut written: Generation,
    tokenizer: &Tokenizer,
    bytes: u16,
    tokens: u16,
) -> Result<Generation, TextError> {
    let fits = |count: usize| {
        Ok::<_, TextError>(tokenizer.decode(&written.tokens[..count])?.len() <= bytes.into())
    };
    let mut kept = written.tokens.len().min(tokens.into());
    if !fits(kept)? {
        // Between a number of tokens that fits and one that does not.
        let mut too_many = std::mem::take(&mut kept);
        while too_many - kept > 1 {
            let middle = kept.midpoint(too_many);
            if fits(middle)? {
                kept = middle
            } else {
                too_many = middle
            }
        }
    }
    written.ended &= kept == written.tokens.len();
    written.tokens.truncate(kept);
    written.logp.truncate(kept);
    Ok(written)
}

/// What is published of a completion.
///
/// # Errors
/// The tokenizer fails.
pub fn publish(written: &Generation, tokenizer: &Tokenizer) -> Result<SharedCompletion, TextError> {
    let text = Text::cut(tokenizer.decode(&written.tokens)?, u16::MAX);
    let end = written.tokens.last().copied().filter(|_| written.ended);
    Ok(SharedCompletion {
        text,
        end,
        logp: written.logp.iter().map(|&nats| LogProb::of(nats)).collect(),
    })
}

/// What a reader learns from a published completion: at most `max_new` tokens, none if it is empty.
///
/// # Errors
/// The text has something that the vocabulary lacks.
pub fn read(
    published: &SharedCompletion,
    reward: f32,
    tokenizer: &Tokenizer,
    max_new: usize,
) -> Result<Option<Rollout>, TextError> {
    let mut tokens = tokenizer.encode(published.text.as_str())?;
    // Another vocabulary has other ids; there the text ends as this tokenizer's texts do.
    tokens.extend(published.end.map(|end| {
        if tokenizer.is_end(end) {
            end
        } else {
            tokenizer.eos()
        }
    }));
    let told = published.logp.len() == tokens.len();
    tokens.truncate(max_new);
    let behaviour_logp = told.then(|| {
        published
            .logp
            .iter()
            .take(max_new)
            .map(|logp| logp.nats())
            .collect()
    });
    Ok((!tokens.is_empty()).then_some(Rollout {
        tokens,
        reward,
        behaviour_logp,
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use swarm_task::charset;

    use super::*;

    fn characters() -> Tokenizer {
        Tokenizer::characters(charset::CHARACTERS)
    }

    /// Byte-level BPE that ends at 7 and at 5, as models with several ends do.
    fn pieces() -> Tokenizer {
        let folder = tempfile::tempdir().unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../model/tests/transformers/tokenizers/byte_level");
        for name in ["tokenizer.json", "config.json"] {
            std::fs::copy(source.join(name), folder.path().join(name)).unwrap();
        }
        std::fs::write(
            folder.path().join("generation_config.json"),
            r#"{"eos_token_id": [7, 5]}"#,
        )
        .unwrap();
        Tokenizer::from_folder(folder.path(), 400).unwrap()
    }

    fn written(tokens: Vec<u32>, ended: bool) -> Generation {
        let logp = (1..=tokens.len()).map(|at| -(at as f32) / 4.0).collect();
        Generation {
            tokens,
            logp,
            ended,
        }
    }

    fn text(text: &str, end: Option<u32>, logp: &[f32]) -> SharedCompletion {
        let logp = logp.iter().map(|&nats| LogProb::of(nats)).collect();
        SharedCompletion {
            end,
            logp,
            ..SharedCompletion::untold(text.to_owned())
        }
    }

    #[test]
    fn what_is_written_is_read_token_by_token_with_the_end_that_was_written() {
        let tokenizer = pieces();
        for end in [7, 5] {
            let tokens = [tokenizer.encode("The sum is 19").unwrap(), vec![end]].concat();
            let written = written(tokens.clone(), true);
            let published = publish(&written, &tokenizer).unwrap();
            assert_eq!(
                (published.text.as_str(), published.end),
                ("The sum is 19", Some(end))
            );
            let read = read(&published, 0.5, &tokenizer, 99).unwrap().unwrap();
            assert_eq!(
                read,
                Rollout {
                    tokens,
                    reward: 0.5,
                    behaviour_logp: Some(written.logp)
                }
            );
        }
    }

    #[test]
    fn a_completion_that_was_cut_off_gets_no_end() {
        let tokenizer = characters();
        let cut = publish(&written(vec![2, 3], false), &tokenizer).unwrap();
        assert_eq!((cut.text.as_str(), cut.end), ("01", None));
        assert_eq!(
            read(&cut, 1.0, &tokenizer, 9).unwrap().unwrap().tokens,
            [2, 3]
        );
        let long = read(&text("0123", Some(1), &[-1.0; 5]), 1.0, &tokenizer, 2)
            .unwrap()
            .unwrap();
        assert_eq!(
            (long.tokens, long.behaviour_logp),
            (vec![2, 3], Some(vec![-1.0; 2]))
        );
    }

    #[test]
    fn a_long_text_is_cut_behind_a_token_and_loses_its_end() {
        let tokenizer = pieces();
        let tokens = [
            tokenizer.encode("The sum of 12 and 7 is 19").unwrap(),
            vec![7],
        ]
        .concat();
        let whole = written(tokens.clone(), true);
        assert_eq!(shorten(whole.clone(), &tokenizer, 25, 99).unwrap(), whole);
        let three = shorten(whole.clone(), &tokenizer, 25, 3).unwrap();
        assert_eq!(
            (&three.tokens[..], three.logp.len(), three.ended),
            (&tokens[..3], 3, false)
        );
        for bytes in 0..25 {
            let short = shorten(whole.clone(), &tokenizer, bytes, 99).unwrap();
            let count = short.tokens.len();
            assert_eq!(
                (&short.tokens[..], &short.logp[..], short.ended),
                (&tokens[..count], &whole.logp[..count], false)
            );
            let length = |count: usize| tokenizer.decode(&tokens[..count]).unwrap().len();
            assert!(
                length(count) <= bytes.into() && length(count + 1) > bytes.into(),
                "{bytes} bytes, {count} tokens"
            );
            assert_eq!(publish(&short, &tokenizer).unwrap().end, None);
        }
    }

    #[test]
    fn other_vocabularies_count_as_untold_and_end_in_their_own_way() {
        let tokenizer = characters();
        let read =
            |published: &SharedCompletion| read(published, 1.0, &tokenizer, 9).unwrap().unwrap();
        let foreign = read(&text("01", Some(128_009), &[-1.0, -2.0]));
        assert_eq!(
            (foreign.tokens, foreign.behaviour_logp),
            (vec![2, 3, charset::EOS], None)
        );
        assert_eq!(read(&text("01", Some(1), &[])).behaviour_logp, None);
    }

    #[test]
    fn nothing_is_learned_from_nothing_and_unknown_characters_are_refused() {
        let tokenizer = characters();
        assert_eq!(
            read(&text("", None, &[]), 1.0, &tokenizer, 9).unwrap(),
            None
        );
        assert_eq!(
            read(&text("", Some(1), &[-0.5]), 1.0, &tokenizer, 9)
                .unwrap()
                .unwrap()
                .tokens,
            [charset::EOS]
        );
        assert!(read(&text("\u{e9}", None, &[]), 1.0, &tokenizer, 9).is_err());
    }
}
