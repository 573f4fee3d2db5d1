use reproducible_ops::tensor::Tensor;

use super::*;

pub(in super::super) fn state(step: u64) -> TrainState {
    let tensor = |value: f32| Tensor::f32([2, 2], vec![value, -0.0, 1.5, step as f32]).unwrap();
    let params = [("w".to_owned(), tensor(0.1)), ("b".to_owned(), tensor(0.2))]
        .into_iter()
        .collect();
    let optimizer = [("adamw.m.w".to_owned(), tensor(0.3))]
        .into_iter()
        .collect();
    TrainState {
        step,
        params,
        optimizer,
    }
}

/// A checkpoint after so many steps, whose guard would return to a state of its own.
pub(in super::super) fn checkpoint(steps: u64) -> Checkpoint {
    let (config, run) = (
        serde_json::json!({ "seed": 7 }),
        serde_json::json!({ "best": 0.5 }),
    );
    Checkpoint {
        steps,
        state: state(2),
        best: Some(state(1)),
        config,
        run,
    }
}

pub(in super::super) fn files() -> ModelFiles {
    ModelFiles::from_iter([("config.json".to_owned(), b"{}".to_vec())])
}

fn written(checkpoint: &Checkpoint) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    checkpoint.write(folder.path(), &files()).unwrap();
    folder
}

#[test]
fn it_comes_back_equal_with_and_without_a_best_state_of_its_own() {
    for best in [None, Some(state(2)), Some(state(1))] {
        let subject = Checkpoint {
            best,
            ..checkpoint(3)
        };
        let folder = written(&subject);
        assert_eq!(Checkpoint::load(folder.path()).unwrap(), subject);
        verify(folder.path()).unwrap();
    }
    assert!(
        !written(&Checkpoint {
            best: Some(state(2)),
            ..checkpoint(3)
        })
        .path()
        .join(BEST)
        .exists()
    );
}

#[test]
fn every_flipped_byte_is_noticed() {
    let folder = written(&checkpoint(1));
    for name in [
        MODEL,
        OPTIMIZER,
        "best/model.safetensors",
        "best/optimizer.safetensors",
        "config.json",
    ] {
        let file = folder.path().join(name);
        let bytes = fs::read(&file).unwrap();
        for at in (0..bytes.len()).step_by(7).chain([bytes.len() - 1]) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            fs::write(&file, &damaged).unwrap();
            assert!(Checkpoint::load(folder.path()).is_err(), "{name} byte {at}");
            assert!(verify(folder.path()).is_err(), "{name} byte {at}");
        }
        fs::write(&file, &bytes).unwrap();
    }
    Checkpoint::load(folder.path()).unwrap();
}

#[test]
fn numbers_that_training_cannot_go_on_from_are_refused() {
    for (optimizer, value, refused) in [
        (false, f32::NAN, true),
        (false, 1e30, true),
        (true, f32::INFINITY, true),
        (true, 1e30, false),
    ] {
        let mut damaged = checkpoint(1);
        let tensors = if optimizer {
            &mut damaged.state.optimizer
        } else {
            &mut damaged.state.params
        };
        let name = tensors.names().next().unwrap().to_owned();
        tensors.get_mut(&name).unwrap().words_mut()[2] = value.to_bits();
        let folder = written(&damaged);
        match Checkpoint::load(folder.path()) {
            Ok(found) => assert!(!refused && found == damaged),
            Err(error) => {
                let error = error.to_string();
                let place = folder.path().display().to_string();
                let named = [&place, &name, "element 2", &value.to_string()];
                assert!(
                    refused && named.iter().all(|part| error.contains(*part)),
                    "{error}"
                );
            }
        }
    }
}

#[test]
fn a_wrong_manifest_is_an_error_with_its_place() {
    let folder = written(&checkpoint(1));
    let manifest = folder.path().join(MANIFEST);
    let whole = fs::read_to_string(&manifest).unwrap();
    let replaced = |from: &str, to: &str| whole.replace(from, to);
    for (text, named) in [
        ("{".to_owned(), "EOF"),
        ("{}".to_owned(), "no `format`"),
        (replaced("\"format\": 2", "\"format\": 1"), "format 1"),
        (
            replaced("\"config.json\"", "\"../config.json\""),
            "no plain name",
        ),
        (replaced("\"steps\"", "\"stepps\""), "stepps"),
    ] {
        fs::write(&manifest, text).unwrap();
        let error = Checkpoint::load(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains("manifest.json") && error.contains(named),
            "{error}"
        );
    }
    fs::remove_file(&manifest).unwrap();
    assert!(matches!(
        Checkpoint::load(folder.path()),
        Err(CheckpointError::Io { .. })
    ));
}

#[test]
fn another_run_is_refused_and_the_difference_named() {
    let config = serde_json::json!({ "learn": { "group": 8, "rate": 0.5 }, "seed": 7 });
    let found = Checkpoint {
        config: config.clone(),
        ..checkpoint(1)
    };
    found.require_config(&config, Path::new("x")).unwrap();
    // Each rate comes back from its file as it went in, 0.03 among them, whose digits a quick
    // parser reads 1 bit off.
    for rate in (1..1000).map(|rate| rate as f32 / 1000.0) {
        let config = serde_json::json!({ "rate": rate });
        let folder = written(&Checkpoint {
            config: config.clone(),
            ..checkpoint(1)
        });
        Checkpoint::load(folder.path())
            .unwrap()
            .require_config(&config, folder.path())
            .unwrap();
    }
    let other = serde_json::json!({ "learn": { "group": 8, "rate": 0.1f32 }, "seed": 7 });
    let error = found
        .require_config(&other, Path::new("x"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`learn.rate` was 0.5 and is 0.1;"),
        "{error}"
    );
    let error = found
        .require_config(&serde_json::json!({}), Path::new("x"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("`learn` was") && error.contains("is null"),
        "{error}"
    );
}
