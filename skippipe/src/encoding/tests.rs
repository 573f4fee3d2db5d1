//! Bytes, rounding and refusals.

use proptest::prelude::*;

use super::*;

const FORMATS: [Format; 3] = [Format::F32, Format::Bf16, Format::Int8];

fn tensor(shape: impl Into<Shape>, values: Vec<f32>) -> Tensor {
    Tensor::f32(shape, values).unwrap()
}

#[test]
fn bytes_are_as_documented() {
    let values = tensor([1, 3], vec![127.0, -0.5, -0.0]);
    let header = |tag| [tag, 2, 1, 0, 0, 0, 3, 0, 0, 0];
    let expect = |format, tag, payload: &[u8]| {
        assert_eq!(
            encode(format, &values).unwrap(),
            [&header(tag), payload].concat()
        );
    };
    let word = |value: f32| value.to_le_bytes();
    let words = [word(127.0), word(-0.5), word(-0.0)].concat();
    expect(Format::F32, 1, &words);
    expect(Format::Bf16, 2, &[0xfe, 0x42, 0x00, 0xbf, 0x00, 0x80]);
    // 0.5 is between two levels, and 0 is even.
    expect(Format::Int8, 3, &[&word(1.0)[..], &[127, 0, 0]].concat());
}

#[test]
fn halves_round_to_even() {
    let of = |word: u32| carried(Format::Bf16, &tensor([1], vec![f32::from_bits(word)]));
    for (word, expected) in [
        (0x3f80_8000, 0x3f80_0000),
        (0x3f81_8000, 0x3f82_0000),
        (0x3f80_8001, 0x3f81_0000),
        (0x7f7f_7fff, 0x7f7f_0000),
        (0x0000_8001, 0x0001_0000),
        (0x8000_0000, 0x8000_0000),
    ] {
        assert_eq!(of(word).unwrap().words(), [expected], "{word:x}");
    }
    assert!(of(0x7f7f_8000).is_err(), "rounds to infinity");
}

#[test]
fn what_is_not_finite_is_not_written() {
    for format in FORMATS {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let error = encode(format, &tensor([2], vec![0.0, value])).unwrap_err();
            assert!(
                matches!(error, EncodeError::Value { index: 1, .. }),
                "{error}"
            );
        }
    }
    assert!(encode(Format::Int8, &tensor([1], vec![2f32.powi(127)])).is_ok());
    assert!(encode(Format::Int8, &tensor([1], vec![f32::MAX])).is_err());
    let integers = Tensor::i32([1], vec![3]).unwrap();
    assert!(matches!(
        encode(Format::F32, &integers),
        Err(EncodeError::Type(_))
    ));
}

#[test]
fn hostile_bytes_are_refused() {
    let (shape, values) = (Shape::new([2, 3]), tensor([2, 3], vec![1.0; 6]));
    for format in FORMATS {
        let good = encode(format, &values).unwrap();
        assert_eq!(good.len(), format.bytes(&shape));
        let refused = |bytes: &[u8]| decode(format, &shape, bytes).unwrap_err();
        for length in [0, 1, good.len() - 1] {
            assert!(matches!(
                refused(&good[..length]),
                DecodeError::Length { .. }
            ));
        }
        let huge = Shape::new([1 << 20, 1 << 20]);
        let error = decode(format, &huge, &good).unwrap_err();
        assert!(matches!(error, DecodeError::Length { .. }), "{error}");
        for at in 0..10 {
            let mut other = good.clone();
            other[at] ^= 1;
            assert!(matches!(refused(&other), DecodeError::Header { .. }));
        }
        let mut transposed = good.clone();
        transposed.swap(2, 6);
        assert!(matches!(refused(&transposed), DecodeError::Header { .. }));
    }
    for (format, infinite) in [(Format::F32, 12), (Format::Bf16, 10)] {
        for bits in [0x7f80u16, 0xffc0] {
            let mut bytes = encode(format, &values).unwrap();
            bytes[infinite..infinite + 2].copy_from_slice(&bits.to_le_bytes());
            let error = decode(format, &shape, &bytes).unwrap_err();
            assert!(
                matches!(error, DecodeError::NotFinite { index: 0, .. }),
                "{error}"
            );
        }
    }
}

#[test]
fn blocks_that_nobody_writes_are_refused() {
    let shape = Shape::new([2]);
    let of = |scale: f32, levels: [i8; 2]| {
        let mut bytes = Format::Int8.header(&shape);
        bytes.extend(scale.to_le_bytes());
        bytes.extend(levels.map(i8::cast_unsigned));
        decode(Format::Int8, &shape, &bytes)
    };
    assert!(of(0.5, [-127, 3]).is_ok() && of(0.0, [0, 0]).is_ok());
    for (scale, levels) in [
        (0.5, [126, 3]),
        (0.5, [-128, 127]),
        (0.0, [1, 0]),
        (-0.0, [0, 0]),
        (-0.5, [127, 0]),
        (1e-45, [0, 0]),
        (f32::NAN, [127, 0]),
        (f32::INFINITY, [127, 0]),
    ] {
        let error = of(scale, levels).unwrap_err();
        assert!(
            matches!(error, DecodeError::Block { block: 0, .. }),
            "{scale}: {error}"
        );
    }
    // Each part is a number, their product is none.
    let error = of(f32::MAX, [1, 127]).unwrap_err();
    assert!(
        matches!(error, DecodeError::NotFinite { index: 1, .. }),
        "{error}"
    );
}

#[test]
fn blocks_do_not_cross_rows() {
    let mut values = vec![1.0; 2 * 65];
    values[64] = 1000.0;
    let read = carried(Format::Int8, &tensor([2, 65], values.clone())).unwrap();
    assert_eq!(read.as_f32().unwrap(), values);
}

/// Finite numbers that 8 bits take, with many zeros of both signs and subnormals.
fn number() -> impl Strategy<Value = f32> {
    let large = any::<u32>().prop_map(f32::from_bits);
    let large = large.prop_filter("in range", |x| x.abs() <= LARGEST_INT8);
    let small = (any::<bool>(), 0u32..0x0200_0000)
        .prop_map(|(sign, bits)| f32::from_bits(bits | u32::from(sign) << 31));
    let tiny = (0u32..400).prop_map(f32::from_bits);
    prop_oneof![large, small, tiny, Just(0.0), Just(-0.0), -2.0f32..2.0]
}

proptest! {
    #[test]
    fn every_bit_or_half_of_them_comes_back(values in prop::collection::vec(number(), 1..200)) {
        let tensor = tensor([values.len()], values);
        prop_assert_eq!(&carried(Format::F32, &tensor).unwrap(), &tensor);
        let read = carried(Format::Bf16, &tensor).unwrap();
        for (word, read) in tensor.words().iter().zip(read.words()) {
            prop_assert!(read & 0xffff == 0 && word.abs_diff(*read) <= 0x8000);
        }
        prop_assert_eq!(&carried(Format::Bf16, &read).unwrap(), &read);
    }

    #[test]
    fn an_error_is_at_most_half_a_scale(
        values in prop::collection::vec(number(), 1..200),
        width in 1usize..100,
    ) {
        let rows = values.len().div_ceil(width);
        let mut values = values;
        values.resize(rows * width, 0.25);
        let shape = Shape::new([rows, width]);
        let sent = tensor(shape.clone(), values);
        let bytes = encode(Format::Int8, &sent).unwrap();
        prop_assert_eq!(bytes.len(), Format::Int8.bytes(&shape));
        let read = decode(Format::Int8, &shape, &bytes).unwrap();
        let (sent, read) = (sent.as_f32().unwrap(), read.as_f32().unwrap());
        for (sent, read) in blocks(&shape, sent).zip(blocks(&shape, read)) {
            let largest = sent.iter().fold(0f32, |so_far, x| so_far.max(x.abs()));
            let scale = f64::from(scale(largest));
            for (x, y) in sent.iter().zip(read) {
                let error = (f64::from(*x) - f64::from(*y)).abs();
                prop_assert!(error <= scale * (0.5 + 2f64.powi(-16)), "{} as {}", x, y);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for format in FORMATS {
            for shape in [Shape::new([0usize; 0]), Shape::new([3, 0]), Shape::new([2, 70])] {
                let mut whole = format.header(&shape);
                whole.extend(&bytes);
                whole.resize(format.bytes(&shape), 127);
                if let Ok(read) = decode(format, &shape, &whole) {
                    prop_assert!(read.first_beyond(f32::MAX).is_none());
                }
                let _ = decode(format, &shape, &bytes);
            }
        }
    }
}
