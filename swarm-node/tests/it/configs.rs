//! Every shipped file is loaded.

use std::path::{Path, PathBuf};

use contracts::deploy::Deployment;
use swarm_node::config::{self, Config};
use swarm_node::job::{Job, JobFile, JobSpec, Model, Recipe, Silent};
use swarm_settings::Sources;
use swarm_task::{FamilyId, held_out_set};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs")
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .collect()
}

#[test]
fn settings_files_are_accepted() {
    let files = files(&root(), "toml");
    assert!(files.len() >= 4, "{files:?}");
    for file in files {
        let settings = config::load(&Sources {
            file: Some(file.clone()),
            ..Sources::default()
        });
        settings
            .unwrap_or_else(|error| panic!("{error}"))
            .config::<Config>()
            .unwrap();
    }
}

#[test]
fn settings_files_ask_for_no_more_questions_than_there_are() {
    for file in files(&root(), "toml") {
        let settings = config::load(&Sources {
            file: Some(file.clone()),
            ..Sources::default()
        })
        .unwrap();
        let config = settings.config::<Config>().unwrap();
        let (demo, train, eval) = (config.demo, config.train, config.eval);
        for (families, difficulty, count, seed) in [
            (demo.families, demo.difficulty, demo.heldout, 0),
            (train.families, train.difficulty, train.heldout, 0),
            (eval.families, eval.difficulty, eval.questions, eval.seed),
        ] {
            for family in families
                .into_iter()
                .filter(|family| *family != FamilyId::Gsm8k)
            {
                held_out_set(family, difficulty, count, seed)
                    .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            }
        }
    }
}

#[test]
fn deployment_files_are_accepted() {
    let files = files(&root().join("chains"), "toml");
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let deployment = Deployment::read(&file).unwrap_or_else(|error| panic!("{error}"));
        deployment
            .parameters
            .check(deployment.parameters.genesis)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn the_recipe_is_accepted_and_its_corpus_can_be_made() {
    let recipe = Recipe::load(&root().join("nano/recipe.toml")).unwrap();
    swarm_task::corpus::Corpus::new(recipe.training.corpus.clone()).unwrap();
    assert_eq!(recipe.initial().unwrap().config.vocab_size, 64);
}

#[test]
fn the_job_is_accepted_and_its_plan_can_be_made() {
    let spec = JobSpec::load(&root().join("nano/job.toml")).unwrap();
    let job = Job::of_training(&spec, &Silent).unwrap();
    assert_eq!(job.identity.steps, spec.steps);
    let rows = job.training("rows").unwrap().rows;
    assert!(rows > 100, "{rows}");
}

#[test]
fn the_job_of_generation_is_accepted_and_its_plan_can_be_made() {
    let file = JobFile::load(&root().join("nano/generation.toml")).unwrap();
    let job = Job::assemble(&file, &Silent).unwrap();
    assert_eq!((job.identity.steps, job.identity.stride), (4, 2));
}

#[test]
fn a_shipped_checkpoint_is_the_one_of_its_checksum() {
    let folder = root().join("nano");
    for file in files(&folder, "safetensors") {
        let model = Model::load(Some(&file), &Silent).unwrap_or_else(|error| panic!("{error}"));
        let digest: String = model
            .weights
            .digest()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let sums = std::fs::read_to_string(folder.join("SHA256SUMS"))
            .expect("a checksum beside the checkpoint");
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a name");
        assert!(
            sums.lines()
                .any(|line| line.starts_with(&digest) && line.ends_with(name)),
            "{digest} {name}"
        );
    }
}
