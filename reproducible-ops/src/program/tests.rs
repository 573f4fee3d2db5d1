//! Tests of building, checking, encoding and editing programs.

mod codec;
mod edit;
mod infer;
pub(crate) mod random;
mod recompute;

use super::*;

/// A program with two inputs and a few nodes: `y = tanh(a + b)`, `z = y · y`.
pub(crate) fn small() -> Program {
    let mut b = Builder::new();
    let x = b.input("a", TensorType::f32([2, 3]), Role::Param);
    let y = b.input("b", TensorType::f32([2, 3]), Role::Data);
    let sum = b.add(x, y).unwrap();
    let y = b.tanh(sum).unwrap();
    let z = b.mul(y, y).unwrap();
    b.output("y", y);
    b.output("z", z);
    b.finish()
}

#[test]
fn equal_nodes_are_shared() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4]), Role::Data);
    assert_eq!(b.exp(x).unwrap(), b.exp(x).unwrap());
    assert_ne!(
        b.full(0.0, [4]).unwrap(),
        b.full(-0.0, [4]).unwrap(),
        "−0 and +0 are different constants"
    );
}

#[test]
fn inputs_may_be_declared_after_nodes() {
    let mut b = Builder::new();
    let x = b.input("x", TensorType::f32([4]), Role::Data);
    let e = b.exp(x).unwrap();
    let y = b.input("y", TensorType::f32([4]), Role::Data);
    let sum = b.add(e, y).unwrap();
    b.output("sum", sum);
    let program = b.finish();
    program.validate().unwrap();
    assert_eq!(program.inputs().len(), 2);
    assert_eq!(program.nodes()[1].inputs, [ValueId(2), ValueId(1)]);
}

#[test]
fn a_continued_program_keeps_its_ids() {
    let program = small();
    let again = Builder::from_program(&program).finish();
    assert_eq!(program, again);
}

#[test]
fn names_find_values() {
    let program = small();
    assert_eq!(program.input_named("b"), Some(ValueId(1)));
    assert_eq!(program.output_named("z"), Some(ValueId(4)));
    assert_eq!(program.input_named("z"), None);
    assert_eq!(program.inputs_with_role(Role::Param).count(), 1);
}

#[test]
fn the_digest_depends_on_every_descriptor() {
    let digest = small().digest();
    let mut renamed = small();
    renamed.inputs[1].name = "c".into();
    let mut rewired = small();
    rewired.nodes[2].inputs[1] = ValueId(2);
    let mut role = small();
    role.inputs[0].role = Role::State;
    for other in [renamed, rewired, role] {
        assert_ne!(other.digest(), digest);
    }
}

#[test]
fn merkle_roots_depend_on_order_and_count() {
    let root = |leaves: &[&[u8]]| merkle_root(leaves.iter());
    assert_ne!(root(&[b"a", b"b"]), root(&[b"b", b"a"]));
    assert_ne!(root(&[b"a", b"b", b"b"]), root(&[b"a", b"b"]));
    assert_ne!(root(&[]), root(&[b"", b""]));
}
