//! Reads the `config.json` of a Hugging Face checkpoint.
//!
//! Accepted: `model_type` `llama` and `qwen2` with SiLU, plain RoPE, full attention and no bias outside of Qwen2's
//! query, key and value projections. Whatever would change the numbers and is not implemented is refused by name.
//! The file may be of transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`). Keys that do not touch
//! the arithmetic (dtype, dropout, token ids) are ignored.

use serde::Deserialize;
use serde_json::Value;

use super::{ConfigError, ModelConfig};

/// Why a `config.json` gives no decoder.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON, or a key is missing or has another type.
    #[error("config.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// An architecture that is not implemented.
    #[error("model_type `{found}` is not supported; supported are `llama` and `qwen2`")]
    Architecture {
        /// The file's `model_type`.
        found: String,
    },
    /// A setting that would change the numbers and is not implemented.
    #[error("`{key}` is {found}, which is not supported; supported is {supported}")]
    Setting {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What is implemented.
        supported: &'static str,
    },
    /// Numbers that no decoder can be built from.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// The keys that decide the arithmetic, under the names of the file.
#[derive(Deserialize)]
struct File {
    model_type: String,
    vocab_size: usize,
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    head_dim: Option<usize>,
    intermediate_size: usize,
    max_position_embeddings: usize,
    rms_norm_eps: f32,
    hidden_act: Option<String>,
    rope_theta: Option<f64>,
    rope_scaling: Option<Value>,
    rope_parameters: Option<RopeParameters>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default)]
    attention_bias: bool,
    #[serde(default)]
    mlp_bias: bool,
    #[serde(default)]
    use_sliding_window: bool,
}

#[derive(Deserialize)]
struct RopeParameters {
    rope_theta: Option<f64>,
    rope_type: Option<String>,
    partial_rotary_factor: Option<f64>,
}

/// Base of the rotation where a file names none.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;

/// Reads the text of a `config.json`.
///
/// # Errors
/// See [`ParseError`]; every refusal names the key and its value.
pub fn parse(json: &str) -> Result<ModelConfig, ParseError> {
    // The type comes first: a file of another family may lack keys, and its name says more than the first missing one.
    let value: Value = serde_json::from_str(json)?;
    let found = value.get("model_type").and_then(Value::as_str).unwrap_or("(none)").to_owned();
    if !matches!(found.as_str(), "llama" | "qwen2") {
        return Err(ParseError::Architecture { found });
    }
    let file: File = serde_json::from_value(value)?;
    file.refuse_unsupported()?;
    let config = file.config();
    config.validate()?;
    Ok(config)
}

/// Stand-in until the merge.
pub fn to_json(config: &ModelConfig) -> Value {
    serde_json::json!({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": config.vocab_size,
        "hidden_size": config.hidden_size, "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads, "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim, "intermediate_size": config.intermediate_size,
        "max_position_embeddings": config.max_positions, "rms_norm_eps": config.rms_norm_eps, "hidden_act": "silu",
        "rope_parameters": {"rope_theta": config.rope_theta, "rope_type": "default"},
        "tie_word_embeddings": config.tied_embeddings,
    })
}

impl File {
    fn refuse_unsupported(&self) -> Result<(), ParseError> {
        let activation = self.hidden_act.as_deref().unwrap_or("silu");
        let rope = self.rope_parameters.as_ref();
        let rope_type = rope.and_then(|rope| rope.rope_type.as_deref()).unwrap_or("default");
        let partial = rope.and_then(|rope| rope.partial_rotary_factor).unwrap_or(1.0);
        let scaling = self.rope_scaling.as_ref().filter(|scaling| !is_default_scaling(scaling));
        let scaling = scaling.map_or("null".into(), Value::to_string);
        require("hidden_act", activation, "silu")?;
        require("rope_parameters.rope_type", rope_type, "default")?;
        require("rope_parameters.partial_rotary_factor", &partial.to_string(), "1")?;
        require("rope_scaling", &scaling, "null")?;
        require("attention_bias", &self.attention_bias.to_string(), "false")?;
        require("mlp_bias", &self.mlp_bias.to_string(), "false")?;
        require("use_sliding_window", &self.use_sliding_window.to_string(), "false")
    }

    fn config(&self) -> ModelConfig {
        let parameters = self.rope_parameters.as_ref();
        let theta = parameters.and_then(|rope| rope.rope_theta).or(self.rope_theta);
        ModelConfig {
            vocab_size: self.vocab_size,
            hidden_size: self.hidden_size,
            num_layers: self.num_hidden_layers,
            num_heads: self.num_attention_heads,
            num_kv_heads: self.num_key_value_heads.unwrap_or(self.num_attention_heads),
            head_dim: self.head_dim.unwrap_or(self.hidden_size / self.num_attention_heads.max(1)),
            intermediate_size: self.intermediate_size,
            max_positions: self.max_position_embeddings,
            rms_norm_eps: self.rms_norm_eps,
            rope_theta: theta.unwrap_or(DEFAULT_ROPE_THETA),
            qkv_bias: self.model_type == "qwen2",
            tied_embeddings: self.tie_word_embeddings,
        }
    }
}

fn is_default_scaling(scaling: &Value) -> bool {
    let kind = scaling.get("rope_type").or_else(|| scaling.get("type"));
    kind.and_then(Value::as_str) == Some("default")
}

fn require(key: &'static str, found: &str, supported: &'static str) -> Result<(), ParseError> {
    if found == supported {
        return Ok(());
    }
    Err(ParseError::Setting { key, found: found.into(), supported })
}

#[cfg(test)]
mod tests {
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
        assert_eq!((config.num_kv_heads, config.head_dim, config.rope_theta), (4, 8, 10_000.0));
        assert!(!config.qkv_bias && !config.tied_embeddings);
    }

    #[test]
    fn both_places_of_rope_theta_are_read() {
        assert_eq!(parse(&file(r#", "rope_theta": 5e5"#)).unwrap().rope_theta, 5e5);
        let nested = r#", "rope_parameters": {"rope_theta": 7e5, "rope_type": "default"}"#;
        assert_eq!(parse(&file(nested)).unwrap().rope_theta, 7e5);
    }

    #[test]
    fn unsupported_settings_are_named() {
        let refused = [
            (r#", "rope_scaling": {"rope_type": "llama3", "factor": 8.0}"#, "llama3"),
            (r#", "rope_parameters": {"rope_type": "yarn"}"#, "yarn"),
            (r#", "hidden_act": "gelu""#, "gelu"),
            (r#", "use_sliding_window": true"#, "use_sliding_window"),
            (r#", "attention_bias": true"#, "attention_bias"),
        ];
        for (extra, named) in refused {
            let error = parse(&file(extra)).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        assert!(parse(&file(r#", "rope_scaling": null"#)).is_ok());
    }

    #[test]
    fn other_architectures_and_missing_keys_are_named() {
        let error = parse(r#"{"model_type": "gpt2", "n_embd": 3}"#).unwrap_err().to_string();
        assert!(error.contains("gpt2") && error.contains("qwen2"), "{error}");
        let error = parse(r#"{"model_type": "llama"}"#).unwrap_err().to_string();
        assert!(error.contains("vocab_size"), "{error}");
    }

    #[test]
    fn inconsistent_numbers_are_refused() {
        assert!(matches!(parse(&file(r#", "num_key_value_heads": 3"#)), Err(ParseError::Config(_))));
        assert!(matches!(parse(&file(r#", "num_key_value_heads": 0"#)), Err(ParseError::Config(_))));
    }
}
