use reproducible_ops::program::ValueId;

use super::*;
use crate::step::{Schedule, StepTree};
use crate::testing::{Fault, Kept, job};

const STEP: u64 = 3;

/// The tree of a worker's step.
fn tree(kept: &Kept) -> StepTree {
    let schedule = Schedule::new(job().plan(), job().programs()).unwrap();
    StepTree::from_roots(&schedule, &kept.roots(STEP)).unwrap()
}

fn claimed(step: &StepTree, run: usize, value: usize) -> ClaimedNode<'_> {
    ClaimedNode {
        job: job(),
        step,
        run,
        value: ValueId(value as u32),
    }
}

fn operands(kept: &Kept, run: usize, value: usize) -> Vec<&Tensor> {
    let node = job().node(run, ValueId(value as u32)).unwrap();
    let values = &kept.traces[STEP as usize].runs[run];
    node.inputs.iter().map(|id| &values[id.index()]).collect()
}

fn element(kept: &Kept, run: usize, value: usize, element: usize) -> Evidence {
    let result = &kept.traces[STEP as usize].runs[run][value];
    let step = tree(kept);
    let claimed = claimed(&step, run, value);
    let evidence = claimed.element(&operands(kept, run, value), result, element);
    evidence.unwrap().0
}

fn whole(kept: &Kept, run: usize, value: usize) -> Evidence {
    let step = tree(kept);
    let claimed = claimed(&step, run, value);
    claimed.whole(&operands(kept, run, value)).unwrap().0
}

fn nodes() -> impl Iterator<Item = (usize, usize)> {
    (0..job().plan().runs.len()).flat_map(|run| {
        let program = job().run(run).unwrap().1;
        (program.inputs().len()..program.value_count()).map(move |value| (run, value))
    })
}

#[test]
fn every_node_and_element_of_an_honest_worker_is_right() {
    let kept = Kept::honest(1);
    for (run, value) in nodes() {
        assert_eq!(
            whole(&kept, run, value).recheck().unwrap().verdict(),
            Verdict::Right
        );
        let last = kept.traces[STEP as usize].runs[run][value].words().len() - 1;
        for at in [0, last] {
            let found = element(&kept, run, value, at).recheck().unwrap();
            assert_eq!(
                found.verdict(),
                Verdict::Right,
                "run {run}, value {value}, {at}"
            );
        }
    }
}

/// One bit of any value: that node is wrong, at that element, and no other is.
#[test]
fn a_changed_bit_is_wrong_exactly_where_it_was_changed() {
    let honest = Kept::honest(1);
    for (run, value) in nodes() {
        let words = honest.traces[STEP as usize].runs[run][value].words();
        let (at, other) = (words.len() / 2, words.len() - 1);
        let fault = Fault::Value {
            step: STEP,
            run,
            value,
            element: at,
            bit: 4,
        };
        let liar = Kept::play(1, Some(fault));
        let found = element(&liar, run, value, at).recheck().unwrap();
        let [claimed, right] = [words[at] ^ (1 << 4), words[at]];
        let expected = Finding::Element {
            element: at,
            claimed,
            right,
        };
        assert_eq!(found, expected, "run {run}, value {value}");
        assert_eq!(found.verdict(), Verdict::Wrong);
        assert_eq!(
            whole(&liar, run, value).recheck().unwrap().verdict(),
            Verdict::Wrong
        );
        if other != at {
            let found = element(&liar, run, value, other).recheck().unwrap();
            assert_eq!(found.verdict(), Verdict::Right);
        }
        for (other_run, other) in nodes().filter(|node| *node != (run, value)).step_by(5) {
            let found = whole(&liar, other_run, other).recheck().unwrap();
            assert_eq!(found.verdict(), Verdict::Right, "{other} after {value}");
        }
    }
}

type Change = (&'static str, fn(&mut Evidence));

/// A change of every field.
fn changes() -> Vec<Change> {
    fn part(proof: &mut PartProof) -> &mut u8 {
        proof.bytes.last_mut().unwrap()
    }
    vec![
        ("root", |it| it.root[0] ^= 1),
        ("plan's digest", |it| it.step.plan[31] ^= 1),
        ("state", |it| it.step.state[1] ^= 1),
        ("given", |it| it.step.given[1] ^= 1),
        ("next", |it| it.step.next[1] ^= 1),
        ("plan's header", |it| *part(&mut it.plan.header) ^= 1),
        ("plan's header, cut", |it| it.plan.header.bytes.truncate(9)),
        ("plan's header, siblings", |it| {
            it.plan.header.siblings[0][0] ^= 1
        }),
        ("plan's header, fewer", |it| {
            it.plan.header.siblings.truncate(1)
        }),
        ("plan's program", |it| *part(&mut it.plan.program) ^= 1),
        ("plan's program, siblings", |it| {
            it.plan.program.siblings[0][0] ^= 1
        }),
        ("plan's run", |it| *part(&mut it.plan.run) ^= 1),
        ("plan's run, empty", |it| it.plan.run.bytes.clear()),
        ("plan's run, other program", |it| it.plan.run.bytes[0] ^= 1),
        ("plan's run, siblings", |it| {
            it.plan.run.siblings.push([0; 32])
        }),
        ("run's number", |it| it.run.number ^= 1),
        ("run's number, far", |it| it.run.number = usize::MAX),
        ("run's values", |it| it.run.values[0] ^= 1),
        ("run's siblings", |it| it.run.siblings[0][0] ^= 1),
        ("program's header", |it| *part(&mut it.program.header) ^= 1),
        ("program's header, siblings", |it| {
            it.program.header.siblings[0][0] ^= 1
        }),
        ("node", |it| *part(&mut it.program.node) ^= 1),
        ("node, empty", |it| it.program.node.bytes.clear()),
        ("node, siblings", |it| it.program.node.siblings[0][0] ^= 1),
        ("value", |it| it.value.0 += 1),
        ("value, an input", |it| it.value.0 = 0),
        ("value, far", |it| it.value.0 = u32::MAX),
        ("operand's type", |it| {
            it.operands[0].ty = TensorType::i32([1])
        }),
        ("operand's tiles", |it| it.operands[0].tiles[0] ^= 1),
        ("operand's siblings", |it| {
            it.operands[0].siblings[0][0] ^= 1
        }),
        ("operands, fewer", |it| it.operands.truncate(1)),
        ("operands, swapped", |it| it.operands.swap(0, 1)),
        ("result", |it| it.result.root[0] ^= 1),
        ("result's siblings", |it| it.result.siblings.truncate(0)),
    ]
}

fn element_changes() -> Vec<Change> {
    fn with(evidence: &mut Evidence, change: impl Fn(&mut usize, &mut Opening, &mut Vec<Opening>)) {
        let Piece::Element {
            element,
            result,
            tiles,
        } = &mut evidence.piece
        else {
            panic!("an element");
        };
        change(element, result, tiles);
    }
    vec![
        ("element", |it| {
            with(it, |element, _, _| *element = usize::MAX)
        }),
        ("element of another tile", |it| {
            with(it, |element, _, _| *element ^= 4)
        }),
        ("claimed bits", |it| {
            with(it, |_, result, _| result.tile[0] ^= 1)
        }),
        ("result's tile, shorter", |it| {
            with(it, |_, result, _| result.tile.truncate(1))
        }),
        ("result's siblings", |it| {
            with(it, |_, result, _| result.siblings.push([0; 32]))
        }),
        ("tile", |it| with(it, |_, _, tiles| tiles[1].tile[200] ^= 1)),
        ("tile, longer", |it| {
            with(it, |_, _, tiles| tiles[1].tile.push(0))
        }),
        ("tile's siblings", |it| {
            with(it, |_, _, tiles| tiles[0].siblings[0][0] ^= 1)
        }),
        ("tiles, fewer", |it| {
            with(it, |_, _, tiles| tiles.truncate(2))
        }),
        ("tiles, none", |it| with(it, |_, _, tiles| tiles.clear())),
        ("tiles, more", |it| {
            with(it, |_, _, tiles| tiles.push(tiles[0].clone()))
        }),
        ("tiles, swapped", |it| {
            with(it, |_, _, tiles| tiles.swap(0, 1))
        }),
        ("a node's words", |it| {
            it.piece = Piece::Node {
                operands: vec![vec![0; 4], vec![0; 4]],
            }
        }),
    ]
}

fn node_changes() -> Vec<Change> {
    fn with(evidence: &mut Evidence, change: impl Fn(&mut Vec<Vec<u32>>)) {
        let Piece::Node { operands } = &mut evidence.piece else {
            panic!("a node");
        };
        change(operands);
    }
    vec![
        ("a word", |it| with(it, |operands| operands[1][7] ^= 1)),
        ("fewer words", |it| {
            with(it, |operands| operands[0].truncate(3))
        }),
        ("no words", |it| with(it, |operands| operands[0].clear())),
        ("fewer operands", |it| {
            with(it, |operands| operands.truncate(1))
        }),
        ("more operands", |it| {
            with(it, |operands| operands.push(Vec::new()))
        }),
    ]
}

/// The product of run 2: three blocks, two operands.
const PRODUCT: usize = 3;

#[test]
fn changed_evidence_is_refused_whatever_was_changed() {
    let kept = Kept::honest(1);
    let of_element = element(&kept, 2, PRODUCT, 5);
    let of_node = whole(&kept, 2, PRODUCT);
    let refused = |evidence: &Evidence, what: &str, change: fn(&mut Evidence)| {
        evidence.recheck().unwrap();
        let mut changed = evidence.clone();
        change(&mut changed);
        let found = changed.recheck();
        assert!(found.is_err(), "{what}: {found:?}");
    };
    for (what, change) in changes() {
        refused(&of_element, what, change);
        refused(&of_node, what, change);
    }
    for (what, change) in element_changes() {
        refused(&of_element, what, change);
    }
    for (what, change) in node_changes() {
        refused(&of_node, what, change);
    }
}

#[test]
fn evidence_is_made_of_the_committed_tensors_only() {
    let kept = Kept::honest(1);
    let step = tree(&kept);
    let values = &kept.traces[STEP as usize].runs[2];
    let node = claimed(&step, 2, PRODUCT);
    let right = operands(&kept, 2, PRODUCT);
    let mut other = right[0].clone();
    other.words_mut()[0] ^= 1;
    let error = node.whole(&[&other, right[1]]).unwrap_err();
    assert_eq!(error, EvidenceError::Root("an operand"));
    let error = node.element(&right, &values[0], 0).unwrap_err();
    assert_eq!(error, EvidenceError::NotThere("result"));
    let error = node.element(&right, &values[PRODUCT], 12).unwrap_err();
    assert!(matches!(error, EvidenceError::Element(_)), "{error}");
    let input = claimed(&step, 2, 1).whole(&right).unwrap_err();
    assert_eq!(input, EvidenceError::NotThere("node"));
    assert!(claimed(&step, 9, PRODUCT).whole(&right).is_err());
}

/// A node that nobody can recompute soon is refused before it is computed.
#[test]
fn a_node_that_is_too_large_is_refused_by_its_types() {
    let node = |operator, inputs, ty| Node {
        operator,
        inputs,
        ty,
    };
    let wide = TensorType::f32([1 << 11, 1 << 10]);
    let result = TensorType::f32([1 << 11, 1 << 11]);
    let product = node(Operator::MatmulNt, vec![ValueId(0); 2], result);
    let error = require_small(&product, [&wide, &wide].into_iter()).unwrap_err();
    assert!(matches!(error, EvidenceError::TooLarge { .. }), "{error}");
    let ones = Operator::Iota {
        shape: program::Shape::new([1 << 30]),
        axis: 0,
    };
    let full = node(ones, Vec::new(), TensorType::i32([1 << 30]));
    assert!(require_small(&full, std::iter::empty()).is_err());
}
