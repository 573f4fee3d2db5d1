//! What a worker asserts about one step of a job when it is asked, as files beside the checkpoints.
//!
//! ```text
//! folder/trace-00000007.roots              a line of JSON that says what follows: roots of the
//!                                          tensors of the states on both sides, of every value,
//!                                          and of states between two checkpoints, 32 bytes each
//!        trace-00000007-run-2.values       the words of all values of run 2, by id, little-endian
//! ```
//! A claim commits to checkpoints only. A trace is the worker's word about a step between them: it
//! is written before somebody audits it, and each root in it can be held against a recomputation.
//! The words of a run spare an auditor the way to it: they are worth what their roots are, so no
//! more than those that are read are hashed.
//!
//! Limits: a file is a stranger's, so its size is checked before anything is made of it. A trace
//! has at most 128 MiB, its first line 1 MiB.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use reproducible_ops::program::{Digest, Program};
use reproducible_ops::tensor::Tensor;
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use verde::history::Length;
use verde::step::StepRoots;

/// The version of the form.
const FORMAT: u32 = 3;
/// Largest trace that is written or read, in bytes.
const MAX_BYTES: u64 = 1 << 27;
/// Longest first line, in bytes: a plan has at most 2¹⁶ runs, and the number of values of each
/// takes 8 bytes.
const MAX_LINE: usize = 1 << 20;
/// Bytes of a root.
const ROOT: usize = size_of::<Digest>();

/// Why there is no trace, or none that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The system.
    #[error("{path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The text, or the size, is not that of a trace.
    #[error("{path}: {reason}", path = path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl TraceError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            path: path.clone(),
            source,
        }
    }

    /// Whether there simply is no file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// What a worker asserts about a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTrace {
    /// The job, as hexadecimal text.
    pub job: String,
    /// The step, from 0.
    pub step: u64,
    /// Roots of the tensors of both states, and of values.
    pub roots: StepRoots,
    /// Roots of the states from the checkpoint before the step to the one after it, both included.
    /// None where the step is alone between them: the history has both.
    pub interval: Vec<Digest>,
}

/// How many states the trace of a step has between the checkpoints around it, both included.
pub(super) fn interval_states(length: Length, step: u64) -> u64 {
    match length.steps_before(checkpoint_after(length, step)) {
        1 => 0,
        steps => steps + 1,
    }
}

/// The number of the first checkpoint after a step.
pub(super) fn checkpoint_after(length: Length, step: u64) -> u64 {
    step / u64::from(length.stride()) + 1
}

/// The first line of a trace: how many roots follow, in the order of these fields.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: u32,
    job: String,
    step: u64,
    before: usize,
    after: usize,
    runs: Vec<usize>,
    interval: usize,
}

/// What the first line of every form has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// Where the trace of a step lies in a job's folder.
pub fn trace_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(trace_name(step))
}

fn trace_name(step: u64) -> String {
    format!("trace-{step:08}.roots")
}

/// The step whose trace has this name; none where it is another file's.
pub(super) fn step_of_trace(name: &OsStr) -> Option<u64> {
    let text = name.to_str()?;
    let digits = text.strip_prefix("trace-")?.strip_suffix(".roots")?;
    let step = digits.parse().ok()?;
    (trace_name(step) == text).then_some(step)
}

/// Where the values of a run of a traced step lie in a job's folder.
pub fn values_path(folder: &Path, step: u64, run: usize) -> PathBuf {
    folder.join(format!("trace-{step:08}-run-{run}.values"))
}

impl StepTrace {
    /// Writes the trace into a job's folder, whole or not at all.
    ///
    /// # Errors
    /// It is larger than what is read, or the system refuses.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, TraceError> {
        let path = trace_path(folder, self.step);
        let roots = &self.roots;
        let header = Header {
            format: FORMAT,
            job: self.job.clone(),
            step: self.step,
            before: roots.before.len(),
            after: roots.after.len(),
            runs: roots.runs.iter().map(Vec::len).collect(),
            interval: self.interval.len(),
        };
        let line = serde_json::to_vec(&header).map_err(io::Error::from);
        let mut bytes = line.map_err(TraceError::io(&path))?;
        bytes.push(b'\n');
        let lists = [&roots.before, &roots.after].into_iter();
        let lists = lists.chain(&roots.runs).chain([&self.interval]);
        for root in lists.flatten() {
            bytes.extend_from_slice(root);
        }
        if bytes.len() as u64 > MAX_BYTES {
            let size = bytes.len();
            let reason =
                format!("a trace of {size} bytes; at most {MAX_BYTES} are written and read");
            return Err(TraceError::Malformed { path, reason });
        }
        let reserved = Reserved::new(&path, Access::Umask, bytes.len());
        let written = reserved.and_then(|place| place.replace(&bytes));
        written.map_err(TraceError::io(&path))?;
        Ok(path)
    }

    /// Reads the trace of a step, and tells the size of its file.
    ///
    /// # Errors
    /// [`TraceError`].
    pub fn read(folder: &Path, step: u64) -> Result<(Self, u64), TraceError> {
        let path = trace_path(folder, step);
        let malformed = |reason: String| TraceError::Malformed {
            path: path.clone(),
            reason,
        };
        let bytes = text_file::regular(&path);
        let bytes = bytes.and_then(|path| text_file::read_bytes(path, MAX_BYTES));
        let bytes = bytes.map_err(TraceError::io(&path))?;
        let read = parse(&bytes, step).map_err(malformed)?;
        Ok((read, bytes.len() as u64))
    }
}

/// The trace that these bytes are, or what is wrong with them.
fn parse(bytes: &[u8], step: u64) -> Result<StepTrace, String> {
    let first = &bytes[..bytes.len().min(MAX_LINE)];
    let end = first.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or_else(|| {
        format!("no first line, of at most {MAX_LINE} bytes, that says what it has")
    })?;
    let line = &bytes[..end];
    let Version { format } = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if format != FORMAT {
        return Err(format!(
            "format {format}; this program reads {FORMAT}, which `job trace` writes"
        ));
    }
    let header: Header = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if header.step != step {
        return Err(format!("the trace of step {}", header.step));
    }
    let (found, rest) = bytes[end + 1..].as_chunks::<ROOT>();
    let mut counts = [header.before, header.after, header.interval]
        .into_iter()
        .chain(header.runs.iter().copied());
    let expected = counts.try_fold(0usize, usize::checked_add);
    if expected != Some(found.len()) || !rest.is_empty() {
        let (roots, rest) = (found.len(), rest.len());
        return Err(format!(
            "{roots} roots and {rest} bytes follow the first line, which says another number"
        ));
    }
    let mut found = found.iter().copied();
    let mut take = |count: usize| -> Vec<Digest> { found.by_ref().take(count).collect() };
    let roots = StepRoots {
        before: take(header.before),
        given: Vec::new(),
        after: take(header.after),
        runs: header.runs.into_iter().map(&mut take).collect(),
    };
    Ok(StepTrace {
        job: header.job,
        step,
        roots,
        interval: take(header.interval),
    })
}

/// The values of a run on their way into a job's folder, one after another. Named when whole, so that
/// no half file is taken for the values.
pub(super) struct ValuesFile {
    path: PathBuf,
    partial: PathBuf,
    file: BufWriter<File>,
}

impl ValuesFile {
    /// Begins a file without values.
    ///
    /// # Errors
    /// The system refuses.
    pub fn create(folder: &Path, step: u64, run: usize) -> Result<Self, TraceError> {
        let path = values_path(folder, step, run);
        let partial = path.with_extension("partial");
        let file = File::create(&partial).map_err(TraceError::io(&partial))?;
        let file = BufWriter::new(file);
        Ok(Self {
            path,
            partial,
            file,
        })
    }

    /// Adds the next value, in the order of their ids.
    ///
    /// # Errors
    /// The system refuses.
    pub fn add(&mut self, value: &Tensor) -> Result<(), TraceError> {
        let words: Vec<u32> = value.words().iter().map(|word| word.to_le()).collect();
        let written = self.file.write_all(bytemuck::cast_slice(&words));
        written.map_err(TraceError::io(&self.partial))
    }

    /// Ends the file, and names it.
    ///
    /// # Errors
    /// The system refuses.
    pub fn finish(self) -> Result<PathBuf, TraceError> {
        let written = self
            .file
            .into_inner()
            .map_err(io::IntoInnerError::into_error);
        let named = written
            .and_then(|file| file.sync_all())
            .and_then(|()| std::fs::rename(&self.partial, &self.path));
        named.map_err(TraceError::io(&self.partial))?;
        Ok(self.path)
    }
}

/// The values of a run in a job's folder; each is read when it is asked for.
#[derive(Debug)]
pub struct Values<'p> {
    path: PathBuf,
    file: File,
    program: &'p Program,
    /// Where each value begins, in bytes, and where the last one ends.
    offsets: Vec<u64>,
}

impl<'p> Values<'p> {
    /// Opens the values of a run of this program; none where there is no such file.
    ///
    /// # Errors
    /// The file is not as long as the values of the program.
    pub fn open(
        folder: &Path,
        step: u64,
        run: usize,
        program: &'p Program,
    ) -> Result<Option<Self>, TraceError> {
        let path = values_path(folder, step, run);
        let file = match text_file::regular(&path).and_then(File::open) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TraceError::io(&path)(error)),
        };
        let mut offsets = vec![0];
        let inputs = program.inputs().iter().map(|input| &input.ty);
        for ty in inputs.chain(program.nodes().iter().map(|node| &node.ty)) {
            offsets.push(offsets[offsets.len() - 1] + 4 * ty.shape.elements() as u64);
        }
        let expected = offsets[offsets.len() - 1];
        let found = file.metadata().map_err(TraceError::io(&path))?.len();
        if found != expected {
            let reason = format!("{found} bytes; the values of this run have {expected}");
            return Err(TraceError::Malformed { path, reason });
        }
        Ok(Some(Self {
            path,
            file,
            program,
            offsets,
        }))
    }

    /// A value, by id.
    ///
    /// # Errors
    /// The program has no such value, or the file cannot be read.
    pub fn read(&mut self, value: usize) -> Result<Tensor, TraceError> {
        let malformed = |reason: String| TraceError::Malformed {
            path: self.path.clone(),
            reason,
        };
        let id = reproducible_ops::program::ValueId(value as u32);
        let ty = self.program.type_of(id);
        let ty = ty.ok_or_else(|| malformed(format!("no value {value}")))?;
        let (first, end) = (self.offsets[value], self.offsets[value + 1]);
        let mut words = vec![0u32; ((end - first) / 4) as usize];
        let read = self.file.seek(SeekFrom::Start(first));
        let bytes = bytemuck::cast_slice_mut(&mut words);
        let read = read.and_then(|_| self.file.read_exact(bytes));
        read.map_err(TraceError::io(&self.path))?;
        // They are little-endian in the file: nothing is done to them on most machines.
        words
            .iter_mut()
            .for_each(|word| *word = u32::from_le(*word));
        Tensor::from_words(ty.clone(), words).map_err(|error| malformed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn trace() -> StepTrace {
        let roots = |count: u8, seed: u8| (0..count).map(|at| [at ^ seed; ROOT]).collect();
        StepTrace {
            job: "ab".repeat(32),
            step: 7,
            roots: StepRoots {
                before: roots(2, 16),
                given: Vec::new(),
                after: roots(2, 32),
                runs: vec![roots(3, 48), roots(0, 0), roots(5, 64)],
            },
            interval: roots(3, 80),
        }
    }

    fn written(trace: &StepTrace) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = trace.write(folder.path()).unwrap();
        let bytes = std::fs::read(path).unwrap();
        let (read, size) = StepTrace::read(folder.path(), trace.step).unwrap();
        assert_eq!((&read, size), (trace, bytes.len() as u64));
        bytes
    }

    /// The bytes with another first line.
    fn relabelled(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
        let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
        let line = str::from_utf8(&bytes[..end]).unwrap();
        assert!(line.contains(from), "{line}");
        [line.replace(from, to).as_bytes(), &bytes[end..]].concat()
    }

    #[test]
    fn what_does_not_fit_the_first_line_is_refused() {
        let bytes = written(&trace());
        for (from, to, told) in [
            (r#""format":3"#, r#""format":2"#, "`job trace` writes"),
            (r#""step":7"#, r#""step":8"#, "the trace of step 8"),
            (r#""interval":3"#, r#""interval":2"#, "another number"),
            (r#""interval":3"#, r#""interval":4"#, "another number"),
            (r#","interval":3"#, "", "missing field `interval`"),
            (
                r#""interval":3"#,
                r#""interval":18446744073709551615"#,
                "another number",
            ),
            (
                r#""runs":[3,0,5]"#,
                r#""runs":[18446744073709551615,9,3]"#,
                "another number",
            ),
        ] {
            let error = parse(&relabelled(&bytes, from, to), 7).unwrap_err();
            assert!(error.contains(told), "{to}: {error}");
        }
        let long = format!(r#""runs":[{}0]"#, "0,".repeat(MAX_LINE / 2));
        let error = parse(&relabelled(&bytes, r#""runs":[3,0,5]"#, &long), 7).unwrap_err();
        assert!(error.contains("no first line"), "{error}");
    }

    #[test]
    fn a_trace_has_the_states_between_the_checkpoints_around_its_step() {
        let length = Length::new(25, 10).unwrap();
        let of = |step| {
            (
                checkpoint_after(length, step),
                interval_states(length, step),
            )
        };
        assert_eq!(
            [0, 9, 10, 20, 24].map(of),
            [(1, 11), (1, 11), (2, 11), (3, 6), (3, 6)]
        );
        let alone = Length::new(21, 10).unwrap();
        assert_eq!(
            (interval_states(alone, 19), interval_states(alone, 20)),
            (11, 0)
        );
    }

    #[test]
    fn a_trace_is_known_by_its_name() {
        for step in [0, 7, 123_456_789, u64::MAX] {
            assert_eq!(step_of_trace(trace_name(step).as_ref()), Some(step));
        }
        for name in [
            "trace-7.roots",
            "trace-+0000007.roots",
            "trace-00000007-run-2.values",
        ] {
            assert_eq!(step_of_trace(name.as_ref()), None, "{name}");
        }
    }

    proptest! {
        /// Whatever bytes there are, and however a trace is changed or cut, it is read or refused.
        #[test]
        fn a_mutated_trace_is_read_or_refused(
            noise in prop::collection::vec(any::<u8>(), 0..200),
            at in any::<prop::sample::Index>(),
            bit in 0_u32..8,
            end in any::<prop::sample::Index>(),
        ) {
            let _ = parse(&noise, 7);
            let whole = written(&trace());
            let cut = &whole[..end.index(whole.len())];
            prop_assert!(parse(cut, 7).is_err());
            let mut changed = whole.clone();
            changed[at.index(whole.len())] ^= 1 << bit;
            if let Ok(read) = parse(&changed, 7) {
                let count = |trace: &StepTrace| {
                    let roots = &trace.roots;
                    let runs: usize = roots.runs.iter().map(Vec::len).sum();
                    roots.before.len() + roots.after.len() + runs + trace.interval.len()
                };
                prop_assert_eq!(count(&read), count(&trace()));
                prop_assert_ne!(read, trace());
            }
        }
    }
}
