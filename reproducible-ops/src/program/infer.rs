//! Output types: every node's type follows from its operator and operand types.

use super::elementwise::Elementwise;
use super::operator::{Arity, Comparison, Operator, elementwise};
use super::types::{DType, Shape, TensorType, limits};

/// Why an operator cannot be applied to its operands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypeError {
    /// Wrong number of operands.
    #[error("{operator} takes {expected} operands, got {found}")]
    Arity {
        /// Operator name.
        operator: &'static str,
        /// Operands it takes.
        expected: Arity,
        /// Operands it was given.
        found: usize,
    },
    /// An operand has an element type that the operator has no meaning for.
    #[error("{operator} does not take {found} as operand {operand}")]
    DType {
        /// Operator name.
        operator: &'static str,
        /// Operand number from 0.
        operand: usize,
        /// Type it was given.
        found: TensorType,
    },
    /// Operand shapes do not fit each other or the attributes.
    #[error("{operator}: {reason}")]
    Shape {
        /// Operator name.
        operator: &'static str,
        /// What does not fit, with the values.
        reason: String,
    },
    /// The result would exceed [`limits`].
    #[error(
        "{operator}: result shape {shape} exceeds rank {max_rank}, or {max_elements} in an axis or \
         in all",
        max_rank = limits::MAX_RANK, max_elements = limits::MAX_ELEMENTS
    )]
    TooLarge {
        /// Operator name.
        operator: &'static str,
        /// The refused shape.
        shape: Shape,
    },
}

impl Operator {
    /// Derives the output type from the operand types.
    ///
    /// # Errors
    /// [`TypeError`] names the operator, the operand and the values that do not fit.
    pub fn infer(&self, operands: &[&TensorType]) -> Result<TensorType, TypeError> {
        let ty = Inference {
            operator: self,
            operands,
        }
        .infer()?;
        if !ty.shape.is_within_limits() {
            return Err(TypeError::TooLarge {
                operator: self.name(),
                shape: ty.shape,
            });
        }
        Ok(ty)
    }
}

struct Inference<'a> {
    operator: &'a Operator,
    operands: &'a [&'a TensorType],
}

type Inferred = Result<TensorType, TypeError>;

impl<'a> Inference<'a> {
    fn infer(&self) -> Inferred {
        use Operator::*;
        self.check_arity()?;
        match self.operator {
            elementwise!() => self.elementwise(),
            Full { dtype, bits, shape } => self.full(*dtype, *bits, shape),
            Iota { shape, axis } => self.iota(shape, *axis),
            MatmulNt => self.matmul_nt(),
            Sum | ReduceMax => self.reduce(DType::F32, 0),
            Argmax => self.reduce(DType::I32, 1),
            Reshape(shape) => self.reshape(shape),
            Permute(axes) => self.permute(axes),
            Expand(shape) => self.expand(shape),
            Slice { starts, ends } => self.slice(starts, ends),
            Concat { axis } => self.concat(*axis),
            Pad { before, after } => self.pad(before, after),
            GatherRows => self.gather_rows(),
            OneHot { classes } => self.one_hot(*classes),
            TakeAlongLast => self.take_along_last(),
            UpdateRows => self.update_rows(),
            PhiloxUniform { lanes } => self.philox_uniform(*lanes),
        }
    }

    fn check_arity(&self) -> Result<(), TypeError> {
        let (arity, found) = (self.operator.row().arity, self.operands.len());
        if arity.allows(found) {
            return Ok(());
        }
        Err(TypeError::Arity {
            operator: self.operator.name(),
            expected: arity,
            found,
        })
    }

    fn mismatch(&self, reason: String) -> TypeError {
        TypeError::Shape {
            operator: self.operator.name(),
            reason,
        }
    }

    fn require(&self, condition: bool, reason: impl FnOnce() -> String) -> Result<(), TypeError> {
        if condition {
            Ok(())
        } else {
            Err(self.mismatch(reason()))
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "the operator table says how many there are"
    )]
    fn operands<const N: usize>(&self) -> [&'a TensorType; N] {
        self.operands
            .try_into()
            .expect("invariant: `check_arity` has counted the operands")
    }

    fn require_dtype(&self, operand: usize, allowed: &[DType]) -> Result<(), TypeError> {
        if allowed.contains(&self.operands[operand].dtype) {
            Ok(())
        } else {
            Err(self.refused(operand))
        }
    }

    /// The operator has no meaning for the element type of this operand.
    fn refused(&self, operand: usize) -> TypeError {
        TypeError::DType {
            operator: self.operator.name(),
            operand,
            found: self.operands[operand].clone(),
        }
    }

    fn require_same(&self, a: &TensorType, b: &TensorType) -> Result<(), TypeError> {
        self.require(a == b, || format!("operands {a} and {b} differ"))
    }

    fn full(&self, dtype: DType, bits: u32, shape: &Shape) -> Inferred {
        let canonical = match dtype {
            DType::F32 => !f32::from_bits(bits).is_nan() || bits == 0x7fc0_0000,
            DType::I32 => true,
            DType::Bool => bits <= 1,
        };
        self.require(canonical, || {
            format!("bits {bits:#010x} are not a canonical {dtype}")
        })?;
        Ok(TensorType::new(dtype, shape.clone()))
    }

    fn iota(&self, shape: &Shape, axis: usize) -> Inferred {
        self.require(axis < shape.rank(), || {
            format!("axis {axis} of shape {shape}")
        })?;
        Ok(TensorType::i32(shape.clone()))
    }

    /// All operands have one shape, which is that of the result; their element types are those of a
    /// row of the operator table. The first decides whether the operator knows its type at all, the
    /// last two are alike.
    fn elementwise(&self) -> Inferred {
        let dtypes: Vec<DType> = self.operands.iter().map(|ty| ty.dtype).collect();
        let knows_first = Elementwise::ALL
            .iter()
            .any(|row| row.operands()[0] == dtypes[0] && row.operator() == *self.operator);
        if !knows_first {
            return Err(self.refused(0));
        }
        let last = dtypes.len() - 1;
        if let [.., a, b] = self.operands {
            self.require_same(a, b)?;
        }
        let (first, shape) = (self.operands[0], &self.operands[last].shape);
        self.require(first.shape == *shape, || {
            format!("operand {first} beside operands of shape {shape}")
        })?;
        match Elementwise::of(self.operator, &dtypes) {
            Some(row) => Ok(TensorType::new(row.result(), shape.clone())),
            None => Err(self.refused(last)),
        }
    }

    fn matmul_nt(&self) -> Inferred {
        let [a, b] = self.operands();
        self.require_dtype(0, &[DType::F32])?;
        self.require_dtype(1, &[DType::F32])?;
        let (da, db) = (a.shape.dims(), b.shape.dims());
        let fits = da.len() >= 2
            && da.len() == db.len()
            && da[..da.len() - 2] == db[..db.len() - 2]
            && da.last() == db.last();
        self.require(fits, || {
            format!("operands {a} and {b}; expected [batch…, M, K] and [batch…, N, K]")
        })?;
        Ok(TensorType::f32(a.shape.with_last(db[db.len() - 2])))
    }

    fn reduce(&self, dtype: DType, at_least: usize) -> Inferred {
        let [x] = self.operands();
        self.require_dtype(0, &[DType::F32])?;
        self.require(x.shape.rank() >= 1, || "operand is a scalar".into())?;
        self.require(x.shape.last() >= at_least, || {
            format!("last axis of {x} is empty")
        })?;
        Ok(TensorType::new(dtype, x.shape.with_last(1)))
    }

    fn reshape(&self, shape: &Shape) -> Inferred {
        let [x] = self.operands();
        let same = shape.elements() == x.shape.elements();
        self.require(same, || format!("{x} has not the elements of {shape}"))?;
        Ok(TensorType::new(x.dtype, shape.clone()))
    }

    fn permute(&self, axes: &[usize]) -> Inferred {
        let [x] = self.operands();
        let mut seen = vec![false; x.shape.rank()];
        for &axis in axes {
            let fresh = seen
                .get_mut(axis)
                .is_some_and(|seen| !std::mem::replace(seen, true));
            self.require(fresh, || format!("axes {axes:?} do not permute {x}"))?;
        }
        self.require(axes.len() == seen.len(), || {
            format!("axes {axes:?} do not permute {x}")
        })?;
        let dims: Vec<usize> = axes.iter().map(|&axis| x.shape.dims()[axis]).collect();
        Ok(TensorType::new(x.dtype, Shape::new(dims)))
    }

    fn expand(&self, shape: &Shape) -> Inferred {
        let [x] = self.operands();
        let pairs = || x.shape.dims().iter().zip(shape.dims());
        let fits =
            x.shape.rank() == shape.rank() && pairs().all(|(&from, &to)| from == to || from == 1);
        self.require(fits, || format!("{x} does not expand to {shape}"))?;
        Ok(TensorType::new(x.dtype, shape.clone()))
    }

    fn slice(&self, starts: &[usize], ends: &[usize]) -> Inferred {
        let [x] = self.operands();
        let dims = x.shape.dims();
        let counts = starts.len() == dims.len() && ends.len() == dims.len();
        let inside = counts && (0..dims.len()).all(|i| starts[i] <= ends[i] && ends[i] <= dims[i]);
        self.require(inside, || format!("{starts:?}..{ends:?} of {x}"))?;
        let lengths: Vec<usize> = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| end - start)
            .collect();
        Ok(TensorType::new(x.dtype, Shape::new(lengths)))
    }

    fn concat(&self, axis: usize) -> Inferred {
        let first = self.operands[0];
        let mut dims = first.shape.dims().to_vec();
        self.require(axis < dims.len(), || format!("axis {axis} of {first}"))?;
        dims[axis] = 0;
        for operand in self.operands {
            let mut others = operand.shape.dims().to_vec();
            let fits = others.len() == dims.len() && operand.dtype == first.dtype;
            self.require(fits, || format!("operands {first} and {operand}"))?;
            let length = std::mem::replace(&mut others[axis], dims[axis]);
            self.require(others == dims, || {
                format!("operands {first} and {operand} along axis {axis}")
            })?;
            dims[axis] = dims[axis].saturating_add(length);
        }
        Ok(TensorType::new(first.dtype, Shape::new(dims)))
    }

    fn pad(&self, before: &[usize], after: &[usize]) -> Inferred {
        let [x] = self.operands();
        let dims = x.shape.dims();
        let counts = before.len() == dims.len() && after.len() == dims.len();
        self.require(counts, || format!("{before:?}/{after:?} around {x}"))?;
        let widened =
            (0..dims.len()).map(|i| dims[i].saturating_add(before[i]).saturating_add(after[i]));
        Ok(TensorType::new(
            x.dtype,
            Shape::new(widened.collect::<Vec<_>>()),
        ))
    }

    fn gather_rows(&self) -> Inferred {
        let [table, ids] = self.operands();
        self.require_dtype(1, &[DType::I32])?;
        self.require(table.shape.rank() == 2, || {
            format!("table {table} is not [rows, width]")
        })?;
        let mut dims = ids.shape.dims().to_vec();
        dims.push(table.shape.last());
        Ok(TensorType::new(table.dtype, Shape::new(dims)))
    }

    fn one_hot(&self, classes: usize) -> Inferred {
        let [ids] = self.operands();
        self.require_dtype(0, &[DType::I32])?;
        let mut dims = ids.shape.dims().to_vec();
        dims.push(classes);
        Ok(TensorType::f32(Shape::new(dims)))
    }

    fn take_along_last(&self) -> Inferred {
        let [x, ids] = self.operands();
        self.require_dtype(1, &[DType::I32])?;
        let (rank, outer) = (x.shape.rank(), x.shape.rank().saturating_sub(1));
        let fits = rank >= 1
            && rank == ids.shape.rank()
            && x.shape.dims()[..outer] == ids.shape.dims()[..outer];
        self.require(fits, || format!("ids {ids} for {x}"))?;
        Ok(TensorType::new(x.dtype, ids.shape.clone()))
    }

    fn update_rows(&self) -> Inferred {
        let [base, rows, at] = self.operands();
        self.require_dtype(2, &[DType::I32])?;
        let (db, dr) = (base.shape.dims(), rows.shape.dims());
        let fits = db.len() >= 2
            && db.len() == dr.len()
            && base.dtype == rows.dtype
            && db[..db.len() - 2] == dr[..dr.len() - 2]
            && db.last() == dr.last()
            && at.shape.dims() == &db[..db.len() - 2];
        self.require(fits, || format!("base {base}, rows {rows}, at {at}"))?;
        Ok((*base).clone())
    }

    fn philox_uniform(&self, lanes: usize) -> Inferred {
        let [key, counter] = self.operands();
        self.require_dtype(0, &[DType::I32])?;
        self.require_dtype(1, &[DType::I32])?;
        let counter_fits = counter.shape.rank() == 2 && counter.shape.last() == 3;
        let fits = key.shape.dims() == [2] && counter_fits;
        self.require(fits, || {
            format!("key {key} and counter {counter}; expected i32[2] and i32[N, 3]")
        })?;
        Ok(TensorType::f32([counter.shape.rows(), lanes]))
    }
}
