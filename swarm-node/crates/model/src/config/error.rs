//! What a model's config is refused for.

/// A number in a model's config that no decoder can be built from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("model config: `{field}` is {value}, but {rule}")]
pub struct ModelConfigError {
    /// The field.
    pub field: &'static str,
    /// Its value.
    pub value: String,
    /// What holds for the field.
    pub rule: String,
}

/// Largest value of any single length, so that products of two fit everywhere.
pub(super) const MAX_LENGTH: usize = 1 << 24;

/// Refuses a field's value for breaking a rule.
pub(super) fn refuse(
    field: &'static str,
    value: String,
    rule: String,
) -> Result<(), ModelConfigError> {
    Err(ModelConfigError { field, value, rule })
}
