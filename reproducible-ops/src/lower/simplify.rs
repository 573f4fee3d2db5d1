//! Removes what recording leaves behind: dead nodes, views of views, unread generated constants.
//!
//! Only element order decides, so results keep their bits: a reshape of a reshape is the outer one,
//! permutes compose, an expand of an expand is the outer one, and views that change nothing vanish.

use std::collections::HashMap;

use crate::program::{Builder, Input, Node, Operator, Program, TypeError, ValueId};

/// The same results with fewer nodes. All inputs are kept for which `keep` holds or that a result
/// needs.
#[expect(
    clippy::expect_used,
    reason = "nodes are copied or merged, their types stay"
)]
pub(super) fn simplify(program: &Program, keep: impl Fn(&Input) -> bool) -> Program {
    let once = rebuild(program, &keep);
    // Merging views leaves the inner ones without a reader.
    let merged = once.and_then(|program| rebuild(&program, &keep));
    merged.expect("invariant: a merged view takes what the outer one took")
}

fn rebuild(program: &Program, keep: impl Fn(&Input) -> bool) -> Result<Program, TypeError> {
    let needed = program.needed(&[]);
    let mut copy = Copy {
        builder: Builder::new(),
        renamed: vec![None; program.value_count()],
        views: HashMap::new(),
    };
    for (id, input) in program.input_ids().zip(program.inputs()) {
        if needed[id.index()] || keep(input) {
            let value = copy
                .builder
                .input(&input.name, input.ty.clone(), input.role);
            copy.renamed[id.index()] = Some(value);
        }
    }
    for (index, node) in program.nodes().iter().enumerate() {
        let id = program.id_of_node(index);
        if needed[id.index()] {
            copy.renamed[id.index()] = Some(copy.node(node)?);
        }
    }
    for output in program.outputs() {
        copy.builder.output(&output.name, copy.rename(output.value));
    }
    Ok(copy.builder.finish())
}

struct Copy {
    builder: Builder,
    renamed: Vec<Option<ValueId>>,
    /// Views already made, with their operands.
    views: HashMap<ValueId, (Operator, ValueId)>,
}

impl Copy {
    #[expect(clippy::expect_used, reason = "operands of needed values are needed")]
    fn rename(&self, id: ValueId) -> ValueId {
        self.renamed[id.index()].expect("invariant: what is read was copied before")
    }

    fn node(&mut self, node: &Node) -> Result<ValueId, TypeError> {
        let operands: Vec<ValueId> = node.inputs.iter().map(|&id| self.rename(id)).collect();
        let (operator, operands) = self.merged(&node.operator, operands);
        let nothing = match operands.as_slice() {
            [x] if operator.is_view() => *self.builder.type_of(*x) == node.ty && !moves(&operator),
            _ => false,
        };
        if nothing {
            return Ok(operands[0]);
        }
        let value = self.builder.push(operator.clone(), &operands)?;
        if operator.is_view() {
            self.views.insert(value, (operator, operands[0]));
        }
        Ok(value)
    }

    /// One view instead of two of a kind.
    fn merged(&self, operator: &Operator, operands: Vec<ValueId>) -> (Operator, Vec<ValueId>) {
        let inner = operands.first().and_then(|x| self.views.get(x));
        let Some((inner, source)) = inner else {
            return (operator.clone(), operands);
        };
        let merged = match (operator, inner) {
            (Operator::Reshape(_), Operator::Reshape(_))
            | (Operator::Expand(_), Operator::Expand(_)) => operator.clone(),
            (Operator::Permute(outer), Operator::Permute(inner)) => {
                Operator::Permute(outer.iter().map(|&axis| inner[axis]).collect())
            }
            _ => return (operator.clone(), operands),
        };
        (merged, vec![*source])
    }
}

/// Whether a view of the same type may still reorder elements.
fn moves(operator: &Operator) -> bool {
    matches!(operator, Operator::Permute(axes) if !axes.iter().copied().eq(0..axes.len()))
}
