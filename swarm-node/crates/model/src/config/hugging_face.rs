//! Reads and writes the `config.json` of a Hugging Face checkpoint.
//!
//! Accepted: `model_type` `llama`, `mistral`, `qwen2` and `qwen3` with SiLU, RoPE as
//! [`RopeScaling`] has it, and no bias outside of Qwen2's query, key and value projections. A key
//! that the file leaves out has the value that transformers' config class gives it. Whatever would
//! change the numbers and is not implemented is refused by name.
//!
//! RoPE may be given as by transformers 4 (`rope_theta`, `rope_scaling`) or 5 (`rope_parameters`),
//! its variant under `rope_type` or the older `type`. Keys that do not touch the arithmetic (dtype,
//! dropout, token ids) are ignored.
//!
//! *Sliding windows.* A sequence no longer than the window attends to all of itself, so a window is
//! kept by limiting the model's positions to it.

use serde_json::{Map, Value, json};

use super::{ModelConfig, ModelConfigError, RopeScaling};

/// Why a `config.json` gives no decoder.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Not JSON.
    #[error("config.json cannot be read: {0}")]
    Json(#[from] serde_json::Error),
    /// An architecture that is not implemented.
    #[error(
        "model_type `{found}` is not supported; supported are `llama`, `mistral`, `qwen2` and \
         `qwen3`"
    )]
    Architecture {
        /// The file's `model_type`.
        found: String,
    },
    /// A size without which no decoder can be built.
    #[error("`{key}` is missing; add the model's value")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A value of another kind than the key's.
    #[error("`{key}` is {found}; it must be {expected}")]
    Kind {
        /// The key.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it must be.
        expected: &'static str,
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
    /// Settings of RoPE that no variant has, or that its variant lacks.
    #[error(
        "`{key}` {found} is not supported: {reason}; supported are the variants {ROPE_TYPES} with \
         their own settings"
    )]
    Rope {
        /// The key of the object.
        key: &'static str,
        /// The object.
        found: String,
        /// What does not fit.
        reason: String,
    },
    /// Numbers that no decoder can be built from.
    #[error(transparent)]
    Config(#[from] ModelConfigError),
}

const ROPE_TYPES: &str = "default, linear, dynamic, llama3 and yarn";

/// What sets one `model_type` apart: its arithmetic, and what it means by a key that the file
/// leaves out.
#[derive(Debug)]
struct Family {
    model_type: &'static str,
    architecture: &'static str,
    qkv_bias: bool,
    qk_norm: bool,
    /// `None` is one for each query head.
    num_key_value_heads: Option<u64>,
    /// `None` is `hidden_size / num_attention_heads`.
    head_dim: Option<u64>,
    max_position_embeddings: u64,
    sliding: Sliding,
    /// Switches that add a bias; they must be off.
    biases: &'static [&'static str],
}

/// How a family's file says that layers attend to the last few tokens only.
#[derive(Debug)]
enum Sliding {
    Never,
    /// `sliding_window` holds for all layers; this many tokens where the key is left out.
    Always(u64),
    /// `use_sliding_window` switches it on for the layers that `layer_types` or `max_window_layers`
    /// say.
    Switched,
}

/// The values of transformers 5.24's config classes.
const FAMILIES: [Family; 4] = [
    Family {
        model_type: "llama",
        architecture: "LlamaForCausalLM",
        qkv_bias: false,
        qk_norm: false,
        num_key_value_heads: None,
        head_dim: None,
        max_position_embeddings: 2048,
        sliding: Sliding::Never,
        biases: &["attention_bias", "mlp_bias"],
    },
    Family {
        model_type: "mistral",
        architecture: "MistralForCausalLM",
        qkv_bias: false,
        qk_norm: false,
        num_key_value_heads: Some(8),
        head_dim: None,
        max_position_embeddings: 131_072,
        sliding: Sliding::Always(4096),
        biases: &[],
    },
    Family {
        model_type: "qwen2",
        architecture: "Qwen2ForCausalLM",
        qkv_bias: true,
        qk_norm: false,
        num_key_value_heads: Some(32),
        head_dim: None,
        max_position_embeddings: 32_768,
        sliding: Sliding::Switched,
        biases: &[],
    },
    Family {
        model_type: "qwen3",
        architecture: "Qwen3ForCausalLM",
        qkv_bias: false,
        qk_norm: true,
        num_key_value_heads: Some(32),
        head_dim: Some(128),
        max_position_embeddings: 32_768,
        sliding: Sliding::Switched,
        biases: &["attention_bias"],
    },
];

/// Base of the rotation where a file names none.
const DEFAULT_ROPE_THETA: f64 = 10_000.0;
/// ε of RMSNorm where a file names none.
const DEFAULT_RMS_NORM_EPS: f64 = 1e-6;
/// From which layer on windows slide where a file names none.
const DEFAULT_MAX_WINDOW_LAYERS: u64 = 28;
/// Key of the positions of the first training.
const ORIGINAL_POSITIONS: &str = "original_max_position_embeddings";
/// Tokens of a switched window where a file names none.
const DEFAULT_SLIDING_WINDOW: u64 = 4096;

/// Reads the text of a `config.json`.
///
/// # Errors
/// See [`ParseError`]; every refusal names the key and its value.
pub fn parse(json: &str) -> Result<ModelConfig, ParseError> {
    let file = File(serde_json::from_str(json)?);
    // The type comes first: a file of another family may lack keys, and its name says more than the
    // first missing one.
    let found = file
        .get("model_type")
        .and_then(Value::as_str)
        .unwrap_or("(none)");
    let family = FAMILIES.iter().find(|family| family.model_type == found);
    let family = family.ok_or_else(|| ParseError::Architecture {
        found: found.to_owned(),
    })?;
    file.refuse_unsupported(family)?;
    let config = file.config(family)?;
    config.validate()?;
    Ok(config)
}

/// The keys of a file.
struct File(Map<String, Value>);

impl File {
    /// A key's value; `None` where the file has no such key.
    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(key)
    }

    /// A whole number.
    fn whole(&self, key: &'static str, default: Option<u64>) -> Result<u64, ParseError> {
        match self.get(key) {
            None => default.ok_or(ParseError::Missing { key }),
            Some(value) => value
                .as_u64()
                .ok_or_else(|| kind(key, value, "a whole number")),
        }
    }

    /// A whole number, or `null`.
    fn optional(&self, key: &'static str, default: Option<u64>) -> Result<Option<u64>, ParseError> {
        match self.get(key) {
            None => Ok(default),
            Some(Value::Null) => Ok(None),
            Some(_) => self.whole(key, None).map(Some),
        }
    }

    /// A length; one that no machine counts becomes the largest, which the config's check refuses.
    fn length(&self, key: &'static str, default: Option<u64>) -> Result<usize, ParseError> {
        self.whole(key, default).map(saturate)
    }

    fn number(&self, key: &'static str, default: f64) -> Result<f64, ParseError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) => value.as_f64().ok_or_else(|| kind(key, value, "a number")),
        }
    }

    fn switch(&self, key: &'static str) -> Result<bool, ParseError> {
        match self.get(key) {
            None => Ok(false),
            Some(value) => value
                .as_bool()
                .ok_or_else(|| kind(key, value, "true or false")),
        }
    }

    fn refuse_unsupported(&self, family: &Family) -> Result<(), ParseError> {
        match self.get("hidden_act") {
            None => {}
            // Two names of one function.
            Some(Value::String(name)) if name == "silu" || name == "swish" => {}
            Some(found) => return Err(unsupported("hidden_act", found, "silu (swish)")),
        }
        for &key in family.biases {
            if self.switch(key)? {
                return Err(unsupported(key, &Value::Bool(true), "false"));
            }
        }
        match self.get("quantization_config") {
            None | Some(Value::Null) => Ok(()),
            Some(found) => Err(unsupported(
                "quantization_config",
                found,
                "a model that is not quantized",
            )),
        }
    }

    fn config(&self, family: &Family) -> Result<ModelConfig, ParseError> {
        let vocab_size = self.length("vocab_size", None)?;
        let hidden_size = self.length("hidden_size", None)?;
        let num_layers = self.length("num_hidden_layers", None)?;
        let num_heads = self.length("num_attention_heads", None)?;
        let num_kv_heads = self.optional("num_key_value_heads", family.num_key_value_heads)?;
        let head_dim = self.optional("head_dim", family.head_dim)?;
        let positions = self.length(
            "max_position_embeddings",
            Some(family.max_position_embeddings),
        )?;
        let (rope_theta, rope_scaling) = self.rope(positions)?;
        Ok(ModelConfig {
            vocab_size,
            hidden_size,
            num_layers,
            num_heads,
            num_kv_heads: num_kv_heads.map_or(num_heads, saturate),
            head_dim: head_dim.map_or(hidden_size / num_heads.max(1), saturate),
            intermediate_size: self.length("intermediate_size", None)?,
            max_positions: self
                .window(family, num_layers)?
                .map_or(positions, |window| window.min(positions)),
            rms_norm_eps: self.number("rms_norm_eps", DEFAULT_RMS_NORM_EPS)? as f32,
            rope_theta,
            rope_scaling,
            qkv_bias: family.qkv_bias,
            qk_norm: family.qk_norm,
            tied_embeddings: self.switch("tie_word_embeddings")?,
        })
    }

    /// The tokens that a layer attends to at most; `None` if every layer attends to all.
    fn window(&self, family: &Family, num_layers: usize) -> Result<Option<usize>, ParseError> {
        let window = match family.sliding {
            Sliding::Never => None,
            Sliding::Always(default) => self.optional("sliding_window", Some(default))?,
            Sliding::Switched => {
                let window = match self.switch("use_sliding_window")? {
                    true => self.optional("sliding_window", Some(DEFAULT_SLIDING_WINDOW))?,
                    false => None,
                };
                match self.get("layer_types") {
                    None | Some(Value::Null) => {
                        let full =
                            self.length("max_window_layers", Some(DEFAULT_MAX_WINDOW_LAYERS))?;
                        window.filter(|_| full < num_layers)
                    }
                    Some(types) => window_of_types(types, window)?,
                }
            }
        };
        Ok(window.map(saturate))
    }

    /// Base and variant. `rope_scaling` goes before `rope_parameters`, and a base inside before one
    /// outside.
    fn rope(&self, positions: usize) -> Result<(f64, RopeScaling), ParseError> {
        let objects = ["rope_scaling", "rope_parameters"].map(|key| (key, self.get(key)));
        let given = objects.into_iter().find_map(|(key, value)| match value {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) if object.is_empty() => None,
            Some(value) => Some((key, value)),
        });
        let theta = self.number("rope_theta", DEFAULT_ROPE_THETA)?;
        let outside = self.get("partial_rotary_factor");
        let Some((key, value)) = given else {
            refuse_partial(outside)?;
            return Ok((theta, RopeScaling::Default));
        };
        let Value::Object(object) = value else {
            return Err(kind(key, value, "an object"));
        };
        let mut settings = object.clone();
        settings.retain(|_, value| !value.is_null());
        let theta = match settings.remove("rope_theta") {
            None => theta,
            Some(inside) => inside
                .as_f64()
                .ok_or_else(|| kind("rope_theta", &inside, "a number"))?,
        };
        match settings.remove("partial_rotary_factor") {
            None => refuse_partial(outside)?,
            inside => refuse_partial(inside.as_ref())?,
        }
        let older = settings.remove("type");
        let variant = settings
            .entry("rope_type")
            .or_insert(older.unwrap_or_else(|| "default".into()))
            .clone();
        if variant == "llama3" || variant == "yarn" {
            self.add_original_positions(&mut settings, positions);
        }
        if variant == "yarn" {
            add_yarn_defaults(&mut settings, object, positions);
        }
        let refuse = |reason: String| ParseError::Rope {
            key,
            found: value.to_string(),
            reason,
        };
        // The variant without settings would ignore any.
        if variant == "default"
            && let Some(setting) = settings.keys().find(|&setting| setting != "rope_type")
        {
            return Err(refuse(format!("`default` has no `{setting}`")));
        }
        let scaling = serde_json::from_value(Value::Object(settings))
            .map_err(|error| refuse(error.to_string()))?;
        Ok((theta, scaling))
    }

    /// The positions of the first training: those outside of the object go before those inside, and
    /// without either they are the model's.
    fn add_original_positions(&self, settings: &mut Map<String, Value>, positions: usize) {
        match self.get(ORIGINAL_POSITIONS) {
            None | Some(Value::Null) => {
                settings
                    .entry(ORIGINAL_POSITIONS)
                    .or_insert(positions.into());
            }
            Some(outside) => {
                settings.insert(ORIGINAL_POSITIONS.into(), outside.clone());
            }
        }
    }
}

/// What YaRN's settings mean by a number of 0, the default, and by a factor of `null` in the file's
/// `object`, the ratio of the positions.
fn add_yarn_defaults(
    settings: &mut Map<String, Value>,
    object: &Map<String, Value>,
    positions: usize,
) {
    for key in ["beta_fast", "beta_slow", "mscale", "mscale_all_dim"] {
        if settings.get(key).and_then(Value::as_f64) == Some(0.0) {
            settings.remove(key);
        }
    }
    let original = settings.get(ORIGINAL_POSITIONS).and_then(Value::as_f64);
    if let (Some(Value::Null), Some(original)) = (object.get("factor"), original) {
        settings.insert("factor".into(), json!(positions as f64 / original));
    }
}

/// The window if a layer of these types has it.
fn window_of_types(types: &Value, window: Option<u64>) -> Result<Option<u64>, ParseError> {
    let supported =
        "a list of `full_attention` and `sliding_attention`, the latter with `sliding_window`";
    let list = types
        .as_array()
        .ok_or_else(|| kind("layer_types", types, "a list"))?;
    if list
        .iter()
        .any(|layer| layer != "full_attention" && layer != "sliding_attention")
    {
        return Err(unsupported("layer_types", types, supported));
    }
    let slides = list.iter().any(|layer| layer == "sliding_attention");
    if slides && window.is_none() {
        return Err(unsupported("layer_types", types, supported));
    }
    Ok(window.filter(|_| slides))
}

fn refuse_partial(factor: Option<&Value>) -> Result<(), ParseError> {
    match factor {
        None | Some(Value::Null) => Ok(()),
        Some(value) if value.as_f64() == Some(1.0) => Ok(()),
        Some(value) => Err(unsupported("partial_rotary_factor", value, "1")),
    }
}

fn saturate(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn kind(key: &'static str, found: &Value, expected: &'static str) -> ParseError {
    ParseError::Kind {
        key,
        found: found.to_string(),
        expected,
    }
}

fn unsupported(key: &'static str, found: &Value, supported: &'static str) -> ParseError {
    ParseError::Setting {
        key,
        found: found.to_string(),
        supported,
    }
}

/// The `config.json` of a model, in the form of transformers 5. [`parse`] reads it back to an equal
/// config.
///
/// A model without a bias and without query and key norms is written as a Llama, whatever it was
/// read as: the arithmetic is the same. Token ids are the tokenizer's; add `bos_token_id`,
/// `eos_token_id` and `pad_token_id`.
pub fn to_json(config: &ModelConfig) -> Map<String, Value> {
    #[expect(
        clippy::expect_used,
        reason = "validated configs have no other combination"
    )]
    let family = FAMILIES
        .iter()
        .find(|family| (family.qkv_bias, family.qk_norm) == (config.qkv_bias, config.qk_norm))
        .expect("invariant: a config has a bias or norms of query and key, not both");
    let mut rope = Map::new();
    rope.insert("rope_theta".into(), json!(config.rope_theta));
    #[expect(
        clippy::expect_used,
        reason = "the enum is tagged inside, and its fields are numbers"
    )]
    let scaling: Map<String, Value> = serde_json::to_value(config.rope_scaling)
        .and_then(serde_json::from_value)
        .expect("invariant: a scaling is a JSON object");
    rope.extend(scaling);
    let mut keys = Map::new();
    let mut set = |key: &str, value: Value| keys.insert(key.into(), value);
    set("architectures", json!([family.architecture]));
    set("model_type", json!(family.model_type));
    set("dtype", json!("float32"));
    set("vocab_size", json!(config.vocab_size));
    set("hidden_size", json!(config.hidden_size));
    set("intermediate_size", json!(config.intermediate_size));
    set("num_hidden_layers", json!(config.num_layers));
    set("num_attention_heads", json!(config.num_heads));
    set("num_key_value_heads", json!(config.num_kv_heads));
    set("head_dim", json!(config.head_dim));
    set("hidden_act", json!("silu"));
    set("max_position_embeddings", json!(config.max_positions));
    set("rms_norm_eps", shortest(config.rms_norm_eps));
    set("rope_parameters", Value::Object(rope));
    set("tie_word_embeddings", json!(config.tied_embeddings));
    for &bias in family.biases {
        set(bias, json!(false));
    }
    if matches!(family.sliding, Sliding::Switched) {
        set("use_sliding_window", json!(false));
    }
    keys
}

/// The shortest decimal number that is this one as f32: 1e-6, not the 9.999999974752427e-7 that f64
/// makes of it.
#[expect(
    clippy::expect_used,
    reason = "the text of any f32 is the text of an f64"
)]
fn shortest(value: f32) -> Value {
    let written: f64 = value
        .to_string()
        .parse()
        .expect("invariant: a number's text is a number");
    json!(written)
}

#[cfg(test)]
mod tests;
