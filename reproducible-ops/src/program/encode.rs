//! The canonical byte form of a program: one way to write it, everything checked when it is read.
//!
//! ```text
//! program    := header, then every descriptor prefixed by its length (u32)
//! descriptor := tag (u8), fields           all integers little-endian, counts u32, names u32 length + UTF-8
//! ```

use std::collections::HashSet;

use super::operator::{Comparison, Operator, operator_table};
use super::types::{DType, Shape, TensorType, limits};
use super::{Input, Node, Output, PROFILE, Program, Role, TypeError, ValueId};

/// Why bytes are not a program, or a program is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end early, go on too long, or hold a value that the format does not know.
    #[error("descriptor {descriptor}: {reason} at byte {at}")]
    Malformed {
        /// Index of the descriptor, the header being 0.
        descriptor: usize,
        /// Byte offset inside the descriptor.
        at: usize,
        /// What was expected and found.
        reason: String,
    },
    /// A node does not type-check.
    #[error("node {node}: {source}")]
    Node {
        /// Node number from 0.
        node: usize,
        /// The reason.
        source: TypeError,
    },
    /// A node's declared type is not the inferred one.
    #[error("node {node}: declared {declared}, but its operator gives {inferred}")]
    DeclaredType {
        /// Node number from 0.
        node: usize,
        /// Type written in the descriptor.
        declared: TensorType,
        /// Type that follows from the operator.
        inferred: TensorType,
    },
    /// A node or output refers to a value that does not exist yet.
    #[error("{what} reads value {value}, which is not defined before it")]
    Undefined {
        /// Node or output in words.
        what: String,
        /// The id read.
        value: u32,
    },
    /// A name occurs twice or is too long.
    #[error("name `{name}` is used twice or longer than {max} bytes", max = limits::MAX_NAME_BYTES)]
    Name {
        /// The offending name.
        name: String,
    },
    /// A size exceeds [`limits`].
    #[error("{what}: {value} exceeds the limit of {limit}")]
    Limit {
        /// What is too large.
        what: &'static str,
        /// The value seen.
        value: usize,
        /// The most that is allowed.
        limit: usize,
    },
}

impl Program {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for descriptor in self.descriptors() {
            bytes.extend((descriptor.len() as u32).to_le_bytes());
            bytes.extend(descriptor);
        }
        bytes
    }

    /// Header, inputs, nodes and outputs as separate byte strings: the leaves of the digest.
    pub fn descriptors(&self) -> Vec<Vec<u8>> {
        let header = std::iter::once(self.header());
        let inputs = self.inputs.iter().map(write_input);
        let nodes = self.nodes.iter().map(write_node);
        let outputs = self.outputs.iter().map(write_output);
        header.chain(inputs).chain(nodes).chain(outputs).collect()
    }

    fn header(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.text(PROFILE);
        writer.count(self.inputs.len());
        writer.count(self.nodes.len());
        writer.count(self.outputs.len());
        writer.0
    }

    /// Reads and checks canonical bytes.
    ///
    /// # Errors
    /// Anything that [`Program::encode`] would not have written, with the place.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        within("program bytes", bytes.len(), limits::MAX_PROGRAM_BYTES)?;
        let mut descriptors = Descriptors { bytes, index: 0 };
        let (inputs, nodes, outputs) = descriptors.read(read_header)?;
        within("values", inputs.saturating_add(nodes), limits::MAX_VALUES)?;
        within("outputs", outputs, limits::MAX_VALUES)?;
        let mut program = Program::default();
        for _ in 0..inputs {
            program.inputs.push(descriptors.read(read_input)?);
        }
        for _ in 0..nodes {
            program.nodes.push(descriptors.read(read_node)?);
        }
        for _ in 0..outputs {
            program.outputs.push(descriptors.read(read_output)?);
        }
        descriptors.finish()?;
        program.validate()?;
        Ok(program)
    }

    /// Checks every rule of the module documentation.
    ///
    /// # Errors
    /// The first rule broken, with node number and reason.
    pub fn validate(&self) -> Result<(), DecodeError> {
        within("values", self.value_count(), limits::MAX_VALUES)?;
        unique(self.inputs.iter().map(|input| &input.name))?;
        unique(self.outputs.iter().map(|output| &output.name))?;
        for input in &self.inputs {
            within("rank of an input", input.ty.shape.rank(), limits::MAX_RANK)?;
            within(
                "elements of an input",
                input.ty.shape.elements(),
                limits::MAX_ELEMENTS,
            )?;
            for &length in input.ty.shape.dims() {
                within("axis of an input", length, limits::MAX_ELEMENTS)?;
            }
        }
        for (index, node) in self.nodes.iter().enumerate() {
            self.validate_node(index, node)?;
        }
        let undefined = self
            .outputs
            .iter()
            .find(|output| output.value.index() >= self.value_count());
        match undefined {
            Some(output) => Err(DecodeError::Undefined {
                what: format!("output `{}`", output.name),
                value: output.value.0,
            }),
            None => Ok(()),
        }
    }

    fn validate_node(&self, index: usize, node: &Node) -> Result<(), DecodeError> {
        within(
            "operands of a node",
            node.inputs.len(),
            limits::MAX_OPERANDS,
        )?;
        let own = self.id_of_node(index);
        if let Some(id) = node.inputs.iter().find(|&&id| id >= own) {
            return Err(DecodeError::Undefined {
                what: format!("node {index}"),
                value: id.0,
            });
        }
        let operands: Vec<&TensorType> = node
            .inputs
            .iter()
            .filter_map(|&id| self.type_of(id))
            .collect();
        let inferred = node
            .operator
            .infer(&operands)
            .map_err(|source| DecodeError::Node {
                node: index,
                source,
            })?;
        if inferred != node.ty {
            return Err(DecodeError::DeclaredType {
                node: index,
                declared: node.ty.clone(),
                inferred,
            });
        }
        Ok(())
    }
}

/// How many of each kind of descriptor a program has: what its first descriptor says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Inputs.
    pub inputs: usize,
    /// Nodes.
    pub nodes: usize,
    /// Outputs.
    pub outputs: usize,
}

impl Counts {
    /// Reads the first of [`Program::descriptors`], alone.
    ///
    /// # Errors
    /// It is none, or counts more than a program has.
    pub fn from_descriptor(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (inputs, nodes, outputs) = alone(bytes, read_header)?;
        within("values", inputs.saturating_add(nodes), limits::MAX_VALUES)?;
        within("outputs", outputs, limits::MAX_VALUES)?;
        Ok(Self {
            inputs,
            nodes,
            outputs,
        })
    }

    /// Number of values: inputs and node outputs.
    pub fn values(self) -> usize {
        self.inputs + self.nodes
    }

    /// Number of descriptors, the first one included.
    pub fn descriptors(self) -> usize {
        1 + self.values() + self.outputs
    }
}

impl Node {
    /// Reads a node's descriptor, one of [`Program::descriptors`], alone. Whether its types fit its
    /// operator is not checked.
    ///
    /// # Errors
    /// It is none.
    pub fn from_descriptor(bytes: &[u8]) -> Result<Self, DecodeError> {
        alone(bytes, read_node)
    }
}

/// Reads a descriptor without the others.
fn alone<'a, T>(
    bytes: &'a [u8],
    parse: impl FnOnce(&mut Reader<'a>) -> Parsed<T>,
) -> Result<T, DecodeError> {
    let mut reader = Reader { bytes, at: 0 };
    let value = parse(&mut reader).and_then(|value| match bytes.len() - reader.at {
        0 => Ok(value),
        left => Err(format!("{left} unexpected bytes")),
    });
    value.map_err(|reason| DecodeError::Malformed {
        descriptor: 0,
        at: reader.at,
        reason,
    })
}

fn within(what: &'static str, value: usize, limit: usize) -> Result<(), DecodeError> {
    if value > limit {
        Err(DecodeError::Limit { what, value, limit })
    } else {
        Ok(())
    }
}

fn unique<'a>(names: impl Iterator<Item = &'a String>) -> Result<(), DecodeError> {
    let mut seen = HashSet::new();
    for name in names {
        if name.len() > limits::MAX_NAME_BYTES || !seen.insert(name) {
            return Err(DecodeError::Name { name: name.clone() });
        }
    }
    Ok(())
}

// ---- writing ----

#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn word(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    /// Counts, lengths and axes fit u32 by [`limits`].
    fn count(&mut self, value: usize) {
        self.word(value as u32);
    }

    fn text(&mut self, text: &str) {
        self.count(text.len());
        self.0.extend(text.as_bytes());
    }

    fn list(&mut self, values: &[usize]) {
        self.count(values.len());
        values.iter().for_each(|&value| self.count(value));
    }

    fn dtype(&mut self, dtype: DType) {
        self.byte(dtype.tag());
    }

    fn ty(&mut self, ty: &TensorType) {
        self.dtype(ty.dtype);
        self.list(ty.shape.dims());
    }
}

fn write_input(input: &Input) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text(&input.name);
    writer.ty(&input.ty);
    writer.byte(match input.role {
        Role::Param => 0,
        Role::State => 1,
        Role::Data => 2,
        Role::Constant => 3,
    });
    writer.0
}

fn write_node(node: &Node) -> Vec<u8> {
    let mut writer = Writer::default();
    write_operator(&mut writer, &node.operator);
    writer.count(node.inputs.len());
    node.inputs.iter().for_each(|id| writer.word(id.0));
    writer.ty(&node.ty);
    writer.0
}

fn write_output(output: &Output) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text(&output.name);
    writer.word(output.value.0);
    writer.0
}

/// The operator's tag and its attributes, as the operator table has them.
fn write_operator(writer: &mut Writer, operator: &Operator) {
    macro_rules! write {
        ($($section:ident {
            $($tag:literal $name:literal $arity:tt [$($attribute:ident)*] ($($operator:tt)+))*
        })*) => {
            match operator {
                $($(Operator::$($operator)+ => {
                    writer.byte($tag);
                    $($attribute.write(writer);)*
                })*)*
            }
        };
    }
    operator_table!(write)
}

// ---- reading ----

struct Descriptors<'a> {
    bytes: &'a [u8],
    index: usize,
}

impl<'a> Descriptors<'a> {
    fn read<T>(
        &mut self,
        parse: impl FnOnce(&mut Reader<'a>) -> Result<T, String>,
    ) -> Result<T, DecodeError> {
        let mut frame = Reader {
            bytes: self.bytes,
            at: 0,
        };
        let body = frame.count().and_then(|length| frame.take(length));
        let body = body.map_err(|reason| self.malformed(frame.at, reason))?;
        let mut reader = Reader { bytes: body, at: 0 };
        let value = parse(&mut reader).map_err(|reason| self.malformed(reader.at, reason))?;
        if reader.at != body.len() {
            return Err(self.malformed(reader.at, "unexpected bytes".into()));
        }
        self.bytes = &self.bytes[frame.at..];
        self.index += 1;
        Ok(value)
    }

    fn malformed(&self, at: usize, reason: String) -> DecodeError {
        DecodeError::Malformed {
            descriptor: self.index,
            at,
            reason,
        }
    }

    fn finish(&self) -> Result<(), DecodeError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(self.malformed(
            0,
            format!(
                "{} unexpected bytes after the last descriptor",
                self.bytes.len()
            ),
        ))
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

type Parsed<T> = Result<T, String>;

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = rest
            .get(..length)
            .ok_or_else(|| format!("{length} bytes expected, {} left", rest.len()))?;
        self.at += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Parsed<u8> {
        Ok(self.take(1)?[0])
    }

    fn word(&mut self) -> Parsed<u32> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4)?);
        Ok(u32::from_le_bytes(word))
    }

    fn count(&mut self) -> Parsed<usize> {
        Ok(self.word()? as usize)
    }

    fn text(&mut self) -> Parsed<String> {
        let length = self.count()?;
        if length > limits::MAX_NAME_BYTES {
            return Err(format!(
                "name of {length} bytes, at most {}",
                limits::MAX_NAME_BYTES
            ));
        }
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "name is not UTF-8".into())
    }

    fn list(&mut self) -> Parsed<Vec<usize>> {
        let length = self.count()?;
        if length > limits::MAX_RANK {
            return Err(format!("list of {length}, at most {}", limits::MAX_RANK));
        }
        (0..length).map(|_| self.count()).collect()
    }

    fn shape(&mut self) -> Parsed<Shape> {
        Ok(Shape::new(self.list()?))
    }

    fn dtype(&mut self) -> Parsed<DType> {
        match self.byte()? {
            0 => Ok(DType::F32),
            1 => Ok(DType::I32),
            2 => Ok(DType::Bool),
            other => Err(format!("element type {other}")),
        }
    }

    fn ty(&mut self) -> Parsed<TensorType> {
        Ok(TensorType {
            dtype: self.dtype()?,
            shape: self.shape()?,
        })
    }
}

fn read_header(reader: &mut Reader<'_>) -> Parsed<(usize, usize, usize)> {
    let profile = reader.text()?;
    if profile != PROFILE {
        return Err(format!(
            "arithmetic profile `{profile}`, this build knows `{PROFILE}`"
        ));
    }
    Ok((reader.count()?, reader.count()?, reader.count()?))
}

fn read_input(reader: &mut Reader<'_>) -> Parsed<Input> {
    let name = reader.text()?;
    let ty = reader.ty()?;
    let role = match reader.byte()? {
        0 => Role::Param,
        1 => Role::State,
        2 => Role::Data,
        3 => Role::Constant,
        other => return Err(format!("input role {other}")),
    };
    Ok(Input { name, ty, role })
}

fn read_node(reader: &mut Reader<'_>) -> Parsed<Node> {
    let operator = read_operator(reader)?;
    let operands = reader.count()?;
    if operands > limits::MAX_OPERANDS {
        return Err(format!(
            "{operands} operands, at most {}",
            limits::MAX_OPERANDS
        ));
    }
    let inputs: Parsed<Vec<ValueId>> = (0..operands).map(|_| reader.word().map(ValueId)).collect();
    Ok(Node {
        operator,
        inputs: inputs?,
        ty: reader.ty()?,
    })
}

fn read_output(reader: &mut Reader<'_>) -> Parsed<Output> {
    Ok(Output {
        name: reader.text()?,
        value: ValueId(reader.word()?),
    })
}

fn read_operator(reader: &mut Reader<'_>) -> Parsed<Operator> {
    macro_rules! read {
        ($($section:ident {
            $($tag:literal $name:literal $arity:tt [$($attribute:ident)*] ($($operator:tt)+))*
        })*) => {
            match reader.byte()? {
                $($($tag => {
                    $(let $attribute = Attribute::read(reader)?;)*
                    Ok(Operator::$($operator)+)
                })*)*
                tag => Err(format!("operator tag {tag}")),
            }
        };
    }
    operator_table!(read)
}

/// What an operator carries besides its operands.
trait Attribute: Sized {
    fn write(&self, writer: &mut Writer);
    fn read(reader: &mut Reader<'_>) -> Parsed<Self>;
}

impl Attribute for DType {
    fn write(&self, writer: &mut Writer) {
        writer.dtype(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        reader.dtype()
    }
}

impl Attribute for u32 {
    fn write(&self, writer: &mut Writer) {
        writer.word(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        reader.word()
    }
}

impl Attribute for usize {
    fn write(&self, writer: &mut Writer) {
        writer.count(*self);
    }

    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        reader.count()
    }
}

impl Attribute for Vec<usize> {
    fn write(&self, writer: &mut Writer) {
        writer.list(self);
    }

    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        reader.list()
    }
}

impl Attribute for Shape {
    fn write(&self, writer: &mut Writer) {
        writer.list(self.dims());
    }

    fn read(reader: &mut Reader<'_>) -> Parsed<Self> {
        reader.shape()
    }
}
