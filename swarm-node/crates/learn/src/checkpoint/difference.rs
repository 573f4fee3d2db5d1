//! Where two configurations differ, for the refusal to resume.

use std::collections::BTreeSet;

use serde_json::Value;

/// The first place where two configurations differ, in words.
pub(super) fn difference(at: &str, saved: &Value, given: &Value) -> Option<String> {
    let (Value::Object(before), Value::Object(after)) = (saved, given) else {
        let same = saved == given;
        return (!same).then(|| format!("`{at}` was {} and is {}", plain(saved), plain(given)));
    };
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names.into_iter().find_map(|name| {
        let at = if at.is_empty() {
            name.clone()
        } else {
            format!("{at}.{name}")
        };
        difference(
            &at,
            before.get(name).unwrap_or(&Value::Null),
            after.get(name).unwrap_or(&Value::Null),
        )
    })
}

/// A value as people wrote it: a number that came from an f32 has the digits of that, not of the
/// double it became.
fn plain(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if value.is_f64() && f64::from(number as f32) == number => {
            (number as f32).to_string()
        }
        _ => value.to_string(),
    }
}
