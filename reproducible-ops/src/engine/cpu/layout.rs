//! Where the elements of a value lie in a buffer: offset and strides, so that views need no copy.

use crate::program::Shape;

/// Element `(i₀, i₁, …)` lies at `offset + Σ iₐ · strides[a]`, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Place of the first element.
    pub offset: usize,
    /// Length of each axis.
    pub dims: Vec<usize>,
    /// Words from one index of an axis to the next.
    pub strides: Vec<usize>,
}

impl Layout {
    /// Row-major without gaps.
    pub fn contiguous(shape: &Shape) -> Self {
        Self {
            offset: 0,
            dims: shape.dims().to_vec(),
            strides: shape.strides(),
        }
    }

    /// Without gaps, the axes from the slowest to the fastest in this order.
    pub fn stored(shape: &Shape, order: &[usize]) -> Self {
        let mut strides = vec![0; shape.rank()];
        let mut stride = 1;
        for &axis in order.iter().rev() {
            strides[axis] = stride;
            stride *= shape.dims()[axis];
        }
        Self {
            offset: 0,
            dims: shape.dims().to_vec(),
            strides,
        }
    }

    /// The index along `axis`, read from a table 0, 1, 2, ….
    pub fn counter(shape: &Shape, axis: usize) -> Self {
        let mut strides = vec![0; shape.rank()];
        strides[axis] = 1;
        Self {
            offset: 0,
            dims: shape.dims().to_vec(),
            strides,
        }
    }

    /// The view whose axis `i` is axis `axes[i]` of this one.
    pub fn permute(&self, axes: &[usize]) -> Self {
        let pick = |from: &[usize]| axes.iter().map(|&axis| from[axis]).collect();
        Self {
            offset: self.offset,
            dims: pick(&self.dims),
            strides: pick(&self.strides),
        }
    }

    pub fn expand(&self, dims: &[usize]) -> Self {
        let axes = self.dims.iter().zip(dims).zip(&self.strides);
        let strides = axes
            .map(|((from, to), &stride)| if from == to { stride } else { 0 })
            .collect();
        Self {
            offset: self.offset,
            dims: dims.to_vec(),
            strides,
        }
    }

    pub fn slice(&self, starts: &[usize], ends: &[usize]) -> Self {
        let dims: Vec<usize> = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| end - start)
            .collect();
        let skipped: usize = starts
            .iter()
            .zip(&self.strides)
            .map(|(start, stride)| start * stride)
            .sum();
        // An empty slice may start past the end of the buffer.
        let offset = if dims.contains(&0) {
            0
        } else {
            self.offset + skipped
        };
        Self {
            offset,
            dims,
            strides: self.strides.clone(),
        }
    }

    pub fn elements(&self) -> usize {
        self.dims.iter().product()
    }

    /// The same elements in the same order under other axes, where strides can say it.
    pub fn reshape(&self, dims: &[usize]) -> Option<Self> {
        if self.elements() == 0 {
            let shape = Shape::from(dims);
            return Some(Self {
                offset: self.offset,
                ..Self::contiguous(&shape)
            });
        }
        let merged = self.collapse();
        let mut strides = vec![0; dims.len()];
        let mut runs = merged.dims.iter().zip(&merged.strides).rev();
        let mut run: Option<(usize, usize)> = None;
        for (axis, &dim) in dims.iter().enumerate().rev().filter(|(_, dim)| **dim != 1) {
            let (left, stride) = match run.take() {
                Some(open) => open,
                None => runs.next().map(|(&length, &stride)| (length, stride))?,
            };
            if left % dim != 0 {
                return None;
            }
            strides[axis] = stride;
            run = (left != dim).then_some((left / dim, stride * dim));
        }
        run.is_none().then(|| Self {
            offset: self.offset,
            dims: dims.to_vec(),
            strides,
        })
    }

    /// The fewest axes that describe the same places: axes of length 1 dropped, neighbours merged
    /// where they can be.
    pub fn collapse(&self) -> Self {
        let (mut dims, mut strides): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        for (&dim, &stride) in self
            .dims
            .iter()
            .zip(&self.strides)
            .filter(|(dim, _)| **dim != 1)
        {
            match (dims.last_mut(), strides.last_mut()) {
                (Some(outer), Some(step)) if *step == stride * dim => {
                    (*outer, *step) = (*outer * dim, stride)
                }
                _ => {
                    dims.push(dim);
                    strides.push(stride);
                }
            }
        }
        Self {
            offset: self.offset,
            dims,
            strides,
        }
    }

    /// Whether the places are `0, 1, 2, …`.
    pub fn is_contiguous(&self) -> bool {
        let merged = self.collapse();
        self.offset == 0
            && match merged.strides.as_slice() {
                [] => true,
                [stride] => *stride == 1,
                _ => self.elements() == 0,
            }
    }

    /// Distance between rows if all axes but the last step evenly; `rows` is their product.
    pub fn row_stride(&self) -> Option<usize> {
        let outer = self.dims.len().checked_sub(1)?;
        let rows = Self {
            offset: 0,
            dims: self.dims[..outer].to_vec(),
            strides: self.strides[..outer].to_vec(),
        };
        match rows.collapse().strides.as_slice() {
            [] => Some(0),
            [stride] => Some(*stride),
            _ => None,
        }
    }

    /// Distance between neighbours along the last axis; 0 where there is none.
    pub fn last_stride(&self) -> usize {
        match (self.dims.last(), self.strides.last()) {
            (Some(&dim), Some(&stride)) if dim != 1 => stride,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(dims: &[usize], strides: &[usize]) -> Layout {
        Layout {
            offset: 0,
            dims: dims.to_vec(),
            strides: strides.to_vec(),
        }
    }

    #[test]
    fn reshape_splits_and_merges_what_strides_can_say() {
        let heads = layout(&[2, 5, 12], &[60, 12, 1]).reshape(&[2, 5, 3, 4]);
        assert_eq!(heads.map(|l| l.strides), Some(vec![60, 12, 4, 1]));
        let transposed = layout(&[5, 2], &[1, 5]);
        assert_eq!(transposed.reshape(&[10]), None);
        assert_eq!(
            transposed.reshape(&[5, 1, 2]).map(|l| l.strides),
            Some(vec![1, 0, 5])
        );
        let repeated = layout(&[3, 4], &[0, 0]).reshape(&[12]);
        assert_eq!(repeated.map(|l| l.strides), Some(vec![0]));
    }

    #[test]
    fn stored_axes_have_no_gaps() {
        let shape = Shape::from([2, 3, 4]);
        let turned = Layout::stored(&shape, &[1, 0, 2]);
        assert_eq!(
            (turned.dims.as_slice(), turned.strides.as_slice()),
            (shape.dims(), [4, 8, 1].as_slice())
        );
        assert!(turned.permute(&[1, 0, 2]).is_contiguous());
    }

    #[test]
    fn contiguity_sees_through_axes_of_one() {
        assert!(layout(&[3, 1, 4], &[4, 99, 1]).is_contiguous());
        assert!(!layout(&[3, 4], &[8, 1]).is_contiguous());
        assert!(layout(&[], &[]).is_contiguous());
    }

    #[test]
    fn rows_step_evenly_or_not() {
        assert_eq!(layout(&[2, 3, 4], &[12, 4, 1]).row_stride(), Some(4));
        assert_eq!(layout(&[2, 3, 4], &[4, 8, 1]).row_stride(), None);
    }
}
