use std::fs;
use std::path::Path;

use proptest::prelude::*;
use safetensors::tensor::{Dtype, TensorView, serialize};

use super::{CheckError, LoadError, MAX_PARAMETER, Weights};
use crate::engine::cpu::CpuEngine;
use crate::engine::reference::evaluate;
use crate::program::{Builder, DType, Program, Role, TensorType};
use crate::tensor::{HalfFormat, Halves, Tensor};

fn sample() -> Weights {
    let tensors = [
        (
            "z.weight",
            Tensor::f32([2, 3], vec![1.5, -0.0, -f32::MAX, 1e-40, -2.0, 0.1]).unwrap(),
        ),
        ("a.mask", Tensor::bool([3], &[true, false, true]).unwrap()),
        ("b.steps", Tensor::i32([2], vec![-7, i32::MAX]).unwrap()),
        ("empty", Tensor::f32([0, 4], vec![]).unwrap()),
        ("scalar", Tensor::f32(Vec::new(), vec![3.0]).unwrap()),
    ];
    tensors
        .into_iter()
        .map(|(name, tensor)| (name.to_owned(), tensor))
        .collect()
}

/// A file of one tensor in any element type.
fn file(dtype: Dtype, shape: &[usize], data: &[u8]) -> Vec<u8> {
    serialize(
        [("x", TensorView::new(dtype, shape.to_vec(), data).unwrap())],
        None,
    )
    .unwrap()
}

fn raw(header: &str, data: &[u8]) -> Vec<u8> {
    [
        &(header.len() as u64).to_le_bytes(),
        header.as_bytes(),
        data,
    ]
    .concat()
}

#[test]
fn bytes_round_trip_and_are_canonical() {
    let weights = sample();
    let bytes = weights.to_bytes();
    assert_eq!(Weights::from_bytes(&bytes).unwrap(), weights);
    let reversed: Weights = sample()
        .into_iter()
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .collect();
    assert_eq!(reversed.to_bytes(), bytes);
    // Data starts and stays aligned, bools come last.
    let header = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    assert_eq!(header % 8, 0);
    assert_eq!(bytes[bytes.len() - 3..], [1, 0, 1]);
}

#[test]
fn the_digest_is_that_of_the_bytes() {
    use sha2::Digest;
    let weights = sample();
    assert_eq!(
        weights.digest(),
        <[u8; 32]>::from(sha2::Sha256::digest(weights.to_bytes()))
    );
    let mut other = sample();
    other.get_mut("scalar").unwrap().words_mut()[0] ^= 1;
    assert_ne!(other.digest(), weights.digest());
}

#[test]
fn the_format_is_pinned() {
    let weights: Weights = [("w".to_owned(), Tensor::f32([1], vec![1.0]).unwrap())]
        .into_iter()
        .collect();
    let header =
        r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let padded = format!("{header:<width$}", width = header.len().next_multiple_of(8));
    assert_eq!(weights.to_bytes(), raw(&padded, &1f32.to_le_bytes()));
}

#[test]
fn half_floats_are_widened_exactly() {
    let halves: [(u16, f32); 8] = [
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x7bff, 65504.0),
        (0x0001, 5.960_464_5e-8),
        (0x03ff, 6.097_555e-5),
        (0x0400, 6.103_515_6e-5),
        (0x8000, -0.0),
        (0x3555, 0.333_251_95),
    ];
    let data: Vec<u8> = halves
        .iter()
        .flat_map(|(bits, _)| bits.to_le_bytes())
        .collect();
    let read = Weights::from_bytes(&file(Dtype::F16, &[8], &data)).unwrap();
    for (found, (_, expected)) in read.get("x").unwrap().as_f32().unwrap().iter().zip(halves) {
        assert_eq!(found.to_bits(), expected.to_bits());
    }
    let data: Vec<u8> = [0x3f80u16, 0xc049, 0x0001]
        .iter()
        .flat_map(|bits| bits.to_le_bytes())
        .collect();
    let read = Weights::from_bytes(&file(Dtype::BF16, &[3], &data)).unwrap();
    assert_eq!(
        read.get("x").unwrap().words(),
        [0x3f80_0000, 0xc049_0000, 0x0001_0000]
    );
}

/// A file of a bf16 matrix, an f16 vector and an f32 scalar.
fn mixed() -> Vec<u8> {
    let bits = |from: u16, step: u16| (0..6).flat_map(move |i| (from + step * i).to_le_bytes());
    let (matrix, vector): (Vec<u8>, Vec<u8>) =
        (bits(0xbf00, 33).collect(), bits(0x0001, 0x13f7).collect());
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let tensors = [
        ("matrix", view(Dtype::BF16, &[2, 3], &matrix)),
        ("scalar", view(Dtype::F32, &[], &[0, 0, 0x80, 0x3f])),
        ("vector", view(Dtype::F16, &[6], &vector)),
    ];
    serialize(tensors, None).unwrap()
}

#[test]
fn half_floats_stay_at_two_bytes_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, mixed()).unwrap();
    let kept = Weights::load_halves(folder.path()).unwrap();
    let wide = Weights::load(&path).unwrap();
    let formats = ["matrix", "scalar", "vector"].map(|name| {
        assert!(wide.get(name).unwrap().halves().is_none());
        kept.get(name).unwrap().halves().map(Halves::format)
    });
    assert_eq!(
        formats,
        [Some(HalfFormat::Bf16), None, Some(HalfFormat::F16)]
    );
    assert_eq!(
        kept.iter().map(|(_, tensor)| tensor.bytes()).sum::<usize>(),
        12 + 4 + 12
    );
    assert_eq!(kept.digest(), wide.digest());
    assert_eq!(kept.to_bytes(), wide.to_bytes());
    assert_eq!(kept, wide);
    let buffers = kept.into_buffers(&CpuEngine::new(1)).unwrap();
    for (name, buffer) in &buffers {
        assert_eq!(buffer.read().unwrap(), *wide.get(name).unwrap(), "{name}");
    }
    // What is refused, and with what words, does not depend on how numbers are kept.
    for (end, value) in [(0x7c00u16, "inf"), (0xfe00, "NaN")] {
        let mut bytes = mixed();
        let length = bytes.len();
        bytes[length - 2..].copy_from_slice(&end.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        let errors = [Weights::load_halves(&path), Weights::load(&path)];
        let [kept, wide] = errors.map(|read| read.unwrap_err().to_string());
        assert_eq!(kept, wide);
        assert!(kept.contains(&format!("element 5 is {value},")), "{kept}");
    }
    for length in [7, 100, mixed().len() - 1] {
        fs::write(&path, &mixed()[..length]).unwrap();
        let error = Weights::load_halves(&path).unwrap_err().to_string();
        assert!(error.contains("truncated or corrupted"), "{error}");
    }
}

/// Bytes of numbers in any float type.
fn floats(bits: &[u32], bytes: usize) -> Vec<u8> {
    bits.iter()
        .flat_map(|word| word.to_le_bytes()[..bytes].to_vec())
        .collect()
}

#[test]
fn what_is_no_finite_number_is_refused_by_name_and_index() {
    let cases = [
        (Dtype::F32, 4, [0x3f80_0000, 0x7fc0_0000], "NaN"),
        (Dtype::F32, 4, [0x3f80_0000, 0xff80_0001], "NaN"),
        (Dtype::F32, 4, [0x7f7f_ffff, 0x7f80_0000], "inf"),
        (Dtype::F32, 4, [0xff7f_ffff, 0xff80_0000], "-inf"),
        (Dtype::F16, 2, [0x7bff, 0xfc01], "NaN"),
        (Dtype::F16, 2, [0x7bff, 0x7c00], "inf"),
        (Dtype::BF16, 2, [0x7f7f, 0xffc1], "NaN"),
        (Dtype::BF16, 2, [0x7f7f, 0xff80], "-inf"),
    ];
    for (dtype, bytes, bits, value) in cases {
        let error = Weights::from_bytes(&file(dtype, &[2], &floats(&bits, bytes))).unwrap_err();
        assert!(
            matches!(error, LoadError::NotFinite { index: 1, .. }),
            "{error}"
        );
        let text = error.to_string();
        assert!(
            text.contains("`x`") && text.contains(&format!("element 1 is {value},")),
            "{text}"
        );
        Weights::from_bytes(&file(dtype, &[1], &floats(&bits[..1], bytes))).unwrap();
    }
}

#[test]
fn parameters_that_overflow_a_model_are_refused_by_name_and_index() {
    let weights = |value: f32| -> Weights {
        let (number, floats) = (
            Tensor::i32([1], vec![i32::MAX]),
            Tensor::f32([3], vec![0.5, -1.0, value]),
        );
        [
            ("a".to_owned(), number.unwrap()),
            ("b".to_owned(), floats.unwrap()),
        ]
        .into_iter()
        .collect()
    };
    for fine in [65_504.0, MAX_PARAMETER, -MAX_PARAMETER, 1e-45] {
        weights(fine).check_parameters().unwrap();
    }
    for beyond in [MAX_PARAMETER.next_up(), -1e30] {
        let error = weights(beyond).check_parameters().unwrap_err();
        assert!(
            matches!(error, LoadError::TooLarge { index: 2, .. }),
            "{error}"
        );
        assert!(
            error
                .to_string()
                .contains(&format!("`b`: element 2 is {beyond}")),
            "{error}"
        );
    }
    let error = weights(f32::NAN).check_parameters().unwrap_err();
    assert!(
        matches!(error, LoadError::NotFinite { index: 2, .. }),
        "{error}"
    );
}

#[test]
fn wide_integers_and_bools_must_fit() {
    let data: Vec<u8> = [5i64, -6]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let read = Weights::from_bytes(&file(Dtype::I64, &[2], &data)).unwrap();
    assert_eq!(read.get("x").unwrap().as_i32().unwrap(), [5, -6]);
    let data: Vec<u8> = [5i64, 1 << 31]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let error = Weights::from_bytes(&file(Dtype::I64, &[2], &data)).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Element {
                index: 1,
                value: 0x8000_0000,
                dtype: "i32",
                ..
            }
        ),
        "{error}"
    );
    let error = Weights::from_bytes(&file(Dtype::BOOL, &[3], &[0, 1, 2])).unwrap_err();
    assert!(
        matches!(
            error,
            LoadError::Element {
                index: 2,
                value: 2,
                dtype: "bool",
                ..
            }
        ),
        "{error}"
    );
    let error = Weights::from_bytes(&file(Dtype::F64, &[1], &[0; 8])).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`x` has element type F64; convert"),
        "{error}"
    );
}

#[test]
fn every_truncation_is_refused() {
    let bytes = sample().to_bytes();
    for length in 0..bytes.len() {
        assert!(
            Weights::from_bytes(&bytes[..length]).is_err(),
            "{length} of {} bytes were read",
            bytes.len()
        );
    }
    assert!(Weights::from_bytes(&[bytes, vec![0]].concat()).is_err());
}

#[test]
fn hostile_headers_are_refused() {
    let tensor = |shape: &str, offsets: &str| {
        raw(
            &format!(r#"{{"x":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#),
            &[0; 8],
        )
    };
    assert!(Weights::from_bytes(&tensor("[2]", "[0,8]")).is_ok());
    let cases = [
        u64::MAX.to_le_bytes().to_vec(),
        (1u64 << 40).to_le_bytes().to_vec(),
        raw("{", &[]),
        raw("[]", &[]),
        raw("\u{fffd}", &[]),
        tensor("[3]", "[0,8]"),
        tensor("[2]", "[0,4]"),
        tensor("[2]", "[8,0]"),
        tensor("[2]", "[4,12]"),
        tensor("[18446744073709551615,4]", "[0,8]"),
        tensor("[4294967296,4294967296]", "[0,0]"),
        tensor("[-2]", "[0,8]"),
    ];
    for bytes in cases {
        let error = Weights::from_bytes(&bytes).unwrap_err();
        assert!(matches!(error, LoadError::Format { .. }), "{error}");
        assert!(
            error.to_string().contains("truncated or corrupted"),
            "{error}"
        );
    }
}

#[test]
fn a_name_that_occurs_twice_is_refused() {
    let view = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    let error =
        Weights::from_bytes(&raw(&format!(r#"{{"x":{view},"x":{view}}}"#), &[0; 8])).unwrap_err();
    assert!(
        matches!(error, LoadError::Duplicate { ref name } if name == "x"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn damaged_files_never_panic(position in 0usize..400, value: u8) {
        let mut bytes = sample().to_bytes();
        let length = bytes.len();
        bytes[position % length] = value;
        let _ = Weights::from_bytes(&bytes);
    }

    #[test]
    fn names_and_values_round_trip(tensors in prop::collection::btree_map(".{1,12}", prop::collection::vec(any::<i32>(), 0..9), 0..6)) {
        let weights: Weights = tensors
            .into_iter()
            .filter(|(name, _)| name != "__metadata__")
            .map(|(name, values)| (name, Tensor::i32([values.len()], values).unwrap()))
            .collect();
        prop_assert_eq!(Weights::from_bytes(&weights.to_bytes()).unwrap(), weights);
    }
}

#[test]
fn saving_replaces_the_file_and_leaves_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    Weights::new().save(&path).unwrap();
    sample().save(&path).unwrap();
    assert_eq!(fs::read(&path).unwrap(), sample().to_bytes());
    assert_eq!(Weights::load(&path).unwrap(), sample());
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn a_failed_save_keeps_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    sample().save(&path).unwrap();
    // The partial file cannot be made where a folder stands.
    fs::create_dir(folder.path().join("model.safetensors.partial")).unwrap();
    let error = Weights::new().save(&path).unwrap_err();
    assert_eq!(error.path, path);
    assert_eq!(Weights::load(&path).unwrap(), sample());
}

#[test]
fn reading_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.safetensors");
    assert!(
        Weights::load(&missing)
            .unwrap_err()
            .to_string()
            .contains("none.safetensors")
    );
    let broken = folder.path().join("broken.safetensors");
    fs::write(&broken, &sample().to_bytes()[..100]).unwrap();
    let text = Weights::load(&broken).unwrap_err().to_string();
    assert!(
        text.contains("broken.safetensors") && text.contains("100 bytes"),
        "{text}"
    );
}

fn part(name: &str, value: f32) -> Weights {
    [(name.to_owned(), Tensor::f32([1], vec![value]).unwrap())]
        .into_iter()
        .collect()
}

fn write_index(folder: &Path, map: &[(&str, &str)]) {
    let map: serde_json::Value = map
        .iter()
        .map(|(name, file)| (name.to_string(), serde_json::json!(file)))
        .collect::<serde_json::Map<_, _>>()
        .into();
    let index = serde_json::json!({ "metadata": { "total_size": 8 }, "weight_map": map });
    fs::write(
        folder.join("model.safetensors.index.json"),
        index.to_string(),
    )
    .unwrap();
}

#[test]
fn sharded_folders_are_joined() {
    let folder = tempfile::tempdir().unwrap();
    let error = Weights::load(folder.path()).unwrap_err();
    assert!(matches!(error, LoadError::NoWeights { .. }), "{error}");
    part("a", 1.0)
        .save(folder.path().join("one.safetensors"))
        .unwrap();
    part("b", 2.0)
        .save(folder.path().join("two.safetensors"))
        .unwrap();
    write_index(
        folder.path(),
        &[("a", "one.safetensors"), ("b", "two.safetensors")],
    );
    let joined = Weights::load(folder.path()).unwrap();
    assert_eq!(joined.names().collect::<Vec<_>>(), ["a", "b"]);
    let index = folder.path().join("model.safetensors.index.json");
    let text = fs::read_to_string(&index).unwrap();
    fs::write(&index, format!("\u{feff}{text}\r\n")).unwrap();
    assert_eq!(
        Weights::load(folder.path()).unwrap().names().count(),
        2,
        "as another editor writes the index"
    );
    // Where both layouts are present, the single file counts.
    sample()
        .save(folder.path().join("model.safetensors"))
        .unwrap();
    assert_eq!(Weights::load(folder.path()).unwrap(), sample());
}

#[test]
fn wrong_shards_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    part("a", 1.0).save(path.join("one.safetensors")).unwrap();
    part("a", 2.0).save(path.join("two.safetensors")).unwrap();
    let load = |map: &[(&str, &str)]| {
        write_index(path, map);
        Weights::load(path).unwrap_err()
    };
    let error = load(&[("a", "one.safetensors"), ("b", "two.safetensors")]);
    assert!(
        matches!(error, LoadError::Duplicate { ref name } if name == "a"),
        "{error}"
    );
    let text = load(&[("a", "one.safetensors"), ("c", "one.safetensors")]).to_string();
    assert!(text.contains("one.safetensors does not hold `c`"), "{text}");
    let text = load(&[("a", "../one.safetensors")]).to_string();
    assert!(
        text.contains("`../one.safetensors` is not a file name"),
        "{text}"
    );
    let text = load(&[("a", "three.safetensors")]).to_string();
    assert!(text.contains("three.safetensors"), "{text}");
    fs::write(path.join("model.safetensors.index.json"), "{}").unwrap();
    assert!(
        Weights::load(path)
            .unwrap_err()
            .to_string()
            .contains("weight_map")
    );
}

fn program() -> Program {
    let mut builder = Builder::new();
    let a = builder.input("a", TensorType::f32([2, 3]), Role::Param);
    let b = builder.input("b", TensorType::f32([2, 3]), Role::Param);
    let c = builder.input("c", TensorType::f32([2, 3]), Role::Constant);
    let sum = builder.add(a, b).unwrap();
    let sum = builder.add(sum, c).unwrap();
    builder.output("sum", sum);
    builder.finish()
}

#[test]
fn weights_are_checked_against_a_program() {
    let tensor = |shape: [usize; 2]| Tensor::zeros(TensorType::new(DType::F32, shape));
    let weights = |tensors: &[(&str, [usize; 2])]| -> Weights {
        tensors
            .iter()
            .map(|&(name, shape)| (name.to_owned(), tensor(shape)))
            .collect()
    };
    let program = program();
    let full = weights(&[("a", [2, 3]), ("b", [2, 3])]);
    assert_eq!(full.check_against(&program), Ok(()));
    assert_eq!(
        weights(&[("a", [2, 3]), ("b", [2, 3]), ("c", [2, 3])]).check_against(&program),
        Ok(())
    );
    let error = weights(&[("a", [2, 3]), ("b", [3, 2])])
        .check_against(&program)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "`b` is f32[3, 2], but the model takes f32[2, 3]; the checkpoint is of another model size \
         or layout"
    );
    let error = weights(&[("b", [2, 3])])
        .check_against(&program)
        .unwrap_err();
    assert_eq!(
        error,
        CheckError::Missing {
            name: "a".into(),
            expected: TensorType::f32([2, 3])
        }
    );
    let error = weights(&[("a", [2, 3]), ("b", [2, 3]), ("d", [1, 1])])
        .check_against(&program)
        .unwrap_err();
    assert_eq!(
        error,
        CheckError::Unexpected {
            name: "d".into(),
            found: TensorType::f32([1, 1])
        }
    );
    let inputs: Vec<Tensor> = program
        .inputs()
        .iter()
        .map(|input| Tensor::zeros(input.ty.clone()))
        .collect();
    assert!(evaluate(&program, &inputs).is_ok());
}
