use std::fs;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;
use reproducible_ops::engine::cpu::CpuEngine;
use verde::audit::Verdict;
use verde::fault::Fault;
use verde::game::{Move, Place, Rules, Side};
use verde::player::{Game, PlayError, refute, step_claim};

use super::super::job_audit::{AuditError, Auditor};
use super::super::job_record::record;
use super::super::job_run::{JobRun, Terms};
use super::super::run_folder::RunFolder;
use super::super::training_plan::TrainingPlan;
use super::super::training_plan::tests::training;
use super::*;

const STEPS: u64 = 4;

/// A job with its folder.
struct Carried {
    training: TrainingPlan,
    engine: CpuEngine,
    job: Job,
    identity: JobIdentity,
    folder: tempfile::TempDir,
    fault: Option<Fault>,
}

/// Carries a job out on a machine with this fault.
fn carry_out(stride: u64, fault: Option<Fault>) -> Carried {
    let (training, engine) = (training(), CpuEngine::new(1));
    let terms = Terms {
        steps: STEPS,
        stride,
    };
    let identity = JobIdentity::new(&training, terms).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let opened = RunFolder::open(folder.path(), usize::MAX, Arc::default()).unwrap();
    let (mut run, _) = JobRun::new(&engine, &training, identity.clone(), opened).unwrap();
    if let Some(fault) = fault {
        run.break_with(fault);
    }
    while !run.is_complete() {
        run.step().unwrap();
        if run.is_due() {
            let root = run.root().unwrap();
            run.commit(&root).unwrap();
        }
    }
    drop(run);
    Carried {
        job: Job::new(training.plan.clone(), training.programs.clone()).unwrap(),
        training,
        engine,
        identity,
        folder,
        fault,
    }
}

impl Carried {
    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn auditor(&self) -> Auditor<'_> {
        let identity = self.identity.clone();
        Auditor::new(&self.engine, &self.training, identity, self.path()).unwrap()
    }

    /// Publishes what the worker's machine computes for a step.
    fn publish(&self, step: u64, runs: &[usize]) {
        let auditor = self.auditor().with_fault(self.fault);
        auditor.trace(step, runs).unwrap();
    }

    fn published(&self) -> PublishedRecord<'_> {
        PublishedRecord::open(self.path(), &self.job, &self.identity).unwrap()
    }

    /// The record of the worker, which computes.
    fn computed(&self) -> impl Record + '_ {
        let history = whole_history(self.path(), &self.identity);
        let history = history.unwrap().unwrap();
        record(
            &self.engine,
            &self.job,
            &self.training,
            self.path(),
            history,
            self.fault,
        )
        .unwrap()
    }

    fn runs(&self) -> usize {
        self.job.plan().runs.len()
    }
}

fn fault() -> Fault {
    training().gradient_fault(1, 3, 22).unwrap()
}

fn assert_equal_steps(found: &StepRecord, expected: &StepRecord) {
    assert_eq!(found.before, expected.before);
    assert_eq!(found.after, expected.after);
    assert_eq!(found.runs, expected.runs);
    assert_eq!(found.tree, expected.tree);
}

fn refused<T>(answer: Result<T, RecordError>) -> String {
    match answer {
        Ok(_) => panic!("there is an answer"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_a_worker_published_is_what_it_computed() {
    for (stride, fault) in [(1, None), (2, None), (4, None), (2, Some(fault()))] {
        let carried = carry_out(stride, fault);
        let all: Vec<usize> = (0..carried.runs()).collect();
        for step in 0..STEPS {
            carried.publish(step, if step == 1 { &all } else { &[] });
        }
        let (mut published, mut computed) = (carried.published(), carried.computed());
        assert_eq!(published.history(), computed.history());
        for checkpoint in 1..=STEPS / stride {
            let [found, expected] = [&mut published as &mut dyn Record, &mut computed]
                .map(|it| it.interval(checkpoint));
            let found = found.unwrap();
            assert_eq!(found, expected.unwrap());
            assert_eq!(found.len() as u64, stride + 1);
        }
        for step in 0..STEPS {
            let found = published.step(step).unwrap();
            assert_equal_steps(&found, &computed.step(step).unwrap());
        }
        for run in all {
            let (found, expected) = (published.run(1, run), computed.run(1, run));
            let (found, expected) = (found.unwrap(), expected.unwrap());
            assert_eq!(found.values, expected.values, "run {run}");
            assert_eq!(found.tree, expected.tree, "run {run}");
        }
    }
}

#[test]
fn a_claim_is_refuted_by_what_its_worker_published() {
    let fault = fault();
    let run = fault.run as usize;
    for stride in [1, 2, 4] {
        let (good, bad) = (carry_out(stride, None), carry_out(stride, Some(fault)));
        bad.publish(1, &[run]);
        let mut honest = good.computed();
        let mut published = bad.published().about(1);
        let claim = *published.history().claim();
        let signed = step_claim(&claim, &mut published, 1).unwrap();
        let computed = step_claim(&claim, &mut bad.computed(), 1).unwrap();
        assert_eq!(signed, computed);
        let rules = Rules {
            job: &good.job,
            claim: &claim,
        };
        let refuted = refute(rules, &signed, &mut honest, &mut published).unwrap();
        let last = refuted.moves().last().map(|(made, _)| made);
        assert!(matches!(last, Some(Move::Prove { .. })), "{last:?}");
        let mut game = Game::new(rules);
        for (made, _) in refuted.moves() {
            let assertion = matches!(made, Move::Interval { .. } | Move::Step { .. });
            let side = match assertion {
                true => Side::Worker,
                false => Side::Challenger,
            };
            game.play(side, made).unwrap();
        }
        assert_eq!(*game.place(), Place::Won(Side::Challenger));

        // The roots alone lead to the run, and no further.
        fs::remove_file(values_path(bad.path(), 1, run)).unwrap();
        let mut without = bad.published().about(1);
        let error = refute(rules, &signed, &mut honest, &mut without).unwrap_err();
        assert!(matches!(error, PlayError::Record(_)), "{error:?}");
        let told = error.to_string();
        assert!(told.contains(&format!("run {run} of step 1")), "{told}");
        let ask = format!("`job trace RUN --step 1 --values {run}`");
        assert!(told.contains(&ask), "{told}");
        fs::remove_file(trace_path(bad.path(), 1)).unwrap();
        let mut without = bad.published().about(1);
        let error = refute(rules, &signed, &mut honest, &mut without).unwrap_err();
        let told = error.to_string();
        assert!(told.contains("`job trace RUN --step 1`"), "{told}");
    }
}

#[test]
fn a_fault_is_of_the_traces_alone() {
    for stride in [1, 2] {
        let bad = carry_out(stride, Some(fault()));
        // What an honest machine computes contradicts the history.
        let error = bad.auditor().trace(1, &[]).unwrap_err();
        assert!(matches!(error, AuditError::Folder(_)), "{error}");
        assert!(error.to_string().contains("no trace can be written"));
        assert!(!trace_path(bad.path(), 1).exists());
        bad.publish(1, &[]);
        let auditor = bad.auditor().with_fault(bad.fault);
        assert_eq!(auditor.step(1).unwrap().verdict, Verdict::Wrong);
        assert_eq!(
            auditor.step(0).unwrap().verdict != Verdict::Right,
            stride == 2
        );
    }
}

#[test]
fn a_trace_notes_no_state_before_the_checkpoint_before_its_step() {
    let carried = carry_out(2, None);
    let expected = carried.computed().interval(2).unwrap();
    fs::remove_dir_all(carried.path().join("step-00000002")).unwrap();
    carried.publish(3, &[]);
    assert_eq!(carried.published().interval(2).unwrap(), expected);
}

#[test]
fn what_is_missing_or_of_another_job_is_named() {
    let carried = carry_out(2, None);
    carried.publish(1, &[2]);
    let open = |folder: &Path, identity: &JobIdentity| {
        PublishedRecord::open(folder, &carried.job, identity)
    };
    let empty = tempfile::tempdir().unwrap();
    let error = open(empty.path(), &carried.identity).unwrap_err();
    assert!(matches!(error, PublishedError::NotWhole { .. }), "{error}");
    let mut other = carried.identity.clone();
    other.job = "0".repeat(64);
    let error = open(carried.path(), &other).unwrap_err();
    assert!(matches!(error, PublishedError::History(_)), "{error}");
    other.plan = "0".repeat(64);
    let error = open(carried.path(), &other).unwrap_err();
    assert!(matches!(error, PublishedError::OtherPlan { .. }), "{error}");

    let mut published = carried.published();
    let runs = carried.runs();
    for (told, expected) in [
        (refused(published.interval(0)), "checkpoint 0"),
        (refused(published.interval(3)), "checkpoint 3"),
        (refused(published.interval(2)), "`job trace RUN --step 2`"),
        (refused(published.step(2)), "`job trace RUN --step 2`"),
        (refused(published.step(STEPS)), "step 4: the job has 4"),
        (refused(published.run(1, runs)), "the plan has"),
        (
            refused(published.run(1, 3)),
            "`job trace RUN --step 1 --values 3`",
        ),
        (
            refused(published.run(2, 2)),
            "`job trace RUN --step 2 --values 2`",
        ),
    ] {
        assert!(told.contains(expected), "{told}");
    }
    published.run(1, 2).unwrap();
}

type Change<'c> = &'c dyn Fn(&mut StepTrace);

#[test]
fn a_trace_of_other_numbers_is_refused_and_one_of_other_states_is_not_taken_for_anothers() {
    let carried = carry_out(4, None);
    carried.publish(1, &[]);
    carried.publish(2, &[]);
    let (right, _) = StepTrace::read(carried.path(), 1).unwrap();
    let edit = |change: Change<'_>| {
        let mut changed = right.clone();
        change(&mut changed);
        changed.write(carried.path()).unwrap();
        carried.published()
    };
    let numbers: [(Change<'_>, &str); 6] = [
        (&|it| it.job = "0".repeat(64), "it is of job 000"),
        (&|it| it.roots.before.truncate(1), "1 tensors before"),
        (&|it| it.roots.after.clear(), "0 tensors after"),
        (&|it| it.roots.runs.truncate(2), "2 runs"),
        (
            &|it| it.interval.truncate(3),
            "3 states between checkpoints",
        ),
        (&|it| it.roots.runs[3].truncate(4), "4 values of run 3"),
    ];
    for (change, expected) in numbers {
        let mut published = edit(change);
        let told = refused(published.step(1));
        assert!(told.contains(expected), "{told}");
        // The states around it come from the trace of the other step.
        assert_eq!(published.interval(1).unwrap(), right.interval);
    }
    // A worker says one thing at one step, and another at the next.
    let mut published = edit(&|it| it.interval[3][0] ^= 1);
    let other = published.interval(1).unwrap();
    assert_ne!(other, right.interval);
    assert_eq!(carried.published().about(1).interval(1).unwrap(), other);
    let mut published = published.about(2);
    assert_eq!(published.interval(1).unwrap(), right.interval);
    // States that lead elsewhere are none of this history.
    let mut published = edit(&|it| it.interval[4][0] ^= 1);
    assert_eq!(published.interval(1).unwrap(), right.interval);
    fs::remove_file(trace_path(carried.path(), 2)).unwrap();
    let told = refused(carried.published().interval(1));
    assert!(told.contains("checkpoints 0 and 1"), "{told}");
    // An auditor sees that it contradicts the history.
    let audited = carried.auditor().step(1).unwrap();
    assert_eq!(audited.verdict, Verdict::Wrong, "{audited:?}");
}

/// The files of a job with a traced step, and the run whose values are published.
struct Files {
    carried: Carried,
    run: usize,
    trace: Vec<u8>,
    values: Vec<u8>,
}

fn files() -> &'static Files {
    static FILES: OnceLock<Files> = OnceLock::new();
    FILES.get_or_init(|| {
        let carried = carry_out(2, None);
        // A run of few values.
        let (run, _) = programs(&carried.job)
            .enumerate()
            .min_by_key(|(_, program)| program.value_count())
            .unwrap();
        carried.publish(1, &[run]);
        Files {
            run,
            trace: fs::read(trace_path(carried.path(), 1)).unwrap(),
            values: fs::read(values_path(carried.path(), 1, run)).unwrap(),
            carried,
        }
    })
}

/// All answers from a folder with these files.
fn answers(trace: &[u8], values: &[u8]) -> [Option<String>; 3] {
    let Files { carried, run, .. } = files();
    let folder = tempfile::tempdir().unwrap();
    let copied = fs::copy(carried.path().join(HISTORY), folder.path().join(HISTORY));
    copied.unwrap();
    fs::write(trace_path(folder.path(), 1), trace).unwrap();
    fs::write(values_path(folder.path(), 1, *run), values).unwrap();
    let opened = PublishedRecord::open(folder.path(), &carried.job, &carried.identity);
    let mut published = opened.unwrap();
    [
        published.interval(1).err(),
        published.step(1).err(),
        published.run(1, *run).err(),
    ]
    .map(|error| error.map(|error| error.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A bit flipped anywhere in the values is found; one in the trace makes it another trace, or
    /// none. A file that was cut, or has more, is refused.
    #[test]
    fn changed_files_are_another_record_or_an_error(
        at in any::<prop::sample::Index>(),
        in_line in any::<bool>(),
        bit in 0_u32..8,
        more in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let Files { trace, values, run, .. } = files();
        let flipped = |bytes: &[u8], at: usize| {
            let mut bytes = bytes.to_vec();
            bytes[at] ^= 1 << bit;
            bytes
        };
        prop_assert_eq!(answers(trace, values), [None, None, None]);
        let [interval, step, told] = answers(trace, &flipped(values, at.index(values.len())));
        prop_assert_eq!((interval, step), (None, None));
        let told = told.unwrap();
        prop_assert!(told.contains(&format!("of run {run}")), "{}", told);

        let line = trace.iter().position(|&byte| byte == b'\n').unwrap();
        let range = if in_line { line + 1 } else { trace.len() };
        answers(&flipped(trace, at.index(range)), values);
        let (cut, longer) = (&trace[..at.index(trace.len())], [trace, &more[..]].concat());
        for changed in [cut, &longer, &more] {
            let told = answers(changed, values);
            prop_assert!(told.iter().all(Option::is_some), "{:?}", told);
        }
        for changed in [&values[..at.index(values.len())], &[values, &more[..]].concat()] {
            let [interval, step, told] = answers(trace, changed);
            prop_assert_eq!((interval, step), (None, None));
            prop_assert!(told.is_some());
        }
    }
}
