use super::*;

fn file(extra: &str) -> String {
    format!(
        r#"{{"model_type": "llama", "vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 48, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5 {extra}}}"#
    )
}

#[test]
fn defaults_are_those_of_the_library() {
    let config = parse(&file("")).unwrap();
    assert_eq!(
        (config.num_kv_heads, config.head_dim, config.rope_theta),
        (4, 8, 10_000.0)
    );
    assert!(!config.qkv_bias && !config.tied_embeddings);
}

#[test]
fn both_places_of_rope_theta_are_read() {
    assert_eq!(
        parse(&file(r#", "rope_theta": 5e5"#)).unwrap().rope_theta,
        5e5
    );
    let nested = r#", "rope_parameters": {"rope_theta": 7e5, "rope_type": "default"}"#;
    assert_eq!(parse(&file(nested)).unwrap().rope_theta, 7e5);
}

/// A file of another family with `sizes` that every family needs.
fn of(model_type: &str, extra: &str) -> String {
    format!(
        r#"{{"model_type": "{model_type}", "vocab_size": 99, "hidden_size": 64,
        "num_hidden_layers": 2, "num_attention_heads": 32, "intermediate_size": 48 {extra}}}"#
    )
}

/// What transformers 5.24's `AutoConfig.for_model(model_type)` has for the keys that a file
/// leaves out.
#[test]
fn keys_left_out_mean_what_transformers_means() {
    for (model_type, kv_heads, head_dim, positions) in [
        ("llama", 32, 2, 2048),
        // 131,072 positions and a window of 4,096 tokens.
        ("mistral", 8, 2, 4096),
        ("qwen2", 32, 2, 32_768),
        ("qwen3", 32, 128, 32_768),
    ] {
        let config = parse(&of(model_type, "")).unwrap();
        let found = (config.num_kv_heads, config.head_dim, config.max_positions);
        assert_eq!(found, (kv_heads, head_dim, positions), "{model_type}");
        assert_eq!(
            (config.rms_norm_eps, config.rope_theta),
            (1e-6, 10_000.0),
            "{model_type}"
        );
        assert_eq!(config.qkv_bias, model_type == "qwen2");
        assert_eq!(config.qk_norm, model_type == "qwen3");
        let null = parse(&of(model_type, r#", "num_key_value_heads": null"#)).unwrap();
        assert_eq!(
            null.num_kv_heads, 32,
            "{model_type}: null is one for each query head"
        );
    }
}

#[test]
fn unsupported_settings_are_named() {
    let refused = [
        ("llama", r#", "hidden_act": "gelu""#, "gelu"),
        ("llama", r#", "hidden_act": null"#, "hidden_act"),
        ("llama", r#", "attention_bias": true"#, "attention_bias"),
        ("llama", r#", "mlp_bias": true"#, "mlp_bias"),
        ("qwen3", r#", "attention_bias": true"#, "attention_bias"),
        (
            "llama",
            r#", "quantization_config": {"quant_method": "fp8"}"#,
            "fp8",
        ),
        (
            "qwen2",
            r#", "layer_types": ["full_attention", "chunked_attention"]"#,
            "chunked_attention",
        ),
        (
            "qwen2",
            r#", "layer_types": ["full_attention", "sliding_attention"]"#,
            "layer_types",
        ),
        ("llama", r#", "rms_norm_eps": null"#, "rms_norm_eps"),
        (
            "llama",
            r#", "max_position_embeddings": "many""#,
            "max_position_embeddings",
        ),
        (
            "llama",
            r#", "tie_word_embeddings": 1"#,
            "tie_word_embeddings",
        ),
    ];
    for (model_type, extra, named) in refused {
        let error = parse(&of(model_type, extra)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    for accepted in [
        r#", "hidden_act": "swish""#,
        r#", "rope_scaling": null"#,
        r#", "quantization_config": null"#,
    ] {
        parse(&of("llama", accepted)).unwrap();
    }
}

#[test]
fn every_spelling_of_rope_is_honoured() {
    let linear = (10_000.0, RopeScaling::Linear { factor: 2.0 });
    let llama3 = |original_max_position_embeddings| RopeScaling::Llama3 {
        factor: 8.0,
        low_freq_factor: 1.0,
        high_freq_factor: 4.0,
        original_max_position_embeddings,
    };
    let yarn = |factor, beta_fast| RopeScaling::Yarn {
        factor,
        original_max_position_embeddings: 16,
        attention_factor: None,
        beta_fast,
        beta_slow: None,
        mscale: None,
        mscale_all_dim: None,
        truncate: None,
    };
    let numbers = r#""factor": 8, "low_freq_factor": 1, "high_freq_factor": 4.0"#;
    let read = |extra: &str| {
        let config = parse(&file(extra)).unwrap();
        (config.rope_theta, config.rope_scaling)
    };
    // The older key, alone and beside the newer one.
    assert_eq!(
        read(r#", "rope_parameters": {"rope_theta": 10000, "type": "linear", "factor": 2.0}"#),
        linear
    );
    assert_eq!(
        read(r#", "rope_scaling": {"type": "linear", "factor": 2.0}"#),
        linear
    );
    let both = r#", "rope_scaling": {"type": "su", "rope_type": "linear", "factor": 2.0}"#;
    assert_eq!(read(both), linear);
    // The base inside of either object, which goes before the one outside; `rope_scaling` goes
    // first.
    let inside = r#", "rope_theta": 3e4,
        "rope_scaling": {"type": "linear", "factor": 2.0, "rope_theta": 5e5}"#;
    assert_eq!(read(inside), (5e5, linear.1));
    let outside = r#", "rope_theta": 3e4, "rope_parameters": {"type": "linear", "factor": 2.0}"#;
    assert_eq!(read(outside), (3e4, linear.1));
    let two = r#", "rope_scaling": {"type": "linear", "factor": 2},
        "rope_parameters": {"rope_theta": 7e5}"#;
    assert_eq!(read(two), linear);
    assert_eq!(
        read(r#", "rope_scaling": {}, "rope_parameters": {"rope_theta": 7e5}"#),
        (7e5, RopeScaling::Default)
    );
    let dynamic = r#", "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}"#;
    assert_eq!(read(dynamic).1, RopeScaling::Dynamic { factor: 4.0 });
    // The original positions: inside, outside (which goes first), or the model's.
    let original = format!(
        r#", "rope_scaling":
        {{"rope_type": "llama3", "original_max_position_embeddings": 16, {numbers}}}"#
    );
    assert_eq!(read(&original).1, llama3(16));
    assert_eq!(
        read(&format!(
            r#"{original}, "original_max_position_embeddings": 32"#
        ))
        .1,
        llama3(32)
    );
    assert_eq!(
        read(&format!(
            r#", "rope_scaling": {{"rope_type": "llama3", {numbers}}}"#
        ))
        .1,
        llama3(64)
    );
    let object = r#""rope_type": "yarn", "original_max_position_embeddings": 16,
        "attention_factor": null"#;
    let given =
        format!(r#", "rope_scaling": {{{object}, "factor": 2, "beta_fast": 24, "mscale": 0}}"#);
    assert_eq!(read(&given).1, yarn(2.0, Some(24.0)));
    // A factor of `null` is 64 / 16.
    assert_eq!(
        read(&format!(
            r#", "rope_scaling": {{{object}, "factor": null}}"#
        ))
        .1,
        yarn(4.0, None)
    );
}

#[test]
fn other_rope_is_refused_by_name() {
    let refused = [
        (
            r#", "rope_scaling": {"rope_type": "longrope", "short_factor": [1.0]}"#,
            "longrope",
        ),
        (
            r#", "rope_scaling": {"type": "mrope", "mrope_section": [2]}"#,
            "mrope",
        ),
        (r#", "rope_scaling": {"rope_type": 3}"#, "rope_type"),
        (r#", "rope_scaling": "linear""#, "rope_scaling"),
        (r#", "rope_scaling": {"rope_type": "linear"}"#, "factor"),
        (
            r#", "rope_scaling": {"rope_type": "linear", "factor": 0.5}"#,
            "factor",
        ),
        (
            r#", "rope_scaling": {"rope_type": "linear", "factor": 2, "beta_fast": 3}"#,
            "beta_fast",
        ),
        (
            r#", "rope_scaling": {"rope_type": "default", "factor": 2}"#,
            "factor",
        ),
        (r#", "rope_scaling": {"factor": 2}"#, "factor"),
        (
            r#", "rope_parameters": {"full_attention": {"rope_theta": 1e4}}"#,
            "full_attention",
        ),
        (
            r#", "rope_parameters": {"rope_theta": "1e4"}"#,
            "rope_theta",
        ),
        (
            r#", "rope_parameters": {"partial_rotary_factor": 0.5}"#,
            "partial_rotary_factor",
        ),
        (r#", "partial_rotary_factor": 0.5"#, "partial_rotary_factor"),
        (
            r#", "rope_scaling": {"rope_type": "yarn", "factor": 2, "attention_factor": -1}"#,
            "attention_factor",
        ),
        (
            r#", "rope_scaling": {"rope_type": "llama3", "factor": 2,
            "low_freq_factor": 4, "high_freq_factor": 4}"#,
            "high_freq_factor",
        ),
    ];
    for (extra, named) in refused {
        let error = parse(&file(extra)).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
    assert!(parse(&file(r#", "partial_rotary_factor": 1.0"#)).is_ok());
}

#[test]
fn a_window_limits_the_positions() {
    let positions = |model_type: &str, extra: &str| {
        parse(&of(
            model_type,
            &format!(r#", "max_position_embeddings": 512{extra}"#),
        ))
        .unwrap()
        .max_positions
    };
    assert_eq!(
        positions("mistral", ""),
        512,
        "the window of 4,096 never slides"
    );
    assert_eq!(positions("mistral", r#", "sliding_window": 100"#), 100);
    assert_eq!(positions("mistral", r#", "sliding_window": null"#), 512);
    assert_eq!(
        positions("llama", r#", "sliding_window": 100"#),
        512,
        "a llama has no window"
    );
    assert_eq!(
        positions("qwen2", r#", "sliding_window": 100"#),
        512,
        "switched off"
    );
    let on = r#", "use_sliding_window": true, "sliding_window": 100"#;
    assert_eq!(positions("qwen2", on), 512, "only from layer 28 on");
    assert_eq!(
        positions("qwen2", &format!(r#"{on}, "max_window_layers": 1"#)),
        100
    );
    assert_eq!(
        positions(
            "qwen3",
            &format!(r#"{on}, "layer_types": ["full_attention", "sliding_attention"]"#)
        ),
        100
    );
    assert_eq!(
        positions(
            "qwen3",
            &format!(r#"{on}, "layer_types": ["full_attention", "full_attention"]"#)
        ),
        512
    );
}

#[test]
fn what_is_written_is_read_back() {
    let scalings = [
        RopeScaling::Default,
        RopeScaling::Linear { factor: 2.5 },
        RopeScaling::Dynamic { factor: 2.0 },
        RopeScaling::Llama3 {
            factor: 32.0,
            low_freq_factor: 1.0,
            high_freq_factor: 4.0,
            original_max_position_embeddings: 100,
        },
        RopeScaling::Yarn {
            factor: 4.0,
            original_max_position_embeddings: 100,
            attention_factor: Some(1.25),
            beta_fast: None,
            beta_slow: Some(2.0),
            mscale: None,
            mscale_all_dim: Some(0.7),
            truncate: Some(false),
        },
    ];
    for name in crate::config::PRESETS {
        for rope_scaling in scalings {
            for (qkv_bias, qk_norm) in [(false, false), (true, false), (false, true)] {
                let preset = ModelConfig::preset(name).unwrap();
                let config = ModelConfig {
                    rope_scaling,
                    qkv_bias,
                    qk_norm,
                    head_dim: 24,
                    ..preset
                };
                let text = serde_json::to_string(&to_json(&config)).unwrap();
                assert_eq!(parse(&text).unwrap(), config, "{text}");
                assert!(text.contains(r#""rms_norm_eps":1e-6"#), "{text}");
            }
        }
    }
}

#[test]
fn other_architectures_and_missing_keys_are_named() {
    let error = parse(r#"{"model_type": "gpt2", "n_embd": 3}"#)
        .unwrap_err()
        .to_string();
    assert!(error.contains("gpt2") && error.contains("qwen2"), "{error}");
    let error = parse(r#"{"model_type": "llama"}"#).unwrap_err().to_string();
    assert!(error.contains("vocab_size"), "{error}");
}

#[test]
fn inconsistent_numbers_are_refused() {
    assert!(matches!(
        parse(&file(r#", "num_key_value_heads": 3"#)),
        Err(ParseError::Config(_))
    ));
    assert!(matches!(
        parse(&file(r#", "num_key_value_heads": 0"#)),
        Err(ParseError::Config(_))
    ));
}
