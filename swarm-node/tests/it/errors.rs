//! Bad input ends with a clear message and the right code, and nothing is lost.

use crate::node::{node, node_with, untrained};

#[test]
fn an_unknown_key_names_file_line_and_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "# mine\n[demo]\nroundz = 3\n").unwrap();
    let ended = node(&["config", "show", "--config", file.to_str().unwrap()]);
    ended.expect(
        2,
        &[
            "mine.toml:3",
            "unknown key `demo.roundz`",
            "did you mean `demo.rounds`?",
        ],
    );
    node(&["config", "show", "--set", "demo.peer=3"]).expect(2, &["flag --set", "`demo.peers`"]);
    node_with(&["config", "show"], &[("SWARM_NODE_DEMO_SED", "3")])
        .expect(2, &["SWARM_NODE_DEMO_SEED"]);
}

#[test]
fn values_show_themselves_and_what_is_allowed() {
    node(&["demo", "--peers", "1"])
        .expect(2, &["flag --peers", "`demo.peers` is `1`", "from 2 to 64"]);
    node(&["demo", "--isa", "sse"]).expect(2, &["flag --isa", "`sse`", "avx512"]);
    node(&["config", "show", "--set", "rounds"]).expect(2, &["KEY=VALUE"]);
    let foreign = if cfg!(target_arch = "aarch64") {
        "avx2"
    } else {
        "neon"
    };
    node(&["demo", "--isa", foreign]).expect(2, &["not available on this machine", "scalar"]);
}

#[test]
fn a_flag_or_command_that_does_not_exist_is_usage() {
    node(&["demo", "--roundss", "3"]).expect(2, &["--roundss", "--rounds"]);
    node(&["dmeo"]).expect(2, &["dmeo", "demo"]);
    assert_eq!(
        node(&["--version"]).out.trim(),
        concat!("swarm-node ", env!("CARGO_PKG_VERSION"))
    );
    assert!(node(&["demo", "--help"]).out.contains("Examples:"));
}

#[test]
fn missing_files_are_named() {
    node(&["config", "show", "--config", "/no/such.toml"])
        .expect(2, &["/no/such.toml", "--config"]);
    node(&["eval", "--model", "/no/such"]).expect(1, &["/no/such", "Hugging Face"]);
    node(&["demo", "--base", "/no/such"]).expect(1, &["/no/such"]);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().to_str().unwrap();
    node(&["pretrain", "--recipe", "/no/such.toml", "--out", out])
        .expect(2, &["/no/such.toml", "recipe"]);
    node(&[
        "train",
        "--gsm8k",
        "/no/such.jsonl",
        "--out",
        out,
        "--model",
        "/no/such",
    ])
    .expect(1, &["/no/such"]);
}

#[test]
fn a_truncated_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = untrained(folder.path());
    let bytes = std::fs::read(&path).unwrap();
    for length in [0, 4, 100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&path, &bytes[..length]).unwrap();
        node(&["eval", "--model", path.to_str().unwrap()])
            .expect(1, &["untrained.safetensors", "truncated"]);
    }
}

/// The same text as another editor may write it: with a byte order mark and CRLF.
fn marked(text: &str) -> String {
    format!("\u{feff}{}", text.replace('\n', "\r\n"))
}

/// The same text in UTF-16, with its mark.
fn utf16(text: &str) -> Vec<u8> {
    "\u{feff}"
        .encode_utf16()
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect()
}

#[test]
fn text_files_of_other_editors_are_read_and_utf16_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let settings = "[demo]\nrounds = 7\n";
    let config = file("settings.toml", marked(settings).as_bytes());
    let shown = node(&["config", "show", "--origin", "--config", &config]);
    shown.expect(0, &[]);
    assert!(shown.out.contains("settings.toml:2"), "{}", shown.out);
    let config = file("wide.toml", &utf16(settings));
    node(&["config", "show", "--config", &config])
        .expect(2, &["wide.toml", "UTF-16", "save it as UTF-8"]);

    let shipped =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/nano/recipe.toml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let out = folder.path().join("out");
    let out = out.to_str().unwrap();
    // A number that is refused shows that the rest was read.
    let recipe = file(
        "recipe.toml",
        marked(&text.replace("rows = 16", "rows = 0")).as_bytes(),
    );
    node(&["pretrain", "--recipe", &recipe, "--out", out]).expect(2, &["`microbatch.rows` is 0"]);
    let recipe = file("wide-recipe.toml", &utf16(&text));
    node(&["pretrain", "--recipe", &recipe, "--out", out])
        .expect(2, &["wide-recipe.toml", "UTF-16"]);
    let recipe = file("bytes.toml", b"# \xe9\n");
    node(&["pretrain", "--recipe", &recipe, "--out", out]).expect(2, &["bytes.toml", "byte 2"]);

    let rows = file(
        "rows.jsonl",
        &utf16("{\"question\": \"x\", \"answer\": \"#### 1\"}\n"),
    );
    node(&["eval", "--families", "gsm8k", "--gsm8k", &rows]).expect(1, &["rows.jsonl", "UTF-16"]);
}

#[test]
fn repeated_rows_of_a_data_set_are_one_question() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("twice.jsonl");
    let row = |n: u32| {
        format!(
            "{{\"question\": \"{n} plus one?\", \"answer\": \"#### {}\"}}\n",
            n + 1
        )
    };
    let rows: String = (0..40).map(row).collect();
    std::fs::write(&path, rows.repeat(2)).unwrap();
    let ended = node(&[
        "eval",
        "--families",
        "gsm8k",
        "--gsm8k",
        path.to_str().unwrap(),
        "--questions",
        "41",
        "--samples",
        "0",
    ]);
    ended.expect(
        1,
        &[
            "40 rows repeat an earlier one",
            "distinct held-out questions",
            "larger file",
        ],
    );
    assert!(!ended.err.contains("difficulty"), "{}", ended.err);
}

#[test]
fn a_malformed_recipe_names_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let shipped =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/nano/recipe.toml");
    let text = std::fs::read_to_string(shipped).unwrap();
    let recipe = folder.path().join("recipe.toml");
    let out = folder.path().join("out");
    let cases = [
        (text.replace("steps = ", "stepz = "), "stepz"),
        (
            text.replace("rows = 16", "rows = 0"),
            "`microbatch.rows` is 0",
        ),
        (
            text.replace("model = \"nano\"", "model = \"nanno\""),
            "`nanno`",
        ),
        (text.replace("[optimizer]", "[optimizer"), "recipe.toml:8"),
    ];
    for (text, said) in cases {
        std::fs::write(&recipe, text).unwrap();
        let ended = node(&[
            "pretrain",
            "--recipe",
            recipe.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ]);
        ended.expect(2, &[said]);
        assert!(!out.exists(), "nothing is begun");
    }
}

#[test]
fn bad_rows_of_a_data_set_are_named_and_a_file_of_nothing_else_refused() {
    let folder = tempfile::tempdir().unwrap();
    let rows = folder.path().join("rows.jsonl");
    std::fs::write(&rows, "{\"question\": \"1+1?\"\nnot json\n").unwrap();
    let model = untrained(folder.path());
    node(&[
        "eval",
        "--families",
        "gsm8k",
        "--model",
        model.to_str().unwrap(),
    ])
    .expect(2, &["--gsm8k FILE"]);
    let arguments = [
        "eval",
        "--families",
        "gsm8k",
        "--gsm8k",
        rows.to_str().unwrap(),
        "--model",
    ];
    node(&[&arguments[..], &[model.to_str().unwrap()]].concat()).expect(1, &["rows.jsonl"]);
}
