//! What a worker asserts about one step of a job when it is asked, as files beside the checkpoints.
//!
//! ```text
//! folder/trace-00000007.roots              a line of JSON that says what follows: roots of the
//!                                          states on both sides, and of every value, 32 bytes each
//!        trace-00000007-run-2.values       the words of all values of run 2, by id, little-endian
//! ```
//! A claim commits to checkpoints only. A trace is the worker's word about a step between them: it
//! is written before somebody audits it, and each root in it can be held against a recomputation.
//! The words of a run spare an auditor the way to it: they are worth what their roots are, so no
//! more than those that are read are hashed.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use reproducible_ops::program::{Digest, Program};
use reproducible_ops::tensor::Tensor;
use serde::{Deserialize, Serialize};
use swarm_files::text_file;
use swarm_files::whole::{Access, Reserved};
use verde::step::StepRoots;

/// The version of the form.
const FORMAT: u32 = 2;
/// Largest trace that is read, in bytes.
const MAX_BYTES: u64 = 1 << 27;
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
    /// Roots of states and values.
    pub roots: StepRoots,
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
}

/// Where the trace of a step lies in a job's folder.
pub fn trace_path(folder: &Path, step: u64) -> PathBuf {
    folder.join(format!("trace-{step:08}.roots"))
}

/// Where the values of a run of a traced step lie in a job's folder.
pub fn values_path(folder: &Path, step: u64, run: usize) -> PathBuf {
    folder.join(format!("trace-{step:08}-run-{run}.values"))
}

impl StepTrace {
    /// Writes the trace into a job's folder, whole or not at all.
    ///
    /// # Errors
    /// The system refuses.
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
        };
        let line = serde_json::to_vec(&header).map_err(io::Error::from);
        let written = line.and_then(|mut bytes| {
            bytes.push(b'\n');
            let lists = [&roots.before, &roots.after].into_iter().chain(&roots.runs);
            for root in lists.flatten() {
                bytes.extend_from_slice(root);
            }
            Reserved::new(&path, Access::Umask, bytes.len())?.replace(&bytes)
        });
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
        let bytes = text_file::read_bytes(&path, MAX_BYTES).map_err(TraceError::io(&path))?;
        let read = parse(&bytes, step).map_err(malformed)?;
        Ok((read, bytes.len() as u64))
    }
}

/// The trace that these bytes are, or what is wrong with them.
fn parse(bytes: &[u8], step: u64) -> Result<StepTrace, String> {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let end = end.ok_or("there is no line that says what it has")?;
    let header: Header =
        serde_json::from_slice(&bytes[..end]).map_err(|error| error.to_string())?;
    if header.format != FORMAT {
        let found = header.format;
        return Err(format!("format {found}; this program reads {FORMAT}"));
    }
    if header.step != step {
        return Err(format!("the trace of step {}", header.step));
    }
    let (found, rest) = bytes[end + 1..].as_chunks::<ROOT>();
    let mut counts = [header.before, header.after]
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
        runs: header.runs.into_iter().map(take).collect(),
    };
    let job = header.job;
    Ok(StepTrace { job, step, roots })
}

/// Writes the values of a run into a job's folder.
///
/// # Errors
/// The system refuses.
pub fn write_values(
    folder: &Path,
    step: u64,
    run: usize,
    values: &[Tensor],
) -> Result<PathBuf, TraceError> {
    let path = values_path(folder, step, run);
    // Named when whole, so that no half file is taken for the values.
    let partial = path.with_extension("partial");
    let write = || {
        let mut file = BufWriter::new(File::create(&partial)?);
        for value in values {
            for word in value.words() {
                file.write_all(&word.to_le_bytes())?;
            }
        }
        file.into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()?;
        std::fs::rename(&partial, &path)
    };
    write().map_err(TraceError::io(&path))?;
    Ok(path)
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
        let file = match File::open(&path) {
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
        let mut bytes = vec![0; (end - first) as usize];
        let read = self.file.seek(SeekFrom::Start(first));
        let read = read.and_then(|_| self.file.read_exact(&mut bytes));
        read.map_err(TraceError::io(&self.path))?;
        let (words, _) = bytes.as_chunks::<4>();
        let words = words.iter().map(|word| u32::from_le_bytes(*word)).collect();
        Tensor::from_words(ty.clone(), words).map_err(|error| malformed(error.to_string()))
    }
}
