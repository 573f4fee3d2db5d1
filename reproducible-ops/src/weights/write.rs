//! Writing safetensors in canonical form.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::Weights;
use super::error::SaveError;
use crate::program::{DType, Digest};
use crate::tensor::Tensor;

/// Words converted to bytes at a time, to bound the memory of writing.
const CHUNK: usize = 1 << 14;

impl Weights {
    /// Writes a safetensors file: whole or not at all. The bytes go to a neighbour named
    /// `….partial`, which is synced and then renamed. Two writers of the same path at the same time
    /// are not supported.
    ///
    /// # Errors
    /// The system refuses; an older file at `path` is untouched then.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), SaveError> {
        let path = path.as_ref();
        self.replace(path).map_err(|source| SaveError {
            path: path.into(),
            source,
        })
    }

    fn replace(&self, path: &Path) -> io::Result<()> {
        let partial = neighbour(path)?;
        let outcome = self
            .save_partial(&partial)
            .and_then(|()| fs::rename(&partial, path));
        if outcome.is_err() {
            // The first error is the one to report.
            let _ = fs::remove_file(&partial);
        }
        outcome?;
        sync_folder(path)
    }

    fn save_partial(&self, partial: &Path) -> io::Result<()> {
        let mut writer = BufWriter::new(File::create(partial)?);
        self.write(&mut writer)?;
        writer
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?
            .sync_all()
    }

    /// The canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // Writing to memory cannot fail.
        let _ = self.write(&mut bytes);
        bytes
    }

    /// SHA-256 of [`Weights::to_bytes`], without making them.
    pub fn digest(&self) -> Digest {
        let mut hasher = Sha256::new();
        // A hasher takes everything.
        let _ = self.write(&mut hasher);
        hasher.finalize().into()
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let header = self.header();
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(header.as_bytes())?;
        self.file_order()
            .try_for_each(|(_, tensor)| write_elements(tensor, to))
    }

    /// Four-byte elements first, so that all are aligned.
    fn file_order(&self) -> impl Iterator<Item = (&str, &Tensor)> {
        let wide = self.iter().filter(|(_, tensor)| width(tensor) == 4);
        wide.chain(self.iter().filter(|(_, tensor)| width(tensor) != 4))
    }

    fn header(&self) -> String {
        let mut header = String::from(r#"{"__metadata__":{"format":"pt"}"#);
        let mut start = 0;
        for (name, tensor) in self.file_order() {
            let end = start + tensor.shape().elements() * width(tensor);
            let (name, dtype) = (serde_json::Value::from(name), dtype(tensor));
            let shape = serde_json::Value::from(tensor.shape().dims());
            header += &format!(
                r#",{name}:{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#
            );
            start = end;
        }
        header.push('}');
        let padded = header.len().next_multiple_of(8);
        header.extend(std::iter::repeat_n(' ', padded - header.len()));
        header
    }
}

fn width(tensor: &Tensor) -> usize {
    if tensor.ty().dtype == DType::Bool {
        1
    } else {
        4
    }
}

fn dtype(tensor: &Tensor) -> &'static str {
    match tensor.ty().dtype {
        DType::F32 => "F32",
        DType::I32 => "I32",
        DType::Bool => "BOOL",
    }
}

fn write_elements(tensor: &Tensor, to: &mut impl Write) -> io::Result<()> {
    let width = width(tensor);
    for words in tensor.word_chunks(CHUNK) {
        let bytes: Vec<u8> = words
            .iter()
            .flat_map(|word| word.to_le_bytes().into_iter().take(width))
            .collect();
        to.write_all(&bytes)?;
    }
    Ok(())
}

fn neighbour(path: &Path) -> io::Result<PathBuf> {
    let Some(name) = path.file_name() else {
        let reason = "the path does not end in a file name";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    };
    let mut name = name.to_os_string();
    name.push(".partial");
    Ok(path.with_file_name(name))
}

/// Makes the rename itself durable, where folders can be synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    if cfg!(unix) {
        File::open(folder)?.sync_all()
    } else {
        Ok(())
    }
}
