//! Every supported operator by itself.

use burn::prelude::*;
use burn::tensor::activation::{
    gelu_approximate, hard_sigmoid, leaky_relu, log_softmax, relu, sigmoid, silu, softmax, softmin,
};
use burn::tensor::module::{embedding, layer_norm, linear};

use super::super::{lower, ops};
use super::{
    NONE, assert_close, embedded, evaluate_named, floats, ints, lower_one, numbers, on_flex,
    operators, same, same_on, same_with_ints,
};
use crate::program::Role;
use crate::tensor::Tensor as HostTensor;
use crate::weights::Weights;

#[test]
fn arithmetic() {
    same([3, 4], |x: Tensor<2>| x.clone() + x.clone().sum_dim(1));
    same([3, 4], |x: Tensor<2>| x.clone().sum_dim(0) - x);
    same([2, 3, 4], |x: Tensor<3>| {
        x.clone() * x.clone().narrow(1, 0, 1)
    });
    same([3, 4], |x: Tensor<2>| x.clone() / (x.abs() + 1.0));
    same([5], |x: Tensor<1>| (((x + 0.1) * 1.7) - 0.3) / 1.3);
    same([5], |x: Tensor<1>| -x.abs().neg());
    same([5], |x: Tensor<1>| (x + 3.0).recip());
    same([7], |x: Tensor<1>| x.sign());
    same([7], |x: Tensor<1>| {
        x.clone().clamp(-0.5, 0.7) + x.clone().clamp_min(0.1) + x.clamp_max(0.2)
    });
    same([2, 3], |x: Tensor<2>| {
        x.clone().max_pair(x.clone() * -0.5) + x.clone().min_pair(x * 0.5)
    });
}

#[test]
fn functions() {
    same([9], |x: Tensor<1>| x.exp());
    same([9], |x: Tensor<1>| (x.abs() + 0.1).log());
    same([9], |x: Tensor<1>| (x.abs() + 0.1).sqrt());
    same([9], |x: Tensor<1>| x.tanh());
    same([9], |x: Tensor<1>| x.square());
}

#[test]
fn powers() {
    for exponent in [-3, -1, 0, 1, 2, 3, 5, 16] {
        same([9], move |x: Tensor<1>| {
            (x * 0.5 + 1.5).powi_scalar(exponent)
        });
        same([9], move |x: Tensor<1>| {
            (x * 0.5 + 1.5).powf_scalar(exponent as f32)
        });
    }
    same([9], |x: Tensor<1>| (x + 3.0).powf_scalar(0.5));
    same([9], |x: Tensor<1>| (x + 3.0).powf_scalar(-0.5));
}

#[test]
fn a_square_is_one_product() {
    let program = lower_one([4], |x: Tensor<1>| x.powi_scalar(2))
        .unwrap()
        .program;
    assert_eq!(operators(&program), ["mul"]);
}

#[test]
fn reductions() {
    for axis in 0..3 {
        same([2, 3, 4], move |x: Tensor<3>| x.sum_dim(axis));
        same([2, 3, 4], move |x: Tensor<3>| x.mean_dim(axis));
        same([2, 3, 4], move |x: Tensor<3>| x.max_dim(axis));
        same([2, 3, 4], move |x: Tensor<3>| x.min_dim(axis));
        same([2, 3, 4], move |x: Tensor<3>| x.max_abs_dim(axis));
        same([2, 3, 4], move |x: Tensor<3>| x.argmax(axis));
        same([2, 3, 4], move |x: Tensor<3>| x.argmin(axis));
        same([2, 3, 4], move |x: Tensor<3>| {
            x.clone().max_dim_with_indices(axis).0 + x.min_dim_with_indices(axis).0
        });
        same([2, 3, 4], move |x: Tensor<3>| {
            x.greater_scalar(1.5).any_dim(axis)
        });
        same([2, 3, 4], move |x: Tensor<3>| {
            x.greater_scalar(-1.5).all_dim(axis)
        });
    }
    same([2, 3, 4], |x: Tensor<3>| x.sum_dims(&[0, 2]));
    same([2, 3, 4], |x: Tensor<3>| x.sum());
    same([2, 3, 4], |x: Tensor<3>| x.mean());
    same([2, 3, 4], |x: Tensor<3>| x.max());
    same([2, 3, 4], |x: Tensor<3>| x.min());
    same([2, 3, 4], |x: Tensor<3>| x.max_abs());
    same([2, 3], |x: Tensor<2>| x.greater_scalar(-1.5).all());
    same([2, 3], |x: Tensor<2>| x.greater_scalar(1.9).any());
}

#[test]
fn a_mean_is_a_sum_and_one_division() {
    let program = lower_one([2, 3], |x: Tensor<2>| x.mean_dim(1))
        .unwrap()
        .program;
    assert_eq!(operators(&program), ["sum", "full", "div"]);
}

#[test]
fn argmax_takes_the_lowest_index_at_ties() {
    let x = HostTensor::f32([1, 5], vec![1.0, 3.0, 2.0, 3.0, 3.0]).unwrap();
    let lowered = lower_one([1, 5], |x: Tensor<2>| x.argmax(1)).unwrap();
    assert_eq!(
        evaluate_named(&lowered, &[("x", x)], &Weights::new())[0]
            .as_i32()
            .unwrap(),
        [1]
    );
}

#[test]
fn comparisons_and_bools() {
    same([12], |x: Tensor<1>| x.clone().greater(x.flip_sign()));
    same([12], |x: Tensor<1>| x.clone().greater_equal(x.abs()));
    same([12], |x: Tensor<1>| x.clone().lower(x.abs()));
    same([12], |x: Tensor<1>| x.clone().lower_equal(x.abs()));
    same([12], |x: Tensor<1>| x.clone().equal(x.abs()));
    same([12], |x: Tensor<1>| x.clone().not_equal(x.abs()));
    same([12], |x: Tensor<1>| {
        x.clone()
            .greater_scalar(0.0)
            .bool_and(x.greater_equal_scalar(0.5))
    });
    same([12], |x: Tensor<1>| {
        x.clone()
            .lower_scalar(0.0)
            .bool_or(x.lower_equal_scalar(0.5))
    });
    same([12], |x: Tensor<1>| {
        x.clone()
            .lower_scalar(0.0)
            .bool_xor(x.lower_equal_scalar(0.5))
    });
    same([12], |x: Tensor<1>| {
        x.clone()
            .lower_scalar(0.0)
            .equal(x.lower_equal_scalar(0.5).bool_not())
    });
    same([12], |x: Tensor<1>| {
        x.clone().equal_scalar(1.0).bool_or(x.not_equal_scalar(0.5))
    });
    same([12], |x: Tensor<1>| x.lower_scalar(0.0).float());
    same([12], |x: Tensor<1>| x.lower_scalar(0.0).int());
    same([2, 3], |x: Tensor<2>| x.is_nan());
}

trait FlipSign {
    fn flip_sign(self) -> Self;
}

impl FlipSign for Tensor<1> {
    fn flip_sign(self) -> Self {
        self * -1.0
    }
}

#[test]
fn masks() {
    same([3, 4], |x: Tensor<2>| {
        x.clone().mask_fill(x.greater_scalar(0.5), -1e30)
    });
    same([3, 4], |x: Tensor<2>| {
        x.clone().mask_where(x.clone().greater_scalar(0.5), x * 2.0)
    });
    same([4, 4], |x: Tensor<2>| {
        let device = x.device();
        x.mask_fill(Tensor::<2, Bool>::tril_mask([4, 4], 0, &device), 9.0)
    });
}

#[test]
fn views() {
    same([2, 3, 4], |x: Tensor<3>| x.reshape([4, 6]));
    same([2, 3, 4], |x: Tensor<3>| x.swap_dims(0, 2));
    same([2, 3, 4], |x: Tensor<3>| {
        x.permute([2, 0, 1]).permute([2, 0, 1])
    });
    same([1, 3], |x: Tensor<2>| x.expand([5, 4, 3]));
    same([2, 3], |x: Tensor<2>| x.repeat_dim(1, 3).repeat_dim(0, 2));
    same([3, 4], |x: Tensor<2>| x.slice([1..3, 0..2]));
    same([3, 4], |x: Tensor<2>| x.slice(s![-2.., ..-1]));
    same([3, 4], |x: Tensor<2>| {
        let part = x.clone().narrow(0, 0, 1).narrow(1, 0, 2) * 10.0;
        x.slice_assign([1..2, 2..4], part)
    });
    same([3, 4], |x: Tensor<2>| {
        Tensor::cat(vec![x.clone(), x.clone() * 2.0, x], 1)
    });
    same([3, 4], |x: Tensor<2>| {
        Tensor::stack::<3>(vec![x.clone(), x], 1)
    });
    same([3, 4], |x: Tensor<2>| x.pad((1, 2, 0, 1), 0.0));
    same([3, 4], |x: Tensor<2>| x.pad((1, 2, 0, 1), -1.5));
    same([3, 1, 4], |x: Tensor<3>| {
        x.squeeze_dim::<2>(1).unsqueeze_dim::<3>(0)
    });
    same([6, 4], |x: Tensor<2>| Tensor::cat(x.chunk(3, 0), 1));
}

#[test]
fn views_of_views_are_merged() {
    let program = |lowered: super::super::Lowered| operators(&lowered.program).join(" ");
    assert_eq!(
        program(lower_one([2, 3, 4], |x: Tensor<3>| x.reshape([6, 4]).reshape([4, 6])).unwrap()),
        "reshape"
    );
    assert_eq!(
        program(lower_one([2, 3], |x: Tensor<2>| x.transpose().transpose()).unwrap()),
        ""
    );
    assert_eq!(
        program(lower_one([6], |x: Tensor<1>| x.reshape([2, 3]).reshape([6])).unwrap()),
        ""
    );
    let swapped = lower_one([2, 3, 4], |x: Tensor<3>| x.swap_dims(0, 1).swap_dims(1, 2)).unwrap();
    assert_eq!(program(swapped), "permute");
    // Same type before and after, but the elements move.
    assert_eq!(
        program(lower_one([3, 3], |x: Tensor<2>| x.transpose()).unwrap()),
        "permute"
    );
}

#[test]
fn lookups() {
    let ids = || HostTensor::i32([3], vec![2, 0, 2]).unwrap();
    same_with_ints(
        floats([3, 4, 2]),
        ids(),
        |x: Tensor<3>, ids: Tensor<1, Int>| x.select(0, ids),
    );
    same_with_ints(
        floats([2, 3, 4]),
        ids(),
        |x: Tensor<3>, ids: Tensor<1, Int>| x.select(1, ids),
    );
    same_with_ints(
        floats([2, 4, 3]),
        ids(),
        |x: Tensor<3>, ids: Tensor<1, Int>| x.select(2, ids),
    );
    same_with_ints(
        floats([3, 5]),
        ints([3, 2], 5),
        |x: Tensor<2>, ids: Tensor<2, Int>| x.gather(1, ids),
    );
    same_with_ints(
        floats([5, 3]),
        ints([2, 3], 5),
        |x: Tensor<2>, ids: Tensor<2, Int>| x.gather(0, ids),
    );
    same_with_ints(
        floats([7, 3]),
        ints([2, 4], 7),
        |x: Tensor<2>, ids: Tensor<2, Int>| embedding(x, ids),
    );
    same_with_ints(
        floats([1]),
        ints([2, 4], 7),
        |_: Tensor<1>, ids: Tensor<2, Int>| ops::one_hot::<2, 3>(ids, 6),
    );
}

#[test]
fn integers() {
    let x = || floats([1]);
    let ids = || ints([3, 4], 7);
    same_with_ints(x(), ids(), |_: Tensor<1>, ids: Tensor<2, Int>| {
        ids.clone() * 3 + ids - 2
    });
    same_with_ints(x(), ids(), |_: Tensor<1>, ids: Tensor<2, Int>| {
        ids.float() * 0.5
    });
    same_with_ints(x(), ids(), |_: Tensor<1>, ids: Tensor<2, Int>| {
        ids.clone().lower_equal(ids.transpose().reshape([3, 4]))
    });
    same_with_ints(x(), ids(), |_: Tensor<1>, ids: Tensor<2, Int>| {
        ids.clone().equal_scalar(3).bool_or(ids.not_equal_scalar(4))
    });
    same_with_ints(x(), ids(), |_: Tensor<1>, ids: Tensor<2, Int>| {
        ids.clone().neg().abs().clamp(1, 3).powi_scalar(2)
    });
    same_with_ints(x(), ids(), |_: Tensor<1>, ids: Tensor<2, Int>| {
        ids.clone().mask_fill(ids.greater_scalar(3), -1)
    });
}

#[test]
fn floats_become_integers_by_truncation() {
    let x = vec![
        0.5,
        1.5,
        2.5,
        -0.5,
        -1.5,
        -2.5,
        0.999_999_94,
        8_388_609.0,
        16_777_216.0,
        -3.7,
        2.2,
        -0.0,
        2_147_483_520.0,
    ];
    same_on(HostTensor::f32([13], x).unwrap(), |x: Tensor<1>| x.int());
}

#[test]
fn products() {
    same([3, 4], |x: Tensor<2>| x.clone().matmul(x.transpose()));
    same([2, 3, 4], |x: Tensor<3>| {
        x.clone().matmul(x.swap_dims(1, 2))
    });
    same([2, 3, 4], |x: Tensor<3>| {
        x.clone().matmul(x.narrow(0, 0, 1).swap_dims(1, 2))
    });
    same([2, 3, 4], |x: Tensor<3>| {
        x.clone().narrow(0, 0, 1).matmul(x.swap_dims(1, 2))
    });
    same([2, 1, 3, 4], |x: Tensor<4>| {
        let wide = x.clone().reshape([1, 2, 3, 4]).swap_dims(2, 3);
        x.matmul(wide)
    });
    same([2, 3, 4], |x: Tensor<3>| {
        let weight = x.clone().reshape([4, 6]);
        let bias = x.clone().narrow(0, 0, 1).reshape([12]).narrow(0, 0, 6);
        linear(x, weight, Some(bias))
    });
}

#[test]
fn activations() {
    same([3, 5], relu::<2>);
    same([3, 5], |x: Tensor<2>| leaky_relu(x, 0.1));
    same([3, 5], sigmoid::<2>);
    same([3, 5], |x: Tensor<2>| hard_sigmoid(x, 0.3, 0.4));
    same([3, 5], silu::<2>);
    same([3, 5], gelu_approximate::<2>);
    for axis in 0..2 {
        same([3, 5], move |x: Tensor<2>| softmax(x, axis));
        same([3, 5], move |x: Tensor<2>| softmin(x, axis));
        same([3, 5], move |x: Tensor<2>| log_softmax(x, axis));
    }
    same([3, 5], |x: Tensor<2>| {
        let (gamma, beta) = (
            x.clone().narrow(0, 0, 1).reshape([5]),
            x.clone().narrow(0, 1, 1).reshape([5]),
        );
        layer_norm(x, gamma, Some(beta), 1e-5)
    });
}

#[test]
fn constants() {
    same([4], |x: Tensor<1>| {
        x.clone() + Tensor::<1>::zeros([4], &x.device()) + Tensor::<1>::ones([4], &x.device())
    });
    same([4], |x: Tensor<1>| {
        x.clone() * Tensor::full([4], 0.25, &x.device())
    });
    same([4], |x: Tensor<1>| {
        x.clone() + Tensor::arange(3..7, &x.device()).float()
    });
    same([4], |x: Tensor<1>| {
        x.clone() + Tensor::arange_step(3..11, 2, &x.device()).float()
    });
    same([4], |x: Tensor<1>| {
        x.clone() + Tensor::from_floats([0.1, 0.3, 0.2, 7.0], &x.device())
    });
    same([2], |x: Tensor<1>| {
        x.clone() + Tensor::<1, Int>::from_ints([5, 2], &x.device()).float()
    });
}

#[test]
fn embedded_data_is_full_iota_or_a_constant_with_its_value() {
    let lowered = lower(&NONE, |_, recorder| {
        let x = recorder.float::<1>("x", Role::Data, [3]);
        let same = embedded(recorder, &[2.0; 3], [3]);
        let table = [0.5, 1.0, 9.0];
        let (first, again) = (
            embedded(recorder, &table, [3]),
            embedded(recorder, &table, [3]),
        );
        let counted = Tensor::arange(0..3, recorder.device()).float();
        let unread = embedded(recorder, &[7.0, 8.0], [2]);
        let _ = unread.clone() * unread;
        recorder.output("y", (x + same) * first + counted - again);
    });
    let lowered = lowered.unwrap();
    assert_eq!(
        operators(&lowered.program),
        ["iota", "cast", "full", "add", "mul", "add", "sub"]
    );
    assert_eq!(
        lowered.constants.names().collect::<Vec<_>>(),
        ["constant.1"]
    );
    assert_eq!(
        lowered
            .constants
            .get("constant.1")
            .unwrap()
            .as_f32()
            .unwrap(),
        [0.5, 1.0, 9.0]
    );
    let roles: Vec<Role> = lowered
        .program
        .inputs()
        .iter()
        .map(|input| input.role)
        .collect();
    assert_eq!(roles, [Role::Data, Role::Constant]);
}

#[test]
fn inputs_stay_in_order_even_if_nothing_reads_them() {
    let lowered = lower(&NONE, |_, recorder| {
        let _unread = recorder.int::<1>("b", Role::Data, [3]);
        let mask = recorder.bool::<1>("a", Role::Data, [3]);
        let x = recorder.float::<1>("c", Role::State, [3]);
        recorder.output("y", x.mask_fill(mask.clone(), 0.0));
        recorder.output("a", mask);
    });
    let lowered = lowered.unwrap();
    assert_eq!(
        lowered
            .program
            .inputs()
            .iter()
            .map(|input| input.name.as_str())
            .collect::<Vec<_>>(),
        ["b", "a", "c"]
    );
    let mask = HostTensor::bool([3], &[true, false, true]).unwrap();
    let found = evaluate_named(
        &lowered,
        &[("a", mask.clone()), ("b", ints([3], 5)), ("c", floats([3]))],
        &Weights::new(),
    );
    assert_eq!(found[0].as_f32().unwrap(), [0.0, numbers(3)[1], 0.0]);
    assert_eq!(found[1], mask);
}

#[test]
fn noise_is_philox_on_every_device() {
    let (key, counter) = (ints([2], 97), ints([4, 3], 89));
    let lowered = lower(&NONE, |_, recorder| {
        let key = recorder.int::<1>("key", Role::Data, [2]);
        let counter = recorder.int::<2>("counter", Role::Data, [4, 3]);
        recorder.output("noise", ops::philox_uniform(key, counter, 5));
    });
    let lowered = lowered.unwrap();
    assert_eq!(operators(&lowered.program), ["philox_uniform"]);
    let found = evaluate_named(
        &lowered,
        &[("key", key.clone()), ("counter", counter.clone())],
        &Weights::new(),
    );
    assert_close(
        &found[0],
        &ops::philox_uniform(on_flex(&key), on_flex(&counter), 5).into_data(),
        0.0,
    );
    let first = crate::random::uniform_at([0, 5], [0, 5, 10], 0);
    assert_eq!(found[0].as_f32().unwrap()[0].to_bits(), first.to_bits());
}
