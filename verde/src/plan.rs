//! A step as a schedule of program runs: what is claimed to be done at every step of a job.
//!
//! ```text
//! state ──────┐                                   ┌─▶ next state, tensor by tensor
//! constants ──┼─▶ run 0 ─outputs─▶ run 1 ─▶ … ────┤
//! given ──────┘        └──────────────▲           └─▶ (a tensor of the state may also stay as it is)
//! ```
//! A training step is several runs: the accumulation of gradients for each microbatch, then the
//! update. Here every input of every run is bound to a tensor of the state, a constant, a tensor
//! that is given to this step, or an output of an earlier run. So nothing that a job claims is
//! arithmetic of its host: a learning rate is gathered from a constant table by a counter of the
//! state, and a batch from the data set, which is a constant, by indices of a generator whose key
//! is a constant, too. What only a host can compute (the packed texts of a round) is *given*:
//! others can recheck it, a contract cannot.
//!
//! A plan has one canonical form. Its digest is the root of a tree over its parts, so that a
//! contract opens the bindings of one run alone:
//!
//! ```text
//! digest = H(0x05 ‖ root of the tree over: header, programs, constants, state, given, runs, next)
//! source = kind, 1 byte ‖ two numbers, 4 bytes each           numbers are little-endian
//! ```

use reproducible_ops::program::{Digest, Program, TensorType, limits, merkle_root, tagged_hash};
use thiserror::Error;

/// Most runs of a plan.
pub const MAX_RUNS: usize = 1 << 16;
/// Most programs of a plan.
pub const MAX_PROGRAMS: usize = 256;
/// Most tensors of the state, constants, or tensors given.
pub const MAX_SLOTS: usize = 1 << 16;

const PLAN: u8 = 5;
/// What the header begins with: the version of this form.
const VERSION: &[u8] = b"plan 1";

/// Where an input of a run, or a tensor of the next state, comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A tensor of the state before the step, by its place.
    State(u32),
    /// A constant of the job, by its place.
    Constant(u32),
    /// A tensor that is given to the step, by its place.
    Given(u32),
    /// An output of an earlier run.
    Output {
        /// The run.
        run: u32,
        /// The output's place in its program.
        output: u32,
    },
}

/// A named tensor that is not part of the plan: of the state, or given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Its name.
    pub name: String,
    /// Element type and shape.
    pub ty: TensorType,
}

/// A tensor that stays the same for the whole job: a data set, a table, a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Constant {
    /// Name and type.
    pub slot: Slot,
    /// Root of the tensor.
    pub root: Digest,
}

/// One run of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The program's place in the plan.
    pub program: u32,
    /// Where the program's inputs come from, in their order.
    pub inputs: Vec<Source>,
}

/// A step as a schedule of runs. [`Plan::check`] says whether it is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Digests of the programs.
    pub programs: Vec<Digest>,
    /// Tensors that stay the same, in the order of their names.
    pub constants: Vec<Constant>,
    /// Tensors of the state, in the order of their names.
    pub state: Vec<Slot>,
    /// Tensors that are given to each step, in the order of their names.
    pub given: Vec<Slot>,
    /// The runs, in the order in which they are made.
    pub runs: Vec<Run>,
    /// Where each tensor of the next state comes from, in the order of the state.
    pub next: Vec<Source>,
}

/// A part of a plan: one leaf of the tree that its digest names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Version, and how many there are of each of the others.
    Header,
    /// A program's digest.
    Program(usize),
    /// A constant.
    Constant(usize),
    /// A tensor of the state.
    State(usize),
    /// A tensor that is given.
    Given(usize),
    /// A run.
    Run(usize),
    /// Where the next state comes from.
    Next,
}

/// How many there are of each kind of part: what the first part of a plan says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Programs.
    pub programs: usize,
    /// Constants.
    pub constants: usize,
    /// Tensors of the state.
    pub state: usize,
    /// Tensors given.
    pub given: usize,
    /// Runs.
    pub runs: usize,
}

impl Counts {
    fn to_bytes(self) -> Vec<u8> {
        let counts = [
            self.programs,
            self.constants,
            self.state,
            self.given,
            self.runs,
        ];
        let mut header = VERSION.to_vec();
        let numbers = counts.iter();
        header.extend(numbers.flat_map(|count| (*count as u32).to_le_bytes()));
        header
    }

    /// Reads the first of [`Plan::parts`]; none where it is no such part.
    pub fn from_part(part: &[u8]) -> Option<Self> {
        let numbers = part.strip_prefix(VERSION)?.as_chunks::<4>();
        let (&[programs, constants, state, given, runs], []) = numbers else {
            return None;
        };
        let count = |bytes: [u8; 4]| u32::from_le_bytes(bytes) as usize;
        Some(Self {
            programs: count(programs),
            constants: count(constants),
            state: count(state),
            given: count(given),
            runs: count(runs),
        })
    }

    /// Number of all parts.
    pub fn parts(self) -> usize {
        self.sections().iter().sum()
    }

    fn sections(self) -> [usize; 7] {
        let Self {
            programs,
            constants,
            state,
            given,
            runs,
        } = self;
        [1, programs, constants, state, given, runs, 1]
    }

    /// Where a part stands among [`Plan::parts`]; none where there is none of this number.
    pub fn place_of(self, part: Part) -> Option<usize> {
        let (section, number) = match part {
            Part::Header => (0, 0),
            Part::Program(number) => (1, number),
            Part::Constant(number) => (2, number),
            Part::State(number) => (3, number),
            Part::Given(number) => (4, number),
            Part::Run(number) => (5, number),
            Part::Next => (6, 0),
        };
        let sections = self.sections();
        let before: usize = sections[..section].iter().sum();
        (number < sections[section]).then(|| before + number)
    }
}

/// Digest of a plan whose parts have a tree with this top.
pub fn bind(top: &Digest) -> Digest {
    tagged_hash(PLAN, &[top])
}

/// Why a plan is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// There are too many of something.
    #[error("{count} {what}; a plan has at most {most}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// Names are not in their order, stand twice, or are too long.
    #[error("{what}: `{name}` is out of order, stands twice, or is longer than {max} bytes", max = limits::MAX_NAME_BYTES)]
    Name {
        /// Of what.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// A program is another one, or missing.
    #[error("program {0} is not the one that the plan names")]
    Program(usize),
    /// A run has more or fewer inputs than its program.
    #[error("run {run} binds {given} inputs of a program that has {expected}")]
    Inputs {
        /// The run.
        run: usize,
        /// Inputs bound.
        given: usize,
        /// Inputs of the program.
        expected: usize,
    },
    /// A source names what is not there, or not yet.
    #[error("{place}: {from:?} is not there, or not yet")]
    Source {
        /// Where it stands.
        place: String,
        /// The source.
        from: Source,
    },
    /// A source has another type.
    #[error("{place}: bound to {found}, but it is {expected}")]
    Type {
        /// Where it stands.
        place: String,
        /// The type of the source.
        found: TensorType,
        /// The type wanted.
        expected: TensorType,
    },
    /// Not every tensor of the state has a next value.
    #[error("{given} next values of a state of {expected} tensors")]
    Next {
        /// Next values.
        given: usize,
        /// Tensors of the state.
        expected: usize,
    },
}

impl Source {
    fn to_bytes(self) -> [u8; 9] {
        let (kind, first, second) = match self {
            Self::State(place) => (0, place, 0),
            Self::Constant(place) => (1, place, 0),
            Self::Given(place) => (2, place, 0),
            Self::Output { run, output } => (3, run, output),
        };
        let mut bytes = [kind; 9];
        bytes[1..5].copy_from_slice(&first.to_le_bytes());
        bytes[5..].copy_from_slice(&second.to_le_bytes());
        bytes
    }
}

impl Slot {
    fn to_bytes(&self) -> Vec<u8> {
        let dims = self.ty.shape.dims();
        let mut bytes = vec![self.ty.dtype.tag(), dims.len() as u8];
        // A plan's limits keep lengths far below what their bytes hold.
        bytes.extend(dims.iter().flat_map(|dim| (*dim as u32).to_le_bytes()));
        bytes.extend((self.name.len() as u16).to_le_bytes());
        bytes.extend(self.name.as_bytes());
        bytes
    }
}

fn sources(sources: &[Source]) -> Vec<u8> {
    sources
        .iter()
        .flat_map(|source| source.to_bytes())
        .collect()
}

impl Plan {
    /// The parts of the plan as separate byte strings: the leaves of its digest.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let header = self.counts().to_bytes();
        let constant =
            |constant: &Constant| [&constant.slot.to_bytes(), &constant.root[..]].concat();
        let run = |run: &Run| [&run.program.to_le_bytes()[..], &sources(&run.inputs)].concat();
        std::iter::once(header)
            .chain(self.programs.iter().map(|digest| digest.to_vec()))
            .chain(self.constants.iter().map(constant))
            .chain(self.state.iter().map(Slot::to_bytes))
            .chain(self.given.iter().map(Slot::to_bytes))
            .chain(self.runs.iter().map(run))
            .chain(std::iter::once(sources(&self.next)))
            .collect()
    }

    /// How many there are of each kind of part.
    pub fn counts(&self) -> Counts {
        Counts {
            programs: self.programs.len(),
            constants: self.constants.len(),
            state: self.state.len(),
            given: self.given.len(),
            runs: self.runs.len(),
        }
    }

    /// Where a part stands among [`Plan::parts`]; none where the plan has none of this number.
    pub fn place_of(&self, part: Part) -> Option<usize> {
        self.counts().place_of(part)
    }

    /// What names the plan.
    pub fn digest(&self) -> Digest {
        bind(&merkle_root(self.parts()))
    }

    /// Checks everything that can be wrong with a plan of these programs.
    ///
    /// # Errors
    /// The first thing that is.
    pub fn check(&self, programs: &[Program]) -> Result<(), PlanError> {
        self.check_sizes()?;
        let names = |slots: &[Slot]| slots.iter().map(|slot| slot.name.clone()).collect();
        let constants = self.constants.iter().map(|it| it.slot.name.clone());
        check_names("constants", constants.collect())?;
        check_names("the state", names(&self.state))?;
        check_names("what is given", names(&self.given))?;
        let is_known = |(at, named): &(usize, &Digest)| {
            programs.get(*at).map(Program::digest) == Some(**named)
        };
        if let Some((at, _)) = self.programs.iter().enumerate().find(|it| !is_known(it)) {
            return Err(PlanError::Program(at));
        }
        for (number, run) in self.runs.iter().enumerate() {
            self.check_run(programs, number, run)?;
        }
        let (given, expected) = (self.next.len(), self.state.len());
        if given != expected {
            return Err(PlanError::Next { given, expected });
        }
        for (slot, source) in self.state.iter().zip(&self.next) {
            let place = format!("the next {}", slot.name);
            self.check_source(programs, self.runs.len(), *source, &slot.ty, &place)?;
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<(), PlanError> {
        let sizes = [
            ("programs", self.programs.len(), MAX_PROGRAMS),
            ("constants", self.constants.len(), MAX_SLOTS),
            ("tensors of the state", self.state.len(), MAX_SLOTS),
            ("tensors given", self.given.len(), MAX_SLOTS),
            ("runs", self.runs.len(), MAX_RUNS),
        ];
        match sizes.into_iter().find(|(_, count, most)| count > most) {
            Some((what, count, most)) => Err(PlanError::TooMany { what, count, most }),
            None => Ok(()),
        }
    }

    fn check_run(&self, programs: &[Program], number: usize, run: &Run) -> Result<(), PlanError> {
        let place = run.program as usize;
        let program = self.programs.get(place).and_then(|_| programs.get(place));
        let program = program.ok_or(PlanError::Program(place))?;
        let (given, expected) = (run.inputs.len(), program.inputs().len());
        if given != expected {
            return Err(PlanError::Inputs {
                run: number,
                given,
                expected,
            });
        }
        for (input, source) in program.inputs().iter().zip(&run.inputs) {
            let place = format!("run {number}, {}", input.name);
            self.check_source(programs, number, *source, &input.ty, &place)?;
        }
        Ok(())
    }

    /// A source must be there after so many runs, and of this type.
    fn check_source(
        &self,
        programs: &[Program],
        runs: usize,
        source: Source,
        expected: &TensorType,
        place: &str,
    ) -> Result<(), PlanError> {
        let found = self.type_of(programs, runs, source);
        let found = found.ok_or_else(|| PlanError::Source {
            place: place.to_owned(),
            from: source,
        })?;
        match found == expected {
            true => Ok(()),
            false => Err(PlanError::Type {
                place: place.to_owned(),
                found: found.clone(),
                expected: expected.clone(),
            }),
        }
    }

    /// The type of a source after so many runs; none where it is not there.
    fn type_of<'a>(
        &'a self,
        programs: &'a [Program],
        runs: usize,
        source: Source,
    ) -> Option<&'a TensorType> {
        match source {
            Source::State(place) => Some(&self.state.get(place as usize)?.ty),
            Source::Constant(place) => Some(&self.constants.get(place as usize)?.slot.ty),
            Source::Given(place) => Some(&self.given.get(place as usize)?.ty),
            Source::Output { run, output } => {
                let run = self.runs[..runs].get(run as usize)?;
                let program = programs.get(run.program as usize)?;
                program.type_of(program.outputs().get(output as usize)?.value)
            }
        }
    }
}

fn check_names(what: &'static str, names: Vec<String>) -> Result<(), PlanError> {
    let too_long = names
        .iter()
        .find(|name| name.len() > limits::MAX_NAME_BYTES);
    let disordered = names.windows(2).find(|pair| pair[0] >= pair[1]);
    let wrong = too_long.or(disordered.map(|pair| &pair[1]));
    match wrong {
        Some(name) => Err(PlanError::Name {
            what,
            name: name.clone(),
        }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    /// A change of a plan, with a text that belongs to it.
    type Change = (&'static str, fn(&mut Plan));

    /// Every kind of change.
    fn changes() -> Vec<Change> {
        vec![
            ("program", |plan| plan.programs[0][0] ^= 1),
            ("constant", |plan| plan.constants[0].root[31] ^= 1),
            ("constant's name", |plan| {
                plan.constants[0].slot.name.push('x')
            }),
            ("state's type", |plan| {
                plan.state[0].ty = TensorType::i32([2])
            }),
            ("given", |plan| plan.given[0].name.push('x')),
            ("run's program", |plan| plan.runs[0].program = 1),
            ("binding", |plan| plan.runs[0].inputs.swap(0, 1)),
            ("order", |plan| plan.runs.swap(0, 2)),
            ("next", |plan| plan.next[0] = Source::State(0)),
            ("fewer runs", |plan| plan.runs.truncate(2)),
        ]
    }

    #[test]
    fn every_part_is_in_the_digest() {
        let (plan, programs) = toy::plan();
        plan.check(&programs).unwrap();
        for (what, change) in changes() {
            let mut other = plan.clone();
            change(&mut other);
            assert_ne!(other.digest(), plan.digest(), "{what}");
        }
    }

    #[test]
    fn parts_stand_where_they_are_said_to() {
        let (plan, _) = toy::plan();
        let parts = plan.parts();
        let at = |part: Part| plan.place_of(part).map(|place| parts[place].clone());
        assert_eq!(at(Part::Header), Some(parts[0].clone()));
        assert_eq!(at(Part::Program(1)), Some(plan.programs[1].to_vec()));
        assert!(
            at(Part::Constant(2))
                .unwrap()
                .ends_with(&plan.constants[2].root)
        );
        assert_eq!(at(Part::State(1)), Some(plan.state[1].to_bytes()));
        assert_eq!(at(Part::Given(0)), Some(plan.given[0].to_bytes()));
        assert!(
            at(Part::Run(2))
                .unwrap()
                .ends_with(&sources(&plan.runs[2].inputs))
        );
        assert_eq!(at(Part::Next), parts.last().cloned());
        for none in [
            Part::Program(2),
            Part::Constant(3),
            Part::State(3),
            Part::Given(1),
        ] {
            assert_eq!(at(none), None);
        }
        assert_eq!(at(Part::Run(3)), None);
    }

    #[test]
    fn mistakes_are_named() {
        let (plan, programs) = toy::plan();
        let error = |change: fn(&mut Plan)| {
            let mut other = plan.clone();
            change(&mut other);
            other.check(&programs).unwrap_err().to_string()
        };
        let cases: [Change; 8] = [
            ("program 1 is not", |plan| plan.programs[1] = [0; 32]),
            ("program 9 is not", |plan| plan.runs[0].program = 9),
            ("run 0 binds", |plan| plan.runs[0].inputs.truncate(3)),
            ("not yet", |plan| {
                plan.runs[1].inputs[0] = Source::Output { run: 1, output: 0 };
            }),
            ("State(99)", |plan| {
                plan.runs[0].inputs[0] = Source::State(99)
            }),
            ("bound to", |plan| plan.runs[0].inputs.swap(0, 1)),
            ("next values of a state", |plan| plan.next.truncate(2)),
            ("stands twice", |plan| {
                plan.state[1].name = plan.state[0].name.clone()
            }),
        ];
        for (expected, change) in cases {
            let error = error(change);
            assert!(error.contains(expected), "{error}");
        }
        assert!(matches!(
            plan.check(&programs[..1]),
            Err(PlanError::Program(1))
        ));
    }
}
