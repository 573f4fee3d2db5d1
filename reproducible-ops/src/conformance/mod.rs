//! Known answers: whether an engine, on the machine at hand, gives the bits of this arithmetic
//! profile.
//!
//! Every operator, and one small program that is like a training step, runs on fixed inputs: Philox
//! numbers mixed with zeros of both signs, subnormals, infinities, NaN and the largest numbers. A
//! digest of each result is pinned in this source, so the check asks nothing of the machine but the
//! engine's own work and takes well under a second. Where a digest differs, the same case runs on
//! [`reference`](mod@crate::engine::reference), which names the first wrong element.
//!
//! An engine that fails must not do work that others will verify. A passed check is no proof: it
//! covers the kernels, not every shape; the tests of the engine do.

mod answers;
mod case;
mod cases;
mod halves;
mod inputs;
mod step;
mod vectors;

use sha2::{Digest as _, Sha256};

use crate::engine::{Engine, EngineError, reference};
use crate::tensor::Tensor;

pub use vectors::{Vector, edge_words, vectors};

use case::Case;

/// What was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Name of the engine, with its instruction set.
    pub engine: String,
    /// Cases that gave the pinned bits.
    pub cases: usize,
    /// Numbers compared.
    pub elements: usize,
}

/// Why an engine does not conform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConformanceError {
    /// A result has other bits. Do not use the engine for work that others verify.
    #[error(
        "{engine} computes `{case}` wrongly: element {element} of `{output}` is {found:#010x}, it \
         must be {expected:#010x}; do not use this engine for verified work"
    )]
    Bits {
        /// Name of the engine.
        engine: String,
        /// The operator, or the name of the composite case.
        case: &'static str,
        /// Name of the output.
        output: String,
        /// Index of the first wrong element, row-major.
        element: usize,
        /// The bits of the reference.
        expected: u32,
        /// The bits of the engine.
        found: u32,
    },
    /// The engine and the reference agree with each other and not with the pinned digest: the build
    /// is broken.
    #[error(
        "`{case}` has digest {found:#018x} on {engine} and on the reference, {expected:#018x} is \
         pinned: this build's arithmetic is broken, compile it again without flags that change \
         floating point"
    )]
    Build {
        /// Name of the engine.
        engine: String,
        /// The operator, or the name of the composite case.
        case: &'static str,
        /// The pinned digest.
        expected: u64,
        /// The digest found.
        found: u64,
    },
    /// The engine refused a case.
    #[error("{engine} cannot run `{case}`: {source}")]
    Engine {
        /// Name of the engine.
        engine: String,
        /// The operator, or the name of the composite case.
        case: &'static str,
        /// Its reason.
        source: Box<EngineError>,
    },
}

/// Runs every known-answer case on `engine`.
///
/// # Errors
/// [`ConformanceError`] names the first operator that is wrong, the element and both bit patterns.
pub fn check(engine: &dyn Engine) -> Result<Report, ConformanceError> {
    let mut report = Report {
        engine: engine.name(),
        cases: 0,
        elements: 0,
    };
    for case in &cases::all() {
        let outputs = run(engine, case).map_err(|source| refused(engine, case, source))?;
        if digest(&outputs) != case.answer {
            return Err(difference(engine, case, &outputs));
        }
        report.cases += 1;
        report.elements += outputs
            .iter()
            .map(|output| output.words().len())
            .sum::<usize>();
    }
    Ok(report)
}

fn run(engine: &dyn Engine, case: &Case) -> Result<Vec<Tensor>, EngineError> {
    let mut session = engine.load(&case.program)?;
    for (input, tensor) in case.program.inputs().iter().zip(&case.inputs) {
        session.write(&input.name, tensor)?;
    }
    session.run()?;
    case.program
        .outputs()
        .iter()
        .map(|output| session.read(&output.name))
        .collect()
}

fn refused(engine: &dyn Engine, case: &Case, source: EngineError) -> ConformanceError {
    ConformanceError::Engine {
        engine: engine.name(),
        case: case.name,
        source: Box::new(source),
    }
}

/// The first eight bytes of the SHA-256 of all words in little-endian bytes, outputs in order.
fn digest(outputs: &[Tensor]) -> u64 {
    let mut hasher = Sha256::new();
    for output in outputs {
        let bytes: Vec<u8> = output
            .words()
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect();
        hasher.update(&bytes);
    }
    hasher
        .finalize()
        .iter()
        .take(8)
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn difference(engine: &dyn Engine, case: &Case, outputs: &[Tensor]) -> ConformanceError {
    let expected = match reference::evaluate(&case.program, &case.inputs) {
        Ok(expected) => expected,
        Err(source) => return refused(engine, case, source),
    };
    match first_difference(engine, case, outputs, &expected) {
        Some(difference) => difference,
        None => ConformanceError::Build {
            engine: engine.name(),
            case: case.name,
            expected: case.answer,
            found: digest(outputs),
        },
    }
}

fn first_difference(
    engine: &dyn Engine,
    case: &Case,
    outputs: &[Tensor],
    expected: &[Tensor],
) -> Option<ConformanceError> {
    let pairs = outputs.iter().zip(expected).zip(case.program.outputs());
    pairs.into_iter().find_map(|((output, wanted), declared)| {
        let mut words = output.words().iter().zip(wanted.words()).enumerate();
        let (element, (&found, &expected)) = words.find(|(_, (found, wanted))| found != wanted)?;
        let (engine, output) = (engine.name(), declared.name.clone());
        Some(ConformanceError::Bits {
            engine,
            case: case.name,
            output,
            element,
            expected,
            found,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::{CpuEngine, InstructionSet};
    use crate::engine::{Buffer, Session};
    use crate::program::{OPERATORS, Operator, Program};
    use answers::ANSWERS;
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    /// Flips the lowest bit of one element of what one operator gives.
    struct Faulty {
        engine: CpuEngine,
        operator: &'static str,
        element: usize,
    }

    struct FaultySession {
        session: Box<dyn Session>,
        fault: Option<usize>,
    }

    impl Engine for Faulty {
        fn name(&self) -> String {
            "faulty".into()
        }

        fn load(&self, program: &Program) -> Result<Box<dyn Session>, EngineError> {
            let has = program
                .nodes()
                .iter()
                .any(|node| node.operator.name() == self.operator);
            let fault = has.then_some(self.element);
            Ok(Box::new(FaultySession {
                session: self.engine.load(program)?,
                fault,
            }))
        }

        fn upload(&self, tensor: &Tensor) -> Result<Buffer, EngineError> {
            self.engine.upload(tensor)
        }
    }

    impl Session for FaultySession {
        fn program(&self) -> &Program {
            self.session.program()
        }

        fn write_words(&mut self, input: &str, words: &[u32]) -> Result<(), EngineError> {
            self.session.write_words(input, words)
        }

        fn bind(&mut self, input: &str, buffer: &Buffer) -> Result<(), EngineError> {
            self.session.bind(input, buffer)
        }

        fn run(&mut self) -> Result<(), EngineError> {
            self.session.run()
        }

        fn advance(&mut self) {
            self.session.advance();
        }

        fn input(&self, input: &str) -> Result<Buffer, EngineError> {
            self.session.input(input)
        }

        fn output(&self, output: &str) -> Result<Buffer, EngineError> {
            let computed = self.session.output(output)?;
            let is_first = self.session.program().outputs()[0].name == output;
            let Some(element) = self.fault.filter(|_| is_first) else {
                return Ok(computed);
            };
            let mut wrong = computed.read()?;
            if let Some(word) = wrong.words_mut().get_mut(element) {
                *word ^= 1;
            }
            Ok(Buffer::new(computed.ty().clone(), Arc::new(wrong)))
        }
    }

    #[test]
    fn the_answers_are_those_of_the_reference() {
        let mut found: BTreeMap<&str, u64> = BTreeMap::new();
        for case in cases::all() {
            let outputs = reference::evaluate(&case.program, &case.inputs).expect("valid");
            let first = found.insert(case.name, digest(&outputs)).is_none();
            assert!(first, "two cases are called {}", case.name);
        }
        let mut wrong = String::new();
        for &(name, answer) in ANSWERS {
            let digest = found.remove(name);
            let digest = digest.unwrap_or_else(|| panic!("the answer {name} has no case"));
            if digest != answer {
                wrong += &format!("    (\"{name}\", {digest:#018x}),\n");
            }
        }
        assert!(wrong.is_empty(), "answers.rs would have\n{wrong}");
    }

    #[test]
    fn every_instruction_set_conforms() {
        for isa in InstructionSet::available() {
            for threads in [1, 2] {
                let report =
                    check(&CpuEngine::with_instruction_set(isa, threads).expect("available"))
                        .expect("conforms");
                assert_eq!(report.cases, ANSWERS.len());
                assert!(report.engine.contains(isa.name()) && report.elements > 10_000);
            }
        }
    }

    #[test]
    fn one_wrong_bit_of_any_operator_is_found_and_named() {
        for case in cases::all().iter().filter(|case| case.name != step::NAME) {
            let last = case.program.nodes().last().expect("not empty");
            let operator = last.operator.name();
            let error = check(&Faulty {
                engine: CpuEngine::new(1),
                operator,
                element: 3,
            })
            .expect_err("faulty");
            let ConformanceError::Bits {
                case: named,
                element,
                expected,
                found,
                ..
            } = error
            else {
                panic!("{error}");
            };
            assert!(named.starts_with(operator), "{operator}: {named}");
            assert_eq!((element, expected ^ found), (3, 1));
        }
    }

    #[test]
    fn every_operator_has_a_case() {
        let tested: BTreeSet<&str> = cases::all()
            .iter()
            .flat_map(|case| case.program.nodes())
            .map(|node| node.operator.name())
            .collect();
        assert_eq!(tested, OPERATORS.iter().map(|row| row.name).collect());
    }

    #[test]
    fn a_refusal_names_the_case() {
        struct Refusing;
        impl Engine for Refusing {
            fn name(&self) -> String {
                "refusing".into()
            }
            fn load(&self, _: &Program) -> Result<Box<dyn Session>, EngineError> {
                Err(EngineError::NoSuchInput("x".into()))
            }
            fn upload(&self, _: &Tensor) -> Result<Buffer, EngineError> {
                Err(EngineError::NoSuchInput("x".into()))
            }
        }
        let error = check(&Refusing).expect_err("refused").to_string();
        assert!(
            error.starts_with(&format!("refusing cannot run `{}`", Operator::Neg.name())),
            "{error}"
        );
    }
}
