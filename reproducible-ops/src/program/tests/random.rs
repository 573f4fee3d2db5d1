//! Random programs from bytes: every operator, small shapes, values that stay moderate.

use super::super::*;
use crate::random::Stream;

/// A random program and its scalar loss; the loss depends on most nodes.
pub(crate) struct Random {
    pub(crate) program: Program,
    pub(crate) loss: ValueId,
}

/// Interprets `choices` three bytes at a time: operator, first and second operand.
pub(crate) fn program(choices: &[u8]) -> Random {
    let mut growth = Growth::new();
    for step in choices.chunks_exact(3) {
        growth.grow(step[0], step[1], step[2]);
    }
    growth.finish()
}

/// Values for the inputs of a program, f32 in `(-1.5, 1.5)`, ids in `0..4`.
pub(crate) fn inputs(program: &Program, seed: u64) -> Vec<Vec<f64>> {
    let mut stream = Stream::from_seed("program tests", seed);
    let mut value = |dtype| match dtype {
        DType::F32 => f64::from(stream.uniform() * 3.0 - 1.5),
        _ => stream.below(4) as f64,
    };
    let tensor = |input: &Input| {
        (0..input.ty.shape.elements())
            .map(|_| value(input.ty.dtype))
            .collect()
    };
    program.inputs().iter().map(tensor).collect()
}

/// f64 values as the tensors an engine takes.
pub(crate) fn tensors(program: &Program, values: &[Vec<f64>]) -> Vec<crate::tensor::Tensor> {
    let word = |dtype, value: f64| match dtype {
        DType::F32 => (value as f32).to_bits(),
        _ => value as i32 as u32,
    };
    let tensor = |(input, data): (&Input, &Vec<f64>)| {
        let words = data
            .iter()
            .map(|&value| word(input.ty.dtype, value))
            .collect();
        crate::tensor::Tensor::from_words(input.ty.clone(), words).unwrap()
    };
    program.inputs().iter().zip(values).map(tensor).collect()
}

/// Values larger than this are not made.
const MAX_ELEMENTS: usize = 240;

struct Growth {
    b: Builder,
    floats: Vec<ValueId>,
    ids: ValueId,
    used: Vec<ValueId>,
}

impl Growth {
    fn new() -> Self {
        let mut b = Builder::new();
        let shapes: [&[usize]; 4] = [&[3, 4], &[4], &[2, 3, 4], &[5, 3]];
        let input = |(index, shape): (usize, &&[usize])| {
            let role = if index % 2 == 0 {
                Role::Param
            } else {
                Role::Data
            };
            b.input(format!("x{index}"), TensorType::f32(*shape), role)
        };
        let floats = shapes.iter().enumerate().map(input).collect();
        let ids = b.input("ids", TensorType::i32([6]), Role::Data);
        Self {
            b,
            floats,
            ids,
            used: Vec::new(),
        }
    }

    fn grow(&mut self, operator: u8, first: u8, second: u8) {
        let x = self.floats[first as usize % self.floats.len()];
        let y = self.same_shape(x, second);
        let made = self.apply(operator, x, y, second as usize);
        let small = made.filter(|&id| self.b.shape_of(id).elements() <= MAX_ELEMENTS);
        if let Some(id) = small {
            self.floats.push(id);
            self.used.extend([x, y]);
        }
    }

    fn same_shape(&self, x: ValueId, choice: u8) -> ValueId {
        let shape = self.b.shape_of(x);
        let fitting: Vec<ValueId> = self
            .floats
            .iter()
            .copied()
            .filter(|&id| self.b.shape_of(id) == shape)
            .collect();
        fitting[choice as usize % fitting.len()]
    }

    fn apply(&mut self, operator: u8, x: ValueId, y: ValueId, choice: usize) -> Option<ValueId> {
        match operator % 29 {
            0..=9 => self.unary(operator % 29, x),
            10..=16 => self.binary(operator % 29, x, y),
            17..=23 => self.movement(operator % 29, x, y, choice),
            _ => self.indexed(operator % 29, x, y, choice),
        }
    }

    fn unary(&mut self, operator: u8, x: ValueId) -> Option<ValueId> {
        let b = &mut self.b;
        let bounded = b.tanh(x).ok()?;
        match operator {
            0 => b.neg(x),
            1 => b.push(Operator::Abs, &[x]),
            2 => b.exp(bounded).and_then(|e| b.sqrt(e)),
            3 => b.exp(bounded).and_then(|e| b.log(e)),
            4 => Ok(bounded),
            5 => b.softmax(x),
            6 => b.log_softmax(x),
            7 => b.silu(x),
            8 => b.sum(x).and_then(|s| b.tanh(s)),
            _ => b.reduce_max(x),
        }
        .ok()
    }

    fn binary(&mut self, operator: u8, x: ValueId, y: ValueId) -> Option<ValueId> {
        let b = &mut self.b;
        let bounded = b.tanh(y).ok()?;
        match operator {
            10 => b.add(x, y),
            11 => b.sub(x, y),
            12 => b.mul(x, bounded),
            13 => b.exp(bounded).and_then(|e| b.div(x, e)),
            14 => b.max(x, y),
            15 => b.min(x, y),
            _ => b
                .compare(Comparison::Less, x, bounded)
                .and_then(|c| b.select(c, y, x)),
        }
        .ok()
    }

    fn movement(&mut self, operator: u8, x: ValueId, y: ValueId, choice: usize) -> Option<ValueId> {
        let b = &mut self.b;
        let dims = b.shape_of(x).dims().to_vec();
        match operator {
            17 => b.reshape(x, [b.shape_of(x).elements()]),
            18 => b.permute(x, &rotated(dims.len(), choice)),
            19 => {
                let mut wider = vec![2];
                wider.extend(&dims);
                b.broadcast(x, wider)
            }
            20 => {
                let ends = dims.iter().map(|dim| dim - dim / 2).collect();
                b.push(
                    Operator::Slice {
                        starts: vec![0; dims.len()],
                        ends,
                    },
                    &[x],
                )
            }
            21 => b.push(
                Operator::Concat {
                    axis: choice % dims.len().max(1),
                },
                &[x, y],
            ),
            22 => b.push(
                Operator::Pad {
                    before: vec![choice % 2; dims.len()],
                    after: vec![1; dims.len()],
                },
                &[x],
            ),
            _ => split_and_join(b, x, &dims),
        }
        .ok()
    }

    fn indexed(&mut self, operator: u8, x: ValueId, y: ValueId, choice: usize) -> Option<ValueId> {
        let (b, ids) = (&mut self.b, self.ids);
        let dims = b.shape_of(x).dims().to_vec();
        match operator {
            24 => b.matmul_nt(x, y).and_then(|c| b.tanh(c)),
            25 => b.push(Operator::GatherRows, &[x, ids]),
            26 => take(b, x, ids, &dims, choice % 3 + 1),
            27 => update(b, x, ids, &dims),
            _ => b
                .transpose(y)
                .and_then(|t| b.transpose(t))
                .and_then(|t| b.mul(t, x))
                .and_then(|c| b.tanh(c)),
        }
        .ok()
    }

    /// The loss sums every value that nothing else reads.
    fn finish(mut self) -> Random {
        let ends: Vec<ValueId> = self
            .floats
            .iter()
            .copied()
            .filter(|id| !self.used.contains(id))
            .collect();
        let mut loss = self.b.full(0.0, Shape::scalar()).unwrap();
        for end in ends {
            let bent = self.b.tanh(end).unwrap();
            let sum = self.b.sum_all(bent).unwrap();
            loss = self.b.add(loss, sum).unwrap();
        }
        self.b.output("loss", loss);
        let program = self.b.finish();
        let loss = program.output_named("loss").unwrap();
        Random { program, loss }
    }
}

fn rotated(rank: usize, by: usize) -> Vec<usize> {
    (0..rank).map(|axis| (axis + by) % rank).collect()
}

/// Cuts the first axis in two and joins the parts in the other order: every element is used once.
fn split_and_join(b: &mut Builder, x: ValueId, dims: &[usize]) -> Built {
    let middle = dims.first().map_or(0, |dim| dim / 2);
    let mut ends = dims.to_vec();
    let mut starts = vec![0; dims.len()];
    if let (Some(end), Some(start)) = (ends.first_mut(), starts.first_mut()) {
        (*end, *start) = (middle, middle);
    }
    let low = b.push(
        Operator::Slice {
            starts: vec![0; dims.len()],
            ends,
        },
        &[x],
    )?;
    let high = b.push(
        Operator::Slice {
            starts,
            ends: dims.to_vec(),
        },
        &[x],
    )?;
    b.push(Operator::Concat { axis: 0 }, &[high, low])
}

/// Picks `picks` elements per row, whose ids repeat.
fn take(b: &mut Builder, x: ValueId, ids: ValueId, dims: &[usize], picks: usize) -> Built {
    let mut shape = dims.to_vec();
    if let Some(last) = shape.last_mut() {
        *last = picks;
    }
    let one = b.push(
        Operator::Slice {
            starts: vec![1],
            ends: vec![2],
        },
        &[ids],
    )?;
    let ids = b.broadcast(one, shape)?;
    b.push(Operator::TakeAlongLast, &[x, ids])
}

/// Writes the first two rows of `x` at a runtime place, which may lie partly outside.
fn update(b: &mut Builder, x: ValueId, ids: ValueId, dims: &[usize]) -> Built {
    let rank = dims.len();
    let mut ends = dims.to_vec();
    if let Some(rows) = rank.checked_sub(2).and_then(|axis| ends.get_mut(axis)) {
        *rows = (*rows).min(2);
    }
    let batches = dims[..rank.saturating_sub(2)].to_vec();
    let rows = b.push(
        Operator::Slice {
            starts: vec![0; rank],
            ends,
        },
        &[x],
    )?;
    let rows = b.tanh(rows)?;
    let at = b.push(
        Operator::Slice {
            starts: vec![2],
            ends: vec![3],
        },
        &[ids],
    )?;
    let at = b.broadcast(at, vec![1; batches.len().max(1)])?;
    let at = if batches.is_empty() {
        b.reshape(at, Shape::scalar())?
    } else {
        b.expand(at, batches)?
    };
    b.push(Operator::UpdateRows, &[x, rows, at])
}
