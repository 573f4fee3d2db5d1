//! The verification of a receipt: what is cheap first, then one pass over prompts and answers.

use swarm_identity::digest::hex;
use swarm_model::generate::{Claimed, Prompt};
use verde::audit::Verdict;
use verde::state::StateTree;

use super::{Content, Passage, Quiz, Receipt, ReceiptError, ReceiptModel, Sampling, StateName};

/// What was found about a receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What was compared with what, in order.
    pub compared: Vec<String>,
    /// What is wrong; none where the receipt is right.
    pub finding: Option<Finding>,
}

impl Verified {
    /// The verdict on the receipt.
    pub fn verdict(&self) -> Verdict {
        match self.finding {
            None => Verdict::Right,
            Some(_) => Verdict::Wrong,
        }
    }
}

/// What is wrong with a receipt. Positions are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Finding {
    /// It is of another model.
    #[error("the receipt is of parameters with the root {claimed}, and the model's have {found}")]
    Parameters {
        /// Root in the receipt.
        claimed: String,
        /// Root of the model.
        found: String,
    },
    /// It is of another model with the same parameters.
    #[error(
        "the receipt is of a configuration with the digest {claimed}, and the model's has {found}; \
         the parameters are the same"
    )]
    Config {
        /// Digest in the receipt.
        claimed: String,
        /// Digest of the model.
        found: String,
    },
    /// The state is another.
    #[error(
        "the receipt is of a state with the root {claimed}, and its tensors with the model's \
         parameters have {found}"
    )]
    State {
        /// Root in the receipt.
        claimed: String,
        /// The root, or why there is none.
        found: String,
    },
    /// Other tokens end the model's answers.
    #[error("the receipt's answer ends at one of the tokens {claimed:?}, the model's at {found:?}")]
    Ends {
        /// Ends in the receipt.
        claimed: Vec<u32>,
        /// Ends of the model.
        found: Vec<u32>,
    },
    /// The prompt's text has other tokens.
    #[error(
        "the tokens of the prompt are not those of its text: the first that differs is token \
         {position}"
    )]
    PromptTokens {
        /// The first position that differs.
        position: usize,
    },
    /// The model cannot read the prompt's text.
    #[error("the model cannot read the prompt: {0}")]
    PromptText(String),
    /// There are no such questions for the model.
    #[error("the receipt's questions cannot be asked: {0}")]
    Quiz(String),
    /// The answer to a question.
    #[error("question {number}: {finding}")]
    Question {
        /// Which, from 0.
        number: usize,
        /// What is wrong with it.
        finding: Box<Finding>,
    },
    /// The model has no such token.
    #[error(
        "token {position} of the answer is {token}, and the model has those below {vocab} only"
    )]
    NoSuchToken {
        /// Place in the answer.
        position: usize,
        /// The token.
        token: u32,
        /// Tokens that there are.
        vocab: usize,
    },
    /// The model cannot write so much.
    #[error(
        "a prompt of {prompt} tokens and {max_new} more do not fit the model's {positions} \
         positions"
    )]
    TooLong {
        /// Tokens of the prompt.
        prompt: usize,
        /// Most tokens of the answer.
        max_new: usize,
        /// Positions of the model.
        positions: usize,
    },
    /// The model draws another token.
    #[error("token {position} of the answer is {claimed}, and the model draws {drawn}")]
    Token {
        /// The first position that differs.
        position: usize,
        /// The token in the receipt.
        claimed: u32,
        /// The token that the model draws after the same tokens.
        drawn: u32,
    },
    /// The answer goes on behind its end.
    #[error("token {position} of the answer ends it, and {behind} more follow")]
    GoesOn {
        /// Position of the end.
        position: usize,
        /// Tokens behind it.
        behind: usize,
    },
    /// The answer stops without a reason.
    #[error(
        "the answer stops after {tokens} tokens, which is at no end and not after the {max_new} \
         that were asked for"
    )]
    StopsEarly {
        /// Tokens of the answer.
        tokens: usize,
        /// Most tokens that it may have.
        max_new: usize,
    },
    /// The answer's tokens are another text.
    #[error("the tokens of the answer are the text {found:?}, and the receipt says {claimed:?}")]
    AnswerText {
        /// Text in the receipt.
        claimed: String,
        /// Text of the tokens.
        found: String,
    },
    /// So many questions are not answered rightly.
    #[error("{found} questions are answered rightly, and the receipt says {claimed}")]
    Right {
        /// Number in the receipt.
        claimed: usize,
        /// Number of right answers.
        found: usize,
    },
}

/// The end of a verification before all was compared.
enum Halt {
    Finding(Finding),
    Error(ReceiptError),
}

impl<E: Into<ReceiptError>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl From<Finding> for Halt {
    fn from(finding: Finding) -> Self {
        Self::Finding(finding)
    }
}

impl ReceiptModel<'_> {
    /// Verifies a receipt by one pass over prompt and answer.
    ///
    /// # Errors
    /// The engine failed, or no file has such a receipt.
    pub fn verify(&mut self, receipt: &Receipt) -> Result<Verified, ReceiptError> {
        let mut compared = Vec::new();
        let finding = match self.check(receipt, &mut compared) {
            Ok(()) => None,
            Err(Halt::Finding(finding)) => Some(finding),
            Err(Halt::Error(error)) => return Err(error),
        };
        Ok(Verified { compared, finding })
    }

    fn check(&mut self, receipt: &Receipt, compared: &mut Vec<String>) -> Result<(), Halt> {
        receipt.check_limits()?;
        self.check_name(receipt)?;
        compared.push(format!(
            "the model's {} parameters and its configuration",
            self.parameters.len()
        ));
        if let Some(state) = &receipt.state {
            self.check_state(state)?;
            compared.push(format!("the state with the root {}", hex(&state.root)));
        }
        let sampling = &receipt.sampling;
        let found = self.parts.tokenizer.ends();
        if sampling.ends != found {
            return Err(Finding::Ends {
                claimed: sampling.ends.clone(),
                found: found.to_vec(),
            }
            .into());
        }
        match &receipt.content {
            Content::Answer { prompt, answer } => {
                self.check_answer(prompt, answer, sampling)?;
                let (read, written) = (prompt.tokens.len(), answer.tokens.len());
                compared.push(format!("the prompt's text with its {read} tokens"));
                compared.push(format!(
                    "{written} tokens of the answer, by one pass, with those that seed {} draws; \
                     their end and their text",
                    sampling.seed
                ));
            }
            Content::Evaluation {
                quiz,
                right,
                answers,
            } => {
                self.check_evaluation(*quiz, *right, answers, sampling)?;
                let tokens: usize = answers.iter().map(Vec::len).sum();
                compared.push(format!(
                    "{tokens} tokens of answers to {} questions of family {}, difficulty {}, by \
                     one pass over each, with those that seed {} draws; their ends and the score",
                    answers.len(),
                    quiz.family.name(),
                    quiz.difficulty,
                    sampling.seed
                ));
            }
        }
        Ok(())
    }

    fn check_name(&self, receipt: &Receipt) -> Result<(), Finding> {
        let (claimed, found) = (&receipt.model, &self.name);
        if claimed.root != found.root {
            return Err(Finding::Parameters {
                claimed: hex(&claimed.root),
                found: hex(&found.root),
            });
        }
        if claimed.config != found.config {
            return Err(Finding::Config {
                claimed: hex(&claimed.config),
                found: hex(&found.config),
            });
        }
        Ok(())
    }

    fn check_state(&self, state: &StateName) -> Result<(), Finding> {
        let others = state.others.iter();
        let others = others.map(|tensor| (tensor.name.clone(), tensor.root));
        let found = match StateTree::new(self.parameters.iter().cloned().chain(others)) {
            Ok(tree) if tree.root() == state.root => return Ok(()),
            Ok(tree) => hex(&tree.root()),
            Err(error) => format!("none: {error}"),
        };
        Err(Finding::State {
            claimed: hex(&state.root),
            found,
        })
    }

    fn check_answer(
        &mut self,
        prompt: &Passage,
        answer: &Passage,
        sampling: &Sampling,
    ) -> Result<(), Halt> {
        self.check_prompt(prompt)?;
        let asked = [prompt.asked()];
        let answers = std::slice::from_ref(&answer.tokens);
        if let Some((_, finding)) = self.first_wrong(&asked, answers, sampling)? {
            return Err(finding.into());
        }
        let text = self.parts.tokenizer.decode(&answer.tokens)?;
        match text == answer.text {
            true => Ok(()),
            false => Err(Finding::AnswerText {
                claimed: answer.text.clone(),
                found: text,
            }
            .into()),
        }
    }

    fn check_prompt(&self, prompt: &Passage) -> Result<(), Finding> {
        let claimed = &prompt.tokens;
        let encoded = self.parts.tokenizer.encode_prompt(&prompt.text);
        let found = encoded.map_err(|error| Finding::PromptText(error.to_string()))?;
        if found == *claimed {
            return Ok(());
        }
        let mut pairs = found.iter().zip(claimed);
        let position = pairs.position(|(found, claimed)| found != claimed);
        Err(Finding::PromptTokens {
            position: position.unwrap_or(found.len().min(claimed.len())),
        })
    }

    fn check_evaluation(
        &mut self,
        quiz: Quiz,
        claimed: usize,
        answers: &[Vec<u32>],
        sampling: &Sampling,
    ) -> Result<(), Halt> {
        let set = self.questions(quiz, sampling);
        let set = set.map_err(|error| Finding::Quiz(error.to_string()))?;
        if let Some((number, finding)) = self.first_wrong(set.prompts(), answers, sampling)? {
            let finding = Box::new(finding);
            return Err(Finding::Question { number, finding }.into());
        }
        let found = self.right(&set, answers)?;
        match found == claimed {
            true => Ok(()),
            false => Err(Finding::Right { claimed, found }.into()),
        }
    }

    /// The first prompt whose answer is not the model's, and what is wrong with the answer.
    fn first_wrong(
        &mut self,
        prompts: &[Prompt],
        answers: &[Vec<u32>],
        sampling: &Sampling,
    ) -> Result<Option<(usize, Finding)>, ReceiptError> {
        let pairs = || prompts.iter().zip(answers);
        for (number, (prompt, tokens)) in pairs().enumerate() {
            if let Err(finding) = self.check_fits(prompt, tokens, sampling) {
                return Ok(Some((number, finding)));
            }
        }
        let claimed: Vec<Claimed<'_>> = pairs()
            .map(|(prompt, tokens)| Claimed {
                prompt,
                sample: 0,
                tokens,
            })
            .collect();
        let drawn = self
            .generator
            .replay(&claimed, sampling.key(), sampling.temperature)?;
        for (number, (claimed, drawn)) in claimed.iter().zip(&drawn).enumerate() {
            let found = check_drawn(claimed.tokens, drawn)
                .and_then(|()| check_stop(claimed.tokens, sampling));
            if let Err(finding) = found {
                return Ok(Some((number, finding)));
            }
        }
        Ok(None)
    }

    /// Whether the model could have been asked, and has all tokens of the answer.
    fn check_fits(
        &self,
        prompt: &Prompt,
        tokens: &[u32],
        sampling: &Sampling,
    ) -> Result<(), Finding> {
        let (vocab, positions) = (
            self.parts.config.vocab_size,
            self.parts.config.max_positions,
        );
        let (prompt, max_new) = (prompt.tokens.len(), sampling.max_new);
        if prompt + max_new > positions {
            return Err(Finding::TooLong {
                prompt,
                max_new,
                positions,
            });
        }
        let mut places = tokens.iter().zip(0..);
        match places.find(|(token, _)| **token as usize >= vocab) {
            Some((&token, position)) => Err(Finding::NoSuchToken {
                position,
                token,
                vocab,
            }),
            None => Ok(()),
        }
    }
}

fn check_drawn(claimed: &[u32], drawn: &[u32]) -> Result<(), Finding> {
    let mut pairs = claimed.iter().zip(drawn).zip(0..);
    match pairs.find(|((claimed, drawn), _)| claimed != drawn) {
        Some(((&claimed, &drawn), position)) => Err(Finding::Token {
            position,
            claimed,
            drawn,
        }),
        None => Ok(()),
    }
}

/// The last token, and no other, is an end, or the answer has all tokens that it may have.
fn check_stop(tokens: &[u32], sampling: &Sampling) -> Result<(), Finding> {
    let (count, max_new) = (tokens.len(), sampling.max_new);
    let mut places = tokens.iter();
    match places.position(|token| sampling.ends.contains(token)) {
        Some(position) if position + 1 < count => Err(Finding::GoesOn {
            position,
            behind: count - position - 1,
        }),
        None if count < max_new => Err(Finding::StopsEarly {
            tokens: count,
            max_new,
        }),
        _ => Ok(()),
    }
}
