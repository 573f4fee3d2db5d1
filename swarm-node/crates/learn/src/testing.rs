//! A one-layer attention model, small enough to test every bit of the learner.

use reproducible_ops::program::{
    Builder, Comparison, Operator, Program, Role, TensorType, TypeError, ValueId,
};
use reproducible_ops::random::Stream;
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;

/// Vocabulary of the tiny model: that of nano models.
pub const VOCABULARY: usize = 64;
const WIDTH: usize = 8;
const POSITIONS: usize = 96;

/// The forward program of the tiny model: embeddings of token and position, one head of attention,
/// a linear head.
pub fn forward(rows: usize, length: usize) -> Program {
    build(rows, length).expect("the tiny model has consistent shapes")
}

fn build(rows: usize, length: usize) -> Result<Program, TypeError> {
    let mut builder = Builder::new();
    let b = &mut builder;
    let [tokens, positions, segment, parent] = ["tokens", "positions", "segment", "parent"]
        .map(|name| b.input(name, TensorType::i32([rows, length]), Role::Data));
    let embedding = b.input(
        "embedding",
        TensorType::f32([VOCABULARY, WIDTH]),
        Role::Param,
    );
    let place = b.input("place", TensorType::f32([POSITIONS, WIDTH]), Role::Constant);
    let head = b.input("head", TensorType::f32([VOCABULARY, WIDTH]), Role::Param);
    let query = b.input("query", TensorType::f32([WIDTH, WIDTH]), Role::Param);
    let symbols = b.push(Operator::GatherRows, &[embedding, tokens])?;
    let places = b.push(Operator::GatherRows, &[place, positions])?;
    let x = b.add(symbols, places)?;
    let flat = b.reshape(x, [rows * length, WIDTH])?;
    let queries = b.matmul_nt(flat, query)?;
    let queries = b.reshape(queries, [rows, length, WIDTH])?;
    let scores = b.matmul_nt(queries, x)?;
    let visible = visible(b, positions, segment, parent, [rows, length, length])?;
    let hidden = b.full_like(-1e30, scores)?;
    let scores = b.select(visible, scores, hidden)?;
    let weights = b.softmax(scores)?;
    let values = b.transpose(x)?;
    let mixed = b.matmul_nt(weights, values)?;
    let mixed = b.add(mixed, x)?;
    let mixed = b.reshape(mixed, [rows * length, WIDTH])?;
    let logits = b.matmul_nt(mixed, head)?;
    let logits = b.reshape(logits, [rows, length, VOCABULARY])?;
    b.output("logits", logits);
    Ok(builder.finish())
}

fn visible(
    b: &mut Builder,
    positions: ValueId,
    segment: ValueId,
    parent: ValueId,
    shape: [usize; 3],
) -> Result<ValueId, TypeError> {
    let [rows, length, _] = shape;
    let mut spread = |x: ValueId, axes: [usize; 3]| {
        let x = b.reshape(x, axes)?;
        b.expand(x, shape)
    };
    let (as_query, as_key) = ([rows, length, 1], [rows, 1, length]);
    let (position_q, position_k) = (spread(positions, as_query)?, spread(positions, as_key)?);
    let (segment_q, segment_k, parent_q) = (
        spread(segment, as_query)?,
        spread(segment, as_key)?,
        spread(parent, as_query)?,
    );
    let same = b.compare(Comparison::Equal, segment_k, segment_q)?;
    let inherited = b.compare(Comparison::Equal, segment_k, parent_q)?;
    let related = b.push(Operator::Or, &[same, inherited])?;
    let earlier = b.compare(Comparison::LessEqual, position_k, position_q)?;
    b.push(Operator::And, &[related, earlier])
}

/// Random parameters and constants of the tiny model.
pub fn weights(seed: u64) -> Weights {
    let mut stream = Stream::from_seed("learn/testing", seed);
    let program = forward(1, 1);
    let inputs = program
        .inputs()
        .iter()
        .filter(|input| input.role != Role::Data);
    let mut draw = |input: &reproducible_ops::program::Input| {
        let values = (0..input.ty.shape.elements())
            .map(|_| stream.uniform() - 0.5)
            .collect();
        (
            input.name.clone(),
            Tensor::f32(input.ty.shape.clone(), values).expect("one value per element"),
        )
    };
    inputs.map(&mut draw).collect()
}
