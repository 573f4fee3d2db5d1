//! Reading safetensors: files, bytes and sharded Hugging Face folders.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Component, Path};

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::Weights;
use super::error::LoadError;
use crate::program::{DType, TensorType};
use crate::tensor::Tensor;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

impl Weights {
    /// Reads a safetensors file, or a folder as Hugging Face lays it out: `model.safetensors`, or
    /// the shards that `model.safetensors.index.json` lists.
    ///
    /// # Errors
    /// See [`LoadError`]; it names the file.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        if path.is_dir() {
            load_folder(path)
        } else {
            load_file(path)
        }
    }

    /// Reads the bytes of a safetensors file.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LoadError> {
        let format = |reason: String| LoadError::Format {
            bytes: bytes.len(),
            reason,
        };
        let file = SafeTensors::deserialize(bytes).map_err(|error| format(error.to_string()))?;
        check_header(bytes).map_err(|fault| match fault {
            HeaderFault::Duplicate(name) => LoadError::Duplicate { name },
            HeaderFault::Invalid(reason) => format(reason),
        })?;
        let tensors = file
            .iter()
            .map(|(name, view)| Ok((name.to_owned(), tensor(name, &view)?)));
        tensors.collect()
    }
}

fn load_file(path: &Path) -> Result<Weights, LoadError> {
    let bytes = read(path)?;
    Weights::from_bytes(&bytes).map_err(|source| LoadError::File {
        path: path.into(),
        source: Box::new(source),
    })
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    fs::read(path).map_err(|source| LoadError::Io {
        path: path.into(),
        source,
    })
}

fn load_folder(folder: &Path) -> Result<Weights, LoadError> {
    let (single, index) = (folder.join(SINGLE), folder.join(INDEX));
    if single.is_file() {
        return load_file(&single);
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
    load_shards(folder, &index)
}

/// Every tensor comes from exactly one shard, and exactly those that the index lists.
fn load_shards(folder: &Path, index: &BTreeMap<String, String>) -> Result<Weights, LoadError> {
    let mut weights = Weights::new();
    for shard in index.values().collect::<BTreeSet<_>>() {
        for (name, tensor) in load_file(&folder.join(shard))? {
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

enum HeaderFault {
    Duplicate(String),
    Invalid(String),
}

/// JSON allows a key twice and readers keep one of them silently, so names are counted first.
fn check_header(bytes: &[u8]) -> Result<(), HeaderFault> {
    let invalid = || HeaderFault::Invalid("the header is cut off".into());
    let (length, rest) = bytes.split_first_chunk::<8>().ok_or_else(invalid)?;
    let length = usize::try_from(u64::from_le_bytes(*length)).map_err(|_| invalid())?;
    let header = rest.get(..length).ok_or_else(invalid)?;
    let mut names = Names {
        seen: BTreeSet::new(),
        twice: None,
    };
    let mut json = serde_json::Deserializer::from_slice(header);
    json.deserialize_map(&mut names)
        .map_err(|error| HeaderFault::Invalid(error.to_string()))?;
    match names.twice {
        Some(name) => Err(HeaderFault::Duplicate(name)),
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

fn tensor(name: &str, view: &TensorView<'_>) -> Result<Tensor, LoadError> {
    let data = view.data();
    let (dtype, words) = match view.dtype() {
        Dtype::F32 => (DType::F32, words(data, u32::from_le_bytes)),
        Dtype::F16 => (
            DType::F32,
            words(data, |half| widen_f16(u16::from_le_bytes(half)).to_bits()),
        ),
        Dtype::BF16 => (
            DType::F32,
            words(data, |half| u32::from(u16::from_le_bytes(half)) << 16),
        ),
        Dtype::I32 => (DType::I32, words(data, u32::from_le_bytes)),
        Dtype::I64 => (DType::I32, narrow(name, data)?),
        Dtype::BOOL => (DType::Bool, bools(name, data)?),
        other => {
            return Err(LoadError::DType {
                name: name.into(),
                dtype: other.to_string(),
            });
        }
    };
    let (ty, bytes) = (TensorType::new(dtype, view.shape()), data.len());
    let mismatch = |error: crate::tensor::TensorError| LoadError::Format {
        bytes,
        reason: error.to_string(),
    };
    let tensor = Tensor::from_words(ty, words).map_err(mismatch)?;
    match tensor.first_beyond(f32::MAX) {
        None => Ok(tensor),
        Some((index, value)) => Err(LoadError::NotFinite {
            name: name.into(),
            index,
            value,
        }),
    }
}

/// One word per `N` bytes. (The format has checked that the length is a multiple.)
fn words<const N: usize>(data: &[u8], word: impl Fn([u8; N]) -> u32) -> Vec<u32> {
    data.as_chunks::<N>()
        .0
        .iter()
        .map(|&chunk| word(chunk))
        .collect()
}

/// IEEE binary16: 1 sign, 5 exponent (bias 15) and 10 fraction bits. Every value is exact in
/// binary32.
fn widen_f16(bits: u16) -> f32 {
    let (sign, exponent, fraction) = (
        u32::from(bits >> 15) << 31,
        u32::from(bits >> 10) & 0x1f,
        u32::from(bits) & 0x3ff,
    );
    let magnitude = match exponent {
        // Subnormal: a multiple of 2⁻²⁴, exact in binary32.
        0 => (fraction as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        31 => 0x7f80_0000 | fraction << 13,
        _ => (exponent + 112) << 23 | fraction << 13,
    };
    f32::from_bits(sign | magnitude)
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
