//! The byte form: one way to write, everything checked when read.

use proptest::prelude::*;

use super::super::*;
use super::{random, small};

proptest! {
    #[test]
    fn decoding_inverts_encoding(choices in proptest::collection::vec(any::<u8>(), 0..90)) {
        let program = random::program(&choices).program;
        let bytes = program.encode();
        let decoded = Program::decode(&bytes).unwrap();
        prop_assert_eq!(&decoded, &program);
        prop_assert_eq!(decoded.encode(), bytes);
        prop_assert_eq!(decoded.digest(), program.digest());
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_canonical(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(program) = Program::decode(&bytes) {
            prop_assert_eq!(program.encode(), bytes);
        }
    }

    #[test]
    fn changed_bytes_are_refused_or_canonical(
        choices in proptest::collection::vec(any::<u8>(), 3..45),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = random::program(&choices).program.encode();
        let length = bytes.len();
        changes.iter().for_each(|&(at, byte)| bytes[at % length] = byte);
        if let Ok(program) = Program::decode(&bytes) {
            prop_assert_eq!(program.encode(), bytes);
        }
    }

    #[test]
    fn every_truncation_is_refused(choices in proptest::collection::vec(any::<u8>(), 3..30), cut in any::<usize>()) {
        let bytes = random::program(&choices).program.encode();
        let cut = cut % bytes.len();
        prop_assert!(Program::decode(&bytes[..cut]).is_err());
    }
}

/// The descriptors of a program as bytes, one of them replaced.
fn with_descriptor(program: &Program, index: usize, descriptor: Vec<u8>) -> Vec<u8> {
    let mut all = program.descriptors();
    all[index] = descriptor;
    all.iter()
        .flat_map(|one| [&(one.len() as u32).to_le_bytes()[..], one].concat())
        .collect()
}

#[test]
fn every_operator_survives_the_round_trip() {
    let list = vec![0, 1];
    let shape = Shape::new([2, 2]);
    use Operator::*;
    let operators = [
        Full {
            dtype: DType::I32,
            bits: 7,
            shape: shape.clone(),
        },
        Iota {
            shape: shape.clone(),
            axis: 1,
        },
        Neg,
        Abs,
        Sqrt,
        Exp,
        Log,
        Tanh,
        Not,
        Cast(DType::Bool),
        Add,
        Sub,
        Mul,
        Div,
        Max,
        Min,
        And,
        Or,
        Compare(Comparison::Equal),
        Compare(Comparison::Less),
        Compare(Comparison::LessEqual),
        Select,
        MatmulNt,
        Sum,
        ReduceMax,
        Argmax,
        Reshape(shape.clone()),
        Permute(list.clone()),
        Expand(shape),
        Slice {
            starts: list.clone(),
            ends: list.clone(),
        },
        Concat { axis: 3 },
        Pad {
            before: list.clone(),
            after: list,
        },
        GatherRows,
        OneHot { classes: 9 },
        TakeAlongLast,
        UpdateRows,
        PhiloxUniform { lanes: 5 },
    ];
    for operator in operators {
        let node = Node {
            operator: operator.clone(),
            inputs: vec![ValueId(0)],
            ty: TensorType::f32([1]),
        };
        let program = Program {
            nodes: vec![node],
            ..Program::default()
        };
        let refused = Program::decode(&program.encode()).unwrap_err();
        let parsed = !matches!(refused, DecodeError::Malformed { .. });
        assert!(parsed, "{}: {refused}", operator.name());
    }
}

#[test]
fn a_large_count_allocates_nothing() {
    let huge = [3u32.to_le_bytes().as_slice(), b"ro1", &[0xff; 12]].concat();
    let bytes = [&(huge.len() as u32).to_le_bytes()[..], &huge].concat();
    assert!(matches!(
        Program::decode(&bytes),
        Err(DecodeError::Limit { what: "values", .. })
    ));

    let within = [
        3u32.to_le_bytes().as_slice(),
        b"ro1",
        &(1u32 << 20).to_le_bytes(),
        &[0; 8],
    ]
    .concat();
    let bytes = [&(within.len() as u32).to_le_bytes()[..], &within].concat();
    assert!(matches!(
        Program::decode(&bytes),
        Err(DecodeError::Malformed { descriptor: 1, .. })
    ));
}

#[test]
fn an_unknown_profile_is_named() {
    let header = [3u32.to_le_bytes().as_slice(), b"ro9", &[0; 12]].concat();
    let refused = Program::decode(&with_descriptor(&Program::default(), 0, header)).unwrap_err();
    assert!(refused.to_string().contains("`ro9`"), "{refused}");
}

#[test]
fn a_node_cannot_read_itself_or_later_values() {
    let mut program = small();
    program.nodes[0].inputs[0] = ValueId(2);
    let refused = Program::decode(&program.encode()).unwrap_err();
    assert_eq!(
        refused,
        DecodeError::Undefined {
            what: "node 0".into(),
            value: 2
        }
    );
}

#[test]
fn an_output_cannot_name_a_missing_value() {
    let mut program = small();
    program.outputs[1].value = ValueId(99);
    let refused = Program::decode(&program.encode()).unwrap_err();
    assert_eq!(
        refused,
        DecodeError::Undefined {
            what: "output `z`".into(),
            value: 99
        }
    );
}

#[test]
fn a_declared_type_must_be_the_inferred_one() {
    let mut program = small();
    program.nodes[1].ty = TensorType::f32([3, 2]);
    let refused = Program::decode(&program.encode()).unwrap_err();
    assert!(
        matches!(refused, DecodeError::DeclaredType { node: 1, .. }),
        "{refused}"
    );
}

#[test]
fn names_are_unique_and_short() {
    let mut twice = small();
    twice.inputs[1].name = "a".into();
    assert!(matches!(twice.validate(), Err(DecodeError::Name { .. })));
    let mut long = small();
    long.outputs[0].name = "n".repeat(limits::MAX_NAME_BYTES + 1);
    assert!(matches!(long.validate(), Err(DecodeError::Name { .. })));
    assert!(Program::decode(&long.encode()).is_err());
}

#[test]
fn inputs_stay_below_the_limits() {
    let with = |dims: &[usize]| {
        let mut b = Builder::new();
        b.input("x", TensorType::f32(dims), Role::Data);
        b.finish().validate()
    };
    assert!(matches!(
        with(&[1 << 16, 1 << 16]),
        Err(DecodeError::Limit { .. })
    ));
    assert!(matches!(with(&[1; 9]), Err(DecodeError::Limit { .. })));
    assert!(matches!(
        with(&[usize::MAX, usize::MAX]),
        Err(DecodeError::Limit { .. })
    ));
    assert!(
        matches!(with(&[1 << 32, 0]), Err(DecodeError::Limit { .. })),
        "an axis that u32 would truncate"
    );
    assert!(with(&[1; 8]).is_ok());
}

#[test]
fn bytes_after_the_program_are_refused() {
    let mut bytes = small().encode();
    bytes.push(0);
    assert!(matches!(
        Program::decode(&bytes),
        Err(DecodeError::Malformed { .. })
    ));
}

#[test]
fn a_descriptor_is_read_without_the_others() {
    let program = small();
    let descriptors = program.descriptors();
    let counts = Counts::from_descriptor(&descriptors[0]).unwrap();
    let found = (counts.values(), counts.descriptors(), counts.outputs);
    assert_eq!(found, (program.value_count(), descriptors.len(), 2));
    for (node, bytes) in program
        .nodes()
        .iter()
        .zip(&descriptors[1 + counts.inputs..])
    {
        assert_eq!(Node::from_descriptor(bytes).as_ref(), Ok(node));
        assert!(Node::from_descriptor(&bytes[1..]).is_err());
        let longer = [bytes, &[0][..]].concat();
        let error = Node::from_descriptor(&longer).unwrap_err().to_string();
        assert!(error.contains("1 unexpected bytes"), "{error}");
    }
    assert!(Counts::from_descriptor(&descriptors[1]).is_err());
    let mut many = descriptors[0].clone();
    let last = many.len() - 5;
    many[last] = 0xff;
    assert!(Counts::from_descriptor(&many).is_err());
}
