//! Reading safetensors: files, bytes and sharded Hugging Face folders.
//!
//! A file is read tensor by tensor: beside what has been read there is never more than the bytes of
//! one tensor in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Component, Path};

use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Weights;
use super::error::LoadError;
use crate::program::{DType, TensorType};
use crate::tensor::{HalfFormat, Tensor, TensorError};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// Longest header of a safetensors file, as the format has it.
const MAX_HEADER: u64 = 100_000_000;

/// What becomes of half floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HalfFloats {
    /// They are widened.
    Widened,
    /// They stay at two bytes.
    Kept,
}

impl Weights {
    /// Reads a safetensors file, or a folder as Hugging Face lays it out: `model.safetensors`, or
    /// the shards that `model.safetensors.index.json` lists. Half floats are widened.
    ///
    /// # Errors
    /// See [`LoadError`]; it names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        load(path.as_ref(), HalfFloats::Widened)
    }

    /// As [`Weights::load`], with half floats kept at two bytes: see [`Tensor::from_halves`].
    ///
    /// # Errors
    /// See [`LoadError`]; it names the file.
    pub fn load_halves(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        load(path.as_ref(), HalfFloats::Kept)
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let mut reader = Reader::new(Cursor::new(bytes), bytes.len() as u64);
        reader
            .weights(HalfFloats::Widened)
            .map_err(|fault| match fault {
                Fault::Load(error) => error,
                // Bytes in memory only fail to be read where they end.
                Fault::Io(error) => reader.invalid(error.to_string()),
            })
    }
}

fn load(path: &Path, halves: HalfFloats) -> Result<Weights, LoadError> {
    if path.is_dir() {
        load_folder(path, halves)
    } else {
        load_file(path, halves)
    }
}

fn load_file(path: &Path, halves: HalfFloats) -> Result<Weights, LoadError> {
    let refused = |source| LoadError::Io {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(refused)?;
    let length = file.metadata().map_err(refused)?.len();
    let read = Reader::new(file, length).weights(halves);
    read.map_err(|fault| match fault {
        Fault::Io(source) => refused(source),
        Fault::Load(source) => LoadError::File {
            path: path.into(),
            source: Box::new(source),
        },
    })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::Io {
        path: path.into(),
        source,
    })
}

fn load_folder(folder: &Path, halves: HalfFloats) -> Result<Weights, LoadError> {
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    if single.is_file() {
        return load_file(&single, halves);
    }
    if !index.is_file() {
        return Err(LoadError::NoWeights {
            path: folder.into(),
        });
    }
    let wrap = |source| LoadError::File {
        path: index.clone(),
        source: Box::new(source),
    };
    let index = parse_index(&read(&index)?).map_err(wrap)?;
    load_shards(folder, &index, halves)
}

/// Every tensor comes from exactly one shard, and exactly those that the index lists.
fn load_shards(
    folder: &Path,
    index: &BTreeMap<String, String>,
    halves: HalfFloats,
) -> Result<Weights, LoadError> {
    let mut weights = Weights::new();
    for shard in index.values().collect::<BTreeSet<_>>() {
        for (name, tensor) in load_file(&folder.join(shard), halves)? {
            if weights.contains(&name) {
                return Err(LoadError::Duplicate { name });
            }
            weights.insert(&name, tensor);
        }
    }
    let lacking = index.iter().find(|(name, _)| !weights.contains(name));
    match lacking {
        Some((name, shard)) => Err(LoadError::Index {
            reason: format!("{shard} does not hold `{name}`"),
        }),
        None => Ok(weights),
    }
}

#[derive(serde::Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

/// Tensor name → file name; files lie directly in the folder.
fn parse_index(bytes: &[u8]) -> Result<BTreeMap<String, String>, LoadError> {
    let wrong = |reason: String| LoadError::Index { reason };
    // Some editors write a byte order mark, which is no part of a JSON text.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let index: Index = serde_json::from_slice(text).map_err(|error| wrong(error.to_string()))?;
    let plain = |file: &String| {
        let mut parts = Path::new(file).components();
        matches!(
            (parts.next(), parts.next()),
            (Some(Component::Normal(_)), None)
        )
    };
    match index.weight_map.values().find(|file| !plain(file)) {
        Some(file) => Err(wrong(format!("`{file}` is not a file name"))),
        None => Ok(index.weight_map),
    }
}

/// Why a file cannot be read.
enum Fault {
    /// What the system says.
    Io(io::Error),
    /// What is wrong with the bytes.
    Load(LoadError),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<LoadError> for Fault {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

/// A safetensors file of a known length.
struct Reader<R> {
    from: R,
    length: u64,
}

impl<R: Read + Seek> Reader<R> {
    fn new(from: R, length: u64) -> Self {
        Self { from, length }
    }

    fn weights(&mut self, halves: HalfFloats) -> Result<Weights, Fault> {
        let header = self.header()?;
        check_names(&header).map_err(|fault| match fault {
            NameFault::Duplicate(name) => LoadError::Duplicate { name },
            NameFault::Invalid(reason) => self.invalid(reason),
        })?;
        // This checks that tensors follow each other without gaps and are as long as their shapes
        // say.
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| self.invalid(error.to_string()))?;
        let start = 8 + header.len() as u64;
        if self.length - start != metadata.data_len() as u64 {
            let (data, wanted) = (self.length - start, metadata.data_len());
            let reason = format!("{data} bytes follow the header, which lists {wanted}");
            return Err(self.invalid(reason).into());
        }
        let names = metadata.offset_keys();
        let tensors = names.into_iter().filter_map(|name| {
            let info = metadata.info(&name)?;
            let tensor = self.tensor(&name, info, start, halves);
            Some(tensor.map(|tensor| (name, tensor)))
        });
        tensors.collect()
    }

    fn invalid(&self, reason: String) -> LoadError {
        LoadError::Format {
            bytes: usize::try_from(self.length).unwrap_or(usize::MAX),
            reason,
        }
    }

    /// The header, which ends before the file does.
    fn header(&mut self) -> Result<Vec<u8>, Fault> {
        let rest = self.length.checked_sub(8);
        let rest = rest.ok_or_else(|| self.invalid("the header is cut off".into()))?;
        let mut length = [0; 8];
        self.from.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > rest || length > MAX_HEADER {
            let reason = format!("a header of {length} bytes; {rest} follow");
            return Err(self.invalid(reason).into());
        }
        let mut header = vec![0; length as usize];
        self.from.read_exact(&mut header)?;
        Ok(header)
    }

    fn tensor(
        &mut self,
        name: &str,
        info: &TensorInfo,
        start: u64,
        halves: HalfFloats,
    ) -> Result<Tensor, Fault> {
        let (first, end) = info.data_offsets;
        self.from.seek(SeekFrom::Start(start + first as u64))?;
        let count = |width: usize| (end - first) / width;
        let (shape, bytes) = (info.shape.as_slice(), end - first);
        let tensor = match info.dtype {
            Dtype::F32 | Dtype::I32 => {
                let is_float = info.dtype == Dtype::F32;
                let dtype = if is_float { DType::F32 } else { DType::I32 };
                Tensor::from_words(TensorType::new(dtype, shape), self.words(count(4))?)
            }
            Dtype::F16 => self.halves(shape, HalfFormat::F16, count(2), halves)?,
            Dtype::BF16 => self.halves(shape, HalfFormat::Bf16, count(2), halves)?,
            Dtype::I64 => {
                let words = narrow(name, &self.bytes(bytes)?)?;
                Tensor::from_words(TensorType::new(DType::I32, shape), words)
            }
            Dtype::BOOL => {
                let words = bools(name, &self.bytes(bytes)?)?;
                Tensor::from_words(TensorType::new(DType::Bool, shape), words)
            }
            other => {
                return Err(Fault::Load(LoadError::DType {
                    name: name.into(),
                    dtype: other.to_string(),
                }));
            }
        };
        let tensor = tensor.map_err(|error| self.invalid(error.to_string()))?;
        match tensor.first_beyond(f32::MAX) {
            None => Ok(tensor),
            Some((index, value)) => Err(Fault::Load(LoadError::NotFinite {
                name: name.into(),
                index,
                value,
            })),
        }
    }

    fn halves(
        &mut self,
        shape: &[usize],
        format: HalfFormat,
        count: usize,
        halves: HalfFloats,
    ) -> Result<Result<Tensor, TensorError>, Fault> {
        let mut bits = vec![0u16; count];
        self.from.read_exact(bytemuck::cast_slice_mut(&mut bits))?;
        bits.iter_mut().for_each(|bits| *bits = u16::from_le(*bits));
        if halves == HalfFloats::Kept {
            return Ok(Tensor::from_halves(shape, format, bits));
        }
        let words = bits.into_iter().map(|bits| format.widen(bits)).collect();
        Ok(Tensor::from_words(TensorType::f32(shape), words))
    }

    fn words(&mut self, count: usize) -> Result<Vec<u32>, Fault> {
        let mut words = vec![0u32; count];
        self.from.read_exact(bytemuck::cast_slice_mut(&mut words))?;
        words
            .iter_mut()
            .for_each(|word| *word = u32::from_le(*word));
        Ok(words)
    }

    fn bytes(&mut self, count: usize) -> Result<Vec<u8>, Fault> {
        let mut bytes = vec![0; count];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

enum NameFault {
    Duplicate(String),
    Invalid(String),
}

/// JSON allows a key twice and readers keep one of them silently, so names are counted first.
fn check_names(header: &[u8]) -> Result<(), NameFault> {
    let mut names = Names {
        seen: BTreeSet::new(),
        twice: None,
    };
    let mut json = serde_json::Deserializer::from_slice(header);
    json.deserialize_map(&mut names)
        .map_err(|error| NameFault::Invalid(error.to_string()))?;
    match names.twice {
        Some(name) => Err(NameFault::Duplicate(name)),
        None => Ok(()),
    }
}

struct Names {
    seen: BTreeSet<String>,
    twice: Option<String>,
}

impl<'de> Visitor<'de> for &mut Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of tensors")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((name, _)) = map.next_entry::<String, IgnoredAny>()? {
            if !self.seen.insert(name.clone()) {
                self.twice = Some(name);
            }
        }
        Ok(())
    }
}

fn narrow(name: &str, data: &[u8]) -> Result<Vec<u32>, LoadError> {
    let values = data
        .as_chunks::<8>()
        .0
        .iter()
        .map(|&chunk| i64::from_le_bytes(chunk));
    let fit = |(index, value): (usize, i64)| match i32::try_from(value) {
        Ok(value) => Ok(value.cast_unsigned()),
        Err(_) => Err(LoadError::Element {
            name: name.into(),
            index,
            value,
            dtype: "i32",
        }),
    };
    values.enumerate().map(fit).collect()
}

fn bools(name: &str, data: &[u8]) -> Result<Vec<u32>, LoadError> {
    let fit = |(index, &byte): (usize, &u8)| match byte {
        0 | 1 => Ok(u32::from(byte)),
        _ => Err(LoadError::Element {
            name: name.into(),
            index,
            value: byte.into(),
            dtype: "bool",
        }),
    };
    data.iter().enumerate().map(fit).collect()
}
