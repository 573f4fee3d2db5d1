//! Tensors in the memory of an engine.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::EngineError;
use crate::program::TensorType;
use crate::tensor::Tensor;

/// A tensor in an engine's memory, to be bound to inputs of any sessions of that engine.
///
/// Its words never change. A session that writes to an input, or computes an output, makes another
/// buffer; whoever holds the old one keeps the old words, and sees the new ones by binding the new
/// buffer. Memory that nobody else holds is written again in place, so a loop that keeps no handles
/// allocates nothing.
///
/// A clone is another handle to the same memory.
#[derive(Clone)]
pub struct Buffer {
    ty: TensorType,
    storage: Arc<dyn Storage>,
}

/// Memory that holds the words of one tensor, as an engine has it.
pub trait Storage: Any + Send + Sync {
    /// A copy of the words on the host.
    ///
    /// # Errors
    /// The device failed.
    fn read(&self) -> Result<Vec<u32>, EngineError>;
}

impl Buffer {
    /// A handle to words that an engine stored; they are as many as `ty` has elements.
    pub fn new(ty: TensorType, storage: Arc<dyn Storage>) -> Self {
        Self { ty, storage }
    }

    /// Element type and shape.
    pub fn ty(&self) -> &TensorType {
        &self.ty
    }

    /// A copy of the words on the host.
    ///
    /// # Errors
    /// The device failed.
    pub fn read_words(&self) -> Result<Vec<u32>, EngineError> {
        self.storage.read()
    }

    /// A copy on the host.
    ///
    /// # Errors
    /// The device failed.
    #[expect(
        clippy::expect_used,
        reason = "an engine that stored another number of words is broken"
    )]
    pub fn read(&self) -> Result<Tensor, EngineError> {
        let words = self.read_words()?;
        Ok(Tensor::from_words(self.ty.clone(), words)
            .expect("invariant: a buffer has a word per element of its type"))
    }

    /// The memory, if it is of the engine whose storage is `T`.
    pub fn storage<T: Storage>(&self) -> Option<Arc<T>> {
        let storage: Arc<dyn Any + Send + Sync> = Arc::clone(&self.storage) as _;
        storage.downcast().ok()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Buffer({})", self.ty)
    }
}

/// A tensor on the host, as the reference engine stores it.
impl Storage for Tensor {
    fn read(&self) -> Result<Vec<u32>, EngineError> {
        Ok(self.words().to_vec())
    }
}
